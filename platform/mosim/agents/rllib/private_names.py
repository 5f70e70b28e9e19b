"""What mosim uses of RLlib's private names."""

from mosim.core.private_names import PrivateName

_SEEN = "ray 2.60.0"
_LEARNER = "ray.rllib.core.learner.torch.torch_learner:TorchLearner"
_RUNNER = "ray.rllib.env.single_agent_env_runner:SingleAgentEnvRunner"

PRIVATE_NAMES = (
    PrivateName(
        _LEARNER,
        "_uncompiled_update",
        "a lean update takes its place, and the public update does much else for each minibatch",
        _SEEN,
    ),
    PrivateName(_LEARNER, "_update", "the update of one minibatch is needed without the loop around it", _SEEN),
    PrivateName(
        _LEARNER, "_log_steps_trained_metrics", "nobody reads these metrics, which RLlib logs for each minibatch", _SEEN
    ),
    PrivateName(_LEARNER, "_weights_seq_no", "runners are told by it that there are new weights", _SEEN),
    PrivateName(_LEARNER, "_make_batch_if_necessary", "a lean update makes one batch of episodes by itself", _SEEN),
    PrivateName(
        "ray.rllib.algorithms.sac.torch.sac_torch_learner:SACTorchLearner",
        "_temp_losses",
        "losses that are kept for gradients that a lean update takes by itself would pile up",
        _SEEN,
    ),
    PrivateName(
        "ray.rllib.core.rl_module.torch.torch_rl_module:TorchRLModule",
        "_forward_train",
        "the lean update calls the forward pass of training by itself",
        _SEEN,
    ),
    PrivateName(_RUNNER, "_env_to_module", "a runner of one batch asks its connectors itself", _SEEN),
    PrivateName(_RUNNER, "_log_env_steps", "a runner of its own sampling has to count as RLlib's does", _SEEN),
    PrivateName(_RUNNER, "_increase_sampled_metrics", "as _log_env_steps", _SEEN),
    PrivateName(_RUNNER, "_log_episode_metrics", "as _log_env_steps", _SEEN),
    PrivateName(
        "ray.rllib.core.models.catalog:Catalog",
        "_model_config_dict",
        "critics of one network need the hidden layers that a catalog was given",
        _SEEN,
    ),
    PrivateName(
        "ray.rllib.algorithms.algorithm_config:AlgorithmConfig",
        "_model_config",
        "it says whether a user has described networks, which are then left as they are",
        _SEEN,
    ),
)
