"""What mosim uses of Ray's and Ray Tune's private names."""

from mosim.core.private_names import PrivateName

_SEEN = "ray 2.60.0"

PRIVATE_NAMES = (
    PrivateName(
        "ray._private.state",
        "state",
        "there is no public way to ask how large a cluster can grow, which decides whether a trial can ever run",
        _SEEN,
    ),
    PrivateName(
        "ray.tune.schedulers.pbt:PopulationBasedTraining",
        "_num_perturbations",
        "which trial a population copies next depends on how often it has copied, and a resumed sweep must draw the "
        "same",
        _SEEN,
    ),
    PrivateName(
        "ray.tune.schedulers.median_stopping_rule:MedianStoppingRule",
        "_results",
        "a resumed sweep returns to the scheduler what trials had reported",
        _SEEN,
    ),
)
