"""RLlib's env runner for envs that are one batch already."""

from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchSquashedGaussian
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from mosim.agents.rllib.observation_filter import ObservationFilter
from mosim.envs import MoSimVectorEnv

DIVERGENCES = "divergences"
"""Key of RLlib's results: the `Divergence` of each episode whose prediction diverged."""

_Step = dict[str, np.ndarray]


class BatchedEnvRunner(SingleAgentEnvRunner):
    """Samples whole batches: one call of filter, module and env a step, and episodes cut out of them at the end.

    RLlib's own runner passes each env's step through Python by itself, which costs six times what the true reacher
    costs. The episodes it returns are the same. What is under way can be taken out and put back (`snapshot`,
    `restore`), which its own cannot, so that a training may go on exactly where it stopped.
    """

    def snapshot(self) -> dict[str, Any]:
        """What is under way, as plain data; empty before the first sample."""
        if self._needs_initial_reset:
            return {}
        return {
            "envs": self._envs.snapshot(),
            "observation": self._observation.copy(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes on from a `snapshot`."""
        if snapshot:
            self._envs.restore(snapshot["envs"])
            self._observation = snapshot["observation"].copy()
            self._returns, self._lengths = snapshot["returns"].copy(), snapshot["lengths"].copy()
            self._needs_initial_reset = False

    def make_env(self) -> None:
        """Makes the envs; those of all runners together start as if they were the envs of one."""
        super().make_env()
        # RLlib leaves the module of a runner in the trainer's own process on the CPU, whatever GPU the learner has.
        self._device = torch.device(self.config.env_config["device"])
        self._envs.first_index = max(self.worker_index - 1, 0) * self.num_envs

    @property
    def _envs(self) -> MoSimVectorEnv:
        envs = self.env.unwrapped if self.env is not None else None
        if not isinstance(envs, MoSimVectorEnv):
            raise TypeError(f"BatchedEnvRunner needs a MoSimVectorEnv, not {envs}.")
        return envs

    @property
    def _filter(self) -> ObservationFilter:
        pipeline: Any = self._env_to_module
        return next(piece for piece in pipeline.connectors if isinstance(piece, ObservationFilter))

    @torch.no_grad()
    def sample_transitions(self, fragment: int, random_actions: bool = False) -> dict[str, np.ndarray]:
        """Takes `fragment` actions in every env, those of an env that is reset among them.

        Args:
          fragment: at least 1.
          random_actions: draw actions from the whole control range, and not from the policy.

        Returns:
          What `mosim.agents.rllib.replay_buffer.ReplayBuffer.add` takes, with observations as the envs gave them.
        """
        self._begin(force_reset=False, explore=True)
        raw, steps = [self._envs.observation], []
        for _ in range(fragment):
            steps.append(self._step(explore=True, random_actions=random_actions))
            raw.append(steps[-1].pop("raw"))
        stacked = {key: np.stack([step[key] for step in steps]) for key in steps[0]}
        ended = stacked["terminated"] | stacked["truncated"]
        taken = int(stacked["valid"].sum())
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=taken)
        self._increase_sampled_metrics(taken, int(ended.sum()))
        return {
            "observation": np.stack(raw),
            "action": stacked[Columns.ACTIONS],
            "reward": stacked["reward"].astype(np.float32),
            "terminated": stacked["terminated"],
            "ended": ended,
            "valid": stacked["valid"],
        }

    def sample_get_state_and_metrics(self) -> Any:
        """RLlib's, after which what the filter has seen counts as told: asked again, it does not tell it twice."""
        result = super().sample_get_state_and_metrics()
        self._filter.told()
        return result

    @torch.no_grad()
    def _sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[SingleAgentEpisode]:
        """Takes RLlib's arguments; at least `num_timesteps` actions, or `num_episodes` episodes to their end."""
        self._begin(force_reset or num_episodes is not None, explore)
        observations, steps = [self._observation], []
        taken = finished = 0
        while taken < num_timesteps if num_timesteps is not None else finished < (num_episodes or 0):
            steps.append(self._step(explore, random_actions))
            observations.append(self._observation)
            taken += int(steps[-1]["valid"].sum())
            finished += int((steps[-1]["terminated"] | steps[-1]["truncated"]).sum())
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=taken)
        self._increase_sampled_metrics(taken, finished)
        return self._episodes(np.stack(observations), {key: np.stack([s[key] for s in steps]) for key in steps[0]})

    def _begin(self, force_reset: bool, explore: bool) -> None:
        """Starts all episodes anew, the first time or where it is asked for."""
        if force_reset or self._needs_initial_reset:
            # Not the seed that RLlib gives this runner alone, which is its next neighbour's under the next seed.
            observation, _ = self._envs.reset(seed=self.config.seed if self._needs_initial_reset else None)
            self._observation = self._filter.filter_batch(observation, update=explore)
            self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, int)
            self._needs_initial_reset = False

    def _step(self, explore: bool, random_actions: bool) -> _Step:
        envs = self._envs
        # An env that ended with its last step is reset by this one, which is then no step of any episode.
        valid = ~envs.ended
        if random_actions:
            shape = envs.action_space.shape or ()
            step: _Step = {Columns.ACTIONS: 2.0 * torch.rand(shape).numpy() - 1.0}
        else:
            step = self._act(explore)
        control = to_control(step[Columns.ACTIONS], envs)
        observation, reward, terminated, truncated, info = envs.step(control)
        for row in np.flatnonzero(info.get("diverged", ())):
            self.metrics.log_value(DIVERGENCES, info["divergence"][row], reduce="item_series")
        self._observation = self._filter.filter_batch(observation, update=explore)
        self._returns += reward
        self._lengths += valid
        for row in np.flatnonzero(terminated | truncated):
            self._log_episode_metrics(int(self._lengths[row]), float(self._returns[row]), 0.0)
            self._returns[row] = self._lengths[row] = 0
        told = {"reward": reward, "terminated": terminated, "truncated": truncated}
        return step | told | {"valid": valid, "raw": observation}

    def _act(self, explore: bool) -> _Step:
        if self.module is None:
            raise TypeError("BatchedEnvRunner has no RLModule that computes actions.")
        batch = {Columns.OBS: torch.from_numpy(self._observation).to(self._device)}
        if not explore:
            inputs = self.module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS]
            return {Columns.ACTIONS: likeliest(self.module, inputs).cpu().numpy()}
        inputs = self.module.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS]
        distribution: Any = self.module.get_exploration_action_dist_cls().from_logits(inputs)
        actions = distribution.sample()
        return {
            Columns.ACTIONS: actions.cpu().numpy(),
            Columns.ACTION_LOGP: distribution.logp(actions).cpu().numpy(),
            Columns.ACTION_DIST_INPUTS: inputs.cpu().numpy(),
        }

    def _episodes(self, observations: np.ndarray, steps: _Step) -> list[SingleAgentEpisode]:
        """Cuts `(steps + 1, envs, ...)` observations and `(steps, envs, ...)` of everything else into episodes."""
        extra = [key for key in (Columns.ACTION_LOGP, Columns.ACTION_DIST_INPUTS) if key in steps]
        episodes = []
        for env in range(self.num_envs):
            for start, stop in _runs(steps["valid"][:, env]):
                episodes.append(
                    SingleAgentEpisode(
                        observations=_buffer(observations[start : stop + 1, env]),
                        actions=_buffer(steps[Columns.ACTIONS][start:stop, env]),
                        rewards=_buffer(steps["reward"][start:stop, env].astype(np.float32)),
                        infos=InfiniteLookbackBuffer([{}] * (stop - start + 1), lookback=0),
                        terminated=bool(steps["terminated"][stop - 1, env]),
                        truncated=bool(steps["truncated"][stop - 1, env]),
                        extra_model_outputs={key: _buffer(steps[key][start:stop, env]) for key in extra},
                        observation_space=self._filter.observation_space,
                        action_space=self._envs.single_action_space,
                        len_lookback_buffer=0,
                    )
                )
        return episodes


def likeliest(module: Any, inputs: torch.Tensor) -> torch.Tensor:
    """The middle of what a module's outputs stand for, in [-1, 1] or beyond.

    RLlib's own is that of a squashed Gaussian before it is squashed.
    """
    distribution = module.get_inference_action_dist_cls().from_logits(inputs)
    actions = distribution.to_deterministic().sample()
    return torch.tanh(actions) if isinstance(distribution, TorchSquashedGaussian) else actions


def to_control(actions: np.ndarray, envs: MoSimVectorEnv) -> np.ndarray:
    """What RLlib's module-to-env connector makes of a module's actions: [-1, 1] is the control range, and clipped."""
    lower, upper = envs.control_lower, envs.control_upper
    return np.clip(lower + (actions + 1.0) * (upper - lower) / 2.0, lower, upper)


def _buffer(rows: np.ndarray) -> InfiniteLookbackBuffer:
    return InfiniteLookbackBuffer(np.ascontiguousarray(rows), lookback=0)


def _runs(valid: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of each unbroken run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
