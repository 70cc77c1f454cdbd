"""Text-only knowledge of BabyAI's language: it is true, varied, and apart from the evaluation."""

import re

import numpy as np
import pytest

from envs.babyai.cells import COLORS, DOOR
from envs.babyai.goals import GO_TO_TILE, KINDS, NAMED, all_specs, tile_spec
from envs.babyai.knowledge import is_held_out, knowledge, pattern_of
from envs.babyai.lexicon import COLOR_WORDS, DEEDS, NOUNS, OTHER_COLORS, OTHER_NOUNS
from envs.babyai.program_text import RELATIONS, UNCLEAR, reading_question
from envs.babyai.splits import SPLITS, SplitDesign, split_goals
from envs.babyai.wordings import NUM_WORDINGS, TEST, TRAIN

DESIGNS = [SplitDesign(), SplitDesign(held_out_kinds=("put_next",))]
TILES = [tile_spec(x, y) for x in range(1, 49, 2) for y in range(1, 49, 2)]
EVALUATED = SPLITS[1:]
PREFIX, SUFFIX = reading_question("{}").split("{}")


def asked(question: str) -> str:
    """The goal within a question, or the question itself where it is about a word."""
    return question.removeprefix(PREFIX).removesuffix(SUFFIX)


@pytest.fixture(scope="module", params=DESIGNS, ids=["tiles held out", "put next held out"])
def corpus(request: pytest.FixtureRequest) -> tuple[SplitDesign, list[tuple[str, str]]]:
    return request.param, knowledge(5000, np.random.default_rng(7), request.param)


def evaluation(design: SplitDesign) -> list[str]:
    specs = all_specs() + TILES
    return [goal.text for split in EVALUATED for goal in split_goals(specs, split, design)]


def words_of(text: str) -> list[str]:
    return re.findall("[a-z]+", text.lower())


def without_names(text: str) -> str:
    """Another way than `pattern_of` to take out things: by words alone, articles as well."""
    names = {word for group in (*NOUNS.values(), *COLOR_WORDS) for word in group}
    names |= {*OTHER_NOUNS, *OTHER_COLORS}
    found = re.findall(r"[a-z]+|\d+", text.lower())
    marked = ["9" if w.isdigit() else "X" if w in names else w for w in found]
    kept = [word for word in marked if word not in ("a", "an", "the", "any", "some")]
    return re.sub(r"X( X)+", "X", " ".join(kept))


def test_no_sentence_of_any_evaluation_split_is_in_the_corpus(
    corpus: tuple[SplitDesign, list[tuple[str, str]]],
) -> None:
    design, pairs = corpus
    assert not set(evaluation(design)) & {asked(question) for question, _ in pairs}


def test_no_pattern_of_new_words_or_of_the_held_out_kind_is_any_part_of_a_sentence(
    corpus: tuple[SplitDesign, list[tuple[str, str]]],
) -> None:
    design, pairs = corpus
    goals = [
        goal
        for split in ("wording", "both", "kind")
        for goal in split_goals(all_specs() + TILES, split, design)
    ]
    patterns = {without_names(goal.text) for goal in goals}
    # Four wordings of each kind but the one held out in new words, and its own four in old words.
    assert len(patterns) == NUM_WORDINGS * len(KINDS)
    for question, _ in pairs:
        sentence = f" {without_names(asked(question))} "
        assert not [pattern for pattern in patterns if f" {pattern} " in sentence], question


def test_held_out_combinations_are_named_neither_in_sentences_nor_in_programs(
    corpus: tuple[SplitDesign, list[tuple[str, str]]],
) -> None:
    design, pairs = corpus
    text = "\n".join(f"{question} {answer}" for question, answer in pairs)
    for kind, color in design.held_out_combinations:
        colors = "a|an|any|some" if color < 0 else "|".join(COLOR_WORDS[color])
        nouns = "|".join(NOUNS[kind])
        assert not re.findall(rf"\b(?:{colors}) (?:{nouns})\b", text)
        assert not re.findall(rf"\b(?:{nouns}) (?:that is|of) (?:{colors})\b", text)
    assert re.findall(r"\bcrimson chest\b", text)  # one that is not held out


def test_held_out_tiles_are_not_named_where_tiles_are_trained() -> None:
    design = DESIGNS[1]
    answers = {answer for _, answer in knowledge(4000, np.random.default_rng(0), design)}
    tiles = [tuple(map(int, a.split()[1:])) for a in answers if a.startswith("standing_on ")]
    assert len(tiles) > 200
    assert {design.novelty(tile_spec(x, y)) for x, y in tiles} == {"train"}


def test_the_filter_catches_new_patterns_with_other_things_and_around_them() -> None:
    design = SplitDesign()
    assert is_held_out("fetch the blue box", design)
    assert is_held_out("please SNATCH: any crimson orb at once", design)
    assert is_held_out("bring the pink chair to a lamp", design)
    assert is_held_out("go to tile (7, 9)", design)
    assert not is_held_out("go to the red ball", design)
    assert not is_held_out("the orb is what to snatch", design)
    assert not is_held_out("bring it to a lamp", design)
    tiles_trained = SplitDesign(held_out_kinds=("put_next",))
    assert not is_held_out("go to tile (7, 9)", tiles_trained)
    assert is_held_out("put a key next to a door", tiles_trained)


def test_a_pattern_is_a_sentence_without_its_things_and_numbers() -> None:
    assert pattern_of("Put the navy orb down, next to a box!") == "put X down next to X"
    assert pattern_of("go to tile (3, 14)") == "go to tile 9 9"
    assert pattern_of("the gate that is crimson") == "X that is C"


def test_every_word_of_every_goal_is_known(
    corpus: tuple[SplitDesign, list[tuple[str, str]]],
) -> None:
    design, pairs = corpus
    known = {word for question, _ in pairs for word in words_of(question)}
    specs = all_specs() + TILES
    goals = [goal for split in SPLITS for goal in split_goals(specs, split, design)]
    assert {word for goal in goals for word in words_of(goal.text)} <= known


def test_sentences_are_varied_and_a_function_of_their_generator() -> None:
    first = knowledge(3000, np.random.default_rng(9))
    assert first == knowledge(3000, np.random.default_rng(9))
    assert len({question for question, _ in first}) > 2600


def test_answers_follow_from_the_words_of_their_questions() -> None:
    # Read by a table of words instead of by the generator: things in the order of the program.
    plain = {word: group[0] for group in (*NOUNS.values(), *COLOR_WORDS) for word in group}
    plain |= {word: word for word in (*OTHER_NOUNS, *OTHER_COLORS)}
    seen = set()
    for question, answer in knowledge(3000, np.random.default_rng(3)):
        relation, _, about = answer.partition(" ")
        if not question.startswith(PREFIX) or answer == UNCLEAR:
            continue
        seen.add(relation)
        said = asked(question)
        if relation == RELATIONS[GO_TO_TILE]:
            assert sorted(re.findall(r"\d+", said)) == sorted(about.split())
            continue
        named = [plain[word] for word in words_of(said) if word in plain]
        told = [word for word in about.replace("|", " ").split() if word != "any"]
        assert sorted(named) == sorted(told), question
    assert seen == set(RELATIONS)


def test_what_no_program_tells_is_answered_so() -> None:
    pairs = knowledge(4000, np.random.default_rng(5))
    unclear = [asked(question) for question, answer in pairs if answer == UNCLEAR]
    assert 0.04 < len(unclear) / len(pairs) < 0.08
    assert any(text.startswith("do not") for text in unclear)
    assert any("and then" in text for text in unclear)


def test_the_lexicon_holds_all_words_of_both_ways_of_speaking_and_none_twice() -> None:
    for words in (TRAIN, TEST):
        for kind in NAMED:
            assert set(words.nouns[kind]) <= set(NOUNS[kind])
        for color in range(len(COLORS)):
            assert set(words.colors[color]) <= set(COLOR_WORDS[color])
    every = [
        w for group in (*NOUNS.values(), *COLOR_WORDS, OTHER_NOUNS, OTHER_COLORS) for w in group
    ]
    assert len(set(every)) == len(every)
    assert NOUNS[DOOR][0] == "door"
    for kind in range(len(KINDS)):
        assert len(set(DEEDS[kind])) == len(DEEDS[kind])
        assert all("_" in deed for deed in DEEDS[kind])
