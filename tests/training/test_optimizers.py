import pytest
import torch
from torch import Tensor, nn

from mosim.training.checkpoint import optimizer_tensors, restore_optimizer
from mosim.training.optimizers import OPTIMIZERS, Soap

ROWS, COLUMNS = 5, 5  # As many of each, or covariances have null spaces, whose bases are anyone's.


def quadratic(left: Tensor, right: Tensor, goal: Tensor, weights: Tensor) -> Tensor:
    return (left @ (weights - goal) @ right).square().sum()


def minimised(
    left: Tensor, right: Tensor, goal: Tensor, start: Tensor, steps: int, optimizer: str = "soap", rate: float = 0.05
) -> Tensor:
    weights = nn.Parameter(start.clone())
    moving = OPTIMIZERS[optimizer]([weights], rate)  # pyright: ignore[reportArgumentType]
    for step in range(steps):
        for group in moving.param_groups:
            group["lr"] = rate * (1 - step / steps)
        moving.zero_grad()
        quadratic(left, right, goal, weights).backward()
        moving.step()
    return weights.detach()


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    double = torch.float64
    left = torch.linalg.qr(torch.randn(ROWS, ROWS, dtype=double))[0] * torch.logspace(0, -2, ROWS, dtype=double)
    right = torch.linalg.qr(torch.randn(COLUMNS, COLUMNS, dtype=double))[0]
    right = torch.logspace(0, -1, COLUMNS, dtype=double).unsqueeze(-1) * right
    return (
        left.mT.contiguous(),
        right,
        torch.randn(ROWS, COLUMNS, dtype=double),
        torch.randn(ROWS, COLUMNS, dtype=double),
    )


def test_turning_the_problem_turns_soaps_path(problem: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    left, right, goal, start = problem
    first = torch.linalg.qr(torch.randn(ROWS, ROWS, dtype=torch.float64))[0]
    second = torch.linalg.qr(torch.randn(COLUMNS, COLUMNS, dtype=torch.float64))[0]
    steps = 50  # The basis has turned twice.

    def mismatch(optimizer: str) -> float:
        path = minimised(left, right, goal, start, steps, optimizer)
        turned = minimised(
            left @ first.mT, second.mT @ right, first @ goal @ second, first @ start @ second, steps, optimizer
        )
        return (first @ path @ second - turned).abs().max().item()

    # Not to the last digit: in its own basis the first gradient is diagonal, and what is zero is divided by its root.
    assert mismatch("soap") < 0.01 * mismatch("adam")


def test_soap_goes_far_where_adam_crawls(problem: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    left, right, goal, start = problem
    soap, adam = (
        quadratic(left, right, goal, minimised(left, right, goal, start, 400, optimizer)).item()
        for optimizer in ("soap", "adam")
    )
    assert soap < 0.1 * adam


def test_vectors_and_large_sides_are_adams() -> None:
    torch.manual_seed(0)
    shapes = [(5,), (1, 7), (9, 12)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(weights.detach().clone()) for weights in ours]
    soap = Soap(ours, 0.01, largest=6)
    adam = torch.optim.Adam(theirs, lr=0.01, betas=(0.95, 0.98), eps=1e-10)
    for _ in range(30):
        for parameters, optimizer in ((ours, soap), (theirs, adam)):
            optimizer.zero_grad()
            torch.stack([(weights - 1).pow(4).sum() for weights in parameters]).sum().backward()
            optimizer.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_each_matrix_of_a_batch_is_turned_as_if_it_were_alone() -> None:
    torch.manual_seed(0)
    double = torch.float64
    start, goal, scale = (torch.randn(3, 5, 5, dtype=double) for _ in range(3))
    together = nn.Parameter(start.clone())
    alone = [nn.Parameter(matrix.clone()) for matrix in start]
    optimizers = [Soap([weights], 0.01) for weights in (together, *alone)]
    for noise in torch.randn(60, 3, 5, 5, dtype=double):
        together.grad = (together.detach() - goal) * scale.square() + noise
        for index, weights in enumerate(alone):
            weights.grad = (weights.detach() - goal[index]) * scale[index].square() + noise[index]
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(together.detach(), torch.stack([*alone]).detach(), rtol=1e-6, atol=1e-6)


def test_a_weight_without_gradients_at_first_does_no_harm() -> None:
    weights, still = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(4, 3))
    soap = Soap([weights, still], 0.1, basis_steps=2)
    before = still.detach().clone()
    for _ in range(7):
        soap.zero_grad()
        (weights.square().sum() + 0 * still.sum()).backward()
        soap.step()
    assert torch.equal(still, before)
    assert torch.isfinite(weights).all()


def test_a_restored_soap_goes_on_to_the_bit(problem: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    left, right, goal, start = problem
    weights = nn.Parameter(start.float())
    left, right, goal = left.float(), right.float(), goal.float()

    def steps(moving: Soap, moved: nn.Parameter, count: int) -> None:
        for _ in range(count):
            moving.zero_grad()
            quadratic(left, right, goal, moved).backward()
            moving.step()

    soap = Soap([weights], 0.01)
    steps(soap, weights, 25)
    again = nn.Parameter(weights.detach().clone())
    restored = Soap([again], 0.01)
    tensors = {name: value.clone() for name, value in optimizer_tensors(soap).items()}
    restore_optimizer(restored, tensors)
    steps(soap, weights, 25)
    steps(restored, again, 25)
    assert torch.equal(weights, again)


def test_soap_refuses_a_closure() -> None:
    with pytest.raises(ValueError, match="closure"):
        Soap([nn.Parameter(torch.zeros(2))], 0.1).step(lambda: 0.0)  # pyright: ignore[reportArgumentType]
