"""Labels against the truth: counts worked by hand, abstaining as a loss, programs as they are."""

import math

import numpy as np
import pytest

from envs.babyai.collection import CollectionConfig, collect_transitions
from envs.babyai.goals import all_specs, tile_spec
from envs.babyai.layouts import make_layout
from envs.babyai.program_text import spec_text
from envs.babyai.splits import SplitDesign, split_goals
from envs.transitions import Transitions
from envs.world import Goal
from imagination.label_audit import LabelCounts, audit_labels, labels_by_programs
from imagination.programs import parse_program

SHAPE = make_layout("room", 0).shape


@pytest.fixture(scope="module")
def rows() -> Transitions:
    config = CollectionConfig("room", (0, 1, 2), 3000, expert_share=0.5, expert="planner")
    return collect_transitions(config)


def goals() -> list[Goal]:
    """Goals in one wording each."""
    specs = [spec for spec in [*all_specs(), tile_spec(2, 3)] if spec[0] != 3 or sum(spec) % 9 == 0]
    design = SplitDesign(held_out_combinations=())
    chosen = [split_goals(specs, split, design, num_wordings=1) for split in ("train", "kind")]
    return [goal for split in chosen for goal in split]


def test_rates_follow_from_counts() -> None:
    counts = LabelCounts(2, 1, 6, 2, 3, 9)
    assert counts.accuracy == 15 / 20
    assert counts.precision == 6 / 8
    assert counts.recall == 6 / 9
    assert counts + counts == LabelCounts(4, 2, 12, 4, 6, 18)
    assert math.isnan(LabelCounts().precision)
    assert counts.numbers()["false_negatives"] == 3


def test_right_programs_have_no_error_of_any_kind(rows: Transitions) -> None:
    programs = {goal.text: parse_program(spec_text(goal.spec)) for goal in goals()}
    read = {text: program for text, program in programs.items() if program is not None}
    found = audit_labels(labels_by_programs(goals(), read, rows, SHAPE), rows, SHAPE)
    assert set(found) == {"go_to", "pick_up", "open", "put_next", "go_to_tile", "all"}
    for kind in ("go_to", "pick_up", "go_to_tile", "all"):
        assert (found[kind].precision, found[kind].recall) == (1.0, 1.0)
    assert sum(counts.false_positives + counts.false_negatives for counts in found.values()) == 0
    assert found["all"].goals == len(goals())


def test_a_wrong_program_and_an_abstained_goal_show_as_what_they_are(rows: Transitions) -> None:
    (red,) = [goal for goal in goals() if goal.text == "go to the red ball"]
    other = parse_program("facing any box")
    right = parse_program("facing red ball")
    assert other is not None
    assert right is not None
    wrong = audit_labels(labels_by_programs([red], {red.text: other}, rows, SHAPE), rows, SHAPE)
    assert wrong["go_to"].precision == 0.0
    silent = audit_labels(labels_by_programs([red], {}, rows, SHAPE), rows, SHAPE)["go_to"]
    assert (silent.unlabelled_goals, silent.recall) == (1, 0.0)
    assert math.isnan(silent.precision)
    # Half of two goals read: half of the successes are found, and all that is claimed is true.
    twin = Goal("another wording", red.level, red.kind, red.spec)
    both = audit_labels(
        labels_by_programs([red, twin], {red.text: right}, rows, SHAPE), rows, SHAPE
    )
    assert (both["go_to"].precision, both["go_to"].recall) == (1.0, 0.5)
    assert both["go_to"].true_positives == silent.false_negatives > 0


def test_labels_of_another_length_are_refused(rows: Transitions) -> None:
    labels = np.zeros(len(rows) - 1, bool)
    with pytest.raises(ValueError, match="Expected a label for each of 3000 transitions"):
        audit_labels([(goals()[0], labels)], rows, SHAPE)
