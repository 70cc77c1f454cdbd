"""Goals of CLEVR-Robot and the text-only knowledge of its language."""

import itertools
import re

import numpy as np
import pytest

from envs.clevr import language, patterns
from envs.clevr.combinations import (
    MAX_DISTANCE,
    MIN_DISTANCE,
    all_relations,
    combination_key,
    find_scene,
    is_possible,
)
from envs.clevr.goals import (
    KINDS,
    LEVELS,
    SPEC_SIZE,
    canonical_text,
    clevr_goals,
    evaluation_combinations,
    relations_of,
    unseen_sentence_goals,
)
from envs.clevr.predicates import Direction, GoalKind
from envs.clevr.sentences import COLORS
from kalm import prompts

BEHIND, LEFT, FRONT, RIGHT = range(4)
RED, BLUE, GREEN, PURPLE, CYAN = range(5)
COLOR_WORDS = re.compile("|".join(COLORS))


@pytest.fixture(scope="module")
def knowledge() -> list[tuple[str, str]]:
    return language.knowledge(10000, np.random.default_rng(5))


def test_goal_numbers_mean_the_same_as_the_judges_enums() -> None:
    assert [kind.name.lower() for kind in GoalKind] == list(KINDS)
    assert [direction.name for direction in Direction] == ["BEHIND", "LEFT", "FRONT", "RIGHT"]


def test_levels_have_the_counts_of_the_benchmark() -> None:
    # 20 ordered pairs x 4 directions x 54 sentences; 20 x 40; 20 x 4 x 5; 80 + 80 + 20 + 20.
    counts = [len(clevr_goals(level)) for level in LEVELS]
    assert counts == [4320, 800, 400, 200]
    kinds = [goal.kind for goal in clevr_goals("hard")]
    assert [kinds.count(kind) for kind in KINDS] == [0, 0, 80, 80, 20, 20]
    for level in LEVELS:
        assert all(len(goal.spec) == SPEC_SIZE for goal in clevr_goals(level))


def test_train_goals_are_configuration_major_and_hand_worked_specs_hold() -> None:
    goals = clevr_goals("train")
    for first in range(0, len(goals), 54):
        assert len({goal.spec for goal in goals[first : first + 54]}) == 1
    by_text = {goal.text: goal.spec for level in LEVELS for goal in clevr_goals(level)}
    unused = (-1,) * 6
    text = "Can you move the red ball on the left side of the cyan ball?"
    assert by_text[text] == (0, RED, CYAN, LEFT, *unused)
    # Disliking "in front" asks for "behind".
    text = "I dislike seeing the green ball in front of the blue ball."
    assert by_text[text] == (0, GREEN, BLUE, BEHIND, *unused)
    assert by_text["Roll the purple ball to the front."] == (1, PURPLE, -1, FRONT, *unused)
    assert by_text["Gather all balls around the green ball."] == (5, *(-1,) * 9)


def test_all_sentences_of_all_levels_differ() -> None:
    texts = [goal.text for level in LEVELS for goal in clevr_goals(level)]
    assert len(set(texts)) == len(texts)


def test_canonical_text_is_a_training_sentence_of_its_relation() -> None:
    by_text = {goal.text: relations_of(goal) for goal in clevr_goals("train")}
    for relation in all_relations():
        assert by_text[canonical_text(*relation)] == [relation]


def test_an_unknown_level_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"Unknown level `harder`\. Choose one of train, rephrase"):
        clevr_goals("harder")


def test_every_conjunction_has_a_scene_that_satisfies_it() -> None:
    toward = {BEHIND: (0, 1), LEFT: (-1, 0), FRONT: (0, -1), RIGHT: (1, 0)}
    for goal in clevr_goals("hard"):
        if not relations_of(goal):
            continue
        scene = find_scene(relations_of(goal))
        assert scene is not None
        for source, target, direction in relations_of(goal):
            offset = scene[source] - scene[target]
            along = offset @ toward[direction]
            assert along > 0
            assert along**2 * 2 > offset @ offset  # within 45 degrees
            assert np.linalg.norm(offset) < MAX_DISTANCE
        for first, second in itertools.combinations(range(5), 2):
            assert np.linalg.norm(scene[first] - scene[second]) >= MIN_DISTANCE


def test_contradictions_are_impossible() -> None:
    assert is_possible([(RED, BLUE, LEFT), (BLUE, RED, RIGHT)])
    assert not is_possible([(RED, BLUE, LEFT), (BLUE, RED, LEFT)])
    # Red left of blue, blue left of green and green left of red is a circle.
    assert not is_possible([(RED, BLUE, LEFT), (BLUE, GREEN, LEFT), (GREEN, RED, LEFT)])


def test_strict_goals_share_no_sentence_pattern_or_conjunction_with_any_level() -> None:
    goals = unseen_sentence_goals(300, seed=3)
    levels = [goal for level in LEVELS for goal in clevr_goals(level)]
    known = {patterns.pattern_of(goal.text) for goal in levels}
    assert not known & {patterns.pattern_of(goal.text) for goal in goals}
    conjunctions = [relations_of(goal) for goal in goals if goal.kind in ("two", "three")]
    assert len(conjunctions) == 90
    keys = {combination_key(relations) for relations in conjunctions}
    assert len(keys) == 90
    assert not keys & evaluation_combinations()
    assert all(is_possible(relations) for relations in conjunctions)


def test_strict_goals_depend_on_count_and_seed_alone() -> None:
    assert unseen_sentence_goals(40, seed=1) == unseen_sentence_goals(40, seed=1)
    assert unseen_sentence_goals(40, seed=1) != unseen_sentence_goals(40, seed=2)
    assert {goal.level for goal in unseen_sentence_goals(40, seed=1)} == set(LEVELS[1:])


def test_novel_levels_share_no_pattern_with_training() -> None:
    trained = {patterns.pattern_of(goal.text) for goal in clevr_goals("train")}
    novel = [goal.text for level in LEVELS[1:] for goal in clevr_goals(level)]
    assert not trained & {patterns.pattern_of(text) for text in novel}


def test_a_pattern_is_a_sentence_without_its_balls_and_directions() -> None:
    text = "Push the red ball to the left of the Blue sphere, and nudge green leftward!"
    assert patterns.pattern_of(text) == ("push", "X", "D", "X", "and", "nudge", "X", "W")


def test_knowledge_shares_no_sentence_and_no_six_words_with_the_novel_levels(
    knowledge: list[tuple[str, str]],
) -> None:
    novel = [goal.text for level in LEVELS[1:] for goal in clevr_goals(level)]
    grams, without_colors = set(), set()
    for text in novel:
        words = patterns.pattern_of(text)
        grams |= {words} | {words[i : i + 6] for i in range(len(words) - 5)}
        without_colors.add(COLOR_WORDS.sub("C", text.lower()).rstrip(".!?"))
    prefix, suffix = language.QUESTION.split("{}")
    for asked, answer in knowledge:
        question = asked.removeprefix(prefix).removesuffix(suffix)
        assert question not in novel
        assert COLOR_WORDS.sub("C", question.lower()).rstrip(".!?") not in without_colors
        words = patterns.pattern_of(question)
        assert words not in grams, question
        assert not grams & {words[i : i + 6] for i in range(len(words) - 5)}, question
        assert answer not in novel


def test_the_pattern_filter_catches_a_novel_sentence_with_other_balls() -> None:
    assert patterns.is_held_out("so I hate that the cyan orb is located behind the red orb, right")
    assert patterns.is_held_out("ROLL the cyan ball to the right!")
    assert not patterns.is_held_out("Push the red ball to the left of the blue ball.")


def test_knowledge_knows_every_word_of_every_goal(knowledge: list[tuple[str, str]]) -> None:
    known = {word for pair in knowledge for text in pair for word in _words(text)}
    goals = [goal for level in LEVELS for goal in clevr_goals(level)]
    goals += unseen_sentence_goals(300, seed=0)
    assert {word for goal in goals for word in _words(goal.text)} <= known


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def test_knowledge_is_varied_and_a_function_of_its_generator() -> None:
    first = language.knowledge(2000, np.random.default_rng(9))
    assert first == language.knowledge(2000, np.random.default_rng(9))
    assert len({question for question, _ in first}) > 1800


def test_decompositions_answer_with_training_sentences(knowledge: list[tuple[str, str]]) -> None:
    canonical = {canonical_text(*relation) for relation in all_relations()}
    sizes = set()
    for _, answer in language.decompositions(1000, np.random.default_rng(2)):
        parts = answer.split(language.SEPARATOR)
        assert set(parts) <= canonical
        sizes.add(len(parts))
    assert sizes == {1, 2, 3, 4}


def test_goals_are_asked_for_and_divided_in_the_words_of_the_prompts() -> None:
    assert language.QUESTION.format("Roll on.") == prompts.decomposition_prompt("Roll on.")
    assert language.SEPARATOR == prompts.SUBGOAL_SEPARATOR


def test_unwanted_sides_are_answered_with_the_opposite_side() -> None:
    for seed in range(50):
        text, relations = language._unwanted(np.random.default_rng(seed))
        named = [d for d, words in enumerate(language.RELATION_WORDS) if _names(text, words, d)]
        assert relations[0][2] in [(direction + 2) % 4 for direction in named], text


def _names(text: str, words: tuple[str, ...], direction: int) -> bool:
    verbs, its = language.RELATION_VERBS[direction], language.POSSESSIVE_WORDS[direction]
    return any(phrase in text for phrase in (*words, *verbs, *its))


def test_references_of_composite_goals_are_hand_worked() -> None:
    by_kind = {goal.kind: goal for goal in clevr_goals("hard")}
    assert language.decompose_reference(by_kind["line"]) == [
        "Push the red ball to the left of the blue ball.",
        "Push the blue ball to the left of the green ball.",
        "Push the green ball to the left of the purple ball.",
        "Push the purple ball to the left of the cyan ball.",
    ]
    gathered = language.decompose_reference(by_kind["gather"])
    assert len(gathered) == 4
    assert all(text.endswith("the green ball.") for text in gathered)
    two = by_kind["two"]
    assert language.decompose_reference(two) == [canonical_text(*r) for r in relations_of(two)]
