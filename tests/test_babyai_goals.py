"""BabyAI's goals: which exist, which a grid allows, how they are said, what a split holds out."""

import re
from collections.abc import Iterable
from itertools import chain

import numpy as np
import pytest

from envs.babyai.cells import (
    BALL,
    BOX,
    CLOSED,
    COLORS,
    DOOR,
    EMPTY,
    KEY,
    LOCKED,
    WALL,
    ball_code,
    door_code,
    key_code,
)
from envs.babyai.goals import (
    ANY,
    GO_TO,
    KINDS,
    OPEN_DOOR,
    PICK_UP,
    PUT_NEXT,
    SPEC_SIZE,
    Spec,
    all_specs,
    descriptions,
    layout_specs,
    tile_spec,
)
from envs.babyai.layouts import Layout, make_layout
from envs.babyai.splits import SPLITS, SplitDesign, split_goals
from envs.babyai.wordings import NUM_WORDINGS, TEST, TRAIN, Words
from envs.world import Goal

RED, GREEN, BLUE = range(3)
FUNCTION_WORDS = {"a", "an", "the", "to", "of", "at", "on", "up", "down", "off"}
TILES = [tile_spec(x, y) for x in range(1, 21) for y in range(1, 21)]
DESIGNS = [SplitDesign(), SplitDesign(held_out_kinds=("put_next",))]


def splits(design: SplitDesign) -> dict[str, list[Goal]]:
    return {split: split_goals(all_specs() + TILES, split, design) for split in SPLITS}


def test_there_are_as_many_goals_as_the_grammar_gives() -> None:
    # 4 types x 7 colours ("any" included) to go to, 3 x 7 to pick up, 7 doors to open; 21 x 28
    # pairs to put together, less those that one thing could fit: for each of 3 types 7 equal ones
    # and 2 x 6 of a colour with "any": 588 - 3 * 19 = 531.
    specs = all_specs()
    counts = [sum(spec[0] == kind for spec in specs) for kind in range(len(KINDS))]
    assert counts == [28, 21, 7, 531, 0]
    assert len(set(specs)) == len(specs)
    assert {len(spec) for spec in specs + TILES} == {SPEC_SIZE}


def small_layout(cells: list[list[int]]) -> Layout:
    """A room of those cells between walls, the agent in its top left cell."""
    wide = len(cells[0])
    rows = [[WALL] * (wide + 2), *([WALL, *row, WALL] for row in cells), [WALL] * (wide + 2)]
    padded = [row + [WALL] * (8 - len(row)) for row in rows] + [[WALL] * 8] * (8 - len(rows))
    state = np.array([*chain(*padded), 1, 1, 0, EMPTY], np.uint8)
    return Layout("room", 0, False, state, np.array([[1, 1, 0]], np.uint8))


def test_goals_of_a_hand_made_grid() -> None:
    layout = small_layout([[EMPTY, EMPTY, ball_code(RED)], [EMPTY, EMPTY, EMPTY]])
    ball = [(BALL, ANY), (BALL, RED)]
    expected: list[Spec] = [(GO_TO, *name, -1, -1) for name in ball]
    expected += [(PICK_UP, *name, -1, -1) for name in ball]
    expected += [tile_spec(*tile) for tile in [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2)]]
    assert layout_specs(layout) == expected


def test_things_side_by_side_are_not_asked_to_be_put_together() -> None:
    beside = small_layout([[EMPTY, key_code(BLUE), ball_code(RED)], [EMPTY] * 3])
    apart = small_layout([[key_code(BLUE), EMPTY, ball_code(RED)], [EMPTY] * 3])
    assert not [spec for spec in layout_specs(beside) if spec[0] == PUT_NEXT]
    # Either one can be moved; each has two names.
    assert len([spec for spec in layout_specs(apart) if spec[0] == PUT_NEXT]) == 2 * 2 * 2


def test_what_cannot_be_reached_is_no_goal() -> None:
    walled = small_layout([[EMPTY, WALL, ball_code(RED)]])
    assert layout_specs(walled) == [tile_spec(1, 1)]
    locked = small_layout([[EMPTY, door_code(RED, LOCKED), ball_code(RED)]])
    assert layout_specs(locked) == [tile_spec(1, 1)]
    opened = small_layout([[EMPTY, door_code(RED, CLOSED), ball_code(RED)]])
    assert (OPEN_DOOR, DOOR, RED, -1, -1) in layout_specs(opened)
    assert (GO_TO, BALL, RED, -1, -1) in layout_specs(opened)


def test_a_locked_door_is_a_goal_where_its_key_can_be_reached() -> None:
    door = door_code(RED, LOCKED)
    with_key = small_layout(
        [[EMPTY, EMPTY, door, ball_code(BLUE)], [key_code(RED), EMPTY, WALL, EMPTY]]
    )
    assert (OPEN_DOOR, DOOR, RED, -1, -1) in layout_specs(with_key)
    assert (PICK_UP, BALL, BLUE, -1, -1) in layout_specs(with_key)
    assert tile_spec(4, 2) in layout_specs(with_key)


def test_trio_grids_ask_for_one_kind() -> None:
    for size, kind in (("trio_a", PICK_UP), ("trio_b", OPEN_DOOR), ("trio_c", PICK_UP)):
        assert {spec[0] for spec in layout_specs(make_layout(size, 3))} == {kind}


def test_hand_worked_wordings() -> None:
    spec = (PUT_NEXT, BOX, RED, DOOR, ANY)
    assert TRAIN.say(spec) == "put the red box next to a door"
    assert TEST.say(spec) == "set the crimson crate down alongside a gate"
    assert TEST.say(spec, 1) == "bring the scarlet chest to an entrance"
    assert TRAIN.say(tile_spec(3, 14)) == "go to tile (3, 14)"
    assert TEST.say(tile_spec(3, 14), 1) == "head towards column 3 of row 14"


def test_every_goal_has_its_own_sentences() -> None:
    texts = sentences(TRAIN) + sentences(TEST)
    assert len(set(texts)) == len(texts)


def patterns(texts: Iterable[str]) -> set[str]:
    """Sentences without their nouns, colours and numbers."""
    names = {
        noun: "N" for words in (TRAIN, TEST) for nouns in words.nouns.values() for noun in nouns
    }
    names |= {color: "C" for words in (TRAIN, TEST) for group in words.colors for color in group}
    found = set()
    for text in texts:
        text = re.sub(r"\d+", "9", text.lower())
        words_found = [names.get(word, word) for word in re.findall(r"[a-z]+|\d+|[(),]", text)]
        found.add(re.sub(r"(a|an|the) (C )?N", "X", " ".join(words_found)))
    return found


def sentences(words: Words) -> list[str]:
    """Every goal in every wording."""
    return [words.say(spec, i) for spec in all_specs() + TILES for i in range(NUM_WORDINGS)]


def test_new_words_share_no_pattern_and_no_content_word_with_training() -> None:
    known, new = patterns(sentences(TRAIN)), patterns(sentences(TEST))
    assert len(known) == len(new) == NUM_WORDINGS * len(KINDS)
    assert not known & new
    content = set(re.findall("[a-z]+", " ".join(new))) - FUNCTION_WORDS
    assert not content & set(re.findall("[a-z]+", " ".join(known)))


def test_only_the_splits_of_new_words_are_said_in_them() -> None:
    known, new = set(sentences(TRAIN)), set(sentences(TEST))
    for split, goals in splits(SplitDesign()).items():
        assert {goal.text for goal in goals} <= (new if split in ("wording", "both") else known)


def vocabulary(words: Words) -> set[str]:
    nouns = {noun for group in words.nouns.values() for noun in group}
    return nouns | {color for group in words.colors for color in group}


def test_nouns_and_colours_of_training_and_test_are_disjoint() -> None:
    assert not vocabulary(TRAIN) & vocabulary(TEST)
    for kind in (DOOR, KEY, BALL, BOX):
        assert len(TEST.nouns[kind]) == 2
    synonyms = [color for group in TEST.colors for color in group]
    assert len(set(synonyms)) == 2 * len(COLORS)


@pytest.mark.parametrize("design", DESIGNS)
def test_each_split_is_new_in_what_its_name_says_and_in_nothing_else(design: SplitDesign) -> None:
    goals = splits(design)
    specs = {split: {goal.spec for goal in goals[split]} for split in SPLITS}
    names = {split: {n for s in specs[split] for n in descriptions(s)} for split in SPLITS}
    kinds = {split: {goal.kind for goal in goals[split]} for split in SPLITS}
    assert specs["wording"] == specs["train"]
    assert specs["both"] == specs["combination"]
    assert not specs["train"] & specs["combination"]
    assert not names["train"] & set(design.held_out_combinations)
    assert all(
        set(descriptions(s)) & set(design.held_out_combinations) or KINDS[s[0]] == "go_to_tile"
        for s in specs["combination"]
    )
    assert kinds["kind"] == set(design.held_out_kinds)
    assert not kinds["train"] & kinds["kind"]
    assert not names["kind"] & set(design.held_out_combinations)


def test_all_sentences_of_all_splits_differ() -> None:
    texts = [goal.text for goals in splits(SplitDesign()).values() for goal in goals]
    assert len(set(texts)) == len(texts)
    assert all(goal.level == split for split, goals in splits(DESIGNS[0]).items() for goal in goals)


def share_without_color(goals: Iterable[Goal]) -> float:
    """Of the things that goals name."""
    colors = [color for goal in goals for _, color in descriptions(goal.spec)]
    return sum(color == ANY for color in colors) / len(colors)


@pytest.mark.parametrize("design", DESIGNS)
def test_things_without_a_colour_are_as_frequent_in_every_split(design: SplitDesign) -> None:
    goals = splits(design)
    shares = {s: share_without_color(g) for s, g in goals.items() if s != "kind"}
    if "go_to_tile" not in design.held_out_kinds:
        shares["kind"] = share_without_color(goals["kind"])
    assert max(shares.values()) - min(shares.values()) < 0.03
    assert min(shares.values()) > 0.1


def test_held_out_tiles_leave_every_row_and_column_to_training() -> None:
    goals = splits(SplitDesign(held_out_kinds=("open",)))
    train = [goal.spec for goal in goals["train"] if goal.kind == "go_to_tile"]
    new = [goal.spec for goal in goals["combination"] if goal.kind == "go_to_tile"]
    # One tile in seven is held out: 400 / 7 = 57.1, four wordings each.
    assert len(set(new)) in (56, 57, 58)
    assert not set(train) & set(new)
    assert {spec[1] for spec in train} == {spec[2] for spec in train} == set(range(1, 21))


def test_wrong_designs_and_splits_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"Unknown goal kinds fly\. Choose held_out_kinds among go_to"
    ):
        SplitDesign(held_out_kinds=("fly",))
    with pytest.raises(ValueError, match="Expected a kind to train on"):
        SplitDesign(held_out_kinds=KINDS)
    with pytest.raises(ValueError, match=r"Correct held_out_combinations"):
        SplitDesign(held_out_combinations=((WALL, RED),))
    with pytest.raises(ValueError, match="Unknown split `tran`"):
        split_goals(all_specs(), "tran", SplitDesign())
    with pytest.raises(ValueError, match=r"Expected 1\.\.4 wordings"):
        split_goals(all_specs(), "train", SplitDesign(), 5)
