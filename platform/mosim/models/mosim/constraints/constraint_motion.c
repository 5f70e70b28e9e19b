/* Closed contacts of many states and joints beyond their limits, and how every degree of freedom opens each: what
   contact_motion.py and limit_motion.py do in torch, without gradients.

   For contacts eight states go side by side, one in each lane of a vector, in double precision, up to which gaps are
   closed; that is rare, so each of these is then worked out by itself. */

#include "../links.h"

#define TINY 1e-12     /* Squared lengths below this are nothing, as in gaps.py. */
#define PARALLEL 1e-12 /* Squared sines below this are of parallel segments. */
#define ALIGNED 1e-8   /* And below this MuJoCo makes two contacts of two capsules. */

enum { POINT = 0, NORMAL = 3, HEIGHT = 6, RADIUS = 7, LONG = 8, AXES = 11, FLOOR = 20 }; /* Columns of `floors`. */
enum { START = 0, ALONG = 3, SHAPE = 6 };                                     /* And of `shapes`. */
enum { FIRST = 0, SECOND = 1, REACH = 2, ROUND = 3 };                         /* And of `pairs`: radii and reach. */

/* Links, what is drawn on them, and where results go; the arrays are torch's, row by row. */
typedef struct {
    Skeleton of;
    int64_t floors, shapes, pairs, most, planar; /* `most` contacts of a state count: its deepest */
    const int64_t *floor_links;                  /* (floors,): the world is -1 */
    const double *floor_numbers;                 /* (floors, FLOOR): in the link's frame, but for the plane's */
    const int64_t *shape_links;                  /* (shapes,) */
    const double *shape_numbers;                 /* (shapes, SHAPE): segments of capsules and spheres */
    const int64_t *pair_shapes;                  /* (pairs, 2) */
    const double *pair_numbers;                  /* (pairs, ROUND) */
    const double *across;                        /* (3,): the direction in which a planar robot never moves */
    const double *unit;                          /* (size,): of velocities in the Jacobian */
} Drawn;

/* A closed gap of one state. */
typedef struct {
    int64_t gap;
    double distance, position[3], normal[3], tangent[3];
} Contact;

typedef struct {
    Links at;
    Spatial *screw;    /* (size,) */
    Vector *start;     /* (shapes,): one end of each segment */
    Vector *along;     /* (shapes,): to the other */
    Vector *middle;    /* (shapes,) */
    Contact *closed;   /* (LANES, most) */
    int64_t *moved;    /* (gaps, size): 1 where a degree of freedom moves the first shape alone, -1: the second */
    int64_t count[LANES];
} Work;

INLINE int any(masks mask)
{
    int64_t found = 0;
    for (int lane = 0; lane < LANES; lane++)
        found |= mask[lane];
    return found != 0;
}

INLINE lanes within(lanes value) { return choose(value < 0.0, (lanes){0}, choose(value > 1.0, all(1.0), value)); }

/* A place, or a direction, of a link's frame in the world's. */
INLINE Vector direction(const Work *work, int64_t link, const double *local)
{
    return link < 0 ? (Vector){all(local[0]), all(local[1]), all(local[2])}
                    : placed(work->at.rotation + 3 * link, local);
}
INLINE Vector point(const Work *work, int64_t link, const double *local)
{
    const Vector arm = direction(work, link, local);
    return link < 0 ? arm : sum(work->at.position[link], arm);
}

/* Keeps a contact of one state, in the place of its shallowest where there are enough. */
INLINE void keep(const Drawn *drawn, Work *work, int lane, Contact contact)
{
    Contact *closed = work->closed + lane * drawn->most;
    if (work->count[lane] < drawn->most) {
        closed[work->count[lane]++] = contact;
        return;
    }
    Contact *shallowest = closed;
    for (int64_t k = 1; k < drawn->most; k++)
        shallowest = closed[k].distance > shallowest->distance ? closed + k : shallowest;
    if (contact.distance < shallowest->distance)
        *shallowest = contact;
}

/* Moves the middle of an ellipsoid to where that comes closest to a plane; see lowest_points of gaps.py. */
INLINE Vector lowest(const Work *work, int64_t link, const double *axes, const double *normal, Vector middle)
{
    Vector axis[3];
    lanes across[3], square = {0};
    for (int k = 0; k < 3; k++) {
        axis[k] = direction(work, link, axes + 3 * k);
        across[k] = axis[k].x * normal[0] + axis[k].y * normal[1] + axis[k].z * normal[2];
        square += across[k] * across[k];
    }
    lanes reach = {0};
    for (int lane = 0; lane < LANES; lane++)
        reach[lane] = sqrt(square[lane]);
    for (int k = 0; k < 3; k++)
        middle = difference(middle, times(axis[k], across[k] / reach));
    return middle;
}

/* Points and ellipsoids over planes. */
INLINE void over_floors(const Drawn *drawn, Work *work)
{
    for (int64_t gap = 0; gap < drawn->floors; gap++) {
        const double *numbers = drawn->floor_numbers + gap * FLOOR, *normal = numbers + NORMAL;
        const int64_t link = drawn->floor_links[gap];
        const double *axes = numbers + AXES;
        const int ellipsoid = axes[0] != 0.0 || axes[1] != 0.0 || axes[2] != 0.0;
        Vector end = point(work, link, numbers + POINT);
        if (ellipsoid)
            end = lowest(work, link, axes, normal, end);
        const lanes distance = end.x * normal[0] + end.y * normal[1] + end.z * normal[2] - (numbers[HEIGHT] + numbers[RADIUS]);
        const masks closed = distance < 0.0;
        if (!any(closed))
            continue;
        const Vector axis = direction(work, link, numbers + LONG);
        for (int lane = 0; lane < LANES; lane++)
            if (closed[lane]) {
                const double down = numbers[RADIUS] + 0.5 * distance[lane];
                keep(drawn, work, lane, (Contact){
                    gap, distance[lane],
                    {end.x[lane] - down * normal[0], end.y[lane] - down * normal[1], end.z[lane] - down * normal[2]},
                    {normal[0], normal[1], normal[2]}, {axis.x[lane], axis.y[lane], axis.z[lane]}});
            }
    }
}

INLINE double dot(const double *a, const double *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
INLINE void cross_of(const double *a, const double *b, double *result)
{
    result[0] = a[1] * b[2] - a[2] * b[1], result[1] = a[2] * b[0] - a[0] * b[2], result[2] = a[0] * b[1] - a[1] * b[0];
}
/* Takes what is along the unit vector `normal` off a direction; returns the squared length of what is left. */
INLINE double flatten(double *direction, const double *normal)
{
    const double along = dot(direction, normal);
    for (int k = 0; k < 3; k++)
        direction[k] -= along * normal[k];
    return dot(direction, direction);
}

/* Two directions at right angles to a unit vector, as MuJoCo's `mju_makeFrame` has them where none is given. */
INLINE void across_of(const double *normal, double *first, double *second)
{
    const double fallback[3] = {0.0, fabs(normal[1]) < 0.5, !(fabs(normal[1]) < 0.5)};
    memcpy(first, fallback, sizeof fallback);
    const double squared = flatten(first, normal);
    for (int k = 0; k < 3; k++)
        first[k] /= sqrt(squared);
    cross_of(normal, first, second);
}

/* Keeps the contact of two segments at shares of them, where they touch there.

   Where the segments cross, no way between them is the shortest: MuJoCo's normal is at right angles to both. A planar
   robot's own single direction of friction is then none, so that two contacts stand for the two that there are. */
INLINE void keep_pair(const Drawn *drawn, Work *work, int lane, int64_t pair, double share_a, double share_b)
{
    const int64_t *shapes = drawn->pair_shapes + 2 * pair;
    const double *radius = drawn->pair_numbers + pair * ROUND;
    double start[2][3], along[2][3], on_a[3], apart[3], turned[3];
    for (int side = 0; side < 2; side++) {
        const Vector from = work->start[shapes[side]], to = work->along[shapes[side]];
        start[side][0] = from.x[lane], start[side][1] = from.y[lane], start[side][2] = from.z[lane];
        along[side][0] = to.x[lane], along[side][1] = to.y[lane], along[side][2] = to.z[lane];
    }
    for (int k = 0; k < 3; k++) {
        on_a[k] = start[0][k] + share_a * along[0][k];
        apart[k] = on_a[k] - start[1][k] - share_b * along[1][k];
    }
    cross_of(along[1], along[0], turned);
    const double squared = dot(apart, apart), area = dot(turned, turned);
    const int crossing = squared < TINY;
    const double length = crossing ? 0.0 : sqrt(squared), distance = length - (radius[FIRST] + radius[SECOND]);
    if (!(distance < 0.0))
        return;
    Contact contact = {drawn->floors + pair, distance, {0}, {0}, {0}};
    for (int k = 0; k < 3; k++) {
        contact.normal[k] = !crossing ? apart[k] / length : area > TINY * TINY ? turned[k] / sqrt(area) : k == 0;
        contact.position[k] = on_a[k] - (radius[FIRST] + 0.5 * distance) * contact.normal[k];
    }
    if (drawn->planar && fabs(dot(contact.normal, drawn->across)) > 0.5) {
        Contact other = contact;
        across_of(contact.normal, contact.tangent, other.tangent);
        keep(drawn, work, lane, other);
    }
    keep(drawn, work, lane, contact);
}

/* Two capsules side by side: MuJoCo makes contacts where the second's ends come closest to the first. */
INLINE void keep_aligned(const Drawn *drawn, Work *work, int lane, int64_t pair, double aa, double bb, double ab, double ad,
                         double bd)
{
    for (int end = 0; end < 2; end++) {
        const double share_a = fmin(fmax((ab * end - ad) / aa, 0.0), 1.0);
        keep_pair(drawn, work, lane, pair, share_a, fmin(fmax((ab * share_a + bd) / bb, 0.0), 1.0));
    }
}

/* Spheres and capsules: where their segments come closest (Ericson, Real-Time Collision Detection, 5.1.9). */
INLINE void between_shapes(const Drawn *drawn, Work *work)
{
    for (int64_t shape = 0; shape < drawn->shapes; shape++) {
        const double *numbers = drawn->shape_numbers + shape * SHAPE;
        work->start[shape] = point(work, drawn->shape_links[shape], numbers + START);
        work->along[shape] = direction(work, drawn->shape_links[shape], numbers + ALONG);
        work->middle[shape] = sum(work->start[shape], times(work->along[shape], all(0.5)));
    }
    for (int64_t pair = 0; pair < drawn->pairs; pair++) {
        const int64_t first = drawn->pair_shapes[2 * pair], second = drawn->pair_shapes[2 * pair + 1];
        const double *numbers = drawn->pair_numbers + pair * ROUND;
        const Vector apart = difference(work->middle[first], work->middle[second]);
        if (!any(inner(apart, apart) < numbers[REACH] * numbers[REACH])) /* Bounding spheres. */
            continue;
        const Vector a = work->along[first], b = work->along[second];
        const Vector from = difference(work->start[first], work->start[second]);
        const lanes aa = inner(a, a), bb = inner(b, b), ab = inner(a, b), ad = inner(a, from), bd = inner(b, from);
        /* Cross products, since differences of products cancel where the segments are almost parallel. */
        const Vector across = cross(a, b);
        const lanes squared = inner(across, across), turned = inner(across, cross(from, b));
        const masks crossing = squared > PARALLEL * aa * bb, some_b = bb > TINY, some_a = aa > TINY;
        const lanes guess = choose(crossing, within(-turned / choose(crossing, squared, all(1.0))), all(0.5));
        const lanes share_b = choose(some_b, within((ab * guess + bd) / choose(some_b, bb, all(1.0))), (lanes){0});
        const lanes share_a = choose(some_a, within((ab * share_b - ad) / choose(some_a, aa, all(1.0))), (lanes){0});
        const Vector on_a = sum(work->start[first], times(a, share_a));
        const Vector gap = difference(difference(on_a, work->start[second]), times(b, share_b));
        const double reach = numbers[FIRST] + numbers[SECOND];
        const masks closed = inner(gap, gap) < reach * reach, aligned = some_a & some_b & (squared < ALIGNED * aa * bb);
        for (int lane = 0; lane < LANES; lane++) {
            if (!closed[lane])
                continue;
            if (aligned[lane])
                keep_aligned(drawn, work, lane, pair, aa[lane], bb[lane], ab[lane], ad[lane], bd[lane]);
            else
                keep_pair(drawn, work, lane, pair, share_a[lane], share_b[lane]);
        }
    }
}

/* The normal, then the directions of friction, as contact_frames of gaps.py has them, which are MuJoCo's. */
INLINE int64_t frame(const Drawn *drawn, const Contact *contact, double directions[3][3])
{
    const double *normal = contact->normal;
    memcpy(directions[0], normal, sizeof contact->normal);
    if (drawn->planar) {
        if (fabs(dot(normal, drawn->across)) > 0.5) /* Segments that cross; see keep_pair. */
            memcpy(directions[1], contact->tangent, sizeof contact->tangent);
        else
            cross_of(drawn->across, normal, directions[1]);
        return 2;
    }
    double *first = directions[1];
    memcpy(first, contact->tangent, sizeof contact->tangent);
    const double given = dot(first, first), squared = flatten(first, normal);
    if (given > 0.25 && squared >= TINY) {
        for (int k = 0; k < 3; k++)
            first[k] /= sqrt(squared);
        cross_of(normal, first, directions[2]);
    } else { /* None is given, or a capsule stands on the plane. */
        across_of(normal, directions[1], directions[2]);
    }
    return 3;
}

/* Which degrees of freedom move one of a gap's shapes and not the other. */
static void lay_out(const Drawn *drawn, Work *work)
{
    const int64_t size = drawn->of.size;
    memset(work->moved, 0, sizeof(int64_t) * (drawn->floors + drawn->pairs) * size);
    for (int64_t gap = 0; gap < drawn->floors + drawn->pairs; gap++) {
        const int64_t *shapes = drawn->pair_shapes + 2 * (gap - drawn->floors);
        for (int side = 0; side < (gap < drawn->floors ? 1 : 2); side++) {
            int64_t link = gap < drawn->floors ? drawn->floor_links[gap] : drawn->shape_links[shapes[side]];
            for (; link >= 0; link = drawn->of.layout[link * LAYOUT + PARENT])
                for (int64_t k = 0; k < dofs_of(&drawn->of, link); k++)
                    work->moved[gap * size + first_of(&drawn->of, link) + k] += side ? -1 : 1;
        }
    }
}

/* Divides up the room to work in; returns how many bytes of it are taken. */
static int64_t furnish(const Drawn *drawn, Work *work, char *room)
{
    const int64_t links = drawn->of.links;
    char *next = (char *)(((uintptr_t)room + sizeof(lanes) - 1) / sizeof(lanes) * sizeof(lanes));
    struct { void *part; int64_t length; } parts[] = {
        {&work->at.rotation, links * 9}, {&work->at.position, links * 3}, {&work->at.quaternion, links * 5},
        {&work->screw, drawn->of.size * 6}, {&work->start, drawn->shapes * 3}, {&work->along, drawn->shapes * 3},
        {&work->middle, drawn->shapes * 3},
    };
    for (unsigned part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
        memcpy(parts[part].part, &next, sizeof next);
        next += parts[part].length * (int64_t)sizeof(lanes);
    }
    work->closed = (Contact *)next;
    work->moved = (int64_t *)(work->closed + LANES * drawn->most);
    return (char *)(work->moved + (drawn->floors + drawn->pairs) * drawn->of.size) - room;
}

/* How many bytes of room the function below needs to work in. */
int64_t room_for(const Drawn *drawn)
{
    Work work;
    return furnish(drawn, &work, 0) + (int64_t)sizeof(lanes);
}

/* Closed contacts of states `first` to `last`, whose number goes to `count`. The arrays have room for `most` of each
   state: whose state and which gap each is, (2, room); distance, (room,); how units of velocity move the first shape
   against the second along the normal and the directions of friction, (room, directions, size); how fast they do. */
EXPORTED
void contacts(const Drawn *drawn, int64_t first, int64_t last, char *room, int64_t *count, int64_t *which, float *distance,
              float *jacobian, float *speed)
{
    const int64_t size = drawn->of.size, most = (last - first) * drawn->most;
    int64_t found = 0;
    Work work;
    furnish(drawn, &work, room);
    lay_out(drawn, &work);
    for (int64_t begin = first; begin < last; begin += LANES) {
        place(&drawn->of, &work.at, begin, last);
        memset(work.count, 0, sizeof work.count);
        over_floors(drawn, &work);
        between_shapes(drawn, &work);
        int64_t some = 0;
        for (int64_t lane = 0; lane < LANES; lane++)
            some += work.count[lane];
        if (!some)
            continue;
        screws_of(&drawn->of, &work.at, work.screw);
        for (int64_t lane = 0; lane < LANES && begin + lane < last; lane++)
            for (int64_t k = 0; k < work.count[lane]; k++) {
                const Contact *contact = work.closed + lane * drawn->most + k;
                double directions[3][3], moments[3][3], speeds[3] = {0};
                const int64_t rows = frame(drawn, contact, directions);
                float *row = jacobian + found * rows * size;
                for (int64_t d = 0; d < rows; d++)
                    cross_of(contact->position, directions[d], moments[d]);
                for (int64_t dof = 0; dof < size; dof++) {
                    const int64_t moved = work.moved[contact->gap * size + dof];
                    const Spatial *screw = work.screw + dof;
                    if (!moved) {
                        for (int64_t d = 0; d < rows; d++)
                            row[d * size + dof] = 0.0f;
                        continue;
                    }
                    const double turn[3] = {screw->turn.x[lane], screw->turn.y[lane], screw->turn.z[lane]};
                    const double shift[3] = {screw->shift.x[lane], screw->shift.y[lane], screw->shift.z[lane]};
                    for (int64_t d = 0; d < rows; d++) {
                        const double value = moved * (dot(turn, moments[d]) + dot(shift, directions[d]));
                        row[d * size + dof] = (float)(value * drawn->unit[dof]);
                        speeds[d] += value * drawn->of.qvel[(begin + lane) * size + dof];
                    }
                }
                which[found] = begin + lane, which[most + found] = contact->gap;
                distance[found] = (float)contact->distance;
                for (int64_t d = 0; d < rows; d++)
                    speed[found * rows + d] = (float)speeds[d];
                found++;
            }
    }
    *count = found;
}

/* Joints with limits, and states; the arrays are torch's, row by row. */
typedef struct {
    int64_t states, positions, size, joints;
    const float *qpos;                     /* (states, positions) */
    const float *qvel;                     /* (states, size) */
    const int64_t *places, *dofs;          /* (joints,): in these */
    const float *lower, *upper;            /* (joints,): limits */
    const float *unit;                     /* (size,): of velocities in the Jacobian */
} Limited;

/* How many joints are beyond a limit. The arrays have room for all of each state: whose state and which joint each is,
   (2, room); depth, (room,); how units of velocity lead back, (room, size); how fast that goes, (room,). */
int64_t limits(const Limited *limited, int64_t *which, float *depth, float *jacobian, float *speed)
{
    const int64_t joints = limited->joints, size = limited->size;
    int64_t found = 0;
    for (int64_t state = 0; state < limited->states; state++)
        for (int64_t joint = 0; joint < joints; joint++) {
            const float position = limited->qpos[state * limited->positions + limited->places[joint]];
            const float over = position - limited->upper[joint], under = limited->lower[joint] - position;
            if (!(over > 0.0f || under > 0.0f))
                continue;
            const int64_t dof = limited->dofs[joint];
            const float back = over > under ? -1.0f : 1.0f;
            which[found] = state, which[limited->states * joints + found] = joint;
            depth[found] = over > under ? over : under;
            memset(jacobian + found * size, 0, sizeof(float) * size);
            jacobian[found * size + dof] = back * limited->unit[dof];
            speed[found] = back * limited->qvel[state * size + dof];
            found++;
        }
    return found;
}
