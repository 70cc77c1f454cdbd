"""The counter that proves that learning took no step in an environment."""

import numpy as np

from envs.babyai.simulator import FORWARD
from envs.babyai.world import BabyAiWorld
from envs.step_count import counted_steps
from envs.webshop.environment import generated_shop
from envs.webshop.goals import generate_goals
from envs.webshop.shop import Session


def test_every_step_of_grids_and_shops_is_counted_while_it_is_asked_for() -> None:
    world = BabyAiWorld("room", range(2))
    states = np.stack([task.start for task in world.tasks("train", 3, seed=0)])
    actions = np.full(3, FORWARD)
    shop = generated_shop(60, 0)
    session = Session(shop, generate_goals(shop.catalogue, "train", 1)[0])
    world.step_states(states, actions)  # before anyone counts
    with counted_steps() as outer:
        world.step_states(states, actions)  # three episodes, one step each
        with counted_steps() as inner:
            session.step("search[shirt]")
        session.step("no such action")  # it changes nothing and is a step all the same
    world.step_states(states, actions)
    assert (outer.steps, inner.steps) == (5, 1)
