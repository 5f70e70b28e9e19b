"""What mosim uses of Ray's private names."""

from mosim.core.private_names import PrivateName

PRIVATE_NAMES = (
    PrivateName(
        "ray.job_config:JobConfig",
        "_serialize",
        "workers must not import from the working folder, and no public setting removes it from their path",
        "ray 2.60.0",
    ),
    PrivateName("ray.job_config:JobConfig", "_py_driver_sys_path", "as _serialize", "ray 2.60.0"),
)
