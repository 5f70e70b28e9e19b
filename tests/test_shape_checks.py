"""A wrong shape fails the test that has it."""

import jaxtyping
import pytest
import torch

from mosim.training.losses import mean_loss
from shape_checks import CALLS


def test_a_wrong_shape_is_told_among_the_first_calls() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="errors"):
        mean_loss(torch.ones(3), "mse", 1.0)
    for _ in range(CALLS):
        mean_loss(torch.ones(1, 1, 1), "mse", 1.0)
    assert mean_loss(torch.ones(3), "mse", 1.0) == 1


def test_another_test_checks_anew() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        mean_loss(torch.ones(3), "mse", 1.0)
