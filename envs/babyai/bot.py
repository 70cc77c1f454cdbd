"""The scripted bot of `minigrid`, playing on our layouts for our goals.

It sees as little as an agent does, explores, and moves things out of its way. It cannot do tile
goals, and it does not start with something in its hands; `envs.babyai.planner` does both.
"""

from typing import Any

import numpy as np
from minigrid.envs.babyai.core.verifier import (
    GoToInstr,
    ObjDesc,
    OpenInstr,
    PickupInstr,
    PutNextInstr,
)
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from envs.babyai.cells import COLORS, EMPTY, TYPES
from envs.babyai.goals import (
    ANY,
    GO_TO,
    GO_TO_TILE,
    KINDS,
    OPEN_DOOR,
    PICK_UP,
    PUT_NEXT,
    Description,
    Spec,
    descriptions,
)
from envs.babyai.layouts import Layout, minigrid_env
from envs.babyai.states import CARRIED

_TYPE_NAMES = {index: name for name, index in TYPES.items()}
_INSTRUCTIONS = {
    GO_TO: GoToInstr,
    PICK_UP: PickupInstr,
    OPEN_DOOR: OpenInstr,
    PUT_NEXT: PutNextInstr,
}


def instruction(spec: Spec) -> Any:
    """The `minigrid` instruction that asks for the goal `spec`.

    Raises:
        ValueError: `minigrid` has no such instruction.
    """
    if spec[0] == GO_TO_TILE:
        raise ValueError(
            f"Expected a goal that names things, got {KINDS[spec[0]]}. Use the planner for tiles."
        )
    return _INSTRUCTIONS[spec[0]](*map(_description, descriptions(spec)))


def bot_can_do(spec: Spec, start: np.ndarray) -> bool:
    """Whether the bot knows what to do for a goal from the state `start` (D,) uint8."""
    return spec[0] != GO_TO_TILE and int(start[CARRIED]) == EMPTY


def bot_actions(
    layout: Layout, start: np.ndarray, spec: Spec, max_steps: int
) -> tuple[list[int], bool]:
    """The bot's actions until the goal or `max_steps`, and whether it got there.

    Args:
        start: (D,) uint8, a state of this layout.

    Raises:
        ValueError: the bot cannot do such goals, or not from such a start.
    """
    if not bot_can_do(spec, start):
        raise ValueError(
            f"Expected a goal that names things and empty hands, got {KINDS[spec[0]]} with "
            f"cell code {start[CARRIED]} in the hands. Use the planner."
        )
    env = minigrid_env(layout, start)
    env.instrs = instruction(spec)
    env.instrs.reset_verifier(env)
    bot = BabyAIBot(env)
    actions: list[int] = []
    while len(actions) < max_steps:
        try:
            action = int(bot.replan())
        except (AssertionError, DisappearedBoxError):  # how the bot says that it is at a loss
            break
        actions.append(action)
        if env.step(action)[2]:
            return actions, True
    return actions, False


def _description(name: Description) -> Any:
    kind, color = name
    return ObjDesc(_TYPE_NAMES[kind], None if color == ANY else COLORS[color])
