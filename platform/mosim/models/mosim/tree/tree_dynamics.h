/* Inertia matrices and bias forces of a tree of masses, of many states at once; drag of a fluid is part of the latter.

   What mass_tree.py does in torch, by recursions over the tree: composite rigid bodies and Newton and Euler's equations
   (Featherstone, "Rigid Body Dynamics Algorithms", 2008, tables 6.2 and 5.1), and the sparse factor `M = U^T U`, with
   `U` lower triangular (table 6.3). Eight states go side by side, one in each lane of a vector, in double precision.

   All is written in the world's axes about a point of each tree, its origin: the first link that carries a body. There
   twists and wrenches of links need no transformation, and inertias of links add up. What comes out does not depend on
   the origin.

   Entries of sparse matrices are in rows: of each degree of freedom those above it in the tree, from the root, and last
   its own. What is above one of these is the beginning of the same row. */

#include "../links.h"

enum { SHIFTED = 9, ON_LINK = 12, WIND = 13, PLACE = 16 }; /* Of `places`: rotation, position, link, wind. */
enum { VISCOUS_TURN = 6, VISCOUS_SHIFT = 7, DRAG = 8 };  /* Of `drag`, after what is quadratic. */

/* A tree of masses and its states; the arrays are torch's, row by row. */
typedef struct {
    Skeleton of;
    int64_t carriers, dragged, single; /* links that carry bodies; places in a fluid; `single`: floats go out */
    const double *inertia;             /* (carriers, 4, 4): pseudo-inertias, of which the symmetric part counts */
    const double *armature;            /* (size,) */
    const double *drag;                /* (dragged, DRAG): what the fluid does, see fluid_drag.py */
    const double *gravity;             /* (3,) */
    const double *unit;                /* (size,): of accelerations */
    const double *places;              /* (dragged, PLACE): where the fluid acts, in the frames of links */
} Tree;

/* The inertia tensor about the origin, the first moments, and the mass. */
typedef struct {
    lanes xx, yy, zz, xy, xz, yz;
    Vector moment;
    lanes mass;
} Inertia;

/* What eight states are worked on in. */
typedef struct {
    Links at;                                     /* Positions are from the tree's origin. */
    Spatial *velocity, *acceleration, *carried;   /* (links,): the last is of the joint, what its own link carries */
    Spatial *force;                               /* (links,): on the link and all that it carries */
    Inertia *own, *composite;                     /* (links,) */
    Spatial *screw, *momentum;                    /* (size,): the second of the composite, moved by the screw */
    lanes *factor, *inverse;                      /* rows: U and its inverse */
    lanes *speed, *bias;                          /* (size,) */
    Spatial *virtual, *pull;                      /* (links,): gradients of `force` and `acceleration` */
    Spatial *push, *turned;                       /* (links,): of `velocity`; of the link's motion */
    Spatial *dragged;                             /* (links,): of the places where a fluid drags the link */
    Inertia *of_inertia;                          /* (links,) */
    Spatial *of_screw, *of_momentum;              /* (size,) */
    lanes *of_inverse, *half, *product;           /* rows: gradient of the inverse; room of their own */
    lanes *of_speed, *of_bias;                    /* (size,) */
    Inertia *learned;                             /* (carriers,): sums over states, in the links' own frames */
    lanes *learned_armature;                      /* (size,) */
    lanes *learned_drag;                          /* (dragged, DRAG) */
    int64_t *row, *depth, *link, *above, *origin; /* where each row begins; how long but one; (size, size); (links,) */
} Work;

/* A symmetric matrix's product with a vector. */
INLINE Vector tensor(const Inertia *i, Vector v)
{
    return (Vector){i->xx * v.x + i->xy * v.y + i->xz * v.z, i->xy * v.x + i->yy * v.y + i->yz * v.z,
                    i->xz * v.x + i->yz * v.y + i->zz * v.z};
}

/* An inertia's product with a twist. */
INLINE Spatial moved(const Inertia *i, Spatial v)
{
    return (Spatial){sum(tensor(i, v.turn), cross(i->moment, v.shift)),
                     sum(times(v.shift, i->mass), cross(v.turn, i->moment))};
}

INLINE void add_inertia(Inertia *to, const Inertia *other)
{
    lanes *entry = (lanes *)to;
    for (int k = 0; k < 10; k++)
        entry[k] += ((const lanes *)other)[k];
}

/* Has positions of links be from their tree's origin. */
INLINE void centre(const Tree *tree, Work *work)
{
    for (int64_t link = 0; link < tree->of.links; link++)
        if (work->origin[link] != link)
            work->at.position[link] = difference(work->at.position[link], work->at.position[work->origin[link]]);
    for (int64_t link = 0; link < tree->of.links; link++)
        if (work->origin[link] == link)
            work->at.position[link] = (Vector){{0}, {0}, {0}};
}

/* Velocities and accelerations of links. */
INLINE void move(const Tree *tree, Work *work, int64_t begin, int64_t last)
{
    const Vector none = {{0}, {0}, {0}};
    const double *g = tree->gravity; /* As if it were an acceleration of the world. */
    const Spatial fall = {none, {all(-g[0]), all(-g[1]), all(-g[2])}};
    for (int64_t link = 0; link < tree->of.links; link++) {
        const int64_t parent = tree->of.layout[link * LAYOUT + PARENT];
        Spatial carried = {none, none}, fixed = {none, none};
        for (int64_t k = 0; k < dofs_of(&tree->of, link); k++) {
            const int64_t dof = first_of(&tree->of, link) + k;
            work->speed[dof] = load(tree->of.qvel + dof, tree->of.size, begin, last);
            Spatial *part = k < fixed_of(&tree->of, link) ? &fixed : &carried;
            *part = plus(*part, scaled(work->screw[dof], work->speed[dof]));
        }
        const Spatial own = plus(fixed, carried);
        work->carried[link] = carried;
        work->velocity[link] = parent < 0 ? own : plus(work->velocity[parent], own);
        work->acceleration[link] = plus(parent < 0 ? fall : work->acceleration[parent],
                                        carry(work->velocity[link], carried));
    }
}

/* The inertia of a link that carries bodies, from its pseudo-inertia in its own frame. */
INLINE Inertia inertia_of(const double *pseudo, const Vector *rotation, Vector position)
{
    double p[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            p[i][j] = 0.5 * (pseudo[4 * i + j] + pseudo[4 * j + i]);
    const lanes mass = all(p[3][3]);
    /* Second moments: of the place of each mass, `R x + r`, are `R (S R^T + m r^T) + r (R m + M r)^T`. */
    const Vector first = placed(rotation, p[3]), moment = sum(first, times(position, mass));
    Vector half[3]; /* Rows of `S R^T + m r^T`, as columns of its transpose. */
    for (int k = 0; k < 3; k++)
        half[k] = sum(placed(rotation, p[k]), times(position, all(p[k][3])));
    const Vector *r = rotation;
    const lanes xx = r[0].x * half[0].x + r[1].x * half[1].x + r[2].x * half[2].x + position.x * moment.x;
    const lanes yy = r[0].y * half[0].y + r[1].y * half[1].y + r[2].y * half[2].y + position.y * moment.y;
    const lanes zz = r[0].z * half[0].z + r[1].z * half[1].z + r[2].z * half[2].z + position.z * moment.z;
    const lanes xy = r[0].x * half[0].y + r[1].x * half[1].y + r[2].x * half[2].y + position.x * moment.y;
    const lanes xz = r[0].x * half[0].z + r[1].x * half[1].z + r[2].x * half[2].z + position.x * moment.z;
    const lanes yz = r[0].y * half[0].z + r[1].y * half[1].z + r[2].y * half[2].z + position.y * moment.z;
    return (Inertia){yy + zz, xx + zz, xx + yy, -xy, -xz, -yz, moment, mass};
}

/* Where a fluid drags a link, and how fast the link moves through it there. */
typedef struct {
    int64_t link;
    Vector axis[3], position;
    Spatial velocity; /* About the tree's origin, the wind taken off. */
    lanes speed[6];   /* Of turns about the axes, and of shifts along them. */
} Dragged;

/* A twist's turns about and shifts along the axes of a place. */
INLINE void along(const Dragged *at, Spatial twist, lanes *parts)
{
    const Vector shift = sum(twist.shift, cross(twist.turn, at->position));
    for (int k = 0; k < 3; k++)
        parts[k] = inner(at->axis[k], twist.turn), parts[3 + k] = inner(at->axis[k], shift);
}

/* The wrench of torques about and forces along the axes of a place. */
INLINE Spatial wrench_at(const Dragged *at, const lanes *parts)
{
    const Vector torque = rotated(at->axis, (Vector){parts[0], parts[1], parts[2]});
    const Vector force = rotated(at->axis, (Vector){parts[3], parts[4], parts[5]});
    return (Spatial){sum(torque, cross(at->position, force)), force};
}

INLINE lanes size_of(lanes value) { return choose(value < 0.0, -value, value); }

INLINE Dragged dragged_at(const Tree *tree, const Work *work, int64_t place)
{
    const double *drawn = tree->places + place * PLACE, *wind = drawn + WIND;
    Dragged at = {.link = (int64_t)drawn[ON_LINK]};
    const Vector *rotation = work->at.rotation + 3 * at.link;
    for (int k = 0; k < 3; k++)
        at.axis[k] = placed(rotation, (double[]){drawn[k], drawn[3 + k], drawn[6 + k]});
    at.position = sum(work->at.position[at.link], placed(rotation, drawn + SHIFTED));
    at.velocity = work->velocity[at.link];
    at.velocity.shift = difference(at.velocity.shift, (Vector){all(wind[0]), all(wind[1]), all(wind[2])});
    along(&at, at.velocity, at.speed);
    return at;
}

/* What it takes to move through the fluid there: forces about and along the axes. */
INLINE void resist(const Dragged *at, const double *drag, lanes *force)
{
    for (int k = 0; k < 6; k++)
        force[k] = (drag[k] * size_of(at->speed[k]) + drag[k < 3 ? VISCOUS_TURN : VISCOUS_SHIFT]) * at->speed[k];
}

/* Inertias and forces of links and of all that they carry; momenta; the bias. */
INLINE void weigh(const Tree *tree, Work *work)
{
    for (int64_t link = 0; link < tree->of.links; link++) {
        const int64_t carrier = tree->of.layout[link * LAYOUT + CARRIER];
        if (carrier < 0) {
            memset(work->own + link, 0, sizeof(Inertia));
            memset(work->force + link, 0, sizeof(Spatial));
        } else {
            const Inertia own = inertia_of(tree->inertia + 16 * carrier, work->at.rotation + 3 * link,
                                           work->at.position[link]);
            work->own[link] = own;
            work->force[link] = plus(moved(&own, work->acceleration[link]),
                                     carry_wrench(work->velocity[link], moved(&own, work->velocity[link])));
        }
        work->composite[link] = work->own[link];
    }
    for (int64_t place = 0; place < tree->dragged; place++) {
        const Dragged at = dragged_at(tree, work, place);
        lanes force[6];
        resist(&at, tree->drag + place * DRAG, force);
        work->force[at.link] = plus(work->force[at.link], wrench_at(&at, force));
    }
    for (int64_t link = tree->of.links - 1; link >= 0; link--) {
        const int64_t parent = tree->of.layout[link * LAYOUT + PARENT];
        const Inertia composite = work->composite[link];
        const Spatial force = work->force[link];
        if (parent >= 0) {
            add_inertia(work->composite + parent, &composite);
            work->force[parent] = plus(work->force[parent], force);
        }
        for (int64_t dof = first_of(&tree->of, link); dof < first_of(&tree->of, link) + dofs_of(&tree->of, link); dof++) {
            work->momentum[dof] = moved(&composite, work->screw[dof]);
            work->bias[dof] = power(work->screw[dof], force);
        }
    }
}

/* Degree of freedom `d` above another one. */
INLINE int64_t above(const Tree *tree, const Work *work, int64_t dof, int64_t d)
{
    return work->above[dof * tree->of.size + d];
}

/* The inertia matrix, its factor in its place, and the inverse of that. */
INLINE void factorise(const Tree *tree, Work *work)
{
    for (int64_t dof = 0; dof < tree->of.size; dof++) {
        lanes *row = work->factor + work->row[dof];
        const Spatial momentum = work->momentum[dof];
        for (int64_t d = 0; d <= work->depth[dof]; d++)
            row[d] = power(work->screw[above(tree, work, dof, d)], momentum);
        row[work->depth[dof]] += tree->armature[dof];
    }
    for (int64_t dof = tree->of.size - 1; dof >= 0; dof--) {
        lanes *row = work->factor + work->row[dof];
        const int64_t depth = work->depth[dof];
        const lanes reciprocal = 1.0 / square_root(row[depth]);
        row[depth] = reciprocal;
        for (int64_t d = 0; d < depth; d++)
            row[d] *= reciprocal;
        for (int64_t d = 0; d < depth; d++) {
            lanes *other = work->factor + work->row[above(tree, work, dof, d)];
            const lanes by = row[d];
            for (int64_t e = 0; e <= d; e++)
                other[e] -= by * row[e];
        }
    }
    for (int64_t dof = 0; dof < tree->of.size; dof++) {
        const lanes *row = work->factor + work->row[dof];
        lanes *inverse = work->inverse + work->row[dof];
        const int64_t depth = work->depth[dof];
        memset(inverse, 0, sizeof(lanes) * depth);
        for (int64_t d = 0; d < depth; d++) {
            const lanes *other = work->inverse + work->row[above(tree, work, dof, d)], by = row[d] * row[depth];
            for (int64_t e = 0; e <= d; e++)
                inverse[e] -= by * other[e];
        }
        inverse[depth] = row[depth];
    }
}

/* Divides up the room to work in; returns how many bytes of it are taken. */
static int64_t furnish(const Tree *tree, Work *work, char *room)
{
    const int64_t size = tree->of.size, links = tree->of.links, entries = size * (size + 1) / 2;
    char *next = (char *)(((uintptr_t)room + sizeof(lanes) - 1) / sizeof(lanes) * sizeof(lanes));
    struct { void *part; int64_t length; } parts[] = {
        {&work->at.rotation, links * 9}, {&work->at.position, links * 3}, {&work->velocity, links * 6},
        {&work->acceleration, links * 6}, {&work->carried, links * 6}, {&work->force, links * 6},
        {&work->own, links * 10}, {&work->composite, links * 10}, {&work->screw, size * 6}, {&work->momentum, size * 6},
        {&work->factor, entries}, {&work->inverse, entries}, {&work->speed, size}, {&work->bias, size},
        {&work->virtual, links * 6}, {&work->pull, links * 6}, {&work->push, links * 6}, {&work->turned, links * 6},
        {&work->of_inertia, links * 10}, {&work->of_screw, size * 6}, {&work->of_momentum, size * 6},
        {&work->of_inverse, entries}, {&work->half, entries}, {&work->product, entries}, {&work->of_speed, size},
        {&work->of_bias, size}, {&work->at.quaternion, links * 5}, {&work->learned, tree->carriers * 10},
        {&work->learned_armature, size}, {&work->dragged, links * 6}, {&work->learned_drag, tree->dragged * DRAG},
    };
    for (unsigned part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
        memcpy(parts[part].part, &next, sizeof next);
        next += parts[part].length * (int64_t)sizeof(lanes);
    }
    work->row = (int64_t *)next;
    work->depth = work->row + size, work->link = work->depth + size, work->above = work->link + size;
    work->origin = work->above + size * size;
    return (char *)(work->origin + links) - room;
}

/* Rows of sparse matrices, and the origin of each tree. */
static void lay_out(const Tree *tree, Work *work)
{
    const int64_t size = tree->of.size;
    int64_t row = 0;
    for (int64_t link = 0; link < tree->of.links; link++) {
        const int64_t parent = tree->of.layout[link * LAYOUT + PARENT], first = first_of(&tree->of, link);
        for (int64_t dof = first; dof < first + dofs_of(&tree->of, link); dof++) {
            const int64_t before = dof > first ? dof - 1 : parent < 0 ? -1 : first_of(&tree->of, parent) + dofs_of(&tree->of, parent) - 1;
            work->depth[dof] = before < 0 ? 0 : work->depth[before] + 1;
            if (before >= 0)
                memcpy(work->above + dof * size, work->above + before * size, sizeof(int64_t) * (work->depth[before] + 1));
            work->above[dof * size + work->depth[dof]] = dof;
            work->row[dof] = row;
            row += work->depth[dof] + 1;
        }
        work->origin[link] = parent < 0 ? -1 : work->origin[parent];
        if (work->origin[link] < 0 && tree->of.layout[link * LAYOUT + CARRIER] >= 0)
            for (int64_t other = link; other >= 0; other = tree->of.layout[other * LAYOUT + PARENT])
                work->origin[other] = link;
    }
    for (int64_t link = 0; link < tree->of.links; link++) /* Beside the way to the first carrier. */
        for (int64_t other = link; work->origin[link] < 0; other = tree->of.layout[other * LAYOUT + PARENT])
            work->origin[link] = other < 0 ? link : work->origin[other];
}

/* All that does not need a gradient, of eight states. */
INLINE void work_out(const Tree *tree, Work *work, int64_t begin, int64_t last)
{
    place(&tree->of, &work->at, begin, last);
    centre(tree, work);
    screws_of(&tree->of, &work->at, work->screw);
    move(tree, work, begin, last);
    weigh(tree, work);
    factorise(tree, work);
}
