"""The compiled physics against MuJoCo's own, with a solver that goes to its minimum."""

import mujoco
import numpy as np
import pytest

from envs.clevr import dynamics
from envs.clevr.model import make_model
from envs.clevr.physics import SUBSTEPS, ball_centres, put_pusher, rest_states
from envs.clevr.predicates import BALL_RADIUS, PUSHES
from envs.clevr.resets import draw_scenes

FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS
FAR = np.array([[-0.4, 0.0], [0.4, 0.0], [0.0, 0.2], [-0.4, 0.5], [0.4, 0.5]])


def advance(states: np.ndarray, controls: np.ndarray, count: int) -> None:
    dynamics.advance(states, np.arange(len(states)), controls, count)


class Mujoco:
    """MuJoCo that iterates until nothing improves; by default it stops at 1e-8 of the scale."""

    def __init__(self, to_the_end: bool = True) -> None:
        self.model = make_model()
        if to_the_end:
            self.model.opt.tolerance, self.model.opt.iterations = 1e-15, 100
        self.data = mujoco.MjData(self.model)

    def advance(self, states: np.ndarray, controls: np.ndarray, count: int) -> None:
        for state, control in zip(states, controls, strict=True):
            mujoco.mj_resetData(self.model, self.data)
            mujoco.mj_setState(self.model, self.data, state, FULL)
            self.data.ctrl[:] = control
            mujoco.mj_step(self.model, self.data, count)
            mujoco.mj_getState(self.model, self.data, state, FULL)


def pushed(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copies of states with the pusher put down, and its controls."""
    states = states.copy()
    for state, action in zip(states, actions, strict=True):
        put_pusher(state, int(action))
    return states, PUSHES[actions % len(PUSHES)]


def crowded_states(count: int, pushes: int) -> np.ndarray:
    """Full states in which balls roll, slip, touch each other and the walls."""
    rng = np.random.default_rng(0)
    states = rest_states(draw_scenes(count, rng))
    for _ in range(pushes):
        states, controls = pushed(states, rng.integers(40, size=count))
        advance(states, controls, SUBSTEPS)
    return states


@pytest.mark.parametrize("pushes", [0, 1, 10])
@pytest.mark.parametrize(("to_the_end", "atol"), [(True, 1e-9), (False, 1e-5)])
def test_a_push_ends_in_mujocos_whole_state(pushes: int, to_the_end: bool, atol: float) -> None:
    """Positions, orientations and velocities; resets reach into walls, which shoot balls out."""
    reference, rng = Mujoco(to_the_end), np.random.default_rng(pushes)
    ours, controls = pushed(crowded_states(60, pushes), rng.integers(40, size=60))
    theirs = ours.copy()
    advance(ours, controls, SUBSTEPS)
    reference.advance(theirs, controls, SUBSTEPS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def test_a_physics_step_with_every_kind_of_contact_agrees_with_mujoco_to_rounding() -> None:
    """Red lies against the left wall, blue, and the pusher; green and purple touch; cyan falls."""
    centres = FAR.copy()
    centres[0] = -0.6 + BALL_RADIUS, 0.0
    centres[1] = centres[0, 0] + 2 * BALL_RADIUS, 0.0005
    centres[2] = centres[3] + [2 * BALL_RADIUS - 0.001, 0.0]
    states = rest_states(centres[None])
    states[0, 1 + 7 * 4 + 2] += 0.05  # cyan's height
    states[0, 36:38] = centres[0] + [0.0, -0.175]
    states[0, 38:] = np.random.default_rng(3).normal(scale=0.5, size=32)
    theirs, controls = states.copy(), np.array([[0.3, 1.0]])
    reference = Mujoco()
    advance(states, controls, 1)
    reference.advance(theirs, controls, 1)
    assert reference.data.ncon == 8  # four on the table, a wall, two pairs, the pusher
    np.testing.assert_allclose(states, theirs, rtol=0, atol=1e-13)


def test_constants_are_those_that_mujoco_compiles() -> None:
    model = make_model()
    np.testing.assert_allclose(dynamics.INERTIA, model.dof_M0, rtol=1e-12)
    np.testing.assert_allclose(dynamics.DAMPING_RATE, model.dof_damping / model.dof_M0, rtol=1e-12)
    invweights = model.body_invweight0[1:7, 0]
    expected = [dynamics.BALL_MOBILITY] * 5 + [dynamics.PUSHER_MOBILITY]
    np.testing.assert_allclose(invweights, expected, rtol=1e-12)
    assert (model.pair_solref[:, 0] == dynamics.TIME_CONSTANT).all()
    impedance = [dynamics.LEAST_IMPEDANCE, dynamics.MOST_IMPEDANCE, dynamics.IMPEDANCE_WIDTH]
    np.testing.assert_array_equal(model.pair_solimp[0], [*impedance, 0.5, 2.0])


def test_a_ball_above_the_table_falls_by_hand() -> None:
    """One step from rest: its weight is m g, its inertia m + 0.04, and 0.75 h is added to that."""
    mass = 4 / 3 * np.pi * BALL_RADIUS**3
    velocity = -0.01 * mass * 9.81 / (mass + 0.04 + 0.01 * 0.75)
    states = rest_states(FAR[None])
    states[0, 3] = 0.1  # red's height
    advance(states, np.zeros((1, 2)), 1)
    assert states[0, 38 + 2] == pytest.approx(velocity, rel=1e-12)
    assert states[0, 3] == pytest.approx(0.1 + 0.01 * velocity, rel=1e-12)


def test_balls_at_one_place_are_pushed_apart_along_x() -> None:
    centres = FAR.copy()
    centres[1] = centres[0]
    states = rest_states(centres[None])
    advance(states, np.zeros((1, 2)), 1)
    after = ball_centres(states)[0]
    assert np.isfinite(states).all()
    assert after[1, 0] > centres[1, 0] > after[0, 0]


def test_no_steps_change_nothing_and_rows_do_not_depend_on_each_other() -> None:
    states = crowded_states(6, 2)
    same = states.copy()
    advance(same, np.ones((6, 2)), 0)
    np.testing.assert_allclose(same, states, rtol=0, atol=1e-15)
    together, controls = pushed(states, np.arange(6))
    alone = together.copy()
    advance(together, controls, SUBSTEPS)
    for row in reversed(range(6)):
        dynamics.advance(alone, np.array([row]), controls[row : row + 1], SUBSTEPS)
    assert np.array_equal(together, alone)
