"""A film of a policy in the true task, with its reward under it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mosim.agents.policy import Policy, load_policy
from mosim.agents.policy_evaluation import EVAL_SEED, Acting, max_episode_steps
from mosim.core.errors import MismatchError
from mosim.core.shapes import Actions, State, States
from mosim.envs import MoSimVectorEnv
from mosim.models import MujocoDynamics
from mosim.rendering import Renderer, Strip, StripLine, frame_steps, label, write_film
from mosim.tasks import Task
from mosim_analysis import names

_PANEL_SHAPE, _STRIP_SHAPE = 0.6, 0.25
"""Height over width, of the picture and of the strip."""

_LETTERS = 1 / 36
"""Size of the letters, as a share of the film's width."""

_LINE = {"color": names.BLUE, "label": "reward", "linewidth": 2.0}


@dataclass(frozen=True, repr=False)
class PolicyEpisode:
    """An episode of the true task under a policy, or its beginning.

    Attributes:
      states: `(physics steps + 1, nq + nv)`.
      rewards: of each control step, `(control steps,)`; of those that share an action, their mean.
      context: of the episode, `(context_size,)`.
    """

    states: np.ndarray
    rewards: np.ndarray
    context: np.ndarray

    def __repr__(self) -> str:
        return f"PolicyEpisode(states={self.states.shape}, rewards={self.rewards.shape}, sum={self.rewards.sum():.1f})"


def true_episode(
    policy: Policy, task: Task, seconds: float = float("inf"), seed: int = EVAL_SEED, episode: int = 0
) -> PolicyEpisode:
    """Runs a policy in the true task without exploration, in one of the episodes that it is evaluated in.

    Args:
      policy: who acts; each action is held as it was trained.
      task: the true task.
      seconds: where to stop, unless the episode ends before.
      seed: of the starts, as for `evaluate_policy`.
      episode: its index among those that are evaluated.

    Raises:
      MismatchError: the policy is of a task with other observations or actions.
    """
    wanted = task.observation_size, task.facts.nu
    if (policy.facts.observation_size, policy.facts.action_size) != wanted:
        raise MismatchError(
            f"the policy was trained for {policy.facts.task}, with {policy.facts.observation_size} observations and "
            f"{policy.facts.action_size} actions; it does not fit {task.name}, which has {wanted[0]} and {wanted[1]}."
        )
    return recorded_episode(task, lambda envs: policy.act, policy.facts.action_repeat, seconds, seed, episode)


def recorded_episode(
    task: Task,
    acting: Callable[[MoSimVectorEnv], Acting],
    repeat: int,
    seconds: float = float("inf"),
    seed: int = EVAL_SEED,
    episode: int = 0,
) -> PolicyEpisode:
    """Runs and records an episode of the true task.

    Args:
      task: the true task.
      acting: gives who acts, for the environment that is acted in, a batch of one.
      repeat: control steps that each action is held.
      seconds: where to stop, unless the episode ends before.
      seed: of the starts, as for `evaluate_policy`.
      episode: its index among those that are evaluated.
    """
    recorder = _Recorder(task)
    limit = max_episode_steps(task, repeat)
    envs = MoSimVectorEnv(task, recorder, 1, seed, action_repeat=repeat, max_episode_steps=limit, first_index=episode)
    act = acting(envs)
    observation, _ = envs.reset()
    recorder.states.append(envs.state.numpy().copy())
    rewards: list[float] = []
    while not envs.ended[0] and len(rewards) * task.control_timestep < seconds:
        before = sum(map(len, recorder.states))
        observation, reward, _, _, _ = envs.step(act(observation))
        steps = (sum(map(len, recorder.states)) - before) // task.n_substeps
        rewards += [float(reward[0]) / steps] * steps
    return PolicyEpisode(np.concatenate(recorder.states), np.array(rewards), envs.context[0].numpy().copy())


def film_policy(
    policy: Policy | Path,
    task: Task,
    path: Path,
    *,
    seconds: float = 5.0,
    fps: float = 25.0,
    width: int = 480,
    seed: int = EVAL_SEED,
    episode: int = 0,
) -> PolicyEpisode:
    """Films a policy in the true task, and returns what was filmed.

    Args:
      policy: a policy, or the folder of one.
      task: the true task.
      path: the MP4.
      seconds: how much of the episode.
      fps: frames a second.
      width: in pixels.
      seed: of the starts, as for `evaluate_policy`.
      episode: its index among those that are evaluated.

    Raises:
      NoOpenGLError: nothing can be drawn here.
      MismatchError: the policy is of another task.
      MosimError: there is no policy, or the film cannot be written.
    """
    filmed = true_episode(load_policy(policy) if isinstance(policy, Path) else policy, task, seconds, seed, episode)
    film_episode(filmed, task, path, fps=fps, width=width)
    return filmed


def film_episode(filmed: PolicyEpisode, task: Task, path: Path, *, fps: float = 25.0, width: int = 480) -> None:
    """Draws a recorded episode, with its reward under it; arguments and errors are those of `film_policy`."""
    times = task.control_timestep * np.arange(1, len(filmed.rewards) + 1)
    strip = Strip(
        width, _even(_STRIP_SHAPE * width), times, [StripLine(filmed.rewards, _LINE)], "reward of each control step",
        log=False, figure="{:.2f}", letters=_LETTERS * width,
    )  # fmt: skip
    with Renderer(task, width, _even(_PANEL_SHAPE * width), filmed.context) as renderer:
        write_film(path, _frames(filmed, task, renderer, strip, fps), fps)


class _Recorder(MujocoDynamics):
    """The true physics, which remembers the states of each physics step of its one row."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.states: list[np.ndarray] = []

    def advance(self, carry: State, actions: Actions) -> tuple[State, States]:
        carry, states = super().advance(carry, actions)
        self.states.append(states[0].numpy().copy())
        return carry, states


@torch.no_grad()
def _frames(filmed: PolicyEpisode, task: Task, renderer: Renderer, strip: Strip, fps: float) -> Iterator[np.ndarray]:
    timestep, letters = task.facts.timestep, _LETTERS * renderer.width
    returns = np.concatenate([[0.0], np.cumsum(filmed.rewards)])
    for step in frame_steps(len(filmed.states) - 1, timestep, fps):
        picture = renderer.draw(filmed.states[step])[0].copy()
        label(picture, f"{task.name}, true physics", letters)
        said = f"{step * timestep:.2f} s, return {returns[step // task.n_substeps]:.0f}"
        label(picture, said, letters, right=True)
        yield np.concatenate([picture, strip.at(step * timestep)])


def _even(pixels: float) -> int:
    return 2 * round(pixels / 2)
