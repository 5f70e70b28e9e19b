"""What tests of several folders share."""

import os
import signal
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import settings

import shape_checks

# Set before anything imports OpenMP: the tests share few cores with each other and with Ray's workers.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts what runs in its background deaf to Ctrl-C, which the commands under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
warnings.filterwarnings("ignore", module="glfw")
# No test fails because the machine is busy.
settings.register_profile("mosim", deadline=None)
settings.load_profile("mosim")


_LONGEST = ("test_readme.py", "test_installs.py", "test_whole_run.py", "test_study.py", "test_phases.py")
"""Files of few and long tests: they come first, so that no worker of pytest-xdist has one left at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders files by how long they take, as far as it matters; `make test` keeps pytest-xdist from reordering them."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Shapes are checked in each test anew, its fixtures included."""
    shape_checks.begin_test()


@pytest.fixture(scope="session")
def ray_of_two() -> Iterator[None]:
    """A local Ray of two CPUs, one for all tests of a session (of each worker of pytest-xdist)."""
    from mosim.jobs import ray_cluster

    with ray_cluster.started(num_cpus=2):
        yield


@pytest.fixture(scope="session")
def opengl() -> None:
    """Skips the test where nothing can be drawn; the message says which package would change that."""
    from mosim.rendering import NoOpenGLError, require_opengl

    try:
        require_opengl()
    except NoOpenGLError as error:
        pytest.skip(str(error))
