"""What mosim uses of dm_control's private names."""

from mosim.core.private_names import PrivateName

PRIVATE_NAMES = (
    PrivateName(
        "dm_control.rl.control:Environment",
        "_step_limit",
        "dm_control gives the time limit of an episode no public name",
        "dm_control 1.0.50",
    ),
)
