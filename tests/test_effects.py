"""What the data tells of actions that do nothing."""

import numpy as np

from envs.babyai.cells import EMPTY, ball_code, key_code
from envs.babyai.layouts import make_layout
from envs.babyai.simulator import DONE, DROP, valid_actions
from envs.babyai.states import CARRIED, front_cells
from offline_rl.effects import MIN_SEEN, KnownEffects
from offline_rl.empirical import EmpiricalModel, Triplets
from tests.grid_samples import grid_state, random_steps


def learned(size: str, layouts: range, steps: int) -> KnownEffects:
    before, actions, after, shape = random_steps(size, layouts, steps)
    model = EmpiricalModel.from_triplets(Triplets(before, actions, after), num_actions=7)
    return KnownEffects.of(model, shape)


def test_enough_play_teaches_exactly_the_valid_actions_of_a_room() -> None:
    effects = learned("room", range(20), 60)
    layout = make_layout("room", 99)
    states = layout.draw_starts(200, np.random.default_rng(0))
    np.testing.assert_array_equal(
        effects.allowed(states, layout.shape), valid_actions(states, layout.shape)
    )


def test_what_was_seen_too_seldom_is_not_masked() -> None:
    state, shape = grid_state([[EMPTY, ball_code(0), EMPTY]], (1, 1, 0))
    turned, _ = grid_state([[EMPTY, ball_code(0), EMPTY]], (1, 1, 1))
    rows = Triplets(np.tile(state, (9, 1)), np.full(9, DONE), np.tile(state, (9, 1)))
    effects = KnownEffects.of(EmpiricalModel.from_triplets(rows, num_actions=7), shape)
    assert MIN_SEEN > 1  # the same situation nine times is one situation
    assert effects.allowed(np.concatenate([state, turned]), shape).all()


def test_full_hands_matter() -> None:
    effects = learned("room", range(20), 60)
    layout = make_layout("room", 0)
    empty = layout.draw_starts(50, np.random.default_rng(0))
    empty = empty[front_cells(empty, layout.shape) == EMPTY]
    full = empty.copy()
    full[:, CARRIED] = key_code(0)
    assert len(empty)
    assert not effects.allowed(empty, layout.shape)[:, DROP].any()
    assert effects.allowed(full, layout.shape)[:, DROP].all()


def test_what_was_learned_in_small_grids_holds_in_large_ones() -> None:
    effects = learned("rooms_2x2", range(20), 60)
    layout = make_layout("synth", 5)
    states = layout.draw_starts(100, np.random.default_rng(0))
    np.testing.assert_array_equal(
        effects.allowed(states, layout.shape), valid_actions(states, layout.shape)
    )
