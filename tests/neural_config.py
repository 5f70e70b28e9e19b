"""A recipe's model as the kind that most tests are about."""

from mosim.models import ModelConfig, NeuralSimulatorConfig


def neural(config: ModelConfig) -> NeuralSimulatorConfig:
    assert isinstance(config, NeuralSimulatorConfig)
    return config
