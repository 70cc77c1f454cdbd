"""Writes clevr_cases.json: rollouts of CLEVR-Robot made with mujoco 3.3.0, to compare against.

Stands alone on purpose: its own model text (collision masks and geom margins, as in the original,
instead of listed contact pairs), one environment, one plain loop, nothing imported from this
project. To make the cases again, outside of the project's own environment:

    python -m venv /tmp/reference && /tmp/reference/bin/pip install mujoco==3.3.0 numpy
    /tmp/reference/bin/python tests/data/make_clevr_cases.py
"""

import json
from pathlib import Path

import mujoco
import numpy as np

MARGIN = 0.002  # geom margin of the reference era; from mujoco 3.5 on it would be 0.001
NUM_EPISODES, NUM_STEPS = 8, 20
DIRECTIONS = [(1, 0), (0, 1), (-1, 0), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8)]
BALL = """<body pos="0 0 -0.195"><joint type="free" damping="0.75" armature="0.04"/>
  <geom type="sphere" size="0.13" density="1" contype="1" conaffinity="1"/></body>"""
MODEL = f"""
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.01" gravity="0 0 -9.81" integrator="Euler" iterations="20"/>
  <default><geom margin="{MARGIN}" condim="3" friction="0.8 0.1 0.1"/></default>
  <worldbody>
    <geom type="plane" pos="0 0.5 -0.325" size="1 1 0.1" contype="1" conaffinity="1"/>
    <geom type="plane" pos="-0.6 0 0" euler="0 1.57 0" size="1 1 1" contype="1" conaffinity="0"/>
    <geom type="plane" pos="0.6 0 0" euler="0 -1.57 0" size="1 1 1" contype="1" conaffinity="0"/>
    <geom type="plane" pos="0 0.7 0" euler="1.57 0 0" size="1 1 1" contype="1" conaffinity="0"/>
    <geom type="plane" pos="0 -0.3 0" euler="-1.57 0 0" size="1 1 1" contype="1" conaffinity="0"/>
    {BALL * 5}
    <body pos="0 0 -0.2">
      <joint name="x" type="slide" axis="1 0 0" damping="0.5" armature="0.04"
        limited="true" range="-10.3213 10.3"/>
      <joint name="y" type="slide" axis="0 1 0" damping="0.5" armature="0.04"
        limited="true" range="-10.3213 10.3"/>
      <geom type="sphere" size="0.05" density="0.5" contype="1" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x" gear="1" ctrllimited="true" ctrlrange="-2 2"/>
    <motor joint="y" gear="1" ctrllimited="true" ctrlrange="-2 2"/>
  </actuator>
</mujoco>"""


def draw_centres(rng: np.random.Generator) -> np.ndarray:
    """Five centres (5, 2) in the reset box, at least 0.36 apart."""
    while True:
        centres = np.column_stack([rng.uniform(-0.5, 0.5, 5), rng.uniform(-0.3, 0.5, 5)])
        gaps = centres[:, None] - centres[None]
        if (np.hypot(gaps[..., 0], gaps[..., 1]) + 9 * np.eye(5)).min() >= 0.36:
            return centres


def push(model: mujoco.MjModel, data: mujoco.MjData, action: int) -> None:
    """One environment step: only the pusher is placed, then 40 physics steps follow."""
    ball, direction = divmod(action, 8)
    control = np.array(DIRECTIONS[direction], float)
    data.qpos[-2:] = data.qpos[7 * ball : 7 * ball + 2] - 0.15 * control
    data.qvel[-2:] = 0.0
    data.qacc_warmstart[:] = 0.0
    data.ctrl[:] = control
    for _ in range(40):
        mujoco.mj_step(model, data)


def episode(seed: int) -> dict[str, object]:
    """Start, actions, centres after each step, and the full state halfway."""
    rng = np.random.default_rng(seed)
    model = mujoco.MjModel.from_xml_string(MODEL)
    data = mujoco.MjData(model)
    start = draw_centres(rng)
    for ball in range(5):
        data.qpos[7 * ball : 7 * ball + 2] = start[ball]
    actions = rng.integers(0, 40, NUM_STEPS)
    centres, states = [], []
    for action in actions:
        states.append([data.qpos.tolist(), data.qvel.tolist()])
        push(model, data, int(action))
        centres.append([data.qpos[7 * ball : 7 * ball + 2].tolist() for ball in range(5)])
    return {
        "start": start.tolist(),
        "actions": actions.tolist(),
        "centres": centres,
        "states": [states[step] for step in (1, 7, 13, 19)],
        "state_steps": [1, 7, 13, 19],
    }


def main() -> None:
    """Writes the cases beside this file."""
    cases = {
        "mujoco": mujoco.__version__,
        "margin": MARGIN,
        "episodes": [episode(seed) for seed in range(NUM_EPISODES)],
    }
    path = Path(__file__).with_name("clevr_cases.json")
    path.write_text(json.dumps(cases))


if __name__ == "__main__":
    main()
