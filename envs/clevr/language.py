"""Text-only knowledge of the world's language: what a pretrained language model would bring.

Pairs of question and answer about words alone: no states, no actions, no sentence of a novel level
and none of their patterns (`envs.clevr.patterns` filters, a test proves it). Composite goals are
answered with the simpler goals, as canonical training sentences, that they are made of.
"""

from collections.abc import Callable, Sequence

import numpy as np

from envs.clevr.combinations import NUM_BALLS, Relation, all_relations, mirrored
from envs.clevr.composites import (
    CLAUSE_HEADS,
    ENDINGS,
    GATHER_RULES,
    LAST_SEPARATORS,
    LINE_RULES,
    LIST_HEADS,
    MOVE_RULES,
    SEPARATORS,
    STATEMENT_HEADS,
    with_relation_rules,
)
from envs.clevr.goals import canonical_text, relations_of, train_text
from envs.clevr.grammar import RELATION_RULES
from envs.clevr.lexicon import (
    BALL_NOUNS,
    MOVE_WORDS,
    OPPOSITES,
    POSSESSIVE_WORDS,
    RELATION_VERBS,
    RELATION_WORDS,
    SYNONYMS,
)
from envs.clevr.patterns import is_held_out
from envs.clevr.sentences import COLORS, RELATION_PHRASES, TRAIN_PATTERNS
from envs.grammar import Slots, as_sentence, expand, pick
from envs.world import Goal

QUESTION = "Divide this goal into simple goals: {} Simple goals:"  # as in kalm.prompts
SEPARATOR = " ; "  # between the simpler goals of an answer
LINE = ((0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 1))  # red left of blue, blue left of green, ...
GATHER = ((0, 2, 1), (1, 2, 0), (3, 2, 2), (4, 2, 3))  # around green: left, behind, front, right
DIRECTION_NAMES = ("behind", "left", "front", "right")
FACT_SHARE = 0.08  # of all knowledge; the rest divides goals
_RELATIONS = tuple(all_relations())
_LINE, _GATHER, _MOVE = map(with_relation_rules, (LINE_RULES, GATHER_RULES, MOVE_RULES))
_LIST_STYLE, _VERB_STYLE, _FREE_STYLE, _STATEMENT_STYLE, _GERUND_STYLE, _MIXED_STYLE = range(6)
_STYLE_SHARES = (0.28, 0.24, 0.12, 0.14, 0.12, 0.10)

Relations = tuple[Relation, ...]


def knowledge(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """`count` pairs of question and answer: goals to divide, and facts about words."""
    num_facts = round(count * FACT_SHARE)
    pairs = [
        (QUESTION.format(goal), answer) for goal, answer in decompositions(count - num_facts, rng)
    ]
    while len(pairs) < count:
        question, answer = _fact(rng)
        if not is_held_out(question):
            pairs.append((question, answer))
    return [pairs[index] for index in rng.permutation(len(pairs))]


def decompositions(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """`count` pairs of a goal's text and its simpler goals, joined by `SEPARATOR`."""
    makers: tuple[tuple[float, Callable[[np.random.Generator], tuple[str, Relations]]], ...] = (
        (0.28, _wanted),
        (0.20, _unwanted),
        (0.04, _trained),
        (0.14, lambda rng: _conjunction(2, rng)),
        (0.14, lambda rng: _conjunction(3, rng)),
        (0.05, _line),
        (0.05, _gather),
        (0.10, _move),
    )
    shares = np.array([share for share, _ in makers])
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        text, relations = makers[rng.choice(len(makers), p=shares)][1](rng)
        sentence = as_sentence(text, rng)
        if not is_held_out(sentence):
            pairs.append((sentence, join_canonical(relations)))
    return pairs


def decompose_reference(goal: Goal) -> list[str]:
    """The canonical sentences that `goal` is made of; for tests and audits only, never training."""
    if goal.kind == "move":
        return [canonical_text(*_move_relation(goal.spec[1], goal.spec[3]))]
    fixed: dict[str, Relations] = {"line": LINE, "gather": GATHER}
    return [canonical_text(*relation) for relation in fixed.get(goal.kind, relations_of(goal))]


def join_canonical(relations: Sequence[Relation]) -> str:
    """The answer that lists `relations` as canonical sentences."""
    return SEPARATOR.join(canonical_text(*relation) for relation in relations)


def _move_relation(ball: int, direction: int) -> Relation:
    """A move told as a relation: the ball goes to that side of the next ball in colour order."""
    return ball, (ball + 1) % NUM_BALLS, direction


def _any_relation(rng: np.random.Generator) -> Relation:
    return _RELATIONS[int(rng.integers(len(_RELATIONS)))]


def _opposite(direction: int) -> int:
    return (direction + 2) % 4


def _slots(relation: Relation, rng: np.random.Generator) -> Slots:
    """Words for a relation; a sentence mostly keeps one noun for its balls."""
    source, target, direction = relation
    noun = "ball" if rng.random() < 0.6 else pick(BALL_NOUNS, rng)

    def ball(index: int) -> Callable[[np.random.Generator], str]:
        def words(rng: np.random.Generator) -> str:
            chance = rng.random()
            if chance < 0.04:
                return COLORS[index]
            return f"the {COLORS[index]} {noun if chance < 0.9 else pick(BALL_NOUNS, rng)}"

        return words

    def side(rng: np.random.Generator) -> str:
        known = rng.random() < 0.4
        return pick((RELATION_PHRASES if known else RELATION_WORDS)[direction], rng)

    def link(rng: np.random.Generator) -> str:
        if RELATION_VERBS[direction] and rng.random() < 0.15:
            return pick(RELATION_VERBS[direction], rng)
        return f"{pick(RELATION_RULES['rests'], rng)} {side(rng)}"

    return {
        "s": ball(source),
        "t": ball(target),
        "d": side,
        "link": link,
        "its": lambda rng: pick(POSSESSIVE_WORDS[direction], rng),
        "w": lambda rng: pick(MOVE_WORDS[direction], rng),
    }


def _wanted(rng: np.random.Generator) -> tuple[str, Relations]:
    relation = _any_relation(rng)
    return expand("<wanted>", RELATION_RULES, _slots(relation, rng), rng), (relation,)


def _unwanted(rng: np.random.Generator) -> tuple[str, Relations]:
    """Disliking or forbidding one side asks for the opposite side."""
    source, target, direction = _any_relation(rng)
    words = _slots((source, target, direction), rng)
    answer = (source, target, _opposite(direction))
    return expand("<unwanted>", RELATION_RULES, words, rng), (answer,)


def _trained(rng: np.random.Generator) -> tuple[str, Relations]:
    relation = _any_relation(rng)
    pattern, phrasing = int(rng.integers(len(TRAIN_PATTERNS))), int(rng.integers(3))
    return train_text(relation, pattern, phrasing), (relation,)


def _line(rng: np.random.Generator) -> tuple[str, Relations]:
    return expand("<opener> <line> <closer>", _LINE, {}, rng), LINE


def _gather(rng: np.random.Generator) -> tuple[str, Relations]:
    return expand("<opener> <gather> <closer>", _GATHER, {}, rng), GATHER


def _move(rng: np.random.Generator) -> tuple[str, Relations]:
    ball, direction = int(rng.integers(NUM_BALLS)), int(rng.integers(4))
    relation = _move_relation(ball, direction)
    return expand("<move>", _MOVE, _slots(relation, rng), rng), (relation,)


def _conjunction(size: int, rng: np.random.Generator) -> tuple[str, Relations]:
    """`size` relations in one sentence, in the order of the answer."""
    chosen = rng.choice(len(_RELATIONS), size, replace=False)
    relations = tuple(_RELATIONS[index] for index in chosen)
    style = int(rng.choice(len(_STYLE_SHARES), p=_STYLE_SHARES))
    parts, answers = [], []
    for place, template in enumerate(_part_templates(style, size, rng)):
        source, target, direction = relations[place]
        if template == "<unwanted>":
            answers.append((source, target, _opposite(direction)))
        else:
            answers.append(relations[place])
        parts.append(expand(template, RELATION_RULES, _slots(relations[place], rng), rng))
    heads = {_LIST_STYLE: LIST_HEADS, _STATEMENT_STYLE: STATEMENT_HEADS}.get(style, CLAUSE_HEADS)
    head = expand(pick(heads, rng), RELATION_RULES, {}, rng)
    return f"{head} {_joined(parts, rng)}".strip(), tuple(answers)


def _part_templates(style: int, size: int, rng: np.random.Generator) -> list[str]:
    """A template for each part of a conjunction."""
    rules = RELATION_RULES
    if style == _LIST_STYLE:
        return ["<s> <d> <t>"] * size
    if style == _VERB_STYLE:
        return [f"{pick(rules['verb'], rng)} <s> <d> <t>"] * size
    if style == _FREE_STYLE:
        return ["<do>"] * size
    if style == _STATEMENT_STYLE:
        return ["<s> <link> <t>"] * size
    if style == _GERUND_STYLE:
        gerund = f"{pick(rules['gerund'], rng)} <s> <d> <t>"
        return [f"{pick(rules['verb'], rng)} <s> <d> <t>", *[gerund] * (size - 1)]
    return [("<wanted>", "<unwanted>")[int(rng.random() < 0.4)] for _ in range(size)]


def _joined(parts: Sequence[str], rng: np.random.Generator) -> str:
    """`parts` with separators, all alike or each its own, and perhaps a closing word."""
    separator = pick(SEPARATORS, rng)
    text = parts[0]
    for place, part in enumerate(parts[1:], start=2):
        if place == len(parts):
            separator = pick(LAST_SEPARATORS, rng)
        elif rng.random() < 0.5:
            separator = pick(SEPARATORS, rng)
        text = text.rstrip("?!") + separator + part
    return text + pick(ENDINGS, rng)


def _fact(rng: np.random.Generator) -> tuple[str, str]:
    makers = (_synonym_fact, _opposite_fact, _consistency_fact, _entailment_fact, _mirror_fact)
    return makers[int(rng.integers(len(makers)))](rng)


def _synonym_fact(rng: np.random.Generator) -> tuple[str, str]:
    group = SYNONYMS[int(rng.integers(len(SYNONYMS)))]
    first, second = (group[index] for index in rng.choice(len(group), 2, replace=False))
    if rng.random() < 0.5:
        return f"Which plain word means the same as `{second}`?", group[0]
    if rng.random() < 0.5:
        return f"Do `{first}` and `{second}` mean the same here?", "yes"
    other = SYNONYMS[int(rng.integers(len(SYNONYMS)))]
    answer = "yes" if set(other) & set(group) else "no"
    return f"Do `{first}` and `{pick(other, rng)}` mean the same here?", answer


def _opposite_fact(rng: np.random.Generator) -> tuple[str, str]:
    pair = OPPOSITES[int(rng.integers(len(OPPOSITES)))]
    index = int(rng.integers(2))
    return f"What is the opposite of `{pair[index]}`?", pair[1 - index]


def _relation_words(relation: Relation, rng: np.random.Generator) -> str:
    return expand("<s> <link> <t>", RELATION_RULES, _slots(relation, rng), rng)


def _consistency_fact(rng: np.random.Generator) -> tuple[str, str]:
    """Whether two statements about one pair of balls can hold at once."""
    first = _any_relation(rng)
    second = (first[0], first[1], int(rng.integers(4)) if rng.random() < 0.6 else first[2])
    answer = "yes" if second[2] == first[2] else "no"
    if rng.random() < 0.5:
        second = mirrored(second)
    words = f"{_relation_words(first, rng)} and {_relation_words(second, rng)}"
    return f"Can it be at once that {words}?", answer


def _entailment_fact(rng: np.random.Generator) -> tuple[str, str]:
    """Where the target is, seen from the source."""
    relation = _any_relation(rng)
    source, target, direction = relation
    words = f"If {_relation_words(relation, rng)}, on which side of the {COLORS[source]} ball"
    return f"{words} is the {COLORS[target]} ball?", DIRECTION_NAMES[_opposite(direction)]


def _mirror_fact(rng: np.random.Generator) -> tuple[str, str]:
    """The same fact, told from the other ball."""
    relation = _any_relation(rng)
    question = f"Say this from the other ball: {_relation_words(relation, rng)}."
    return question, canonical_text(*mirrored(relation))
