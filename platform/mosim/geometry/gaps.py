"""The space between two shapes: balls over planes, and segments with a radius, which spheres and capsules are."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mosim.geometry.spatial import cross_product

_TINY = 1e-12
"""Squared lengths below this, in square metres, are nothing: a sphere's segment, or two segments that cross."""

_PARALLEL = 1e-12
"""Squared sines below this are of parallel segments."""

_ALIGNED = 1e-8
"""And below this MuJoCo makes two contacts of two capsules."""


class Gaps(NamedTuple):
    """The space between two shapes at each place where they can touch.

    Attributes:
      distance: `(..., gaps)`, in metres; negative where they overlap.
      position: `(..., gaps, 3)`, in metres: halfway between the surfaces, where MuJoCo puts a contact.
      normal: `(..., gaps, 3)`: the direction that opens the gap for the first shape.
      tangent: `(..., gaps, 3)`: MuJoCo's first direction of friction, not yet at right angles to the normal.
    """

    distance: Tensor
    position: Tensor
    normal: Tensor
    tangent: Tensor


def floor_gaps(end: Tensor, axis: Tensor, normal: Tensor, height: Tensor, radius: Tensor) -> Gaps:
    """Of balls, whose middles are at `end`, `(..., 3)`, over planes; `axis` is the capsule's, zero of other shapes."""
    distance = (end * normal).sum(-1) - height - radius
    position = end - (radius + 0.5 * distance).unsqueeze(-1) * normal
    return Gaps(distance, position, normal.expand_as(position), axis)  # MuJoCo turns a capsule's friction to its axis.


def lowest_points(semi_axes: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Of ellipsoids, where they come closest to planes.

    Args:
      semi_axes: the columns of `(..., 3, 3)`, in metres; zero of what is no ellipsoid.
      normal: of the plane, `(..., 3)`.

    Returns:
      The way from the middle to the point of the surface, `(..., 3)`, and how far down it leads, `(...)`.
    """
    across = (normal.unsqueeze(-2) @ semi_axes).squeeze(-2)
    reach = across.square().sum(-1).clamp_min(_TINY**2).sqrt()
    return -(semi_axes @ (across / reach.unsqueeze(-1)).unsqueeze(-1)).squeeze(-1), reach * (across != 0).any(-1)


def segment_gaps(start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, radii: Tensor) -> Gaps:
    """Of two segments, one end and the way to the other, `(..., 3)` each, with `radii`, `(..., 2)`, around them."""
    on_a, apart = closest_points(start_a, along_a, start_b, along_b)
    return _gaps_around(on_a, apart, torch.linalg.cross(along_b, along_a), radii)


def _gaps_around(on_a: Tensor, apart: Tensor, turned: Tensor, radii: Tensor) -> Gaps:
    """Gaps around points of two segments.

    Args:
      on_a: on the first, `(..., 3)`.
      apart: to it from the point on the second. Where segments cross, there is no such direction: MuJoCo then takes the
        one at right angles to both.
      turned: that direction, of any length.
      radii: `(..., 2)`.
    """
    square = apart.square().sum(-1, keepdim=True)
    crossing = square < _TINY
    length = torch.where(crossing, 1.0, square).sqrt()
    area = turned.square().sum(-1, keepdim=True)
    along_x = torch.tensor([1.0, 0.0, 0.0]).to(turned)
    across = torch.where(area > _TINY**2, turned / area.clamp_min(_TINY**2).sqrt(), along_x)
    normal = torch.where(crossing, across, apart / length)
    distance = torch.where(crossing, 0.0, length).squeeze(-1) - radii.sum(-1)
    position = on_a - (radii[..., 0] + 0.5 * distance).unsqueeze(-1) * normal
    return Gaps(distance, position, normal, torch.zeros_like(normal))


def aligned(segments: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Where two capsules lie side by side, `(n,)`."""
    _, along_a, _, along_b = segments
    aa, bb = (along.square().sum(-1) for along in (along_a, along_b))
    squared = torch.linalg.cross(along_a, along_b).square().sum(-1)
    return (aa > _TINY) & (bb > _TINY) & (squared < _ALIGNED * aa * bb)


def gaps_at_ends(
    start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, radii: Tensor
) -> tuple[Tensor, Gaps]:
    """Where capsules side by side touch: MuJoCo looks where the second's ends come closest to the first.

    Returns:
      Of each place, the index of its pair of segments, `(n,)`, and the gap there.
    """
    between = start_a - start_b
    aa, bb, ab, ad, bd = (
        (left * right).sum(-1, keepdim=True)
        for left, right in (
            (along_a, along_a), (along_b, along_b), (along_a, along_b), (along_a, between), (along_b, between)
        )
    )  # fmt: skip
    end = torch.tensor([0.0, 1.0]).to(ab)
    share_a = ((ab * end - ad) / aa).clamp(0, 1)
    share_b = ((ab * share_a + bd) / bb).clamp(0, 1)
    share_a, share_b = share_a.unsqueeze(-1), share_b.unsqueeze(-1)
    on_a = start_a.unsqueeze(1) + share_a * along_a.unsqueeze(1)
    apart = on_a - start_b.unsqueeze(1) - share_b * along_b.unsqueeze(1)
    turned = torch.linalg.cross(along_b, along_a).unsqueeze(1).expand_as(apart)
    gaps = _gaps_around(on_a, apart, turned, radii.unsqueeze(1).expand(-1, on_a.shape[1], -1))
    which, place = (gaps.distance < 0).nonzero().unbind(-1)
    return which, Gaps(*(part[which, place] for part in gaps))


def contact_frames(normal: Tensor, tangent: Tensor) -> Tensor:
    """Normal and two directions of friction as rows, `(..., 3, 3)`; as MuJoCo's `mju_makeFrame`."""
    upright = torch.tensor([0.0, 1.0, 0.0], dtype=normal.dtype, device=normal.device)
    sideways = torch.tensor([0.0, 0.0, 1.0], dtype=normal.dtype, device=normal.device)
    default = torch.where(normal[..., 1:2].abs() < 0.5, upright, sideways)
    given = tangent.square().sum(-1, keepdim=True) > 0.25
    tangent = torch.where(given, tangent, default)
    tangent = tangent - (tangent * normal).sum(-1, keepdim=True) * normal
    upended = tangent.square().sum(-1, keepdim=True) < _TINY  # A capsule that stands on the plane.
    fallback = default - (default * normal).sum(-1, keepdim=True) * normal
    first = nn.functional.normalize(torch.where(upended, fallback, tangent), dim=-1)
    return torch.stack([normal, first, torch.linalg.cross(normal, first)], dim=-2)


def closest_points(
    start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, dim: int = -1
) -> tuple[Tensor, Tensor]:
    """The first segment's point closest to the second, and from the second's closest point to it."""
    share_a, share_b = _closest(start_a, along_a, start_b, along_b, dim)
    on_a = start_a + share_a * along_a
    return on_a, on_a - start_b - share_b * along_b


def _closest(start_a: Tensor, along_a: Tensor, start_b: Tensor, along_b: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Where two segments come closest, as shares of them (Ericson, Real-Time Collision Detection, 5.1.9).

    Coordinates are those of dimension `dim`, which the shares keep at size 1.
    """
    between = start_a - start_b
    aa, bb, ab, ad, bd = (
        (left * right).sum(dim, keepdim=True)
        for left, right in (
            (along_a, along_a), (along_b, along_b), (along_a, along_b), (along_a, between), (along_b, between)
        )
    )  # fmt: skip
    # Cross products, since differences of products cancel where the segments are almost parallel.
    across = cross_product(along_a, along_b, dim)
    squared = across.square().sum(dim, keepdim=True)
    apart = squared > _PARALLEL * aa * bb
    turned = (across * cross_product(between, along_b, dim)).sum(dim, keepdim=True)
    share_a = torch.where(apart, -turned / torch.where(apart, squared, 1.0), 0.5).clamp(0, 1)
    share_b = torch.where(bb > _TINY, ((ab * share_a + bd) / bb.clamp_min(_TINY)).clamp(0, 1), 0.0)
    share_a = torch.where(aa > _TINY, ((ab * share_b - ad) / aa.clamp_min(_TINY)).clamp(0, 1), 0.0)
    return share_a, share_b
