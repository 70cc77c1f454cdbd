"""The MuJoCo model of CLEVR-Robot: its numbers, its text, and the compiled model.

Contacts are listed pair by pair instead of by collision masks: the result is the same to the last
bit and a step costs a tenth less. It also makes the contact margin explicit. Written at the geoms
it would have to be 0.002 below MuJoCo 3.5 and 0.001 from there on, since a contact then takes
the sum of both margins and no longer the larger one; written at the pair, it always counts once.

This is what `envs.clevr.dynamics` computes faster: the reference that it is tested against, what
`physics="mujoco"` steps with, and what pictures are drawn from.

Source: the CLEVR-Robot environment of google-research (2019). Walls are tilted by 1.57 rad, which
is not quite a right angle, on purpose.
"""

from importlib.metadata import version as installed_version
from itertools import combinations
from math import pi

import mujoco

from envs.clevr.predicates import BALL_NAMES, BALL_RADIUS

BALL_HEIGHT = -0.195  # centre of a ball that touches the table
BALL_COLORS = ("1 .1 .1", "0.2 0.5 1", "0.2 1 0", "0.8 0.2 1", "0.2 1 1")
WALLS = (-0.6, 0.6, -0.3, 0.7)  # left, right, bottom, top
CONTACT_MARGIN = 0.002  # of every contact pair, in metres
FRICTION = 0.8  # of every contact, in both directions along it
TILT = 1.57  # rad, of the walls against the floor
TABLE = -0.325  # its height
PUSHER_RADIUS, PUSHER_HEIGHT = 0.05, -0.2
BALL_DENSITY, PUSHER_DENSITY = 1.0, 0.5
BALL_DAMPING, PUSHER_DAMPING = 0.75, 0.5  # of every joint
ARMATURE = 0.04  # of every joint: inertia beyond that of the mass
GRAVITY = 9.81
TIMESTEP = 0.01  # s
_CONTACT = f"condim='3' friction='{FRICTION} {FRICTION} .1 .1 .1' margin='{CONTACT_MARGIN}'"
_FREE = "contype='0' conaffinity='0'"


def installed_mujoco() -> str:
    """Version of the installed mujoco package, without importing it."""
    return installed_version("mujoco")


def model_text() -> str:
    """The model in MuJoCo's own language: five balls, four walls, table and pusher."""
    slide = (
        f"type='slide' damping='{PUSHER_DAMPING}' armature='{ARMATURE}' limited='true' "
        "range='-10.3213 10.3'"
    )
    return f"""
    <mujoco model='clevr_robot'>
      <compiler angle='radian'/>
      <option timestep='{TIMESTEP}' gravity='0 0 {-GRAVITY}' integrator='Euler' solver='Newton'
        cone='pyramidal' iterations='20' tolerance='1e-8' impratio='1'/>
      <visual><global offwidth='480' offheight='480'/></visual>
      <worldbody>
        <light pos='0 0.2 3' dir='0 0 -1' diffuse='.5 .5 .5'/>
        <camera name='above' pos='0 0.2 1.6' xyaxes='1 0 0 0 1 0'/>
        <camera name='front' pos='0 -1.6 1.2' xyaxes='1 0 0 0 .6 .8'/>
        <geom name='table' type='plane' pos='0 0.5 {TABLE}' size='1 1 0.1' {_FREE}
          rgba='.85 .85 .85 1'/>
        {_walls()}
        {_balls()}
        <body name='pusher' pos='0 0 {PUSHER_HEIGHT}'>
          <joint name='pusher_x' axis='1 0 0' {slide}/>
          <joint name='pusher_y' axis='0 1 0' {slide}/>
          <geom name='pusher' type='sphere' size='{PUSHER_RADIUS}' density='{PUSHER_DENSITY}'
            {_FREE} rgba='.1 .1 .1 1'/>
        </body>
      </worldbody>
      <contact>{_contacts()}</contact>
      <actuator>
        <motor joint='pusher_x' gear='1' ctrllimited='true' ctrlrange='-2 2'/>
        <motor joint='pusher_y' gear='1' ctrllimited='true' ctrlrange='-2 2'/>
      </actuator>
    </mujoco>"""


def _walls() -> str:
    left, right, bottom, top = WALLS
    walls = (
        ("left", f"{left} 0 0", f"0 {TILT} 0"),
        ("right", f"{right} 0 0", f"0 -{TILT} 0"),
        ("top", f"0 {top} 0", f"{TILT} 0 0"),
        ("bottom", f"0 {bottom} 0", f"-{TILT} 0 0"),
    )
    return "".join(
        f"<geom name='{name}' type='plane' size='1 1 1' pos='{place}' euler='{tilt}' {_FREE}"
        " rgba='0 0 0 0'/>"
        for name, place, tilt in walls
    )


def _balls() -> str:
    return "".join(
        f"<body name='{name}' pos='0 0 {BALL_HEIGHT}'>"
        f"<joint type='free' damping='{BALL_DAMPING}' armature='{ARMATURE}'/>"
        f"<geom name='{name}' type='sphere' size='{BALL_RADIUS}' density='{BALL_DENSITY}' {_FREE}"
        f" rgba='{color} 1'/></body>"
        for name, color in zip(BALL_NAMES, BALL_COLORS, strict=True)
    )


def _contacts() -> str:
    """Balls meet the table, the walls, each other and the pusher; nothing else meets."""
    planes = ("table", "left", "right", "top", "bottom")
    pairs = [(plane, ball) for ball in BALL_NAMES for plane in planes]
    pairs += list(combinations(BALL_NAMES, 2))
    pairs += [(ball, "pusher") for ball in BALL_NAMES]
    return "".join(f"<pair geom1='{one}' geom2='{other}' {_CONTACT}/>" for one, other in pairs)


def ball_mass() -> float:
    """In kilograms."""
    return BALL_DENSITY * 4.0 / 3.0 * pi * BALL_RADIUS**3


def pusher_mass() -> float:
    """In kilograms."""
    return PUSHER_DENSITY * 4.0 / 3.0 * pi * PUSHER_RADIUS**3


def make_model() -> mujoco.MjModel:
    """The compiled model."""
    return mujoco.MjModel.from_xml_string(model_text())
