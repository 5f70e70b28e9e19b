import subprocess
import sys

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import mosim
from mosim.core.errors import MismatchError, MosimError
from mosim.envs import MoSimVectorEnv
from mosim.registration import SUITE_TASKS, environment_id
from mosim.robots import require_fit
from mosim.tasks import load_task, task_names


def test_the_registered_tasks_are_the_suites() -> None:
    assert tuple(sorted(task_names())) == tuple(sorted(SUITE_TASKS))
    for name in SUITE_TASKS:
        for true in (False, True):
            spec = gymnasium.spec(environment_id(name, true))
            assert isinstance(spec.entry_point, str)
            assert isinstance(spec.vector_entry_point, str)


def test_importing_mosim_is_light() -> None:
    code = "import mosim, sys; print({'torch', 'ray', 'dm_control', 'mujoco'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


def test_mosim_says_what_it_lacks() -> None:
    assert mosim.load.__name__ == "load_simulator"
    assert mosim.load_policy.__name__ == "load_policy"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = mosim.nonsense


@pytest.mark.parametrize("name", ["reacher-easy", "cartpole-swingup", "hopper-hop"])
def test_gymnasiums_checks_pass_on_the_true_task(name: str) -> None:
    check_env(gymnasium.make(environment_id(name, true=True)).unwrapped)


def test_a_batch_is_made_by_name() -> None:
    envs = gymnasium.make_vec("MoSimTrue/reacher-easy-v0", num_envs=5, action_repeat=2)
    assert isinstance(envs.unwrapped, MoSimVectorEnv)
    assert envs.reset(seed=0)[0].shape == (5, 6)


def test_a_simulated_task_needs_a_checkpoint() -> None:
    with pytest.raises(MosimError, match="checkpoint=PATH"):
        gymnasium.make("MoSim/reacher-easy-v0")


def test_a_checkpoint_of_another_system_is_refused_with_what_differs() -> None:
    reacher = load_task("reacher-easy")
    with pytest.raises(MismatchError, match=r"does not fit task cartpole-swingup: nu is 2 instead of 1"):
        require_fit(reacher.facts, load_task("cartpole-swingup").facts, "the simulator", "cartpole-swingup")
    require_fit(load_task("reacher-hard").facts, reacher.facts, "the simulator")
