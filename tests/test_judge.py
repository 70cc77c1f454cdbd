"""The judge: what it is shown decides about every goal, nonsense and failures are counted."""

import re

import numpy as np
import pytest
from scripted_chat import ScriptedChat

from envs.babyai.cells import EMPTY, ball_code, door_code, key_code
from envs.babyai.collection import CollectionConfig, collect_transitions
from envs.babyai.goals import ANY, specs_array
from envs.babyai.layouts import make_layout
from envs.babyai.program_text import SEPARATOR
from envs.babyai.simulator import DROP, TOGGLE
from envs.babyai.verifiers import success
from envs.transitions import Transitions
from envs.world import Goal
from imagination.judge import (
    FEATURES,
    Judgement,
    JudgeSettings,
    Verdict,
    deciding_features,
    different_rows,
    judge_goals,
    read_verdict,
    spread_verdicts,
    transition_text,
)
from imagination.judged_labels import labels_by_judge
from imagination.label_audit import LabelCounts, audit_labels
from imagination.proxies import ProxySettings

SHAPE = make_layout("rooms_2x2", 0).shape
RED, BLUE = 0, 2
GOALS = {
    "facing any door": (0, 4, ANY, -1, -1),
    "holding any ball": (1, 6, ANY, -1, -1),
    "opened any door": (2, 4, ANY, -1, -1),
    "dropped_beside any ball | any door": (3, 6, ANY, 4, ANY),
    "standing_on 3 3": (4, 3, 3, -1, -1),
}
DECIDES = {
    "facing": "ahead",
    "holding": "hands",
    "opened": "ahead",
    "dropped_beside": "Hands, beside.",
    "standing_on": "tile",
}


@pytest.fixture(scope="module")
def rows() -> Transitions:
    config = CollectionConfig("rooms_2x2", (0, 1), 1500, expert_share=0.7, expert="planner")
    return collect_transitions(config)


def reads(text: str) -> str:
    """A judge that knows programs and reads nothing but the words that it is shown."""
    goal = re.findall(r"Goal: (.*)", text)[0]
    relation, _, about = goal.partition(" ")
    if "Which features" in text:
        return DECIDES[relation]
    before, after = (
        text.split(f"{when} the step: ")[1].split("\n")[0] for when in ("Before", "After")
    )
    was, now = (re.findall(r"^ahead lies (.*?);", part)[0] for part in (before, after))
    held = [re.findall(r"hold (.*?)[;.]", part)[0] for part in (before, after)]
    around = re.findall(r"around the cell ahead lies (.*?);", after)[0]
    action = re.findall(r"The step: (\w+)", text)[0]
    things = [part.removeprefix("any ") for part in about.split(SEPARATOR)]
    told = {
        "facing": things[0] in now,
        "holding": action == "pickup" and held[0] == "nothing" and things[0] in held[1],
        "opened": action == "toggle" and "open" not in was and "open" in now and things[0] in now,
        "dropped_beside": things[0] in held[0] and held[1] == "nothing" and things[-1] in around,
        "standing_on": "tile ({}, {}).".format(*(about.split() * 2)[:2]) in after,
    }[relation]
    return f"It is not false to reason first. {'True' if told else 'False'}"


def judged(
    rows: Transitions, chat: ScriptedChat, goals: list[str], count: int = 5000
) -> list[Judgement]:
    return list(judge_goals(chat, goals, rows, SHAPE, JudgeSettings(count)))


def test_what_is_shown_suffices_to_judge_every_kind_as_the_verifiers_do(rows: Transitions) -> None:
    found = judged(rows, ScriptedChat(reads), list(GOALS))
    for judgement, spec in zip(found, GOALS.values(), strict=True):
        world_rows = [
            column[judgement.rows] for column in (rows.states, rows.actions, rows.next_states)
        ]
        truth = success(np.tile(specs_array([spec]), (len(judgement.rows), 1)), *world_rows, SHAPE)
        np.testing.assert_array_equal(judgement.verdicts == Verdict.TRUE, truth, judgement.goal)
        assert truth.any(), judgement.goal


def test_shown_transitions_differ_in_what_decides_and_hold_every_difference(
    rows: Transitions,
) -> None:
    table = deciding_features(rows.states, rows.actions, rows.next_states, SHAPE)
    chosen = different_rows(table, ["tile"], 5000, np.random.default_rng(0))
    keys = {tuple(row) for row in table[:, [0, 9, 10]]}
    assert len(chosen) == len(keys) == len({tuple(row) for row in table[chosen][:, [0, 9, 10]]})
    few = different_rows(table, ["ahead", "hands"], 20, np.random.default_rng(0))
    assert len({tuple(row) for row in table[few][:, :5]}) == 20


def test_one_call_a_goal_chooses_features_and_every_other_shows_one_transition(
    rows: Transitions,
) -> None:
    chat = ScriptedChat(reads)
    first, second = judged(rows, chat, ["holding any ball", "standing_on 3 3"], 30)
    assert (first.features, second.features) == (("hands",), ("tile",))
    assert len(first.rows) == len(second.rows) == 30 or len(first.rows) < 30
    assert chat.usage.calls == 2 + len(first.rows) + len(second.rows)


def test_features_that_the_chat_does_not_name_are_all_of_them(rows: Transitions) -> None:
    chat = ScriptedChat(lambda text: "I like grids.")
    (found,) = judged(rows, chat, ["holding any ball"], 10)
    assert found.features == tuple(FEATURES)
    assert found.numbers() == {"false": 0, "true": 0, "not_applicable": 0, "nonsense": 10}
    assert not found.usable.any()


def test_verdicts_are_the_last_ones_named() -> None:
    assert read_verdict("That is TRUE.") == Verdict.TRUE
    assert read_verdict("true would need a key, so:\nfalse") == Verdict.FALSE
    assert read_verdict("Not applicable") == Verdict.NOT_APPLICABLE
    assert read_verdict("untrue, falsehood, 42") == Verdict.NONSENSE


def test_a_transition_in_words() -> None:
    codes = [DROP, EMPTY, ball_code(RED), ball_code(RED), EMPTY]
    around = [EMPTY, EMPTY, key_code(BLUE), door_code(BLUE, 1)]
    assert transition_text(np.array([*codes, *around, 3, 4])) == (
        "Before the step: ahead lies nothing; the hands hold a red ball.\n"
        "The step: drop.\n"
        "After the step: ahead lies a red ball; the hands hold nothing; around the cell ahead lies "
        "a blue key, a closed blue door; the agent stands on tile (3, 4)."
    )
    assert "toggle" in transition_text(np.array([TOGGLE, *[0] * 10]))


def test_after_a_failure_what_was_judged_stays_and_nothing_more_is_asked(
    rows: Transitions,
) -> None:
    chat = ScriptedChat(reads, last_call=100)
    found = judged(rows, chat, ["standing_on 3 3", "holding any ball"])
    # One call for the features, then 64 transitions; the next 64 end in the failure.
    assert len(found[0].rows) == len(found[0].verdicts) == 64
    assert len(found[1].rows) == 0
    assert [judgement.problem for judgement in found] == [
        "The script has ended. Write more of it."
    ] * 2
    assert chat.usage.calls == 100


def audited(labels: dict[str, np.ndarray | None], rows: Transitions) -> dict[str, LabelCounts]:
    goals = [Goal(text, "train", text.split()[0], GOALS[text]) for text in labels]
    return audit_labels([(goal, labels[goal.text]) for goal in goals], rows, SHAPE)


ONE_EPOCH = ProxySettings(channels=2, hidden=2, max_epochs=1)


def test_equal_transitions_share_a_verdict_so_that_nothing_is_left_to_the_proxies(
    rows: Transitions,
) -> None:
    goals = ["facing any door", "holding any ball", "standing_on 3 3"]
    found = judged(rows, ScriptedChat(reads), goals)
    assert max(len(judgement.rows) for judgement in found) < len(rows) / 2
    audit = audited(dict(labels_by_judge(found, rows, SHAPE, ONE_EPOCH)), rows)
    assert (audit["all"].precision, audit["all"].recall) == (1.0, 1.0)
    table = deciding_features(rows.states, rows.actions, rows.next_states, SHAPE)
    assert (spread_verdicts(table, found[0]) <= Verdict.TRUE).all()


def test_verdicts_are_kept_and_proxies_label_the_rest(rows: Transitions) -> None:
    goals = ["facing any door", "opened any door"]
    found = judged(rows, ScriptedChat(reads), goals[:1], 300)
    nonsense = judged(rows, ScriptedChat(lambda text: "?"), goals[1:], 50)
    quick = ProxySettings(
        channels=8, hidden=8, learning_rate=1e-2, max_epochs=10, patience_epochs=10, batch_size=32,
        least_precision=0.5,
    )  # fmt: skip
    labels = dict(labels_by_judge([*found, *nonsense], rows, SHAPE, quick, spread=False))
    assert list(labels) == goals
    assert labels["opened any door"] is None
    own = labels["facing any door"]
    assert own is not None
    np.testing.assert_array_equal(own[found[0].rows], found[0].verdicts == Verdict.TRUE)
    audit = audited(labels, rows)
    assert audit["opened"].unlabelled_goals == 1
    assert audit["facing"].true_positives > (found[0].verdicts == Verdict.TRUE).sum()
    assert audit["facing"].recall > 0.5


def test_too_few_transitions_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected at least two transitions, got 1"):
        JudgeSettings(1)
