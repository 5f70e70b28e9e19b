/* The inverse inertia's factor and the bias force, a fluid's drag included, of a tree of masses (tree_dynamics.h), and
   their gradients.

   The gradients are Featherstone's algebra again. A small motion of a link along a twist `x` changes its screws by
   `x X s` and its inertia by `x X* I - I x X`, so what a result gains by it is the inner product of `x` with a wrench;
   wrenches add up towards the root like forces, and the screws turn them into gradients of joint positions. Results do
   not depend on the origin of a tree, so gradients need not go through it. */

#include "tree_dynamics.h"

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

/* The same of the drag's numbers; gradients of velocities, and of positions as wrenches on links, that drag adds.

   Moved along `x` with its link's velocity `v` as it was, a place's wrench `f` changes by `x X* f - D (x X v)`, where
   `D`, which is symmetric, is how it changes with the velocity. */
INLINE void back_through_drag(const Tree *tree, Work *work)
{
    memset(work->dragged, 0, sizeof(Spatial) * tree->of.links);
    for (int64_t place = 0; place < tree->dragged; place++) {
        const Dragged at = dragged_at(tree, work, place);
        const double *drag = tree->drag + place * DRAG;
        const Spatial virtual = work->virtual[at.link];
        lanes *learned = work->learned_drag + place * DRAG, given[6], force[6], slope[6];
        along(&at, virtual, given);
        resist(&at, drag, force);
        for (int k = 0; k < 6; k++) {
            const int viscous = k < 3 ? VISCOUS_TURN : VISCOUS_SHIFT;
            const lanes size = size_of(at.speed[k]), linear = given[k] * at.speed[k];
            learned[k] += linear * size;
            learned[viscous] += linear;
            slope[k] = given[k] * (2.0 * drag[k] * size + drag[viscous]);
        }
        const Spatial of_velocity = wrench_at(&at, slope);
        const Spatial moved_on = plus(carry_wrench(virtual, wrench_at(&at, force)), carry_wrench(at.velocity, of_velocity));
        work->push[at.link] = plus(work->push[at.link], of_velocity);
        work->dragged[at.link] = plus(work->dragged[at.link], scaled(moved_on, all(-1.0)));
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
        turned = plus(turned, work->dragged[link]);
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

/* How many bytes of room the functions below need to work in. */
int64_t room_for(const Tree *tree)
{
    Work work;
    return furnish(tree, &work, 0) + (int64_t)sizeof(lanes);
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

/* Gradients of all that these depend on, given theirs. `inertia`, (carriers, 4, 4), `armature`, (size,), and `drag`,
   (dragged, DRAG), are set to the sums over states; `qpos` and `qvel` may both be null, where they are not asked for. */
EXPORTED
void gradients(const Tree *tree, int64_t first, int64_t last, char *room, const void *lower, const double *bias,
               double *qpos, double *qvel, double *inertia, double *armature, double *drag)
{
    const int64_t size = tree->of.size;
    Work work;
    furnish(tree, &work, room);
    lay_out(tree, &work);
    memset(work.learned, 0, sizeof(Inertia) * tree->carriers);
    memset(work.learned_armature, 0, sizeof(lanes) * size);
    memset(work.learned_drag, 0, sizeof(lanes) * tree->dragged * DRAG);
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
        back_through_drag(tree, &work);
        learn(tree, &work);
        if (qpos) {
            back_through_motion(tree, &work);
            hand_out(tree, &work, begin, last, qpos, qvel);
        }
    }
    for (int64_t dof = 0; dof < size; dof++)
        armature[dof] = total(work.learned_armature[dof]);
    for (int64_t k = 0; k < tree->dragged * DRAG; k++)
        drag[k] = total(work.learned_drag[k]);
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
