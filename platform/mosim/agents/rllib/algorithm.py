"""RLlib's algorithm made of a recipe, and its whole state as plain data."""

import contextlib
import os
from pathlib import Path
from typing import Any

import gymnasium
import torch
from ray.rllib.algorithms.algorithm import Algorithm

from mosim.agents.rllib.env_runner import BatchedEnvRunner
from mosim.agents.rllib.observation_filter import ObservationFilter
from mosim.agents.rllib.recipe import RLlibRecipe
from mosim.core.errors import MosimError
from mosim.registration import environment_id

_METRICS = "metrics_logger"


def make_algorithm(
    recipe: RLlibRecipe,
    task_name: str,
    source: str | Path,
    sample_seed: int | None = None,
    data: str | Path | None = None,
    device: str = "cpu",
    gpus_per_runner: float = 0.0,
) -> Algorithm:
    """Builds the algorithm that a recipe describes; Ray must have been started.

    Args:
      recipe: what to build.
      task_name: such as `reacher-easy`.
      source: a simulator's checkpoint, or `"true"`; see `mosim.envs.load_dynamics`.
      sample_seed: seed of weights and training episodes; the recipe's own by default.
      data: states that episodes start from, where the recipe says so; see `mosim.envs.start_states`.
      device: where simulator and policy are, `cpu` or `cuda`.
      gpus_per_runner: share of a GPU that each env runner holds which is an actor of its own; without one it samples
        on the CPU.
    """
    on_gpu = torch.device(device).type != "cpu"
    sampling = device if gpus_per_runner or not recipe.num_env_runners else "cpu"
    environment = {
        "task": task_name,
        "checkpoint": str(source),
        "action_repeat": recipe.action_repeat,
        "max_episode_steps": recipe.max_episode_steps,
        "guards": recipe.guards,
        "start": recipe.start,
        "data": None if data is None else str(data),
        "device": sampling,
    }
    config = (
        recipe.rllib_config()
        # Named with its module, so that every env runner's process imports mosim and so registers the env itself.
        .environment(f"mosim:{environment_id(task_name)}", env_config=environment, disable_env_checking=True)
        .env_runners(
            env_runner_cls=BatchedEnvRunner,
            num_env_runners=recipe.num_env_runners,
            num_envs_per_env_runner=recipe.num_envs // max(recipe.num_env_runners, 1),
            num_gpus_per_env_runner=gpus_per_runner,
            gym_env_vectorize_mode=gymnasium.VectorizeMode.VECTOR_ENTRY_POINT,
            rollout_fragment_length=recipe.rollout_fragment_length,
            env_to_module_connector=_observation_filter,
        )
        .learners(num_learners=0, num_gpus_per_learner=int(on_gpu))
        .training(gamma=recipe.gamma)
        .reporting(
            min_time_s_per_iteration=None, min_sample_timesteps_per_iteration=1, min_train_timesteps_per_iteration=None
        )
        .debugging(seed=recipe.seed if sample_seed is None else sample_seed, log_level="ERROR")
    )
    try:
        config.validate()
    except ValueError as error:
        raise MosimError(f"RLlib rejects this recipe of {recipe.algorithm}: {_first_line(error)}") from None
    algorithm = config.build_algo()
    # RLlib makes an empty folder in the user's home for every algorithm, and has no use for it here.
    with contextlib.suppress(OSError):
        os.rmdir(str(algorithm.logdir))
    return algorithm


def _observation_filter(env: Any = None, spaces: Any = None, device: Any = None) -> ObservationFilter:
    del env, spaces, device
    return ObservationFilter()


def set_rates(algorithm: Algorithm, rates: dict[str, float]) -> None:
    """Sets the rates of a recipe for the next iteration, such as Adam's step size."""
    if rates:
        group: Any = algorithm.learner_group
        group.foreach_learner(lambda learner: learner.set_rates(**rates))


def algorithm_state(algorithm: Algorithm) -> dict[str, Any]:
    """All that the next iteration depends on but the generators: weights, optimiser, filter, envs under way."""
    runner = algorithm.env_runner
    state = algorithm.get_state(not_components=[_METRICS])
    state.pop(_METRICS, None)
    state["learner_group"]["learner"].pop(_METRICS, None)
    return {"rllib": state, "sampling": runner.snapshot() if isinstance(runner, BatchedEnvRunner) else {}}


def set_algorithm_state(algorithm: Algorithm, state: dict[str, Any]) -> None:
    """Puts back what `algorithm_state` gave, into an algorithm made of the same recipe."""
    algorithm.set_state(state["rllib"])
    runner = algorithm.env_runner
    if isinstance(runner, BatchedEnvRunner) and algorithm.config is not None and not algorithm.config.num_env_runners:
        runner.restore(state["sampling"])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
