"""When not to believe a simulator: what an environment makes of the uncertainty of its dynamics."""

from pydantic import Field

from mosim.core.frozen import Frozen


class Guards(Frozen):
    """Guards against policies that exploit errors of the simulator, by its uncertainty in each control step.

    The penalty is that of MOPO (arXiv 2005.13239), the limit that of MOReL (arXiv 2005.05951). By default there is
    neither.
    """

    uncertainty_penalty: float = Field(
        default=0.0,
        ge=0,
        description="Factor of the simulator's uncertainty that is subtracted from the reward of each control step. "
        "Needs a simulator that has an uncertainty, such as an ensemble.",
    )
    uncertainty_limit: float | None = Field(
        default=None,
        gt=0,
        description="Uncertainty of a control step above which an episode ends as after a divergence, in standard "
        "deviations of the training data. If omitted: none.",
    )

    @property
    def active(self) -> bool:
        """Whether anything is guarded, for which the dynamics must have an uncertainty."""
        return self.uncertainty_penalty > 0 or self.uncertainty_limit is not None
