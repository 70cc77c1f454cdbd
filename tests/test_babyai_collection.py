"""Unlabelled transitions: what is collected, and what a store gives back."""

from pathlib import Path

import numpy as np
import pytest

from envs.babyai.collection import CollectionConfig, collect_transitions
from envs.babyai.goals import GO_TO, PUT_NEXT, layout_specs, specs_array
from envs.babyai.layouts import make_layout
from envs.babyai.simulator import step
from envs.babyai.splits import SplitDesign
from envs.babyai.verifiers import success
from envs.card import Card
from envs.files import StoreError
from envs.transitions import Transitions, TransitionStore, write_transitions

CARD = Card("babyai_room", "1", "real", seed=3)
ROOM = make_layout("room", 0).shape


def collected(count: int = 600, expert_share: float = 0.5, seed: int = 0) -> Transitions:
    config = CollectionConfig("room", (0, 1, 2), count, expert_share, seed=seed)
    return collect_transitions(config)


def test_every_row_is_a_step_of_the_simulator() -> None:
    rows = collected()
    assert len(rows) == 600
    following = step(rows.states, rows.actions, ROOM)
    np.testing.assert_array_equal(following, rows.next_states)


def test_all_layouts_and_actions_occur() -> None:
    rows = collected(expert_share=0.0)
    assert set(rows.actions.tolist()) == set(range(7))
    walls = rows.states[:, : ROOM.num_cells]
    seen = {
        seed
        for seed in range(4)
        if (walls == make_layout("room", seed).state[: ROOM.num_cells]).all(1).any()
    }
    assert seen == {0, 1, 2}


def test_rows_depend_on_the_seed_alone() -> None:
    first, again, other = collected(), collected(), collected(seed=1)
    np.testing.assert_array_equal(first.states, again.states)
    np.testing.assert_array_equal(first.actions, again.actions)
    assert (first.states != other.states).any()


def share_changed(rows: Transitions) -> float:
    return float((rows.states != rows.next_states).any(1).mean())


def test_experts_waste_no_steps_and_random_play_does() -> None:
    # Uniform actions: two of seven always turn, forward mostly walks; the rest mostly does nothing.
    assert share_changed(collected(expert_share=1.0)) > 0.99
    assert 0.3 < share_changed(collected(expert_share=0.0)) < 0.6
    assert 0.6 < share_changed(collected(expert_share=0.5)) < 0.85


def reached(rows: Transitions, kind: int) -> int:
    """Rows that reach some goal of a kind in layout 0."""
    specs = [spec for spec in layout_specs(make_layout("room", 0)) if spec[0] == kind]
    return sum(
        int(
            success(
                specs_array([spec] * len(rows)), rows.states, rows.actions, rows.next_states, ROOM
            ).sum()
        )
        for spec in specs
    )


def test_a_design_keeps_experts_away_from_held_out_kinds() -> None:
    held_out = SplitDesign(held_out_kinds=("put_next",))
    config = CollectionConfig("room", (0,), 400, 1.0)
    without = CollectionConfig("room", (0,), 400, 1.0, design=held_out)
    # Moving a thing out of the way may put it next to another one.
    by_chance = reached(collect_transitions(without), PUT_NEXT)
    assert by_chance * 4 < reached(collect_transitions(config), PUT_NEXT)
    assert reached(collect_transitions(without), GO_TO) > 5


def test_the_planner_collects_too() -> None:
    config = CollectionConfig("trio_c", (0, 1), 100, 1.0, expert="planner")
    assert share_changed(collect_transitions(config)) == 1.0


def test_rows_are_shuffled() -> None:
    rows = collected(expert_share=0.5)
    joined = (rows.next_states[:-1] == rows.states[1:]).all(1)
    assert joined.mean() < 0.05  # in the order of play nearly all rows would join


def test_progress_counts_up_to_all_rows() -> None:
    counts: list[int] = []
    collect_transitions(CollectionConfig("room", (0,), 100, 0.3), counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 100


def test_the_share_of_expert_rows_is_exact() -> None:
    # A play of the planner is longer than the one row that is asked of it: 0.05 * 20 = 1.
    counts: list[int] = []
    config = CollectionConfig("trio_c", (0,), 20, 0.05, expert="planner")
    collect_transitions(config, counts.append)
    assert counts[0] == 1


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--expert-share in \[0, 1\], got 25"):
        CollectionConfig("room", (0,), 10, 25)
    with pytest.raises(ValueError, match="Unknown expert `bots`"):
        CollectionConfig("room", (0,), 10, expert="bots")
    with pytest.raises(ValueError, match="at least one layout seed"):
        CollectionConfig("room", (), 10)
    nothing = SplitDesign(held_out_kinds=("pick_up",))
    with pytest.raises(ValueError, match="Expected a goal that the bot can pursue, found none"):
        collect_transitions(CollectionConfig("trio_a", (0,), 10, 1.0, design=nothing))


def test_a_store_gives_back_what_was_written(tmp_path: Path) -> None:
    rows = collected()
    folder = write_transitions(tmp_path / "rows", rows, CARD, rows_per_shard=250)
    store = TransitionStore(folder)
    assert (len(store), len(store.shards), store.card) == (600, 3, CARD)
    back = store.read()
    np.testing.assert_array_equal(back.states, rows.states)
    np.testing.assert_array_equal(back.actions, rows.actions)
    np.testing.assert_array_equal(back.next_states, rows.next_states)
    assert [len(batch) for batch in store.batches()] == [250, 250, 100]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    hashes = {
        TransitionStore(write_transitions(tmp_path / name, collected(), CARD)).content_hash
        for name in ("one", "two")
    }
    assert len(hashes) == 1


def test_every_altered_byte_is_noticed(tmp_path: Path) -> None:
    folder = write_transitions(tmp_path / "rows", collected(count=50), CARD)
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        whole = path.read_bytes()
        for place in np.linspace(0, len(whole) - 1, 20).astype(int):
            flipped = bytearray(whole)
            flipped[place] ^= 1
            path.write_bytes(bytes(flipped))
            with pytest.raises(StoreError):
                TransitionStore(folder).read()
        path.write_bytes(whole)
    assert len(TransitionStore(folder).read()) == 50


def test_wrong_rows_are_refused() -> None:
    states, actions = np.zeros((3, 5), np.uint8), np.zeros(3, np.int8)
    with pytest.raises(ValueError, match="Expected 3 actions"):
        Transitions(states, actions[:2], states)
    with pytest.raises(ValueError, match="one shape"):
        Transitions(states, actions, states[:2])
    with pytest.raises(ValueError, match="Expected uint8 states and int8 actions"):
        Transitions(states, actions.astype(np.int64), states)
    with pytest.raises(ValueError, match="at least one transition"):
        Transitions(states[:0], actions[:0], states[:0])
