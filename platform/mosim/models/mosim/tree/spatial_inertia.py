"""How mass is spread over a link, as ten numbers that can be told from motion, kept physical by construction.

The pseudo-inertia of a link is the sum over its mass of each place `[x, y, z, 1]` times its transpose: a matrix of four
rows, which holds the mass, the first moments and the second ones. It is positive definite exactly where masses are
positive, and becomes another frame's by the frame on both sides (Wensing, Kim and Slotine, "Linear matrix inequalities
for physically consistent inertial parameter identification", RA-L 2018). It is learned by its log-Cholesky factor
(Rucker and Wensing, "Smooth parameterization of rigid-body inertia", RA-L 2022), in the frame and units of a first
guess: all zeros are that guess, and ten times the mass of one link is as far as ten times another's.
"""

import torch
from torch import Tensor

PARAMETERS = 10
"""Of each link."""


def factors(parameters: Tensor) -> Tensor:
    """Upper triangular matrices `V`, `(..., 4, 4)`, with `V V^T` the pseudo-inertia in units of the guess.

    Args:
      parameters: `(..., 10)`: the logarithm of the overall size, those of the three axes, three shears, and the centre.
    """
    size, first, second, third, xy, yz, xz, x, y, z = parameters.unbind(-1)
    nothing, one = torch.zeros_like(size), torch.ones_like(size)
    rows = [
        first.exp(), xy, xz, x,
        nothing, second.exp(), yz, y,
        nothing, nothing, third.exp(), z,
        nothing, nothing, nothing, one,
    ]  # fmt: skip
    return size.exp()[..., None, None] * torch.stack(rows, dim=-1).unflatten(-1, (4, 4))


def parameters_of(pseudo_inertia: Tensor) -> Tensor:
    """The parameters, `(..., 10)`, of positive definite matrices in units of the guess, `(..., 4, 4)`.

    Raises:
      torch.linalg.LinAlgError: one is not positive definite.
    """
    upper = torch.linalg.cholesky(pseudo_inertia.flip(-1, -2)).flip(-1, -2)
    size = upper[..., 3, 3]
    upper = upper / size[..., None, None]
    logarithms = torch.cat([size.unsqueeze(-1), upper.diagonal(dim1=-2, dim2=-1)[..., :3]], dim=-1).log()
    shears = torch.stack([upper[..., 0, 1], upper[..., 1, 2], upper[..., 0, 2]], dim=-1)
    return torch.cat([logarithms, shears, upper[..., :3, 3]], dim=-1)
