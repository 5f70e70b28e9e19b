"""A robot's geometry, read from its MuJoCo model: links, shapes, which of these can touch, and joints' couplings."""

import math
from typing import Literal, get_args

import mujoco
import numpy as np
from pydantic import Field

from mosim.core.frozen import Frozen
from mosim.geometry.joints import JointKind
from mosim.geometry.tendons import Coupling, FixedTendon, read_couplings, read_tendons

Vector = tuple[float, float, float]

WORLD = -1
"""The parent of a link that hangs on nothing, and the body that stands still."""

_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])

_ROUNDING = 1e-9
"""By which numbers of one geometry, compiled twice, may differ: MuJoCo computes the frames of meshes each time."""

ShapeKind = Literal["plane", "sphere", "capsule", "box", "ellipsoid", "cylinder", "mesh"]

SHAPE_KINDS: dict[int, ShapeKind] = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): "plane",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): "ellipsoid",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_MESH): "mesh",
}
"""By MuJoCo's number of the geom's type."""


class Link(Frozen):
    """What one joint moves: the frame of its body after this joint, and before any later joint of the same body.

    Attributes:
      parent: index of the link it hangs on, or `WORLD`.
      kind: of its joint.
      qpos_address, dof_address: where its joint begins in `qpos` and `qvel`.
      position, quaternion: the frame in the parent's, at the joint's reference position; metres, `[w, x, y, z]`.
      axis, anchor: of a hinge or slide, in the link's own frame.
      reference: the joint's position, in radians or metres, at which the frame is as above.
    """

    parent: int
    kind: JointKind
    qpos_address: int
    dof_address: int
    position: Vector
    quaternion: tuple[float, float, float, float]
    axis: Vector
    anchor: Vector
    reference: float


class Frame(Frozen):
    """A frame fixed to a link.

    Attributes:
      name: of the MuJoCo body or geom.
      link: which, or `WORLD`.
      position, quaternion: in the link's frame; metres, `[w, x, y, z]`.
    """

    name: str
    link: int
    position: Vector
    quaternion: tuple[float, float, float, float]


class Shape(Frozen):
    """A collision geom.

    Attributes:
      frame: where it is; a plane's normal and a capsule's long axis are the frame's z.
      body: that it is on, as an index into the skeleton's, or `WORLD`.
      kind: which shape.
      size: half extents in metres; a sphere's, a capsule's and a cylinder's first is the radius, of the latter two the
        second half the length.
      vertices: of a mesh's convex hull, which is what MuJoCo lets collide, in the frame; none of other shapes.
    """

    frame: Frame
    body: int
    kind: ShapeKind
    size: Vector
    vertices: tuple[Vector, ...] = ()


class Pair(Frozen):
    """Two shapes that MuJoCo lets collide.

    Attributes:
      first, second: indices into the skeleton's shapes.
      condim: MuJoCo's dimension of their contacts; 1 is without friction.
      margin: the distance in metres at which contacts begin to push. MuJoCo's `gap` only lets it list them earlier.
    """

    first: int
    second: int
    condim: int
    margin: float = 0.0


class Skeleton(Frozen):
    """A robot's geometry, masses and forces left out.

    Attributes:
      links: parents before children.
      bodies: MuJoCo's bodies, the world left out, in MuJoCo's order.
      shapes: the collision geoms, but for height fields.
      pairs: those that can collide.
      elliptic: whether contacts have elliptic friction cones; otherwise, pyramids.
      tendons: fixed ones.
      couplings: equality constraints of joints and fixed tendons.
    """

    links: tuple[Link, ...] = Field(default=())
    bodies: tuple[Frame, ...] = Field(default=())
    shapes: tuple[Shape, ...] = Field(default=())
    pairs: tuple[Pair, ...] = Field(default=())
    elliptic: bool = False
    tendons: tuple[FixedTendon, ...] = Field(default=())
    couplings: tuple[Coupling, ...] = Field(default=())

    def is_alike(self, other: "Skeleton") -> bool:
        """Whether both are the same geometry, but for rounding."""
        return _alike(self.model_dump(), other.model_dump())


def _alike(ours: object, theirs: object) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_alike(value, theirs[key]) for key, value in ours.items())
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return ours == theirs


def read_skeleton(model: mujoco.MjModel) -> Skeleton:
    """Reads the geometry of a compiled model."""
    links: list[Link] = []
    frames: list[tuple[int, np.ndarray, np.ndarray]] = [(WORLD, np.zeros(3), _IDENTITY)]
    for body in range(1, model.nbody):
        link, position, quaternion = _compose(
            frames[model.body_parentid[body]], model.body_pos[body], model.body_quat[body]
        )
        first = int(model.body_jntadr[body])
        for joint in range(first, first + int(model.body_jntnum[body])):
            links.append(_read_link(model, joint, link, position, quaternion))
            link, position, quaternion = len(links) - 1, np.zeros(3), _IDENTITY
        frames.append((link, position, quaternion))
    explicit = _explicit_pairs(model)
    paired = {geom for pair in explicit for geom in pair}
    solid = [
        geom
        for geom in range(model.ngeom)
        if int(model.geom_type[geom]) in SHAPE_KINDS and (geom in paired or _collides(model, geom))
    ]
    return Skeleton(
        links=tuple(links),
        bodies=tuple(_frame(model.body(body).name, frames[body]) for body in range(1, model.nbody)),
        shapes=tuple(_read_shape(model, geom, frames) for geom in solid),
        pairs=tuple(
            pair
            for first in range(len(solid))
            for second in range(first + 1, len(solid))
            if (pair := _read_pair(model, solid, first, second, explicit))
        ),
        elliptic=model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC,
        tendons=read_tendons(model),
        couplings=read_couplings(model),
    )


def _explicit_pairs(model: mujoco.MjModel) -> dict[tuple[int, int], int]:
    """Which of the model's explicit pairs two geoms are, the lower one first."""
    ends = zip(model.pair_geom1.tolist(), model.pair_geom2.tolist(), strict=True)
    return {(min(geoms), max(geoms)): index for index, geoms in enumerate(ends)}


def _read_pair(
    model: mujoco.MjModel, solid: list[int], first: int, second: int, explicit: dict[tuple[int, int], int]
) -> Pair | None:
    """Two of the solid geoms; None where they cannot collide. An explicit pair's own numbers count, and no mask."""
    if model.opt.disableflags & (mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT):
        return None
    geoms = solid[first], solid[second]
    if (index := explicit.get(geoms)) is not None:
        margin = float(model.pair_margin[index])
        return Pair(first=first, second=second, condim=int(model.pair_dim[index]), margin=margin)
    if not _may_touch(model, *geoms):
        return None
    margin = float(model.geom_margin[list(geoms)].sum())
    return Pair(first=first, second=second, condim=_condim(model, *geoms), margin=margin)


def _read_link(model: mujoco.MjModel, joint: int, parent: int, position: np.ndarray, quaternion: np.ndarray) -> Link:
    kind = get_args(JointKind)[model.jnt_type[joint]]
    if kind == "free":  # Its qpos is the pose itself.
        position, quaternion = np.zeros(3), _IDENTITY
    address = int(model.jnt_qposadr[joint])
    return Link(
        parent=parent,
        kind=kind,
        qpos_address=address,
        dof_address=int(model.jnt_dofadr[joint]),
        position=position.tolist(),
        quaternion=quaternion.tolist(),
        axis=model.jnt_axis[joint].tolist(),
        anchor=model.jnt_pos[joint].tolist() if kind != "free" else (0.0, 0.0, 0.0),
        reference=float(model.qpos0[address]) if kind in ("slide", "hinge") else 0.0,
    )


def _read_shape(model: mujoco.MjModel, geom: int, frames: list[tuple[int, np.ndarray, np.ndarray]]) -> Shape:
    place = _compose(frames[model.geom_bodyid[geom]], model.geom_pos[geom], model.geom_quat[geom])
    return Shape(
        frame=_frame(model.geom(geom).name or f"geom{geom}", place),
        body=int(model.geom_bodyid[geom]) - 1,
        kind=SHAPE_KINDS[int(model.geom_type[geom])],
        size=model.geom_size[geom].tolist(),
        vertices=_hull(model, geom),
    )


def _hull(model: mujoco.MjModel, geom: int) -> tuple[Vector, ...]:
    """The vertices of a mesh's convex hull, as MuJoCo has computed it; of a mesh without one, all."""
    mesh = int(model.geom_dataid[geom])
    if SHAPE_KINDS[int(model.geom_type[geom])] != "mesh":
        return ()
    first = int(model.mesh_vertadr[mesh])
    vertices, graph = model.mesh_vert[first : first + int(model.mesh_vertnum[mesh])], int(model.mesh_graphadr[mesh])
    if graph >= 0:  # Its sizes, where each vertex's neighbours begin, and which vertices they are of.
        count = int(model.mesh_graph[graph])
        vertices = vertices[model.mesh_graph[graph + 2 + count : graph + 2 + 2 * count]]
    return tuple(tuple(vertex) for vertex in vertices.astype(float).tolist())


def _compose(
    frame: tuple[int, np.ndarray, np.ndarray], position: np.ndarray, quaternion: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray]:
    link, origin, turned = frame
    moved, rotation = np.empty(3), np.empty(4)
    mujoco.mju_rotVecQuat(moved, position, turned)
    mujoco.mju_mulQuat(rotation, turned, quaternion)
    return link, origin + moved, rotation


def _frame(name: str, place: tuple[int, np.ndarray, np.ndarray]) -> Frame:
    link, position, quaternion = place
    return Frame(name=name, link=link, position=position.tolist(), quaternion=quaternion.tolist())


def _condim(model: mujoco.MjModel, first: int, second: int) -> int:
    """Of the geom of higher priority, else the larger."""
    priority = [int(model.geom_priority[geom]) for geom in (first, second)]
    condim = [int(model.geom_condim[geom]) for geom in (first, second)]
    return max(condim) if priority[0] == priority[1] else condim[priority.index(max(priority))]


def _collides(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def _may_touch(model: mujoco.MjModel, first: int, second: int) -> bool:
    """MuJoCo's own rules: masks, welded bodies, a parent and its child, excluded pairs."""
    masks = (model.geom_contype[first] & model.geom_conaffinity[second]) or (
        model.geom_contype[second] & model.geom_conaffinity[first]
    )
    bodies = sorted((int(model.geom_bodyid[first]), int(model.geom_bodyid[second])))
    welds = [int(model.body_weldid[body]) for body in bodies]
    parents = [int(model.body_weldid[model.body_parentid[weld]]) for weld in welds]
    family = 0 not in welds and (parents[0] == welds[1] or parents[1] == welds[0])
    filtered = not model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_FILTERPARENT
    signature = (bodies[0] << 16) + bodies[1]
    return (
        bool(masks) and welds[0] != welds[1] and not (family and filtered) and signature not in model.exclude_signature
    )
