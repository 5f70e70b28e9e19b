/* Inertia matrices and bias forces of a tree of masses, and their gradients, of many states at once.

   What mass_tree.py does in torch, by recursions over the tree: composite rigid bodies and Newton and Euler's equations
   (Featherstone, "Rigid Body Dynamics Algorithms", 2008, tables 6.2 and 5.1), and the sparse factor `M = U^T U`, with
   `U` lower triangular (table 6.3). Eight states go side by side, one in each lane of a vector, in double precision.

   All is written in the world's axes about a point of each tree, its origin: the first link that carries a body. There
   twists and wrenches of links need no transformation, and inertias of links add up. What comes out does not depend on
   the origin, so gradients need not go through it.

   The gradients are Featherstone's algebra again. A small motion of a link along a twist `x` changes its screws by
   `x X s` and its inertia by `x X* I - I x X`, so what a result gains by it is the inner product of `x` with a wrench;
   wrenches add up towards the root like forces, and the screws turn them into gradients of joint positions.

   Entries of sparse matrices are in rows: of each degree of freedom those above it in the tree, from the root, and last
   its own. What is above one of these is the beginning of the same row. */

#include "links.h"

/* A tree of masses and its states; the arrays are torch's, row by row. */
typedef struct {
    Skeleton of;
    int64_t carriers, single; /* links that carry bodies; `single`: floats go out */
    const double *inertia;    /* (carriers, 4, 4): pseudo-inertias, of which the symmetric part counts */
    const double *armature;   /* (size,) */
    const double *gravity;    /* (3,) */
    const double *unit;       /* (size,): of accelerations */
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
    Inertia *of_inertia;                          /* (links,) */
    Spatial *of_screw, *of_momentum;              /* (size,) */
    lanes *of_inverse, *half, *product;           /* rows: gradient of the inverse; room of their own */
    lanes *of_speed, *of_bias;                    /* (size,) */
    Inertia *learned;                             /* (carriers,): sums over states, in the links' own frames */
    lanes *learned_armature;                      /* (size,) */
    int64_t *row, *depth, *link, *above, *origin; /* where each row begins; how long but one; (size, size); (links,) */
} Work;

INLINE double total(lanes value)
{
    double sum = 0.0;
    for (int lane = 0; lane < LANES; lane++)
        sum += value[lane];
    return sum;
}

/* One of the inverse factors' numbers. */
INLINE double number(const Tree *tree, const void *lower, int64_t at)
{
    return tree->single ? (double)((const float *)lower)[at] : ((const double *)lower)[at];
}

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

/* Adds, times `by`, the gradient of `a . I b` for two twists to that of the inertia. Off the diagonal it is a half. */
INLINE void add_outer(Inertia *to, Spatial a, Spatial b, double by)
{
    const Vector u = times(a.turn, all(by)), v = b.turn, w = times(a.shift, all(by));
    to->xx += u.x * v.x, to->yy += u.y * v.y, to->zz += u.z * v.z;
    to->xy += 0.5 * (u.x * v.y + u.y * v.x);
    to->xz += 0.5 * (u.x * v.z + u.z * v.x);
    to->yz += 0.5 * (u.y * v.z + u.z * v.y);
    to->moment = sum(to->moment, sum(cross(b.shift, u), cross(w, v)));
    to->mass += inner(w, b.shift);
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

/* From the gradient of the inverse factor to that of the inertia matrix, where `of_inverse` had the former.

   With `W = U^-1`, `dW = -W X` for the lower triangle `X`, its diagonal halved, of `W^T dM W`. Of an entry off the
   diagonal the gradient is that of both which it stands for. */
INLINE void back_through_factor(const Tree *tree, Work *work)
{
    const int64_t size = tree->of.size;
    memset(work->half, 0, sizeof(lanes) * (work->row[size - 1] + work->depth[size - 1] + 1));
    for (int64_t dof = 0; dof < size; dof++) {
        const lanes *inverse = work->inverse + work->row[dof], *given = work->of_inverse + work->row[dof];
        for (int64_t d = 0; d <= work->depth[dof]; d++) {
            lanes *half = work->half + work->row[above(tree, work, dof, d)];
            for (int64_t e = 0; e <= d; e++)
                half[e] += inverse[d] * given[e];
        }
    }
    for (int64_t dof = 0; dof < size; dof++) {
        lanes *product = work->product + work->row[dof];
        const int64_t depth = work->depth[dof];
        work->half[work->row[dof] + depth] *= 0.5;
        memset(product, 0, sizeof(lanes) * (depth + 1));
        for (int64_t d = 0; d <= depth; d++) {
            const lanes *half = work->half + work->row[above(tree, work, dof, d)];
            const lanes by = work->inverse[work->row[dof] + d];
            for (int64_t e = 0; e <= d; e++)
                product[e] += by * half[e];
        }
    }
    for (int64_t dof = 0; dof < size; dof++) {
        const lanes *product = work->product + work->row[dof], *inverse = work->inverse + work->row[dof];
        lanes *gradient = work->of_inverse + work->row[dof];
        const int64_t depth = work->depth[dof];
        for (int64_t d = 0; d <= depth; d++) {
            const int64_t start = work->row[above(tree, work, dof, d)];
            lanes sum = {0};
            for (int64_t e = 0; e <= d; e++)
                sum += product[e] * work->inverse[start + e] + work->product[start + e] * inverse[e];
            gradient[d] = d < depth ? -sum : -0.5 * sum;
        }
    }
}

/* From the gradients of the inertia matrix and the bias to those of inertias, screws and motions of links. */
INLINE void back_through_masses(const Tree *tree, Work *work)
{
    const Spatial none = {{{0}, {0}, {0}}, {{0}, {0}, {0}}};
    for (int64_t dof = 0; dof < tree->of.size; dof++)
        work->of_screw[dof] = none;
    for (int64_t dof = 0; dof < tree->of.size; dof++) {
        const lanes *gradient = work->of_inverse + work->row[dof];
        Spatial of_momentum = none;
        for (int64_t d = 0; d <= work->depth[dof]; d++) {
            const int64_t other = above(tree, work, dof, d);
            of_momentum = plus(of_momentum, scaled(work->screw[other], gradient[d]));
            work->of_screw[other] = plus(work->of_screw[other], scaled(work->momentum[dof], gradient[d]));
        }
        work->of_momentum[dof] = of_momentum;
    }
    for (int64_t link = 0; link < tree->of.links; link++) {
        const int64_t parent = tree->of.layout[link * LAYOUT + PARENT], first = first_of(&tree->of, link);
        Inertia gradient;
        Spatial virtual = none;
        if (parent >= 0) {
            gradient = work->of_inertia[parent], virtual = work->virtual[parent];
        } else {
            memset(&gradient, 0, sizeof gradient);
        }
        for (int64_t dof = first; dof < first + dofs_of(&tree->of, link); dof++) {
            const Spatial of_momentum = work->of_momentum[dof], screw = work->screw[dof];
            add_outer(&gradient, of_momentum, screw, 1.0);
            work->of_screw[dof] = plus(work->of_screw[dof], plus(moved(work->composite + link, of_momentum),
                                                                 scaled(work->force[link], work->of_bias[dof])));
            virtual = plus(virtual, scaled(screw, work->of_bias[dof]));
        }
        work->of_inertia[link] = gradient;
        work->virtual[link] = virtual;
    }
    for (int64_t link = 0; link < tree->of.links; link++) { /* Not before: those below take over what came from composites. */
        const Spatial virtual = work->virtual[link], velocity = work->velocity[link];
        const Spatial changed = carry(velocity, virtual);
        add_outer(work->of_inertia + link, virtual, work->acceleration[link], 1.0);
        add_outer(work->of_inertia + link, changed, velocity, -1.0);
        work->pull[link] = moved(work->own + link, virtual);
        work->push[link] = scaled(plus(moved(work->own + link, changed),
                                       carry_wrench(virtual, moved(work->own + link, velocity))), all(-1.0));
    }
}

/* On to gradients of velocities, and of positions as wrenches on links. */
INLINE void back_through_motion(const Tree *tree, Work *work)
{
    for (int64_t link = tree->of.links - 1; link >= 0; link--) {
        const int64_t parent = tree->of.layout[link * LAYOUT + PARENT], first = first_of(&tree->of, link);
        const Spatial pull = work->pull[link], carried = work->carried[link];
        const Spatial push = plus(work->push[link], carry_wrench(carried, pull));
        const Spatial of_carried = scaled(carry_wrench(work->velocity[link], pull), all(-1.0));
        if (parent >= 0) {
            work->pull[parent] = plus(work->pull[parent], pull);
            work->push[parent] = plus(work->push[parent], push);
        }
        /* What the link's own inertia gives. */
        const Inertia *own = work->own + link, *y = work->of_inertia + link;
        const Vector columns[3] = {tensor(y, (Vector){own->xx, own->xy, own->xz}),
                                   tensor(y, (Vector){own->xy, own->yy, own->yz}),
                                   tensor(y, (Vector){own->xz, own->yz, own->zz})};
        const Vector around = {columns[1].z - columns[2].y, columns[2].x - columns[0].z, columns[0].y - columns[1].x};
        const Vector along = difference(times(own->moment, y->xx + y->yy + y->zz), tensor(y, own->moment));
        Spatial turned = {sum(times(around, all(2.0)), cross(own->moment, y->moment)),
                          sum(times(along, all(2.0)), times(y->moment, own->mass))};
        for (int64_t k = 0; k < dofs_of(&tree->of, link); k++) {
            const int64_t dof = first + k;
            const Spatial gained = k < fixed_of(&tree->of, link) ? push : plus(push, of_carried);
            work->of_speed[dof] = power(work->screw[dof], gained);
            if (k >= fixed_of(&tree->of, link))
                turned = plus(turned, carry_wrench(work->screw[dof], plus(work->of_screw[dof],
                                                                          scaled(gained, work->speed[dof]))));
        }
        work->turned[link] = turned;
    }
    for (int64_t link = tree->of.links - 1; link >= 0; link--) {
        const int64_t parent = tree->of.layout[link * LAYOUT + PARENT];
        if (parent >= 0)
            work->turned[parent] = plus(work->turned[parent], work->turned[link]);
    }
}

/* Adds what eight states have to say of what is learned. */
INLINE void learn(const Tree *tree, Work *work)
{
    for (int64_t dof = 0; dof < tree->of.size; dof++)
        work->learned_armature[dof] += work->of_inverse[work->row[dof] + work->depth[dof]];
    for (int64_t link = 0; link < tree->of.links; link++) {
        const int64_t carrier = tree->of.layout[link * LAYOUT + CARRIER];
        if (carrier < 0)
            continue;
        /* The gradient of second moments, `z`, then of the pseudo-inertia in the world's axes about the origin; then
           the frame's transpose on one side and the frame on the other. */
        const Inertia y = work->of_inertia[link];
        const Inertia z = {y.yy + y.zz, y.xx + y.zz, y.xx + y.yy, -y.xy, -y.xz, -y.yz, times(y.moment, all(0.5)), y.mass};
        const Vector *rotation = work->at.rotation + 3 * link, position = work->at.position[link];
        const Vector a = rotated_back(rotation, tensor(&z, rotation[0])), b = rotated_back(rotation, tensor(&z, rotation[1]));
        const Vector arm = sum(tensor(&z, position), z.moment);
        const Inertia own = {a.x, b.y, inner(rotation[2], tensor(&z, rotation[2])), a.y, a.z, b.z,
                             rotated_back(rotation, arm), inner(position, sum(arm, z.moment)) + z.mass};
        add_inertia(work->learned + carrier, &own);
    }
}

/* Hands the gradients of positions and velocities out. */
INLINE void hand_out(const Tree *tree, const Work *work, int64_t begin, int64_t last, double *qpos, double *qvel)
{
    for (int64_t lane = 0; lane < LANES && begin + lane < last; lane++)
        for (int64_t dof = 0; dof < tree->of.size; dof++)
            qvel[(begin + lane) * tree->of.size + dof] = work->of_speed[dof][lane];
    for (int64_t link = 0; link < tree->of.links; link++) {
        const int64_t *layout = tree->of.layout + link * LAYOUT, first = first_of(&tree->of, link);
        lanes gradient[7];
        int64_t count = fixed_of(&tree->of, link), dofs = dofs_of(&tree->of, link);
        for (int64_t k = 0; k < dofs; k++)
            gradient[k] = power(work->screw[first + k], work->turned[link]);
        if (dofs > 1) { /* A small turn about the link's own axes is twice the change of q, q's conjugate before it. */
            const lanes *q = work->at.quaternion + 5 * link, by = 2.0 * q[4];
            const Vector v = {q[1], q[2], q[3]}, g = {by * gradient[count], by * gradient[count + 1], by * gradient[count + 2]};
            const Vector rest = sum(times(g, q[0]), cross(v, g));
            gradient[count] = -inner(v, g), gradient[count + 1] = rest.x, gradient[count + 2] = rest.y;
            gradient[count + 3] = rest.z, dofs += 1;
        }
        for (int64_t lane = 0; lane < LANES && begin + lane < last; lane++)
            for (int64_t k = 0; k < dofs; k++)
                qpos[(begin + lane) * tree->of.positions + layout[QPOS] + k] = gradient[k][lane];
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
        {&work->learned_armature, size},
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

/* How many bytes of room the functions below need to work in. */
int64_t room_for(const Tree *tree)
{
    Work work;
    return furnish(tree, &work, 0) + (int64_t)sizeof(lanes);
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

/* Of states `first` to `last`: `L`, (states, size, size), over the unit of each row, with `L L^T` the inverse inertia;
   and the bias, (states, size). */
EXPORTED
void factor_and_bias(const Tree *tree, int64_t first, int64_t last, char *room, void *lower, double *bias)
{
    const int64_t size = tree->of.size;
    Work work;
    furnish(tree, &work, room);
    lay_out(tree, &work);
    const int64_t width = tree->single ? sizeof(float) : sizeof(double);
    memset((char *)lower + first * size * size * width, 0, (last - first) * size * size * width);
    for (int64_t begin = first; begin < last; begin += LANES) {
        work_out(tree, &work, begin, last);
        const int64_t count = last - begin < LANES ? last - begin : LANES;
        for (int64_t dof = 0; dof < size; dof++) {
            const double by = 1.0 / tree->unit[dof];
            for (int64_t lane = 0; lane < count; lane++)
                bias[(begin + lane) * size + dof] = work.bias[dof][lane];
            for (int64_t d = 0; d <= work.depth[dof]; d++) {
                const lanes entry = work.inverse[work.row[dof] + d] * by;
                const int64_t at = (begin * size + dof) * size + above(tree, &work, dof, d);
                if (tree->single)
                    for (int64_t lane = 0; lane < count; lane++)
                        ((float *)lower)[at + lane * size * size] = (float)entry[lane];
                else
                    for (int64_t lane = 0; lane < count; lane++)
                        ((double *)lower)[at + lane * size * size] = entry[lane];
            }
        }
    }
}

/* Gradients of all that these depend on, given theirs. `inertia`, (carriers, 4, 4), and `armature`, (size,), are set to
   the sums over states; `qpos` and `qvel` may both be null, where they are not asked for. */
EXPORTED
void gradients(const Tree *tree, int64_t first, int64_t last, char *room, const void *lower, const double *bias,
               double *qpos, double *qvel, double *inertia, double *armature)
{
    const int64_t size = tree->of.size;
    Work work;
    furnish(tree, &work, room);
    lay_out(tree, &work);
    memset(work.learned, 0, sizeof(Inertia) * tree->carriers);
    memset(work.learned_armature, 0, sizeof(lanes) * size);
    for (int64_t begin = first; begin < last; begin += LANES) {
        work_out(tree, &work, begin, last);
        for (int64_t dof = 0; dof < size; dof++) {
            const double by = 1.0 / tree->unit[dof];
            for (int64_t lane = 0; lane < LANES; lane++) /* Lanes that repeat a state count for nothing. */
                work.of_bias[dof][lane] = begin + lane < last ? bias[(begin + lane) * size + dof] : 0.0;
            for (int64_t d = 0; d <= work.depth[dof]; d++) {
                const int64_t at = (begin * size + dof) * size + above(tree, &work, dof, d);
                for (int64_t lane = 0; lane < LANES; lane++)
                    work.of_inverse[work.row[dof] + d][lane] =
                        begin + lane < last ? number(tree, lower, at + lane * size * size) * by : 0.0;
            }
        }
        back_through_factor(tree, &work);
        back_through_masses(tree, &work);
        learn(tree, &work);
        if (qpos) {
            back_through_motion(tree, &work);
            hand_out(tree, &work, begin, last, qpos, qvel);
        }
    }
    for (int64_t dof = 0; dof < size; dof++)
        armature[dof] = total(work.learned_armature[dof]);
    for (int64_t carrier = 0; carrier < tree->carriers; carrier++) {
        const Inertia *own = work.learned + carrier;
        const lanes rows[4][4] = {{own->xx, own->xy, own->xz, own->moment.x},
                                  {own->xy, own->yy, own->yz, own->moment.y},
                                  {own->xz, own->yz, own->zz, own->moment.z},
                                  {own->moment.x, own->moment.y, own->moment.z, own->mass}};
        for (int k = 0; k < 16; k++)
            inertia[16 * carrier + k] = total(rows[k / 4][k % 4]);
    }
}
