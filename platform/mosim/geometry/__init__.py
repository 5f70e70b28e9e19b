"""A robot's drawing in torch: its joints and links, kinematics, Jacobians, contacts, and its configuration space."""

from mosim.geometry.configuration_space import ConfigurationSpace
from mosim.geometry.contacts import ContactGaps
from mosim.geometry.gaps import Gaps, contact_frames
from mosim.geometry.jacobians import Jacobians
from mosim.geometry.joints import DOF_WIDTH, QPOS_WIDTH, JointFacts, JointKind
from mosim.geometry.kinematics import Kinematics, Points, Poses, Velocities
from mosim.geometry.skeleton import WORLD, Frame, Link, Pair, Shape, Skeleton, Vector, read_skeleton
from mosim.geometry.solid_contacts import SolidContacts
from mosim.geometry.spatial import (
    buffer,
    cross_product,
    index_buffer,
    rotation_matrices,
    rotation_of,
    twist_matrices,
    wrenches,
)
from mosim.geometry.tendons import Coupling, FixedTendon, fixed_tendons, sum_matrix, tendon_weights
from mosim.geometry.tree_motion import Placement, TreeMotion

__all__ = [
    "DOF_WIDTH",
    "QPOS_WIDTH",
    "WORLD",
    "ConfigurationSpace",
    "ContactGaps",
    "Coupling",
    "FixedTendon",
    "Frame",
    "Gaps",
    "Jacobians",
    "JointFacts",
    "JointKind",
    "Kinematics",
    "Link",
    "Pair",
    "Placement",
    "Points",
    "Poses",
    "Shape",
    "Skeleton",
    "SolidContacts",
    "TreeMotion",
    "Vector",
    "Velocities",
    "buffer",
    "contact_frames",
    "cross_product",
    "fixed_tendons",
    "index_buffer",
    "read_skeleton",
    "rotation_matrices",
    "rotation_of",
    "sum_matrix",
    "tendon_weights",
    "twist_matrices",
    "wrenches",
]
