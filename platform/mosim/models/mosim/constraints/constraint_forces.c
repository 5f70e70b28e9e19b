/* Accelerations under constraints, and their gradients, of many states at once: what constraints.py does in torch.

   Sixteen states go side by side, one in each lane of a vector, next to states with about as many rows. The matrices of
   sixteen states are small enough to stay in the processor's cache from where they are made to where they are used,
   which a library's routines for many small matrices, and operations on a whole batch, do not manage.

   With the columns of `L` as axes, where the inertia is the identity (rows `G = J L`, smooth acceleration `z = L^T f`):

       w = argmin 1/2 |w - z|^2 + sum_r phi_r(G_r w - t_r)                  what constraints leave
       (1 + L^T C L) y = w                                                  damping, taken implicitly
       a = L y

   The force along a row, -phi_r'(gap), is -D_r gap: of a row that only pushes where that is positive, else none; of
   any other up to its strength in either direction; and of the three rows of a cone, what of the cone is nearest to
   that (see force_law.py). Where a contact slides, forces change along other axes than the rows: along the cone's edge,
   and around it. These axes turn the rows, Q G, with a share of D along each.

   Vectors are GCC's and Clang's extension of C; for a processor whose own are narrower, the compiler takes several. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 16

/* A root may be turned (see LowerTriangle), so the first rows of L reach as far as this column. */
#define CORNER 3

/* Newton's steps that are gone whole, which nearly always suffice; then, only as far as the objective falls. */
#define WHOLE_STEPS 4
#define HALVINGS 24

/* Rows of a cone, which come first among those of a state; and how little the axes of its forces may turn in a step that
   is the last. */
#define CONE 3
#define LEAST_TURN 3e-4f

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));
typedef int32_t masks __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));

#if defined(__x86_64__) && defined(__linux__)
#define EXPORTED __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define EXPORTED
#endif
#define INLINE static inline __attribute__((always_inline))

/* States and their rows; the arrays are torch's, row by row. */
typedef struct {
    int64_t states, size, most, searches; /* `size` degrees of freedom; `most` rows of a state */
    const float *lower;                   /* (states, size, size): L */
    const float *force;                   /* (states, size): f */
    const float *damping;                 /* (size,): C; null where there is none */
    const int64_t *order;                 /* (states,): by how many rows they have */
    const int64_t *start;                 /* (states + 1,): where in `place` each state's rows begin */
    const int64_t *place;                 /* (rows,): of each state's rows, where the following have them */
    const float *jacobian;                /* (rows, size): J */
    const float *target;                  /* (rows,): t */
    const float *stiffness;               /* (rows,): D */
    const float *strength;                /* (rows,): of the force, negative where a row only pushes; null where all do */
    const float *cone;                    /* (rows,): friction, at the first row of a cone, else 0; null without cones */
    float *gap;                           /* (rows,): found, then used for gradients: where forces change as they do */
} Problem;

/* What sixteen states are worked on in. */
typedef struct {
    int64_t rows, count;                      /* rows of the state that has most; how many act in some lane */
    lanes *lower, *damped;                    /* (size, size): L; the factor of 1 + L^T C L */
    lanes *force, *smooth, *left, *result;    /* (size,): f, z, w, y */
    lanes *jacobian, *along;                  /* (rows, size): J, G */
    lanes *response, *factor;                 /* (rows, rows): G G^T; the factor of 1 + root(D) G G^T root(D) */
    lanes *missing, *stiffness;               /* (rows,): G z - t, D */
    lanes *share, *root, *along_rows;         /* (rows,): of D, along axes; root(share D); forces along acting rows */
    lanes *strength, *spent, *offset;         /* (rows,): see Problem; forces at it; G (z + G^T spent) - t */
    lanes *cone, *slide, *x, *y;              /* (rows,): see Problem; of a cone's first row whether it slides, 1 or 0,
                                                 and in which direction what it misses points */
    lanes *at;                                /* (rows,): the gap at which forces change as these say */
    lanes *gap, *goal, *slope;                /* (rows,): G w - t on the way to the least, after a step, and between */
    lanes *grad, *back, *further;             /* (size,): gradients of a, y and w, z */
    lanes *stress, *drag;                     /* (rows,): gradients of G along z's gradient and along w */
    lanes *of_stiffness, *of_strength, *of_cone; /* (rows,): gradients */
    lanes *turn[4];                           /* (size,): room of their own */
    int64_t *acting;                          /* (rows,): which rows act in some lane; of a cone all or none */
} Work;

INLINE lanes square_root(lanes value)
{
    for (int lane = 0; lane < LANES; lane++)
        value[lane] = sqrtf(value[lane]);
    return value;
}

INLINE lanes at_least_one(lanes value)
{
    for (int lane = 0; lane < LANES; lane++)
        value[lane] = value[lane] < 1.0f ? 1.0f : value[lane]; /* What is not a number stays so. */
    return value;
}

INLINE float total(lanes value)
{
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++)
        sum += value[lane];
    return sum;
}

/* The sum of products of two runs of vectors, of which the second's lie `stride` apart. */
INLINE lanes inner(const lanes *first, const lanes *second, int64_t length, int64_t stride)
{
    lanes even = {0}, odd = {0}; /* So that a product does not wait for the sum before. */
    int64_t k = 0;
    for (; k + 1 < length; k += 2) {
        even += first[k] * second[k * stride];
        odd += first[k + 1] * second[(k + 1) * stride];
    }
    return k < length ? even + odd + first[k] * second[k * stride] : even + odd;
}

/* The first row of L that reaches column j, and how many columns row i reaches. */
INLINE int64_t top(int64_t j) { return j < CORNER ? 0 : j; }
INLINE int64_t reach(int64_t i, int64_t size) { return i >= CORNER ? i + 1 : size < CORNER ? size : CORNER; }

/* L^T x at j, and L x at i. */
INLINE lanes down(const lanes *lower, const lanes *x, int64_t j, int64_t size)
{
    return inner(x + top(j), lower + top(j) * size + j, size - top(j), size);
}
INLINE lanes across(const lanes *lower, const lanes *x, int64_t i, int64_t size)
{
    return inner(lower + i * size, x, reach(i, size), 1);
}

/* Cholesky's factor in the place of a lower triangle; its diagonal holds reciprocals.

   Every matrix here is the identity and something that is not negative, whose pivots are 1 at least: what is less is
   rounding. */
INLINE void factorise(lanes *matrix, int64_t size, int64_t stride)
{
    for (int64_t j = 0; j < size; j++) {
        lanes *pivot = matrix + j * stride;
        const lanes reciprocal = 1.0f / square_root(at_least_one(pivot[j] - inner(pivot, pivot, j, 1)));
        pivot[j] = reciprocal;
        int64_t i = j + 1;
        for (; i + 3 < size; i += 4) { /* Four rows share what is read of the pivot's. */
            lanes *a = matrix + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
            lanes p = a[j], q = b[j], r = c[j], s = d[j];
            for (int64_t k = 0; k < j; k++) {
                p -= a[k] * pivot[k];
                q -= b[k] * pivot[k];
                r -= c[k] * pivot[k];
                s -= d[k] * pivot[k];
            }
            a[j] = p * reciprocal, b[j] = q * reciprocal, c[j] = r * reciprocal, d[j] = s * reciprocal;
        }
        for (; i < size; i++) {
            lanes *row = matrix + i * stride;
            row[j] = (row[j] - inner(row, pivot, j, 1)) * reciprocal;
        }
    }
}

/* Solves by such a factor for `right`, in its place. */
INLINE void solve(const lanes *factor, lanes *right, int64_t size, int64_t stride)
{
    for (int64_t i = 0; i < size; i++)
        right[i] = (right[i] - inner(factor + i * stride, right, i, 1)) * factor[i * stride + i];
    for (int64_t i = size - 1; i >= 0; i--)
        right[i] = (right[i] - inner(right + i + 1, factor + (i + 1) * stride + i, size - i - 1, stride)) *
                   factor[i * stride + i];
}

/* Which state a lane holds; lanes beyond the last state repeat the first. */
INLINE int64_t state_of(const Problem *problem, int64_t begin, int64_t lane)
{
    return problem->order[begin + lane < problem->states ? begin + lane : begin];
}

INLINE int64_t rows_of(const Problem *problem, int64_t state)
{
    return problem->start[state + 1] - problem->start[state];
}

/* Brings in sixteen states, and works out all that the search and the gradients both need. */
INLINE void bring(const Problem *problem, Work *work, int64_t begin)
{
    const int64_t size = problem->size;
    work->rows = 0;
    for (int64_t lane = 0; lane < LANES; lane++) {
        const int64_t state = state_of(problem, begin, lane), rows = rows_of(problem, state);
        const float *lower = problem->lower + state * size * size;
        for (int64_t i = 0; i < size; i++) {
            for (int64_t j = 0; j < reach(i, size); j++)
                ((float *)(work->lower + i * size + j))[lane] = lower[i * size + j];
            ((float *)(work->force + i))[lane] = problem->force[state * size + i];
        }
        work->rows = rows > work->rows ? rows : work->rows;
    }
    for (int64_t j = 0; j < size; j++)
        work->smooth[j] = down(work->lower, work->force, j, size);
    /* A state with fewer rows than its neighbours has rows of zeros, which never push. */
    memset(work->jacobian, 0, sizeof(lanes) * work->rows * size);
    memset(work->missing, 0, sizeof(lanes) * work->rows);
    memset(work->stiffness, 0, sizeof(lanes) * work->rows);
    lanes *none[] = {work->strength, work->cone, work->share, work->spent, work->slide, work->x, work->y};
    for (unsigned part = 0; part < sizeof(none) / sizeof(none[0]); part++)
        memset(none[part], 0, sizeof(lanes) * work->rows);
    for (int64_t lane = 0; lane < LANES; lane++) {
        const int64_t state = state_of(problem, begin, lane), *place = problem->place + problem->start[state];
        for (int64_t row = 0; row < rows_of(problem, state); row++) {
            for (int64_t j = 0; j < size; j++)
                ((float *)(work->jacobian + row * size + j))[lane] = problem->jacobian[place[row] * size + j];
            ((float *)(work->missing + row))[lane] = -problem->target[place[row]];
            ((float *)(work->stiffness + row))[lane] = problem->stiffness[place[row]];
            if (problem->strength)
                ((float *)(work->strength + row))[lane] = problem->strength[place[row]];
            if (problem->cone)
                ((float *)(work->cone + row))[lane] = problem->cone[place[row]];
        }
    }
    for (int64_t row = 0; row < work->rows; row++) {
        lanes *along = work->along + row * size;
        for (int64_t j = 0; j < size; j++)
            along[j] = down(work->lower, work->jacobian + row * size, j, size);
        work->missing[row] += inner(along, work->smooth, size, 1);
        for (int64_t other = 0; other <= row; other++)
            work->response[row * problem->most + other] = work->response[other * problem->most + row] =
                inner(along, work->along + other * size, size, 1);
    }
}

/* How many rows there are in whole cones, if there are any. */
INLINE int64_t of_cones(const Problem *problem, const Work *work)
{
    return problem->cone ? work->rows / CONE * CONE : 0;
}

/* Turns three numbers of a cone's rows, `stride` apart, to the axes of its forces, or back. `row` is its first one. */
INLINE void turn(const Work *work, int64_t row, lanes *numbers, int64_t stride)
{
    const lanes slide = work->slide[row], stay = 1.0f - slide, x = work->x[row], y = work->y[row];
    const lanes first = numbers[stride], second = numbers[2 * stride];
    numbers[0] -= slide * work->cone[row] * (x * first + y * second);
    numbers[stride] = stay * first + slide * (x * second - y * first);
    numbers[2 * stride] = stay * second;
}

INLINE void turn_back(const Work *work, int64_t row, lanes *numbers)
{
    const lanes slide = work->slide[row], stay = 1.0f - slide, x = work->x[row], y = work->y[row];
    const lanes along = slide * work->cone[row] * numbers[0], around = numbers[1], third = numbers[2];
    numbers[1] = stay * around - along * x - slide * y * around;
    numbers[2] = stay * third - along * y + slide * x * around;
}

/* Whether a row leads a cone in some lane. */
INLINE int leads(const Problem *problem, const Work *work, int64_t row)
{
    return row < of_cones(problem, work) && row % CONE == 0 && total(work->cone[row]) > 0.0f;
}

/* Factorises 1 + root(D) Q G G^T Q^T root(D) over the rows whose force changes with their gap in some lane. */
INLINE void factorise_rows(const Problem *problem, Work *work)
{
    work->count = 0;
    for (int64_t row = 0; row < work->rows;) {
        const int64_t size = leads(problem, work, row) ? CONE : 1;
        lanes any = {0};
        for (int64_t i = row; i < row + size; i++) {
            work->root[i] = square_root(work->stiffness[i] * work->share[i]);
            any += work->share[i];
        }
        if (total(any) > 0.0f)
            for (int64_t i = row; i < row + size; i++)
                work->acting[work->count++] = i;
        row += size;
    }
    for (int64_t i = 0; i < work->count; i++)
        for (int64_t j = 0; j < work->count; j++)
            if (j <= i || problem->cone)
                work->factor[i * problem->most + j] =
                    work->response[work->acting[i] * problem->most + work->acting[j]];
    for (int64_t i = 0; problem->cone && i < work->count; i++)
        if (leads(problem, work, work->acting[i])) {
            for (int64_t j = 0; j < work->count; j++)
                turn(work, work->acting[i], work->factor + i * problem->most + j, problem->most);
            for (int64_t j = 0; j < work->count; j++)
                turn(work, work->acting[i], work->factor + j * problem->most + i, 1);
        }
    for (int64_t i = 0; i < work->count; i++) {
        lanes *factor = work->factor + i * problem->most;
        for (int64_t j = 0; j <= i; j++)
            factor[j] *= work->root[work->acting[i]] * work->root[work->acting[j]];
        factor[i] += 1.0f;
    }
    factorise(work->factor, work->count, problem->most);
}

/* `Q^T root(D) (1 + root(D) Q G G^T Q^T root(D))^-1 root(D) Q x` of acting rows: `x` is of all, the result of these. */
INLINE void respond(const Problem *problem, Work *work, const lanes *x, lanes *result)
{
    for (int64_t i = 0; i < work->count; i++)
        result[i] = x[work->acting[i]];
    for (int64_t i = 0; problem->cone && i < work->count; i++)
        if (leads(problem, work, work->acting[i]))
            turn(work, work->acting[i], result + i, 1);
    for (int64_t i = 0; i < work->count; i++)
        result[i] *= work->root[work->acting[i]];
    solve(work->factor, result, work->count, problem->most);
    for (int64_t i = 0; i < work->count; i++)
        result[i] *= work->root[work->acting[i]];
    for (int64_t i = 0; problem->cone && i < work->count; i++)
        if (leads(problem, work, work->acting[i]))
            turn_back(work, work->acting[i], result + i);
}

/* Takes `G^T x` off a vector; `x` is of acting rows. */
INLINE void take_off(const Problem *problem, const Work *work, const lanes *x, lanes *vector)
{
    for (int64_t i = 0; i < work->count; i++)
        for (int64_t j = 0; j < problem->size; j++)
            vector[j] -= work->along[work->acting[i] * problem->size + j] * x[i];
}

/* Whether each lane is true, 1 or 0. */
INLINE lanes as_numbers(masks mask) { return __builtin_convertvector(-mask, lanes); }

INLINE lanes choose(masks mask, lanes yes, lanes no) { return (lanes)((mask & (masks)yes) | (~mask & (masks)no)); }

/* From z and the forces along acting rows, in `along_rows`, to w. */
INLINE void push(const Problem *problem, const Work *work, lanes *left)
{
    memcpy(left, work->smooth, sizeof(lanes) * problem->size);
    take_off(problem, work, work->along_rows, left);
    if (problem->strength)
        for (int64_t row = 0; row < work->rows; row++)
            for (int64_t j = 0; j < problem->size; j++)
                left[j] += work->along[row * problem->size + j] * work->spent[row];
}

/* The force of a row with such a gap; where it is at its strength, it is `spent`, too. */
INLINE lanes force_of(const Problem *problem, const Work *work, int64_t row, lanes gap, lanes *spent)
{
    const lanes pull = -work->stiffness[row] * gap, push = choose(pull > 0.0f, pull, (lanes){0});
    *spent = (lanes){0};
    if (!problem->strength)
        return push;
    const lanes strength = work->strength[row];
    const masks holds = strength >= 0.0f, beyond = holds & ((pull >= strength) | (pull <= -strength));
    *spent = choose(beyond, choose(pull > 0.0f, strength, -strength), (lanes){0});
    return choose(beyond, *spent, choose(holds, pull, push));
}

/* What the rows of a cone would pull, and whether its contact sticks or slides. */
typedef struct { lanes friction, normal, x, y, across; masks here, sticks, slides; } Contact;

INLINE Contact contact_of(const Work *work, int64_t row, const lanes *gap)
{
    Contact contact = {.friction = work->cone[row], .normal = -work->stiffness[row] * gap[0],
                       .x = -work->stiffness[row + 1] * gap[1], .y = -work->stiffness[row + 2] * gap[2]};
    contact.across = square_root(contact.x * contact.x + contact.y * contact.y);
    contact.here = contact.friction > 0.0f;
    contact.sticks = contact.here & (contact.across <= contact.friction * contact.normal);
    contact.slides = contact.here & ~contact.sticks & (contact.friction * contact.across > -contact.normal);
    return contact;
}

/* Forces of a cone's rows; those of lanes without a cone stay. */
INLINE void force_of_cone(const Work *work, int64_t row, const lanes *gap, lanes *force)
{
    const Contact contact = contact_of(work, row, gap);
    const lanes mu = contact.friction, normal = (contact.normal + mu * contact.across) / (1.0f + mu * mu);
    const lanes along = choose(contact.slides, mu * normal / contact.across, (lanes){0});
    const lanes slid[CONE] = {normal, along * contact.x, along * contact.y};
    const lanes whole[CONE] = {contact.normal, contact.x, contact.y};
    for (int i = 0; i < CONE; i++) {
        const lanes inside = choose(contact.sticks, whole[i], choose(contact.slides, slid[i], (lanes){0}));
        force[i] = choose(contact.here, inside, force[i]);
    }
}

/* How the forces of a cone change. Returns whether they do so otherwise than before, in each lane. */
INLINE masks slope_of_cone(Work *work, int64_t row, const lanes *gap)
{
    const Contact contact = contact_of(work, row, gap);
    const lanes mu = contact.friction, square = 1.0f + mu * mu, slides = as_numbers(contact.slides);
    const lanes length = choose(contact.slides, contact.across, 1.0f - (lanes){0});
    lanes turning = mu * (mu * contact.across + contact.normal) / (square * length);
    turning = choose(turning > 0.0f, turning, (lanes){0});
    const lanes found[2 * CONE] = {
        choose(contact.slides, 1.0f / square, as_numbers(contact.sticks)),
        choose(contact.slides, turning, as_numbers(contact.sticks)),
        as_numbers(contact.sticks),
        slides, -slides * contact.x / length, -slides * contact.y / length,
    };
    lanes *place[2 * CONE] = {work->share + row, work->share + row + 1, work->share + row + 2,
                              work->slide + row, work->x + row, work->y + row};
    masks changed = {0};
    for (int i = 0; i < 2 * CONE; i++) {
        const lanes kept = choose(contact.here, found[i], i < CONE ? *place[i] : (lanes){0});
        changed |= contact.here & ((kept - *place[i] > LEAST_TURN) | (*place[i] - kept > LEAST_TURN));
        *place[i] = kept;
    }
    return changed;
}

/* Sets how forces change where rows have such gaps; returns whether that is otherwise than before, in any lane. */
INLINE int act(const Problem *problem, Work *work, const lanes *gap)
{
    masks changed = {0};
    if (gap != work->at)
        memcpy(work->at, gap, sizeof(lanes) * work->rows);
    for (int64_t row = 0; row < work->rows;) {
        const int64_t size = leads(problem, work, row) ? CONE : 1;
        lanes before[CONE];
        memcpy(before, work->share + row, sizeof(lanes) * size);
        for (int64_t i = row; i < row + size; i++) {
            lanes spent;
            const lanes force = force_of(problem, work, i, gap[i], &spent);
            work->share[i] = as_numbers((force != 0.0f) & (spent == 0.0f));
            const masks alone = size == 1 ? ~(masks){0} : work->cone[row] <= 0.0f;
            changed |= alone & ((work->share[i] != before[i - row]) | (spent != work->spent[i]));
            work->spent[i] = choose(alone, spent, (lanes){0});
        }
        if (size == CONE) {
            for (int64_t i = row; i < row + size; i++) /* So that what a cone's rows had is what it is compared with. */
                work->share[i] = choose(work->cone[row] > 0.0f, before[i - row], work->share[i]);
            changed |= slope_of_cone(work, row, gap + row);
        }
        row += size;
    }
    return total(as_numbers(changed)) > 0.0f;
}

/* Brings in the gaps that were found for sixteen states, and how forces change there. */
INLINE void bring_gaps(const Problem *problem, Work *work, int64_t begin)
{
    memset(work->at, 0, sizeof(lanes) * work->rows);
    for (int64_t lane = 0; lane < LANES; lane++) {
        const int64_t state = state_of(problem, begin, lane), *place = problem->place + problem->start[state];
        for (int64_t row = 0; row < rows_of(problem, state); row++)
            ((float *)(work->at + row))[lane] = problem->gap[place[row]];
    }
    act(problem, work, work->at);
}

/* What acting rows miss before they push, into `offset`; what rows at their strength do is part of it. */
INLINE void set_off(const Problem *problem, Work *work)
{
    memcpy(work->offset, work->missing, sizeof(lanes) * work->rows);
    if (problem->strength)
        for (int64_t row = 0; row < work->rows; row++)
            for (int64_t other = 0; other < work->rows; other++)
                work->offset[row] += work->response[row * problem->most + other] * work->spent[other];
}

/* Goes from w, in `left`, towards `result`, to where the objective is least on that line.

   `gap` is G w - t, and goes along; `slope` is how much it changes up to `result`. The objective's derivative rises
   along the line, so halving finds its root. */
INLINE void descend(const Problem *problem, Work *work)
{
    lanes square = {0}, start = {0}, low = {0}, high = {0};
    high += 1.0f;
    for (int64_t j = 0; j < problem->size; j++) {
        const lanes step = work->result[j] - work->left[j];
        square += step * step;
        start += step * (work->left[j] - work->smooth[j]);
    }
    for (int halving = 0; halving < HALVINGS; halving++) {
        const lanes middle = 0.5f * (low + high);
        lanes derivative = start + middle * square;
        for (int64_t row = 0; row < work->rows;) {
            const int64_t size = leads(problem, work, row) ? CONE : 1;
            lanes gap[CONE], force[CONE], spent;
            for (int64_t i = 0; i < size; i++) {
                gap[i] = work->gap[row + i] + middle * work->slope[row + i];
                force[i] = force_of(problem, work, row + i, gap[i], &spent);
            }
            if (size == CONE)
                force_of_cone(work, row, gap, force);
            for (int64_t i = 0; i < size; i++)
                derivative -= force[i] * work->slope[row + i];
            row += size;
        }
        const lanes rises = as_numbers(derivative > 0.0f);
        high += rises * (middle - high);
        low += (1.0f - rises) * (middle - low);
    }
    for (int64_t j = 0; j < problem->size; j++)
        work->left[j] += high * (work->result[j] - work->left[j]);
    for (int64_t row = 0; row < work->rows; row++)
        work->gap[row] += high * work->slope[row];
}

/* Finds which rows act, by Newton's method over that set; `along_rows` is left with the forces along acting rows. */
INLINE void search(const Problem *problem, Work *work)
{
    act(problem, work, work->missing);
    for (int64_t step = 0;; step++) {
        factorise_rows(problem, work);
        set_off(problem, work);
        respond(problem, work, work->offset, work->along_rows);
        if (step == problem->searches)
            return;
        for (int64_t row = 0; row < work->rows; row++) {
            lanes gap = work->offset[row];
            for (int64_t i = 0; i < work->count; i++)
                gap -= work->response[row * problem->most + work->acting[i]] * work->along_rows[i];
            work->slope[row] = gap - work->gap[row];
            work->goal[row] = gap;
        }
        if (step >= WHOLE_STEPS)
            push(problem, work, step == WHOLE_STEPS ? work->left : work->result);
        if (!act(problem, work, work->goal))
            return;
        if (step <= WHOLE_STEPS) {
            memcpy(work->gap, work->goal, sizeof(lanes) * work->rows);
        } else {
            descend(problem, work);
            act(problem, work, work->gap);
        }
    }
}

/* From the forces along acting rows to w and y. */
INLINE void finish(const Problem *problem, Work *work)
{
    const int64_t size = problem->size;
    push(problem, work, work->left);
    memcpy(work->result, work->left, sizeof(lanes) * size);
    if (!problem->damping)
        return;
    for (int64_t i = 0; i < size; i++) {
        for (int64_t k = top(i); k < size; k++)
            work->back[k] = problem->damping[k] * work->lower[k * size + i];
        for (int64_t j = 0; j <= i; j++)
            work->damped[i * size + j] =
                inner(work->back + top(i), work->lower + top(i) * size + j, size - top(i), size);
        work->damped[i * size + i] += 1.0f;
    }
    factorise(work->damped, size, size);
    solve(work->damped, work->result, size, size);
}

/* From the gradient of a to that of y and w, by a = L (1 + L^T C L)^-1 w.

   The gradient of L is a sum of four products of a column and a row: of turn[0] and y, turn[1] and `back`, and, by the
   next function, turn[2] and `further`, turn[3] and w. */
INLINE void back_through_damping(const Problem *problem, Work *work, float *damping)
{
    const int64_t size = problem->size;
    for (int64_t j = 0; j < size; j++)
        work->back[j] = down(work->lower, work->grad, j, size);
    if (problem->damping)
        solve(work->damped, work->back, size, size);
    for (int64_t i = 0; i < size; i++) {
        work->turn[0][i] = work->grad[i];
        work->turn[1][i] = (lanes){0};
        if (problem->damping) {
            const lanes turned = across(work->lower, work->back, i, size);
            const lanes moved = across(work->lower, work->result, i, size);
            work->turn[0][i] -= problem->damping[i] * turned;
            work->turn[1][i] -= problem->damping[i] * moved;
            damping[i] -= total(turned * moved);
        }
    }
}

/* `Q^T share Q` times numbers of rows: how forces change with gaps, over D. */
INLINE void change(const Problem *problem, const Work *work, lanes *numbers)
{
    for (int64_t row = 0; row < work->rows;) {
        const int64_t size = leads(problem, work, row) ? CONE : 1;
        if (size == CONE)
            turn(work, row, numbers + row, 1);
        for (int64_t i = row; i < row + size; i++)
            numbers[i] *= work->share[i];
        if (size == CONE)
            turn_back(work, row, numbers + row);
        row += size;
    }
}

/* The gradient of a cone's friction: of a contact that slides, at the gap that it has. `moved` is as below. */
INLINE lanes of_friction(const Work *work, int64_t row, const lanes *moved)
{
    const Contact contact = contact_of(work, row, work->at + row);
    const lanes mu = contact.friction, square = 1.0f + mu * mu;
    const lanes normal = (contact.normal + mu * contact.across) / square;
    const lanes rises = (contact.across - 2.0f * mu * normal) / square;
    const lanes along = (contact.x * moved[1] + contact.y * moved[2]) / contact.across;
    return choose(contact.slides, moved[0] * rises + along * (normal + mu * rises), (lanes){0});
}

/* From the gradient of w to that of z and of the rows, by (1 + G^T H G) w = z + G^T H t + G^T s, where forces change
   with gaps by H, and s are those at their strength.

   `stress` becomes H (G w - t) - s, the forces' negative, and `drag` H G `further`. */
INLINE void back_through_rows(const Problem *problem, Work *work)
{
    const int64_t size = problem->size;
    lanes *missed = work->goal, *moved = work->slope, *changed = work->gap;
    for (int64_t i = 0; i < work->count; i++)
        work->stress[work->acting[i]] = inner(work->along + work->acting[i] * size, work->back, size, 1);
    respond(problem, work, work->stress, work->along_rows);
    memcpy(work->further, work->back, sizeof(lanes) * size);
    take_off(problem, work, work->along_rows, work->further);
    memcpy(work->turn[2], work->force, sizeof(lanes) * size);
    memset(work->turn[3], 0, sizeof(lanes) * size);
    memset(work->of_cone, 0, sizeof(lanes) * work->rows);
    for (int64_t row = 0; row < work->rows; row++) {
        const lanes *along = work->along + row * size;
        moved[row] = changed[row] = inner(along, work->further, size, 1);
        missed[row] = work->missing[row] - inner(along, work->smooth, size, 1) + inner(along, work->left, size, 1);
    }
    for (int64_t row = 0; row < of_cones(problem, work); row += CONE)
        if (leads(problem, work, row))
            work->of_cone[row] = of_friction(work, row, moved + row);
    change(problem, work, changed);
    change(problem, work, missed);
    for (int64_t row = 0; row < work->rows; row++) {
        const lanes spent = work->spent[row], *jacobian_row = work->jacobian + row * size;
        work->stress[row] = work->stiffness[row] * missed[row] - spent;
        work->drag[row] = work->stiffness[row] * changed[row];
        work->of_stiffness[row] = -moved[row] * missed[row];
        work->of_strength[row] = moved[row] * (as_numbers(spent > 0.0f) - as_numbers(spent < 0.0f));
        for (int64_t k = 0; k < size; k++) {
            work->turn[2][k] -= jacobian_row[k] * work->stress[row];
            work->turn[3][k] -= jacobian_row[k] * work->drag[row];
        }
    }
}

/* Hands the gradients of sixteen states out to where they belong. */
INLINE void hand_out(const Problem *problem, Work *work, int64_t begin, int64_t last, float *lower, float *force,
                     float *jacobian, float *target, float *stiffness, float *strength, float *cone)
{
    const int64_t size = problem->size;
    lanes *pulled = work->grad, *moved = work->force; /* L `further` and L w, where a's gradient and f were. */
    for (int64_t i = 0; i < size; i++) {
        pulled[i] = across(work->lower, work->further, i, size);
        moved[i] = across(work->lower, work->left, i, size);
        for (int64_t j = 0; j < size; j++)
            work->damped[i * size + j] = (lanes){0};
        for (int64_t j = 0; j < reach(i, size); j++)
            work->damped[i * size + j] = work->turn[0][i] * work->result[j] + work->turn[1][i] * work->back[j] +
                                        work->turn[2][i] * work->further[j] + work->turn[3][i] * work->left[j];
    }
    for (int64_t lane = 0; lane < LANES && begin + lane < last; lane++) {
        const int64_t state = state_of(problem, begin, lane), *place = problem->place + problem->start[state];
        for (int64_t i = 0; i < size; i++)
            force[state * size + i] = pulled[i][lane];
        for (int64_t i = 0; i < size * size; i++)
            lower[state * size * size + i] = work->damped[i][lane];
        for (int64_t row = 0; row < rows_of(problem, state); row++) {
            const float stress = work->stress[row][lane], drag = work->drag[row][lane];
            target[place[row]] = drag;
            stiffness[place[row]] = work->of_stiffness[row][lane];
            if (strength)
                strength[place[row]] = work->of_strength[row][lane];
            if (cone)
                cone[place[row]] = work->of_cone[row][lane];
            for (int64_t i = 0; i < size; i++)
                jacobian[place[row] * size + i] = -stress * pulled[i][lane] - drag * moved[i][lane];
        }
    }
}

/* Divides up the room to work in; returns how many bytes of it are taken. */
static int64_t furnish(const Problem *problem, Work *work, char *room)
{
    const int64_t size = problem->size, most = problem->most;
    lanes *next = (lanes *)(((uintptr_t)room + sizeof(lanes) - 1) / sizeof(lanes) * sizeof(lanes));
    struct { lanes **part; int64_t length; } parts[] = {
        {&work->lower, size * size}, {&work->damped, size * size}, {&work->jacobian, most * size},
        {&work->along, most * size}, {&work->response, most * most}, {&work->factor, most * most},
        {&work->force, size}, {&work->smooth, size}, {&work->left, size}, {&work->result, size},
        {&work->grad, size}, {&work->back, size}, {&work->further, size},
        {&work->turn[0], size}, {&work->turn[1], size}, {&work->turn[2], size}, {&work->turn[3], size},
        {&work->missing, most}, {&work->stiffness, most}, {&work->share, most}, {&work->root, most},
        {&work->strength, most}, {&work->spent, most}, {&work->offset, most}, {&work->goal, most},
        {&work->cone, most}, {&work->slide, most}, {&work->x, most}, {&work->y, most}, {&work->at, most},
        {&work->of_stiffness, most}, {&work->of_strength, most}, {&work->of_cone, most},
        {&work->along_rows, most}, {&work->stress, most}, {&work->drag, most},
        {&work->gap, most}, {&work->slope, most},
    };
    for (unsigned part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
        *parts[part].part = next;
        next += parts[part].length;
    }
    work->acting = (int64_t *)next;
    return (char *)(work->acting + most) - room;
}

/* Puts rows in the order of their states, and states in that of how many rows they have, which is returned of the last.

   `sample`, (rows,), is the state of each row; the others are as in Problem. Two sorts by counting. */
int64_t order_by_sample(int64_t rows, int64_t states, const int64_t *sample, int64_t *order, int64_t *start,
                        int64_t *place)
{
    memset(start, 0, sizeof(int64_t) * (states + 1));
    for (int64_t row = 0; row < rows; row++)
        start[sample[row] + 1]++;
    int64_t most = 0;
    for (int64_t state = 0; state < states; state++)
        most = start[state + 1] > most ? start[state + 1] : most;
    int64_t next[most + 2]; /* Where the next state of each number of rows goes. */
    memset(next, 0, sizeof next);
    for (int64_t state = 0; state < states; state++)
        next[start[state + 1] + 1]++;
    for (int64_t count = 0; count < most; count++)
        next[count + 1] += next[count];
    for (int64_t state = 0; state < states; state++)
        order[next[start[state + 1]]++] = state;
    for (int64_t state = 0; state < states; state++)
        start[state + 1] += start[state];
    for (int64_t row = 0; row < rows; row++) /* Each start moves on to the next one's, */
        place[start[sample[row]]++] = row;
    for (int64_t state = states; state > 0; state--) /* and back. */
        start[state] = start[state - 1];
    if (states)
        start[0] = 0;
    return most;
}

/* How many bytes of room the functions below need to work in. */
int64_t room_for(const Problem *problem)
{
    Work work;
    return furnish(problem, &work, 0) + (int64_t)sizeof(lanes);
}

/* The accelerations a, (states, size), of states `first` to `last` in their order; and which rows act. */
EXPORTED
void accelerations(const Problem *problem, int64_t first, int64_t last, char *room, float *result)
{
    const int64_t size = problem->size;
    Work work;
    furnish(problem, &work, room);
    for (int64_t begin = first; begin < last; begin += LANES) {
        bring(problem, &work, begin);
        search(problem, &work);
        finish(problem, &work);
        for (int64_t i = 0; i < size; i++)
            work.grad[i] = across(work.lower, work.result, i, size);
        for (int64_t lane = 0; lane < LANES && begin + lane < last; lane++) {
            const int64_t state = state_of(problem, begin, lane), *place = problem->place + problem->start[state];
            for (int64_t i = 0; i < size; i++)
                result[state * size + i] = work.grad[i][lane];
            for (int64_t row = 0; row < rows_of(problem, state); row++)
                problem->gap[place[row]] = work.at[row][lane];
        }
    }
}

/* Gradients of all that the accelerations depend on, given theirs, (states, size), for the set of rows that act.

   Each has the shape of what it is of; that of the damping is added to, state by state. */
EXPORTED
void gradients(const Problem *problem, int64_t first, int64_t last, char *room, const float *given, float *lower,
               float *force, float *jacobian, float *target, float *stiffness, float *strength, float *cone,
               float *damping)
{
    const int64_t size = problem->size;
    Work work;
    furnish(problem, &work, room);
    for (int64_t begin = first; begin < last; begin += LANES) {
        bring(problem, &work, begin);
        bring_gaps(problem, &work, begin);
        factorise_rows(problem, &work);
        set_off(problem, &work);
        respond(problem, &work, work.offset, work.along_rows);
        finish(problem, &work);
        for (int64_t lane = 0; lane < LANES; lane++)
            for (int64_t i = 0; i < size; i++) /* Lanes that repeat a state count for nothing. */
                ((float *)(work.grad + i))[lane] =
                    begin + lane < last ? given[state_of(problem, begin, lane) * size + i] : 0.0f;
        back_through_damping(problem, &work, damping);
        back_through_rows(problem, &work);
        hand_out(problem, &work, begin, last, lower, force, jacobian, target, stiffness, strength, cone);
    }
}
