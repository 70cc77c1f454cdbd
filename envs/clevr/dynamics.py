"""The physics of CLEVR-Robot, compiled for spheres and planes: MuJoCo's equations, its results.

Every physics step solves MuJoCo's convex problem of soft contacts: accelerations `a` minimise
(a - f)' M (a - f) / 2 + sum over edges D min(0, J a - r)^2 / 2, where `f` are the accelerations
without contacts and every contact has four edges, a pyramid within the friction cone. M is
diagonal, since spheres have no other inertia. Newton's method with an exact search along each step
ends in the exact minimum of its set of active edges. Bodies that touch form an island of their own;
a ball that lies on the table alone has a closed form, which is where the speed comes from.

One thing to know: orientations matter to nothing but themselves. Angular velocities are turned into
the world's frame at the start of a push and back at its end.

Source: MuJoCo's documentation, "Computation" (constraint model, primal problem, Euler integration
with implicit damping); numbers of the scene from `envs.clevr.model`.
"""

import math
from typing import Any

import numpy as np

from envs.clevr.compiled import compiled
from envs.clevr.model import (
    ARMATURE,
    BALL_DAMPING,
    CONTACT_MARGIN,
    FRICTION,
    GRAVITY,
    PUSHER_DAMPING,
    PUSHER_HEIGHT,
    PUSHER_RADIUS,
    TABLE,
    TILT,
    TIMESTEP,
    WALLS,
    ball_mass,
    pusher_mass,
)
from envs.clevr.predicates import BALL_RADIUS, NUM_BALLS

PUSHER = NUM_BALLS  # its number among the bodies
NUM_DOFS = 6 * NUM_BALLS + 2  # motion and rotation of the balls, then the pusher's motion
_POSITION, _VELOCITY = 1, 1 + 7 * NUM_BALLS + 2  # where a state holds qpos and qvel

# How soft contacts are: MuJoCo's defaults of solref and solimp.
TIME_CONSTANT = 0.02  # s
LEAST_IMPEDANCE, MOST_IMPEDANCE, IMPEDANCE_WIDTH = 0.9, 0.95, 0.001
STIFFNESS, DRAG = 1.0 / (MOST_IMPEDANCE * TIME_CONSTANT) ** 2, 2.0 / MOST_IMPEDANCE / TIME_CONSTANT

BALL_MASS, BALL_INERTIA = ball_mass() + ARMATURE, 0.4 * ball_mass() * BALL_RADIUS**2 + ARMATURE
PUSHER_INERTIA = pusher_mass() + ARMATURE
_BALL = [BALL_MASS] * 3 + [BALL_INERTIA] * 3
INERTIA = np.array(_BALL * NUM_BALLS + [PUSHER_INERTIA] * 2)  # `M` of the problem
_DAMPING = np.array([BALL_DAMPING] * 6 * NUM_BALLS + [PUSHER_DAMPING] * 2)
DAMPING_RATE = _DAMPING / INERTIA  # 1/s
IMPLICIT_STEP = TIMESTEP * INERTIA / (INERTIA + TIMESTEP * _DAMPING)  # s
FALL = -GRAVITY * ball_mass() / BALL_MASS  # m/s^2, of a free ball; armature has no weight
BALL_MOBILITY = 1.0 / BALL_MASS  # what MuJoCo calls invweight0
PUSHER_MOBILITY = 1.0 / pusher_mass()  # the same; it leaves out the armature of sliding bodies

_SIN, _COS = math.sin(TILT), math.cos(TILT)
_LEFT, _RIGHT, _BOTTOM, _TOP = WALLS
WALL_PLANES = np.array(  # normal, and its product with a point of the plane
    [
        [_SIN, 0.0, _COS, _SIN * _LEFT],
        [-_SIN, 0.0, _COS, -_SIN * _RIGHT],
        [0.0, -_SIN, _COS, -_SIN * _TOP],
        [0.0, _SIN, _COS, _SIN * _BOTTOM],
    ]
)
MAX_CONTACTS = NUM_BALLS * (1 + len(WALL_PLANES)) + NUM_BALLS * (NUM_BALLS + 1) // 2
SAME_PLACE = 1e-15  # nearer centres push each other apart along x, as in MuJoCo
MAX_ITERATIONS = 50  # of Newton's method, and of the search along a step; more than five are rare
CONVERGED = 1e-22  # half of what a Newton step could still gain, in the problem's own units

_TABLE = np.dtype(  # one table during a push
    [
        ("positions", np.float64, (NUM_BALLS + 1, 3)),
        ("orientations", np.float64, (NUM_BALLS, 4)),
        ("velocities", np.float64, NUM_DOFS),
        ("free", np.float64, NUM_DOFS),  # accelerations without contacts, `f` of the problem
        ("solution", np.float64, NUM_DOFS),  # accelerations, `a` of the problem
    ]
)
_CONTACT = np.dtype(  # rows are its normal and two directions along it
    [
        ("body", np.int64),  # the one of the smallest number
        ("width", np.int64),  # degrees of freedom that it acts on
        ("dofs", np.int64, 12),  # which
        ("places", np.int64, 12),  # the same within their island
        ("jacobian", np.float64, (3, 12)),  # from their velocities to that of the contact
        ("wanted", np.float64, 3),  # acceleration at which it exerts no force, `r` of the problem
        ("weight", np.float64),  # of every edge, `D` of the problem
        ("misses", np.float64, 3),  # acceleration beyond the wanted one
        ("changes", np.float64, 3),  # of it along the Newton step
        ("active", np.int64),  # a bit for each edge that exerts a force
    ]
)
_ISLAND = np.dtype(  # bodies that touch
    [
        ("labels", np.int64, NUM_BALLS + 1),  # bodies with equal ones touch
        ("touching", np.int64),  # contacts of the table at this moment
        ("size", np.int64),  # degrees of freedom
        ("num_contacts", np.int64),
        ("contacts", np.int64, MAX_CONTACTS),
        ("dofs", np.int64, NUM_DOFS),
        ("places", np.int64, NUM_DOFS),  # of every degree of freedom among `dofs`
        ("hessian", np.float64, (NUM_DOFS, NUM_DOFS)),  # its lower half, then its Cholesky factor
        ("inverse", np.float64, NUM_DOFS),  # of the factor's diagonal
        ("step", np.float64, NUM_DOFS),  # of Newton's method
    ]
)


@compiled
def advance(states: np.ndarray, slots: np.ndarray, controls: np.ndarray, count: int) -> None:
    """Advances some tables in place by `count` physics steps, under constant controls.

    Args:
        states: (N, 70) float64: time, then MuJoCo's qpos and qvel.
        slots: (K,) int, the rows of `states` to advance.
        controls: (K, 2) float64, forces on the pusher in newtons.
    """
    tables, islands = np.zeros(1, _TABLE), np.zeros(1, _ISLAND)
    contacts = np.zeros(MAX_CONTACTS, _CONTACT)
    for row in range(len(slots)):  # records live as long as their arrays, which the loop holds
        _push(states[slots[row]], controls[row], count, tables[0], contacts, islands[0])


@compiled
def _push(
    state: np.ndarray,
    control: np.ndarray,
    count: int,
    table: Any,
    contacts: np.ndarray,
    island: Any,
) -> None:
    """Advances one table (70,) in place."""
    _unpack(state, table)
    for _ in range(count):
        _accelerate_freely(table, control)
        _accelerate(table, contacts, island)
        _integrate(table)
    state[0] += count * TIMESTEP
    _pack(state, table)


@compiled
def _unpack(state: np.ndarray, table: Any) -> None:
    """Reads a state (70,), from which the solver starts cold."""
    for ball in range(NUM_BALLS):
        at, speed = _POSITION + 7 * ball, _VELOCITY + 6 * ball
        table.positions[ball] = state[at : at + 3]
        table.orientations[ball] = state[at + 3 : at + 7]
        table.velocities[6 * ball : 6 * ball + 3] = state[speed : speed + 3]
        spin = state[speed + 3 : speed + 6]
        _rotate(table.orientations[ball], 1.0, spin, table.velocities[6 * ball + 3 :])
    table.positions[PUSHER, :2] = state[_VELOCITY - 2 : _VELOCITY]
    table.velocities[-2:] = state[-2:]
    table.positions[PUSHER, 2] = PUSHER_HEIGHT
    table.solution[:] = 0.0


@compiled
def _pack(state: np.ndarray, table: Any) -> None:
    """Writes what `_unpack` reads."""
    for ball in range(NUM_BALLS):
        at, speed = _POSITION + 7 * ball, _VELOCITY + 6 * ball
        state[at : at + 3] = table.positions[ball]
        state[at + 3 : at + 7] = table.orientations[ball]
        state[speed : speed + 3] = table.velocities[6 * ball : 6 * ball + 3]
        spin = table.velocities[6 * ball + 3 : 6 * ball + 6]
        _rotate(table.orientations[ball], -1.0, spin, state[speed + 3 :])
    state[_VELOCITY - 2 : _VELOCITY] = table.positions[PUSHER, :2]
    state[-2:] = table.velocities[-2:]


@compiled
def _rotate(orientation: np.ndarray, sense: float, vector: np.ndarray, out: np.ndarray) -> None:
    """Rotates `vector` (3,) by a unit quaternion (4,), or back where `sense` is -1."""
    w, x, y, z = orientation
    x, y, z = sense * x, sense * y, sense * z
    a, b, c = vector
    first, second, third = y * c - z * b, z * a - x * c, x * b - y * a
    out[0] = a + 2.0 * (w * first + y * third - z * second)
    out[1] = b + 2.0 * (w * second + z * first - x * third)
    out[2] = c + 2.0 * (w * third + x * second - y * first)


@compiled
def _accelerate_freely(table: Any, control: np.ndarray) -> None:
    """Accelerations without contacts: damping, gravity and the pusher's motors."""
    for dof in range(NUM_DOFS):
        table.free[dof] = -DAMPING_RATE[dof] * table.velocities[dof]
    for ball in range(NUM_BALLS):
        table.free[6 * ball + 2] += FALL
    for axis in range(2):
        table.free[6 * NUM_BALLS + axis] += control[axis] / PUSHER_INERTIA


@compiled
def _accelerate(table: Any, contacts: np.ndarray, island: Any) -> None:
    """Accelerations with contacts; `table.solution` holds those of the step before at first."""
    island.touching = 0
    _touch_walls(table, contacts, island)
    _touch_bodies(table, contacts, island)
    for ball in range(NUM_BALLS):
        gap = table.positions[ball, 2] - TABLE - BALL_RADIUS
        alone = island.labels[ball] < 0
        if gap < CONTACT_MARGIN:
            if not (alone and _roll(table, ball, gap)):
                island.labels[ball] = _root(island.labels[ball])
                _touch_plane(table, contacts[island.touching], ball, gap, 0.0, 0.0, 1.0)
                island.touching += 1
        elif alone:
            for dof in range(6 * ball, 6 * ball + 6):
                table.solution[dof] = table.free[dof]
    if island.labels[PUSHER] < 0:
        for dof in range(6 * PUSHER, NUM_DOFS):
            table.solution[dof] = table.free[dof]
    if island.touching > 0:
        for label in range(NUM_BALLS):
            _gather_island(label, contacts, island)
            if island.num_contacts > 0:
                _solve(table, contacts, island)


@compiled
def _root(label: int) -> int:
    """The body that a label names: labels of bodies without contacts are -1 - body."""
    return label if label >= 0 else -1 - label


@compiled
def _touch_walls(table: Any, contacts: np.ndarray, island: Any) -> None:
    """Adds contacts of balls with walls, and labels bodies by themselves."""
    island.labels[PUSHER] = -1 - PUSHER
    for ball in range(NUM_BALLS):
        island.labels[ball] = -1 - ball
        a, b, c = table.positions[ball]
        for wall in range(len(WALL_PLANES)):
            x, y, z, offset = WALL_PLANES[wall]
            gap = x * a + y * b + z * c - offset - BALL_RADIUS
            if gap < CONTACT_MARGIN:
                island.labels[ball] = ball
                _touch_plane(table, contacts[island.touching], ball, gap, x, y, z)
                island.touching += 1


@compiled
def _touch_bodies(table: Any, contacts: np.ndarray, island: Any) -> None:
    """Adds contacts of balls with each other and with the pusher, and labels them together."""
    positions = table.positions
    for one in range(NUM_BALLS):
        for other in range(one + 1, NUM_BALLS + 1):
            x = positions[other, 0] - positions[one, 0]
            y = positions[other, 1] - positions[one, 1]
            z = positions[other, 2] - positions[one, 2]
            squared = x * x + y * y + z * z
            radii = BALL_RADIUS + (PUSHER_RADIUS if other == PUSHER else BALL_RADIUS)
            if squared < (radii + CONTACT_MARGIN) ** 2:
                distance = math.sqrt(squared)
                if distance < SAME_PLACE:
                    x, y, z = SAME_PLACE, 0.0, 0.0
                scale, gap = max(distance, SAME_PLACE), distance - radii
                x, y, z = x / scale, y / scale, z / scale
                _touch_pair(table, contacts[island.touching], one, other, gap, x, y, z)
                island.touching += 1
                _join(island.labels, one, other)


@compiled
def _join(labels: np.ndarray, one: int, other: int) -> None:
    """Makes the islands of two bodies one, named by its smallest body."""
    labels[one], labels[other] = _root(labels[one]), _root(labels[other])
    first, second = labels[one], labels[other]
    for body in range(NUM_BALLS + 1):
        if labels[body] == first or labels[body] == second:
            labels[body] = min(first, second)


@compiled
def _roll(table: Any, ball: int, gap: float) -> bool:
    """Solves for a ball with no contact but the table's, where all four edges exert a force.

    Then the problem falls apart into the normal and two directions of rolling: each pairs one
    velocity with one spin. False, with nothing changed, where an edge exerts none.
    """
    velocities, free, solution = table.velocities, table.free, table.solution
    impedance = _impedance(gap)
    weight = _weight(impedance, BALL_MOBILITY)
    lever = BALL_RADIUS + 0.5 * gap
    x, y, up, turn_x, turn_y = 6 * ball, 6 * ball + 1, 6 * ball + 2, 6 * ball + 3, 6 * ball + 4
    miss = free[up] + DRAG * velocities[up] + STIFFNESS * impedance * (gap - CONTACT_MARGIN)
    miss /= 1.0 + 4.0 * weight * BALL_MOBILITY
    stiffness = 2.0 * weight * FRICTION * FRICTION
    softened = 1.0 / (1.0 + stiffness * (BALL_MOBILITY + lever * lever / BALL_INERTIA))
    slip_x = free[x] - lever * free[turn_y] + DRAG * (velocities[x] - lever * velocities[turn_y])
    slip_y = free[y] + lever * free[turn_x] + DRAG * (velocities[y] + lever * velocities[turn_x])
    slip_x, slip_y = slip_x * softened, slip_y * softened
    if miss + FRICTION * max(abs(slip_x), abs(slip_y)) >= 0.0:
        return False
    force_x, force_y = -stiffness * slip_x, -stiffness * slip_y
    solution[x] = free[x] + force_x * BALL_MOBILITY
    solution[y] = free[y] + force_y * BALL_MOBILITY
    solution[up] = free[up] - 4.0 * weight * miss * BALL_MOBILITY
    solution[turn_x] = free[turn_x] + lever * force_y / BALL_INERTIA
    solution[turn_y] = free[turn_y] - lever * force_x / BALL_INERTIA
    solution[turn_y + 1] = free[turn_y + 1]
    return True


@compiled
def _impedance(gap: float) -> float:
    """How strongly a contact insists: 0.9 at the margin, 0.95 from a millimetre within it."""
    depth = (CONTACT_MARGIN - gap) / IMPEDANCE_WIDTH
    if depth >= 1.0:
        return MOST_IMPEDANCE
    share = 2.0 * depth * depth if depth <= 0.5 else 1.0 - 2.0 * (1.0 - depth) * (1.0 - depth)
    return LEAST_IMPEDANCE + share * (MOST_IMPEDANCE - LEAST_IMPEDANCE)


@compiled
def _weight(impedance: float, mobility: float) -> float:
    """`D` of every edge of a contact between bodies whose mobilities add up to `mobility`."""
    softness = (1.0 - impedance) / impedance * mobility * (1.0 + FRICTION * FRICTION)
    return 1.0 / (2.0 * FRICTION * FRICTION * softness)


@compiled
def _touch_plane(
    table: Any, contact: Any, ball: int, gap: float, x: float, y: float, z: float
) -> None:
    """Fills in the contact of a ball with a plane of normal (x, y, z)."""
    contact.body, contact.width = ball, 6
    _set_ball(contact, 0, ball, 1.0, BALL_RADIUS + 0.5 * gap, x, y, z)
    _finish_contact(table, contact, gap, BALL_MOBILITY)


@compiled
def _touch_pair(
    table: Any, contact: Any, ball: int, other: int, gap: float, x: float, y: float, z: float
) -> None:
    """Fills in the contact of a ball with a body of a larger number, (x, y, z) towards it."""
    contact.body = ball
    lever = BALL_RADIUS + 0.5 * gap
    _set_ball(contact, 0, ball, -1.0, lever, x, y, z)
    if other == PUSHER:
        contact.width = 8
        for axis in range(2):
            contact.dofs[6 + axis] = 6 * PUSHER + axis
            for row in range(3):
                contact.jacobian[row, 6 + axis] = -contact.jacobian[row, axis]
        _finish_contact(table, contact, gap, BALL_MOBILITY + PUSHER_MOBILITY)
    else:
        contact.width = 12
        _set_ball(contact, 6, other, 1.0, lever, x, y, z)
        _finish_contact(table, contact, gap, 2.0 * BALL_MOBILITY)


@compiled
def _set_ball(
    contact: Any,
    column: int,
    ball: int,
    sense: float,
    lever: float,
    x: float,
    y: float,
    z: float,
) -> None:
    """Fills in how a ball's six velocities move a contact.

    Args:
        sense: 1 where the normal (x, y, z) points towards the ball, -1 where away from it.
        lever: from the ball's centre to the contact.
    """
    if -0.5 < y < 0.5:  # the directions along a contact, as MuJoCo chooses them
        a, b, c = -y * x, 1.0 - y * y, -y * z
    else:
        a, b, c = -z * x, -z * y, 1.0 - z * z
    length = math.sqrt(a * a + b * b + c * c)
    first = a / length, b / length, c / length
    second = (
        y * first[2] - z * first[1],
        z * first[0] - x * first[2],
        x * first[1] - y * first[0],
    )
    normal, jacobian = (x, y, z), contact.jacobian
    for axis in range(3):
        contact.dofs[column + axis] = 6 * ball + axis
        contact.dofs[column + 3 + axis] = 6 * ball + 3 + axis
        jacobian[0, column + axis] = sense * normal[axis]
        jacobian[1, column + axis] = sense * first[axis]
        jacobian[2, column + axis] = sense * second[axis]
        # A spin's velocity at -sense * lever * normal, times sense; normal x first = second.
        jacobian[0, column + 3 + axis] = 0.0
        jacobian[1, column + 3 + axis] = -lever * second[axis]
        jacobian[2, column + 3 + axis] = lever * first[axis]


@compiled
def _finish_contact(table: Any, contact: Any, gap: float, mobility: float) -> None:
    """Fills in what a contact wants and how much, from its gap and velocity."""
    impedance = _impedance(gap)
    contact.weight = _weight(impedance, mobility)
    for row in range(3):
        speed = 0.0
        for column in range(contact.width):
            speed += contact.jacobian[row, column] * table.velocities[contact.dofs[column]]
        contact.wanted[row] = -DRAG * speed
    contact.wanted[0] -= STIFFNESS * impedance * (gap - CONTACT_MARGIN)


@compiled
def _gather_island(label: int, contacts: np.ndarray, island: Any) -> None:
    """Lists contacts and degrees of freedom of the bodies with that label."""
    island.num_contacts, island.size = 0, 0
    if island.labels[label] != label:
        return
    for body in range(label, NUM_BALLS + 1):
        if island.labels[body] == label:
            for dof in range(6 * body, 6 * body + (2 if body == PUSHER else 6)):
                island.dofs[island.size], island.places[dof] = dof, island.size
                island.size += 1
    for number in range(island.touching):
        contact = contacts[number]
        if island.labels[contact.body] == label:
            island.contacts[island.num_contacts] = number
            island.num_contacts += 1
            for column in range(contact.width):
                contact.places[column] = island.places[contact.dofs[column]]


@compiled
def _solve(table: Any, contacts: np.ndarray, island: Any) -> None:
    """Newton's method on an island, from its accelerations in `table.solution`."""
    for index in range(island.num_contacts):
        contact = contacts[island.contacts[index]]
        for row in range(3):
            miss = -contact.wanted[row]
            for column in range(contact.width):
                miss += contact.jacobian[row, column] * table.solution[contact.dofs[column]]
            contact.misses[row] = miss
        contact.active = _edges(contact, 0.0)
    for _ in range(MAX_ITERATIONS):
        if _find_step(table, contacts, island) <= CONVERGED:
            return
        length, exact = _search(table, contacts, island)
        for place in range(island.size):
            table.solution[island.dofs[place]] += length * island.step[place]
        if exact:
            return
        for index in range(island.num_contacts):
            contact = contacts[island.contacts[index]]
            contact.active = _edges(contact, length)
            for row in range(3):
                contact.misses[row] += length * contact.changes[row]


@compiled
def _edges(contact: Any, length: float) -> int:
    """Bits of a contact's edges that exert a force `length` along the Newton step."""
    normal = contact.misses[0] + length * contact.changes[0]
    first = FRICTION * (contact.misses[1] + length * contact.changes[1])
    second = FRICTION * (contact.misses[2] + length * contact.changes[2])
    bits = (normal + first < 0.0) | (normal - first < 0.0) << 1
    return int(bits | (normal + second < 0.0) << 2 | (normal - second < 0.0) << 3)


@compiled
def _find_step(table: Any, contacts: np.ndarray, island: Any) -> float:
    """Fills in the Newton step; twice what it would gain, were no edge to change."""
    size, step, hessian = island.size, island.step, island.hessian
    for place in range(size):
        dof = island.dofs[place]
        step[place] = INERTIA[dof] * (table.free[dof] - table.solution[dof])
        for other in range(place):
            hessian[place, other] = 0.0
        hessian[place, place] = INERTIA[dof]
    for index in range(island.num_contacts):
        _add_forces(contacts[island.contacts[index]], island)
    _factorise(hessian, island.inverse, size)
    gain = 0.0
    for place in range(size):
        entry = step[place]
        for before in range(place):
            entry -= hessian[place, before] * step[before]
        step[place] = entry * island.inverse[place]
        gain += step[place] * step[place]
    for place in range(size - 1, -1, -1):
        step[place] *= island.inverse[place]
        for before in range(place):
            step[before] -= hessian[place, before] * step[place]
    return gain


@compiled
def _factorise(matrix: np.ndarray, inverse: np.ndarray, size: int) -> None:
    """Cholesky's factor in the lower half of `matrix`, and the inverse of its diagonal."""
    for row in range(size):
        for column in range(row):
            entry = matrix[row, column]
            for before in range(column):
                entry -= matrix[row, before] * matrix[column, before]
            matrix[row, column] = entry * inverse[column]
        entry = matrix[row, row]
        for before in range(row):
            entry -= matrix[row, before] * matrix[row, before]
        inverse[row] = 1.0 / math.sqrt(entry)


@compiled
def _add_forces(contact: Any, island: Any) -> None:
    """Adds a contact's forces to the right-hand side and its curvature to the Hessian."""
    bits, weight = contact.active, contact.weight
    first, second, third, fourth = bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3 & 1
    normal = weight * (first + second + third + fourth)
    cross_1, cross_2 = weight * FRICTION * (first - second), weight * FRICTION * (third - fourth)
    along_1 = weight * FRICTION * FRICTION * (first + second)
    along_2 = weight * FRICTION * FRICTION * (third + fourth)
    miss_0, miss_1, miss_2 = contact.misses
    force_0 = normal * miss_0 + cross_1 * miss_1 + cross_2 * miss_2
    force_1 = cross_1 * miss_0 + along_1 * miss_1
    force_2 = cross_2 * miss_0 + along_2 * miss_2
    jacobian = contact.jacobian
    for column in range(contact.width):
        j_0, j_1, j_2 = jacobian[0, column], jacobian[1, column], jacobian[2, column]
        place = contact.places[column]
        island.step[place] -= j_0 * force_0 + j_1 * force_1 + j_2 * force_2
        pull_0 = normal * j_0 + cross_1 * j_1 + cross_2 * j_2
        pull_1 = cross_1 * j_0 + along_1 * j_1
        pull_2 = cross_2 * j_0 + along_2 * j_2
        for other in range(column + 1):  # bodies of a contact are in order, so places are too
            entry = pull_0 * jacobian[0, other] + pull_1 * jacobian[1, other]
            entry += pull_2 * jacobian[2, other]
            island.hessian[place, contact.places[other]] += entry


@compiled
def _search(table: Any, contacts: np.ndarray, island: Any) -> tuple[float, bool]:
    """How far to go along the Newton step, and whether the problem's minimum lies there."""
    same = True
    for index in range(island.num_contacts):
        contact = contacts[island.contacts[index]]
        for row in range(3):
            change = 0.0
            for column in range(contact.width):
                change += contact.jacobian[row, column] * island.step[contact.places[column]]
            contact.changes[row] = change
        same &= _edges(contact, 1.0) == contact.active
    if same:
        return 1.0, True
    slope, curvature = 0.0, 0.0
    for place in range(island.size):
        dof, step = island.dofs[place], island.step[place]
        slope += INERTIA[dof] * (table.solution[dof] - table.free[dof]) * step
        curvature += INERTIA[dof] * step * step
    steepest, _ = _slope_at(contacts, island, slope, curvature, 0.0)
    low, high, length = 0.0, np.inf, 1.0
    for _ in range(MAX_ITERATIONS):
        value, rise = _slope_at(contacts, island, slope, curvature, length)
        if abs(value) <= 1e-10 * abs(steepest):
            break
        low, high = (length, high) if value < 0.0 else (low, length)
        length -= value / rise
        if not low < length < high:
            length = 0.5 * (low + high)
    return length, False


@compiled
def _slope_at(
    contacts: np.ndarray, island: Any, slope: float, curvature: float, length: float
) -> tuple[float, float]:
    """First and second derivative of the problem `length` along the Newton step.

    Args:
        slope: of the inertia's part, where the step begins.
        curvature: of the same.
    """
    value, rise = slope + length * curvature, curvature
    for index in range(island.num_contacts):
        contact = contacts[island.contacts[index]]
        for row in range(1, 3):
            for sense in (FRICTION, -FRICTION):
                change = contact.changes[0] + sense * contact.changes[row]
                edge = contact.misses[0] + sense * contact.misses[row] + length * change
                if edge < 0.0:
                    value += contact.weight * edge * change
                    rise += contact.weight * change * change
    return value, rise


@compiled
def _integrate(table: Any) -> None:
    """One step of Euler's method: velocities with implicit damping first, then positions."""
    velocities = table.velocities
    for dof in range(NUM_DOFS):
        velocities[dof] += IMPLICIT_STEP[dof] * table.solution[dof]
    for ball in range(NUM_BALLS):
        for axis in range(3):
            table.positions[ball, axis] += TIMESTEP * velocities[6 * ball + axis]
        _turn(table.orientations[ball], velocities[6 * ball + 3 : 6 * ball + 6])
    for axis in range(2):
        table.positions[PUSHER, axis] += TIMESTEP * velocities[6 * PUSHER + axis]


@compiled
def _turn(orientation: np.ndarray, spin: np.ndarray) -> None:
    """Turns a unit quaternion (4,) by one step of a spin (3,) in the world's frame."""
    half = 0.5 * TIMESTEP
    squared = half * half * (spin[0] * spin[0] + spin[1] * spin[1] + spin[2] * spin[2])
    if squared == 0.0:
        return
    angle = math.sqrt(squared)
    cosine, sine = math.cos(angle), half * math.sin(angle) / angle
    a, b, c = sine * spin[0], sine * spin[1], sine * spin[2]
    w, x, y, z = orientation
    turned_w, turned_x = cosine * w - a * x - b * y - c * z, cosine * x + a * w + b * z - c * y
    turned_y, turned_z = cosine * y + b * w + c * x - a * z, cosine * z + c * w + a * y - b * x
    squares = turned_w * turned_w + turned_x * turned_x + turned_y * turned_y + turned_z * turned_z
    shrink = 1.0 / math.sqrt(squares)
    orientation[0], orientation[1] = shrink * turned_w, shrink * turned_x
    orientation[2], orientation[3] = shrink * turned_y, shrink * turned_z
