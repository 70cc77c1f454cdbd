"""The physics of CLEVR-Robot on the modern mujoco package: the model, the resets, the simulator.

One thing to know: a step changes nothing but the pusher before it starts. Balls keep the momentum
of the step before, so ten coordinates are not a full state; `Simulator.save` gives one.

Source: the CLEVR-Robot environment of google-research (2019). Kept on purpose: walls tilted by
1.57 rad, a pusher that starts inside the ball it pushes, carried momentum, a cleared solver warm
start, and a reset box that reaches beyond the walls.
"""

from importlib.metadata import version as installed_version

import mujoco
import mujoco.rollout
import numpy as np

from envs.clevr.predicates import BALL_NAMES, BALL_RADIUS, NUM_BALLS, PUSHES

BALL_HEIGHT = -0.195  # centre of a ball that touches the table
BALL_COLORS = ("1 .1 .1", "0.2 0.5 1", "0.2 1 0", "0.8 0.2 1", "0.2 1 1")
WALLS = (-0.6, 0.6, -0.3, 0.7)  # left, right, bottom, top
RESTING = (-0.47, 0.47, -0.17, 0.57)  # where centres can rest: left, right, bottom, top
PUSHER_OFFSET = 0.15  # from the ball's centre, against the push, in lengths of the push
SUBSTEPS = 40
RESET_BOX = (-0.5, 0.5, -0.3, 0.5)  # left, right, bottom, top
RESET_BOX_INSIDE = (-0.47, 0.47, -0.17, 0.5)  # the part of the box where balls touch no wall
RESET_GAP = 0.36  # smallest distance of two centres at reset
RESET_ALIGNED = 0.01  # coordinates differ by more than this, or not at all
RESET_TRIES = 10  # rejected draws of one ball before the scene starts again
_TIME, _POSITION, _VELOCITY = 1, 37, 32  # numbers in a physics state: time, qpos, qvel
STATE_LENGTH = _TIME + _POSITION + _VELOCITY
_BALL_X = _TIME + 7 * np.arange(NUM_BALLS)  # where a state holds each ball's x; y follows
_PUSHER = _TIME + 7 * NUM_BALLS  # where a state holds the pusher's x; y follows
_PUSHER_VELOCITY = _TIME + _POSITION + 6 * NUM_BALLS


def contact_margin(mujoco_version: str) -> float:
    """Margin of every geom that reproduces MuJoCo 3.0.1, in metres.

    From 3.5 on the margin of a contact is the sum of both geoms', before that the larger one.
    """
    major, minor = (int(part) for part in mujoco_version.split(".")[:2])
    return 0.001 if (major, minor) >= (3, 5) else 0.002


def installed_mujoco() -> str:
    """Version of the installed mujoco package, without importing it."""
    return installed_version("mujoco")


def model_text(margin: float) -> str:
    """The MuJoCo model of five balls, four walls, table and pusher.

    Args:
        margin: of every geom, in metres; see `contact_margin`.
    """
    left, right, bottom, top = WALLS
    walls = [
        f"<geom name='left' type='plane' size='0 0 1' pos='{left} 0 0' euler='0 1.57 0'/>",
        f"<geom name='right' type='plane' size='0 0 1' pos='{right} 0 0' euler='0 -1.57 0'/>",
        f"<geom name='top' type='plane' size='0 0 1' pos='0 {top} 0' euler='1.57 0 0'/>",
        f"<geom name='bottom' type='plane' size='0 0 1' pos='0 {bottom} 0' euler='-1.57 0 0'/>",
    ]
    walls = [wall.replace("/>", " contype='1' conaffinity='0' rgba='0 0 0 0'/>") for wall in walls]
    balls = [
        f"<body name='{name}' pos='0 0 {BALL_HEIGHT}'>"
        "<joint type='free' damping='0.75' armature='0.04'/>"
        f"<geom type='sphere' size='{BALL_RADIUS}' density='1' contype='1' conaffinity='1'"
        f" rgba='{color} 1'/></body>"
        for name, color in zip(BALL_NAMES, BALL_COLORS, strict=True)
    ]
    slide = "type='slide' damping='0.5' armature='0.04' limited='true' range='-10.3213 10.3'"
    return f"""
    <mujoco model='clevr_robot'>
      <compiler angle='radian'/>
      <option timestep='0.01' gravity='0 0 -9.81' integrator='Euler' solver='Newton'
        cone='pyramidal' iterations='20' tolerance='1e-8' impratio='1'/>
      <default>
        <geom condim='3' friction='0.8 0.1 0.1' margin='{margin}'/>
      </default>
      <visual><global offwidth='480' offheight='480'/></visual>
      <worldbody>
        <light pos='0 0.2 3' dir='0 0 -1' diffuse='.5 .5 .5'/>
        <camera name='above' pos='0 0.2 2.4' xyaxes='1 0 0 0 1 0'/>
        <camera name='front' pos='0 -1.6 1.2' xyaxes='1 0 0 0 .6 .8'/>
        <geom name='table' type='plane' pos='0 0.5 -0.325' size='1 1 0.1' contype='1'
          conaffinity='1' rgba='.85 .85 .85 1'/>
        {"".join(walls)}
        {"".join(balls)}
        <body name='pusher' pos='0 0 -0.2'>
          <joint name='pusher_x' axis='1 0 0' {slide}/>
          <joint name='pusher_y' axis='0 1 0' {slide}/>
          <geom type='sphere' size='0.05' density='0.5' contype='1' conaffinity='0'
            rgba='.1 .1 .1 1'/>
        </body>
      </worldbody>
      <actuator>
        <motor joint='pusher_x' gear='1' ctrllimited='true' ctrlrange='-2 2'/>
        <motor joint='pusher_y' gear='1' ctrllimited='true' ctrlrange='-2 2'/>
      </actuator>
    </mujoco>"""


def make_model() -> mujoco.MjModel:
    """The compiled model, with the margin that the installed mujoco needs."""
    return mujoco.MjModel.from_xml_string(model_text(contact_margin(mujoco.__version__)))


def draw_scenes(
    count: int, rng: np.random.Generator, box: tuple[float, float, float, float] = RESET_BOX
) -> np.ndarray:
    """Ball centres (count, 5, 2) float64, drawn one ball after the other as the original does.

    Args:
        box: left, right, bottom and top of the box of centres.
    """
    left, right, bottom, top = box
    scenes = np.zeros((count, NUM_BALLS, 2))
    placed = np.zeros(count, int)  # balls that already lie in each scene
    tries = np.zeros(count, int)  # rejected draws of the ball that comes next
    while len(pending := np.flatnonzero(placed < NUM_BALLS)):
        draws = rng.uniform((left, bottom), (right, top), (len(pending), 2))
        gaps = np.abs(draws[:, None] - scenes[pending])
        close = np.hypot(gaps[..., 0], gaps[..., 1]) < RESET_GAP
        aligned = ((gaps > 0) & (gaps < RESET_ALIGNED)).any(axis=-1)
        there = np.arange(NUM_BALLS) < placed[pending, None]
        rejected = ((close | aligned) & there).any(axis=1)
        accepted = pending[~rejected]
        scenes[accepted, placed[accepted]] = draws[~rejected]
        placed[accepted] += 1
        tries[accepted] = 0
        tries[pending[rejected]] += 1
        again = pending[tries[pending] > RESET_TRIES - 1]
        placed[again], tries[again] = 0, 0
    return scenes


def rest_states(positions: np.ndarray) -> np.ndarray:
    """Full physics states (B, S) of balls at rest with identity orientation.

    Args:
        positions: (B, 5, 2) ball centres.
    """
    states = np.zeros((len(positions), STATE_LENGTH))
    states[:, _BALL_X] = positions[..., 0]
    states[:, _BALL_X + 1] = positions[..., 1]
    states[:, _BALL_X + 2] = BALL_HEIGHT
    states[:, _BALL_X + 3] = 1.0
    return states


def ball_centres(states: np.ndarray) -> np.ndarray:
    """Ball centres (B, 5, 2) of full physics states (B, S)."""
    return np.stack([states[:, _BALL_X], states[:, _BALL_X + 1]], axis=-1)


class ClevrSimulator:
    """`num_slots` tables that step together, each a pure function of its own state.

    Args:
        num_slots: tables.
        num_threads: threads of the physics; results do not depend on it.
    """

    def __init__(self, num_slots: int, num_threads: int = 1) -> None:
        self.num_slots = num_slots
        self.model = make_model()
        num_data = max(num_threads, 1)
        self._data = [mujoco.MjData(self.model) for _ in range(num_data)]
        self._rollout = mujoco.rollout.Rollout(nthread=num_threads if num_threads > 1 else 0)
        self._states = rest_states(np.zeros((num_slots, NUM_BALLS, 2)))

    def reset(self, slots: np.ndarray, starts: np.ndarray) -> None:
        """Puts `slots` (K,) at rest in `starts` (K, 10)."""
        positions = np.asarray(starts, np.float64).reshape(-1, NUM_BALLS, 2)
        self._states[slots] = rest_states(positions)

    def step(self, slots: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Pushes a ball in each slot (K,): ball centres (K, 10) float32 after 40 sub-steps.

        Args:
            actions: (K,) int, 8 * ball + direction.

        Source: the original's `perfect` action type.
        """
        balls, pushes = np.divmod(np.asarray(actions), len(PUSHES))
        directions = PUSHES[pushes]
        rows = np.arange(len(balls))
        at = ball_centres(self._states[slots])[rows, balls] - PUSHER_OFFSET * directions
        return self.push(slots, at, directions, SUBSTEPS)

    def push(
        self, slots: np.ndarray, at: np.ndarray, controls: np.ndarray, substeps: int
    ) -> np.ndarray:
        """Puts the pusher down and drives it: ball centres (K, 10) float32 afterwards.

        Args:
            at: (K, 2) where the pusher starts, at rest.
            controls: (K, 2) motor control, held.
            substeps: physics steps of 0.01 s.
        """
        states = self._states[slots]
        states[:, 0] = 0.0
        states[:, _PUSHER : _PUSHER + 2] = at
        states[:, _PUSHER_VELOCITY : _PUSHER_VELOCITY + 2] = 0.0
        if substeps > 0:
            path = np.empty((len(states), substeps, STATE_LENGTH))
            self._rollout.rollout(
                self.model,
                self._data,
                states,
                np.ascontiguousarray(controls, np.float64)[:, None, :],
                nstep=substeps,
                state=path,
            )
            states = path[:, -1]
        self._states[slots] = states
        return self.observe(slots)

    def observe(self, slots: np.ndarray) -> np.ndarray:
        """Ball centres (K, 10) float32 of `slots` (K,) as they are."""
        centres = ball_centres(self._states[slots])
        return centres.reshape(len(centres), -1).astype(np.float32)

    def save(self, slots: np.ndarray) -> np.ndarray:
        """Full physics states (K, S) float64 of `slots`: time, positions, velocities."""
        return np.array(self._states[slots])

    def load(self, slots: np.ndarray, states: np.ndarray) -> None:
        """Restores states (K, S) that `save` gave."""
        states = np.asarray(states, np.float64)
        if states.shape[1:] != (STATE_LENGTH,):
            raise ValueError(
                f"Expected states of {STATE_LENGTH} numbers, got shape {states.shape}. "
                "Pass what `save` returned."
            )
        self._states[slots] = states
