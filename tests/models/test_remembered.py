"""What is remembered of weights is what they are now."""

import torch
from torch import Tensor, nn

from mosim.models.mosim.remembered import remembered


class Doubled(nn.Module):
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("scale", torch.tensor(2.0))
        self.computed = 0

    @remembered
    def value(self) -> Tensor:
        """Twice the weight."""
        self.computed += 1
        return self.weight * self.scale


def test_it_is_computed_once_until_a_weight_changes() -> None:
    module = Doubled()
    with torch.no_grad():
        first = module.value
        assert module.value is first
        assert module.computed == 1
        module.weight.add_(1)
        torch.testing.assert_close(module.value, torch.full((3,), 4.0))
        module.scale *= 2
        torch.testing.assert_close(module.value, torch.full((3,), 8.0))
        module.load_state_dict({"weight": torch.zeros(3), "scale": torch.ones(())})
        torch.testing.assert_close(module.value, torch.zeros(3))
        assert module.double().value.dtype == torch.float64
    with torch.inference_mode():
        assert not module.value.any()


def test_with_gradients_nothing_is_remembered() -> None:
    module = Doubled()
    with torch.no_grad():
        assert not module.value.requires_grad
    optimizer = torch.optim.Adam(module.parameters(), lr=1.0, fused=True)  # Whose changes torch does not count.
    for _ in range(3):
        module.value.sum().backward()
        optimizer.step()
        with torch.no_grad():
            torch.testing.assert_close(module.value, 2 * module.weight)
    assert module.weight.grad is not None
    torch.testing.assert_close(module.weight.grad, torch.full((3,), 6.0))


def test_modules_and_their_copies_are_remembered_apart() -> None:
    with torch.no_grad():
        one, other = Doubled(), Doubled()
        other.weight.mul_(3)
        assert one.value[0] == 2
        assert other.value[0] == 6
        one.weight = nn.Parameter(5 * torch.ones(3))
        assert one.value[0] == 10


def test_of_weights_made_in_inference_mode_nothing_is_remembered() -> None:
    with torch.inference_mode():
        module = Doubled()
        before = module.value.clone()
        module.weight.add_(1)
        torch.testing.assert_close(module.value, 2 * before)
