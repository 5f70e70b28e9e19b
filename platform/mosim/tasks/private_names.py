"""What mosim uses of dm_control's private names."""

from mosim.core.private_names import PrivateName

PRIVATE_NAMES = (
    PrivateName(
        "dm_control.rl.control:Environment",
        "_step_limit",
        "dm_control has no public name for the time limit of an episode",
        "dm_control 1.0.50",
    ),
)
