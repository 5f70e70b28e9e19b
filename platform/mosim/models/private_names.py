"""What mosim uses of torch's private names."""

from mosim.core.private_names import PrivateName

PRIVATE_NAMES = (
    PrivateName(
        "torch._compile",
        "_disable_dynamo",
        "torch.compiler.disable imports the compiler immediately, which adds seconds to every start",
        "torch 2.13.0",
    ),
)
