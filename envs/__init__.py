"""Environments, their goals, and the episodes that pass between rooms; nothing here knows models.

A new environment is one file and one line in `WORLDS`. Importing this package stays light: a world
is imported when it is made.
"""

import difflib
from collections.abc import Callable
from importlib.util import find_spec

from envs.episode import Episode
from envs.world import World

__all__ = ["WORLDS", "Episode", "World", "make_world"]


def _clevr_robot() -> World:
    from envs.clevr.world import ClevrWorld

    return ClevrWorld()


def _toy() -> World:
    from envs.toy import ToyWorld

    return ToyWorld()


def _toy_continuous() -> World:
    from envs.toy import ContinuousToyWorld

    return ContinuousToyWorld()


WORLDS: dict[str, Callable[[], World]] = {
    "clevr_robot": _clevr_robot,
    "toy": _toy,
    "toy_continuous": _toy_continuous,
}


def make_world(name: str) -> World:
    """The world of that name.

    Raises:
        ValueError: no world has this name; the nearest one is suggested.
    """
    if name not in WORLDS:
        near = difflib.get_close_matches(name, WORLDS, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"Unknown environment `{name}`. Did you mean `{near}`? Known: {', '.join(WORLDS)}."
        )
    return WORLDS[name]()


def _register_gymnasium() -> None:
    """Makes `gymnasium.make("kalm/ClevrRobot-v0")` and others work where gymnasium is installed."""
    if find_spec("gymnasium") is None:
        return
    from gymnasium.envs.registration import register

    register(
        id="kalm/ClevrRobot-v0",
        entry_point="envs.clevr.environment:ClevrRobotEnv",
        vector_entry_point="envs.clevr.vector_environment:ClevrRobotVectorEnv",
    )
    register(id="kalm/WebShop-v0", entry_point="envs.webshop.environment:WebShopEnv")


_register_gymnasium()
