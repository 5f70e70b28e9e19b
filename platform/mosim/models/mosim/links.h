/* Links of a robot, eight states side by side: forward kinematics and screws, as kinematics.py and jacobians.py do them.

   Vectors are GCC's and Clang's extension of C; for a processor whose own are narrower, the compiler takes several. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 8

typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8 * LANES)));
typedef int64_t masks __attribute__((vector_size(8 * LANES), aligned(8 * LANES)));

#if defined(__x86_64__) && defined(__linux__)
#define EXPORTED __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define EXPORTED
#endif
#define INLINE static inline __attribute__((always_inline))

enum { FREE, BALL, SLIDE, HINGE };
enum { PARENT, KIND, QPOS, DOF, CARRIER, LAYOUT };                               /* Columns of `layout`. */
enum { ROTATION = 0, POSITION = 9, AXIS = 12, ANCHOR = 15, REFERENCE = 18, DRAWING = 19 }; /* And of `drawing`. */

/* Links and the positions of their joints; the arrays are torch's, row by row. */
typedef struct {
    int64_t states, links, positions, size; /* `size` degrees of freedom */
    const double *qpos;                     /* (states, positions) */
    const double *qvel;                     /* (states, size) */
    const int64_t *layout;                  /* (links, LAYOUT): the world is -1, and so is a carrier that is none */
    const double *drawing;                  /* (links, DRAWING) */
} Skeleton;

typedef struct {
    lanes x, y, z;
} Vector;

/* A twist: angular velocity, then the velocity of what is at the origin. A wrench: torque about it, then force. */
typedef struct {
    Vector turn, shift;
} Spatial;

/* Where links are in eight states. */
typedef struct {
    Vector *rotation;  /* (links, 3): columns of the rotation */
    Vector *position;  /* (links,) */
    lanes *quaternion; /* (links, 5): of unit length, and one over its length before; of free and ball joints */
} Links;

INLINE lanes all(double value) { return value - (lanes){0}; }

INLINE lanes square_root(lanes value)
{
    for (int lane = 0; lane < LANES; lane++)
        value[lane] = sqrt(value[lane]);
    return value;
}

INLINE lanes choose(masks mask, lanes yes, lanes no) { return (lanes)((mask & (masks)yes) | (~mask & (masks)no)); }

/* Sine and cosine: an angle less the closest multiple of a right angle (Cody and Waite), then fdlibm's polynomials. */
INLINE void sine_and_cosine(lanes angle, lanes *sine, lanes *cosine)
{
    const double round = 0x1.8p52; /* Which leaves no place for a fraction, and the whole number in the last bits. */
    const lanes shifted = angle * 0.63661977236758134308 + round, count = shifted - round;
    const lanes x = ((angle - count * 0x1.921fb544p0) - count * 0x1.0b4611a6p-34) - count * 0x1.3198a2e037073p-69;
    const lanes z = x * x;
    const lanes s = x + x * z *
        (-0x1.5555555555549p-3 + z * (0x1.111111110f8a6p-7 + z * (-0x1.a01a019c161d5p-13 +
        z * (0x1.71de357b1fe7dp-19 + z * (-0x1.ae5e68a2b9cebp-26 + z * 0x1.5d93a5acfd57cp-33)))));
    const lanes c = 1.0 - (0.5 * z - z * z *
        (0x1.555555555554cp-5 + z * (-0x1.6c16c16c15177p-10 + z * (0x1.a01a019cb159p-16 +
        z * (-0x1.27e4f809c52adp-22 + z * (0x1.1ee9ebdb4b1c4p-29 + z * -0x1.8fae9be8838d4p-37))))));
    const masks quarter = (masks)shifted, odd = -(quarter & 1), turned = quarter << 62, after = (quarter + 1) << 62;
    const masks sign = (masks){0} + INT64_MIN;
    *sine = (lanes)((masks)choose(odd, c, s) ^ (turned & sign));
    *cosine = (lanes)((masks)choose(odd, s, c) ^ (after & sign));
    for (int lane = 0; lane < LANES; lane++)
        if (!(fabs(angle[lane]) < 1e5)) { /* Where the multiple would lose digits, or is none. */
            (*sine)[lane] = sin(angle[lane]);
            (*cosine)[lane] = cos(angle[lane]);
        }
}

INLINE Vector sum(Vector a, Vector b) { return (Vector){a.x + b.x, a.y + b.y, a.z + b.z}; }
INLINE Vector difference(Vector a, Vector b) { return (Vector){a.x - b.x, a.y - b.y, a.z - b.z}; }
INLINE Vector times(Vector a, lanes by) { return (Vector){a.x * by, a.y * by, a.z * by}; }
INLINE lanes inner(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
INLINE Vector cross(Vector a, Vector b)
{
    return (Vector){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

/* A rotation's product with numbers of the drawing, and with a vector; and its transpose's. */
INLINE Vector placed(const Vector *r, const double *v)
{
    return (Vector){r[0].x * v[0] + r[1].x * v[1] + r[2].x * v[2], r[0].y * v[0] + r[1].y * v[1] + r[2].y * v[2],
                    r[0].z * v[0] + r[1].z * v[1] + r[2].z * v[2]};
}
INLINE Vector rotated(const Vector *r, Vector v)
{
    return sum(sum(times(r[0], v.x), times(r[1], v.y)), times(r[2], v.z));
}
INLINE Vector rotated_back(const Vector *r, Vector v) { return (Vector){inner(r[0], v), inner(r[1], v), inner(r[2], v)}; }

INLINE Spatial plus(Spatial a, Spatial b) { return (Spatial){sum(a.turn, b.turn), sum(a.shift, b.shift)}; }
INLINE Spatial scaled(Spatial a, lanes by) { return (Spatial){times(a.turn, by), times(a.shift, by)}; }
INLINE lanes power(Spatial twist, Spatial wrench) { return inner(twist.turn, wrench.turn) + inner(twist.shift, wrench.shift); }

/* Featherstone's `v X m` and `v X* f`, equations 2.31 and 2.32. */
INLINE Spatial carry(Spatial v, Spatial m)
{
    return (Spatial){cross(v.turn, m.turn), sum(cross(v.turn, m.shift), cross(v.shift, m.turn))};
}
INLINE Spatial carry_wrench(Spatial v, Spatial f)
{
    return (Spatial){sum(cross(v.turn, f.turn), cross(v.shift, f.shift)), cross(v.turn, f.shift)};
}

/* Which degrees of freedom a link's joint has: where they begin, and how many. */
INLINE int64_t first_of(const Skeleton *skeleton, int64_t link) { return skeleton->layout[link * LAYOUT + DOF]; }
INLINE int64_t dofs_of(const Skeleton *skeleton, int64_t link)
{
    static const int64_t counts[] = {6, 3, 1, 1};
    return counts[skeleton->layout[link * LAYOUT + KIND]];
}
/* How many of these are along axes of the world, which nothing carries: a free joint's first three. */
INLINE int64_t fixed_of(const Skeleton *skeleton, int64_t link) { return skeleton->layout[link * LAYOUT + KIND] == FREE ? 3 : 0; }

INLINE lanes load(const double *values, int64_t stride, int64_t begin, int64_t last)
{
    lanes value;
    for (int64_t lane = 0; lane < LANES; lane++) /* Lanes beyond the last state repeat the first. */
        value[lane] = values[(begin + lane < last ? begin + lane : begin) * stride];
    return value;
}

/* The joint's rotation, as columns. */
INLINE void joint_rotation(const Skeleton *skeleton, Links *links, int64_t link, lanes angle, int64_t begin, int64_t last,
                           Vector *columns)
{
    const int64_t *layout = skeleton->layout + link * LAYOUT;
    const double *axis = skeleton->drawing + link * DRAWING + AXIS;
    if (layout[KIND] == HINGE) {
        lanes sine, cosine;
        sine_and_cosine(angle, &sine, &cosine);
        const lanes rest = 1.0 - cosine;
        const Vector a = times((Vector){all(axis[0]), all(axis[1]), all(axis[2])}, rest), b = {
            sine * axis[0], sine * axis[1], sine * axis[2]};
        columns[0] = (Vector){a.x * axis[0] + cosine, a.y * axis[0] + b.z, a.z * axis[0] - b.y};
        columns[1] = (Vector){a.x * axis[1] - b.z, a.y * axis[1] + cosine, a.z * axis[1] + b.x};
        columns[2] = (Vector){a.x * axis[2] + b.y, a.y * axis[2] - b.x, a.z * axis[2] + cosine};
        return;
    }
    const double *values = skeleton->qpos + layout[QPOS] + fixed_of(skeleton, link);
    lanes *kept = links->quaternion + 5 * link, q[4];
    for (int k = 0; k < 4; k++)
        q[k] = load(values + k, skeleton->positions, begin, last);
    const lanes squared = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];
    /* None at all is no rotation, as MuJoCo has it. */
    kept[4] = choose(squared == 0.0, (lanes){0}, 1.0 / square_root(squared));
    for (int k = 0; k < 4; k++)
        q[k] = kept[k] = q[k] * kept[4];
    const lanes w = q[0], x = q[1], y = q[2], z = q[3];
    columns[0] = (Vector){1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)};
    columns[1] = (Vector){2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)};
    columns[2] = (Vector){2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)};
}

/* Where links are. */
INLINE void place(const Skeleton *skeleton, Links *links, int64_t begin, int64_t last)
{
    for (int64_t link = 0; link < skeleton->links; link++) {
        const int64_t *layout = skeleton->layout + link * LAYOUT, parent = layout[PARENT];
        const double *drawing = skeleton->drawing + link * DRAWING, *fixed = drawing + ROTATION;
        Vector *rotation = links->rotation + 3 * link, base[3], joint[3];
        Vector position;
        for (int k = 0; k < 3; k++) {
            const double column[3] = {fixed[k], fixed[3 + k], fixed[6 + k]};
            base[k] = parent < 0 ? (Vector){all(column[0]), all(column[1]), all(column[2])}
                                 : placed(links->rotation + 3 * parent, column);
        }
        const double *at = drawing + POSITION, *anchor = drawing + ANCHOR;
        position = parent < 0 ? (Vector){all(at[0]), all(at[1]), all(at[2])}
                              : sum(links->position[parent], placed(links->rotation + 3 * parent, at));
        lanes moved_by = {0};
        if (layout[KIND] == HINGE || layout[KIND] == SLIDE)
            moved_by = load(skeleton->qpos + layout[QPOS], skeleton->positions, begin, last) - drawing[REFERENCE];
        if (layout[KIND] == SLIDE) {
            memcpy(rotation, base, sizeof base);
            links->position[link] = sum(position, times(placed(base, drawing + AXIS), moved_by));
            continue;
        }
        joint_rotation(skeleton, links, link, moved_by, begin, last, joint);
        for (int k = 0; k < 3; k++)
            rotation[k] = rotated(base, joint[k]);
        if (layout[KIND] == FREE) {
            const double *values = skeleton->qpos + layout[QPOS];
            position = sum(position, (Vector){load(values, skeleton->positions, begin, last),
                                              load(values + 1, skeleton->positions, begin, last),
                                              load(values + 2, skeleton->positions, begin, last)});
        }
        links->position[link] = difference(sum(position, placed(base, anchor)), placed(rotation, anchor));
    }
}

/* How degrees of freedom move links, (size,), about the origin of the links' positions. */
INLINE void screws_of(const Skeleton *skeleton, const Links *links, Spatial *screws)
{
    const Vector none = {{0}, {0}, {0}};
    for (int64_t link = 0; link < skeleton->links; link++) {
        const int64_t kind = skeleton->layout[link * LAYOUT + KIND];
        const double *drawing = skeleton->drawing + link * DRAWING;
        const Vector *rotation = links->rotation + 3 * link;
        const Vector center = sum(links->position[link], placed(rotation, drawing + ANCHOR));
        Spatial *screw = screws + first_of(skeleton, link);
        if (kind == HINGE) {
            const Vector axis = placed(rotation, drawing + AXIS);
            screw[0] = (Spatial){axis, cross(center, axis)};
        } else if (kind == SLIDE) {
            screw[0] = (Spatial){none, placed(rotation, drawing + AXIS)};
        } else {
            if (kind == FREE)
                for (int k = 0; k < 3; k++)
                    *screw++ = (Spatial){none, {all(k == 0), all(k == 1), all(k == 2)}};
            for (int k = 0; k < 3; k++)
                screw[k] = (Spatial){rotation[k], cross(center, rotation[k])};
        }
    }
}
