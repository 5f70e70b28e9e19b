"""Digests of everything in a compiled MuJoCo model that changes motion, to tell two versions of a model apart.

Every array of `mujoco.MjModel` and every option counts, those that a later MuJoCo adds too, but for `LEFT_OUT`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import mujoco
import numpy as np

LEFT_OUT: dict[str, tuple[str, ...]] = {
    "drawing": (
        "cam_*", "light_*", "mat_*", "tex_*", "skin_*", "*_rgba", "*_matid", "tendon_width", "site_size", "site_type",
        "geom_group", "site_group", "jnt_group", "tendon_group", "flex_group",
        "flex_texcoord*", "flex_elemtexcoord", "flex_flatskin", "mesh_normal*", "mesh_facenormal", "mesh_*texcoord*",
    ),
    "names and paths of files": ("name_*", "names_map", "*_pathadr"),
    "numbers and texts that MuJoCo keeps for the user": ("*_user", "numeric_*", "text_*", "tuple_*"),
    "readings, which act on nothing": ("sensor_*",),
    "bounding volumes, which follow from sizes": (
        "bvh_*", "*_bvhadr", "*_bvhnum", "oct_*", "mesh_oct*", "geom_aabb", "geom_rbound",
    ),
    "places in sparse matrices, which follow from the tree": ("B_*", "D_*", "M_*", "map*", "*_J_*", "dof_Madr"),
    "lists of a body's geoms, which follow from geom_bodyid": ("body_geomadr", "body_geomnum"),
    "keyframes, of whose first qpos alone starts an episode": (
        "key_time", "key_qvel", "key_act", "key_ctrl", "key_mpos", "key_mquat",
    ),
    "facts of their own": (
        "opt.timestep", "opt.integrator", "jnt_type", "jnt_qposadr", "jnt_dofadr", "jnt_limited", "jnt_range",
    ),
    "how matrices are stored": ("opt.jacobian",),
    "scales of pictures": ("stat.center", "stat.extent", "stat.meanmass", "stat.meansize"),
}  # fmt: skip
"""Patterns of the fields that do not count, by the reason. `MjModel.vis` is drawing, and its integers are sizes."""

_FOLLOWING = frozenset({
    "body_subtreemass", "body_invweight0", "body_weldid", "body_sameframe", "body_simple", "body_contype",
    "body_conaffinity", "body_margin", "dof_M0", "dof_invweight0", "dof_length", "dof_simplenum", "geom_sameframe",
    "site_sameframe", "tendon_length0", "tendon_invweight0", "actuator_acc0", "actuator_length0", "stat.meaninertia",
})  # fmt: skip
"""Fields that the compiler makes of others. They count, but are named only where no other field differs."""

_SIGNIFICANT_BITS = 30
"""Of a number: its last bits may differ between machines. Single precision is kept whole."""

_NOTHING = 1e-14
"""Numbers below this are rounding errors of zero, beside numbers of order 1; see `_rounded`."""

_LARGE = 1e3
"""Numbers beyond this, such as a range without bounds, do not make larger ones rounding errors."""

_DIGEST_LENGTH = 8


def array_fields(model: mujoco.MjModel) -> Iterator[tuple[str, np.ndarray]]:
    """Every numeric array of a model with its name, in the order of the names."""
    for name, value in _public(model):
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            yield name, value


def physics_fields(model: mujoco.MjModel) -> Iterator[tuple[str, np.ndarray]]:
    """Every field of a model that changes motion, such as `geom_friction` or `opt.cone`, with what counts of it.

    Of geoms, sites and meshes, only those count that can push something; of bodies, those that move and those that
    carry what pushes; of keyframes, the first.
    """
    kept = _kept_rows(model)
    for name, array in (*array_fields(model), *_records(model)):
        if not any(fnmatchcase(name, pattern) for patterns in LEFT_OUT.values() for pattern in patterns):
            rows = kept.get(name.partition("_")[0])
            yield name, array if rows is None else array[rows]


def physics_digests(model: mujoco.MjModel, varying: Mapping[str, np.ndarray] | None = None) -> dict[str, str]:
    """A short digest of each field that changes motion.

    A field that is all zeros has none: it is as good as one that another release of MuJoCo does not have.

    Args:
      model: the compiled model.
      varying: by field, indices into the flattened array that differ from episode to episode, and so do not count.
    """
    varying, kept, digests = varying or {}, _kept_rows(model), {}
    for name, array in physics_fields(model):
        if name in varying:
            whole = np.array(getattr(model, name))
            whole.flat[varying[name]] = 0
            rows = kept.get(name.partition("_")[0])
            array = whole if rows is None else whole[rows]
        if array.size and np.any(rounded := _rounded(array)):
            content = str(array.shape).encode() + rounded.tobytes()
            digests[name] = hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]
    return digests


def differing_fields(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The fields whose digests differ, in order; of those that follow from others, only where there are no others."""
    odd = sorted(field for field in ours.keys() | theirs.keys() if ours.get(field) != theirs.get(field))
    return [field for field in odd if field not in _FOLLOWING] or odd


def _records(model: mujoco.MjModel) -> Iterator[tuple[str, np.ndarray]]:
    for prefix, record in (("opt", model.opt), ("stat", model.stat)):
        for name, value in _public(record):
            yield f"{prefix}.{name}", np.atleast_1d(value)


def _public(record: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(type(record)):
        if not name.startswith("_") and isinstance(getattr(type(record), name), property):
            yield name, getattr(record, name)


def _kept_rows(model: mujoco.MjModel) -> dict[str, np.ndarray | slice]:
    """Which rows count, by the first word of the fields' names."""
    geoms, sites = _pushing_geoms(model), _pushing_sites(model)
    kinds = set(model.geom_type[geoms].tolist())
    meshes = kinds & {int(mujoco.mjtGeom.mjGEOM_MESH), int(mujoco.mjtGeom.mjGEOM_SDF)}
    return {
        "body": _acting_bodies(model, geoms, sites),
        "geom": geoms,
        "site": sites,
        "mesh": slice(None if meshes else 0),
        "hfield": slice(None if int(mujoco.mjtGeom.mjGEOM_HFIELD) in kinds else 0),
        "key": slice(1),
    }


def _pushing_geoms(model: mujoco.MjModel) -> np.ndarray:
    """Geoms that can touch something, that guide a tendon, or that a fluid pushes; the others are drawing."""
    off = mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    touching = (model.geom_contype | model.geom_conaffinity).astype(bool)
    touching[np.concatenate([model.pair_geom1, model.pair_geom2])] = True
    touching &= not model.opt.disableflags & int(off)
    guides = np.isin(model.wrap_type, (int(mujoco.mjtWrap.mjWRAP_SPHERE), int(mujoco.mjtWrap.mjWRAP_CYLINDER)))
    pushing = touching | model.geom_fluid.any(axis=1)
    pushing[model.wrap_objid[guides]] = True
    return np.flatnonzero(pushing)


def _pushing_sites(model: mujoco.MjModel) -> np.ndarray:
    """Sites at which an actuator, a tendon or an equality acts; the others are marks."""
    site, kinds = int(mujoco.mjtObj.mjOBJ_SITE), mujoco.mjtTrn
    acting = np.isin(model.actuator_trntype, (int(kinds.mjTRN_SITE), int(kinds.mjTRN_SLIDERCRANK)))
    acting |= model.actuator_trntype >= int(kinds.mjTRN_BODY)  # Kinds that a later MuJoCo may let act at sites.
    equal, wrapped = model.eq_objtype == site, model.wrap_type == int(mujoco.mjtWrap.mjWRAP_SITE)
    # The second number of a wrap around a geom is the site that tells the side.
    sides = np.isin(model.wrap_type, (int(mujoco.mjtWrap.mjWRAP_SPHERE), int(mujoco.mjtWrap.mjWRAP_CYLINDER)))
    used: Iterable[np.ndarray] = (
        model.actuator_trnid[acting].ravel(),
        model.eq_obj1id[equal],
        model.eq_obj2id[equal],
        model.wrap_objid[wrapped],
        model.wrap_prm[sides].astype(int),
    )
    sites = np.unique(np.concatenate(list(used)))
    return sites[(sites >= 0) & (sites < model.nsite)]


def _acting_bodies(model: mujoco.MjModel, geoms: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Bodies that move, that carry something which pushes, or that hold such a body; the others are drawing."""
    acting = model.body_weldid != 0
    bodies = model.eq_objtype == int(mujoco.mjtObj.mjOBJ_BODY)
    carriers = (model.geom_bodyid[geoms], model.site_bodyid[sites], model.eq_obj1id[bodies], model.eq_obj2id[bodies])
    at_bodies = model.actuator_trnid[model.actuator_trntype == int(mujoco.mjtTrn.mjTRN_BODY)].ravel()
    for used in (*carriers, at_bodies, model.flex_vertbodyid, model.flex_nodebodyid):
        acting[used[used >= 0]] = True
    for body in reversed(range(model.nbody)):
        acting[model.body_parentid[body]] |= acting[body]
    return np.flatnonzero(acting)


def _rounded(array: np.ndarray) -> np.ndarray:
    """An array without what may differ between machines: integers as they are, other numbers to 30 bits.

    Rounding errors of zero, such as the cosine of a right angle, are zero.
    """
    if array.dtype.kind in "iub":
        return array.astype("<i8")
    numbers = array.astype("<f8")
    magnitudes = np.abs(numbers[np.isfinite(numbers)])
    numbers[np.abs(numbers) < _NOTHING * min(magnitudes.max(initial=0.0), _LARGE)] = 0.0
    mantissas, exponents = np.frexp(numbers)
    return np.ldexp(np.rint(np.ldexp(mantissas, _SIGNIFICANT_BITS)), exponents - _SIGNIFICANT_BITS) + 0.0
