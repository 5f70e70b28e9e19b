from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mosim.core.errors import MosimError
from mosim.rendering import Renderer
from mosim.tasks import load_task

TASK = "reacher-easy"
SIZE: dict[str, Any] = {"width": 64, "height": 48}


@pytest.fixture
def envs(opengl: None):
    envs = gymnasium.make_vec(f"MoSimTrue/{TASK}-v0", num_envs=2, render_mode="rgb_array", max_episode_steps=3, **SIZE)
    yield envs
    envs.close()


def pictures_of(envs) -> tuple[np.ndarray, np.ndarray]:
    first, second = envs.render()
    return first, second


def test_each_env_of_a_batch_is_drawn_as_it_stands(envs) -> None:
    batch = envs.unwrapped
    envs.reset(seed=0)
    before = pictures_of(envs)
    assert [(picture.shape, picture.dtype) for picture in before] == [((48, 64, 3), np.uint8)] * 2
    assert not np.array_equal(*before)
    for _ in range(3):
        *_, truncated, _ = envs.step(np.ones((2, 2), np.float32))
    assert truncated.all()
    moved = pictures_of(envs)
    assert not np.array_equal(moved[1], before[1])
    envs.step(np.ones((2, 2), np.float32))  # A reset: the target is elsewhere.
    after = pictures_of(envs)
    with Renderer(load_task(TASK), 64, 48, batch.context[1].numpy()) as renderer:
        np.testing.assert_array_equal(after[1], renderer.draw(batch.state[1].numpy())[0])
        assert not np.array_equal(moved[1], renderer.draw(batch.state[1].numpy())[0])
    assert envs.metadata["render_fps"] == pytest.approx(50.0)


def test_one_env_is_drawn_and_gymnasium_is_content(opengl: None) -> None:
    env = gymnasium.make(f"MoSimTrue/{TASK}-v0", render_mode="rgb_array", action_repeat=2, **SIZE)
    env.reset(seed=0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (48, 64, 3)
    assert picture.std() > 0
    assert env.metadata["render_fps"] == pytest.approx(25.0)
    check_env(env.unwrapped)
    env.close()


def test_without_a_render_mode_nothing_is_drawn_and_a_wrong_one_is_told() -> None:
    envs = gymnasium.make_vec(f"MoSimTrue/{TASK}-v0", num_envs=1)
    envs.reset(seed=0)
    assert envs.render() is None
    with pytest.raises(MosimError, match="render_mode 'human' is unknown; it must be 'rgb_array'"):
        gymnasium.make_vec(f"MoSimTrue/{TASK}-v0", num_envs=1, render_mode="human")
