"""What mosim uses of RLlib's private names."""

from mosim.core.private_names import PrivateName

_SEEN = "ray 2.60.0"
_LEARNER = "ray.rllib.core.learner.torch.torch_learner:TorchLearner"
_RUNNER = "ray.rllib.env.single_agent_env_runner:SingleAgentEnvRunner"

PRIVATE_NAMES = (
    PrivateName(
        _LEARNER,
        "_uncompiled_update",
        "the lean update replaces it, and the public update does much more for each minibatch",
        _SEEN,
    ),
    PrivateName(_LEARNER, "_update", "one minibatch has to be updated without the loop around it", _SEEN),
    PrivateName(
        _LEARNER,
        "_log_steps_trained_metrics",
        "RLlib logs these metrics for each minibatch, and mosim does not read them",
        _SEEN,
    ),
    PrivateName(_LEARNER, "_weights_seq_no", "it tells the env runners that there are new weights", _SEEN),
    PrivateName(_LEARNER, "_make_batch_if_necessary", "the lean update builds one batch of episodes itself", _SEEN),
    PrivateName(
        "ray.rllib.algorithms.sac.torch.sac_torch_learner:SACTorchLearner",
        "_temp_losses",
        "losses are stored there for gradients that the lean update computes itself, and would accumulate",
        _SEEN,
    ),
    PrivateName(
        "ray.rllib.core.rl_module.torch.torch_rl_module:TorchRLModule",
        "_forward_train",
        "the lean update calls the forward pass of training itself",
        _SEEN,
    ),
    PrivateName(_RUNNER, "_env_to_module", "a runner of one batch calls its connectors itself", _SEEN),
    PrivateName(
        _RUNNER, "_log_env_steps", "a runner that samples by itself has to count steps as RLlib's runner does", _SEEN
    ),
    PrivateName(_RUNNER, "_increase_sampled_metrics", "of _log_env_steps", _SEEN),
    PrivateName(_RUNNER, "_log_episode_metrics", "of _log_env_steps", _SEEN),
    PrivateName(
        "ray.rllib.core.models.catalog:Catalog",
        "_model_config_dict",
        "critics in one network need the hidden layers that the catalog was given",
        _SEEN,
    ),
    PrivateName(
        "ray.rllib.algorithms.algorithm_config:AlgorithmConfig",
        "_model_config",
        "it shows whether the user has defined networks, which are then not changed",
        _SEEN,
    ),
)
