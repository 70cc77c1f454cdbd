"""Choosing among options: the probability of their whole text, shared beginnings read once."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, grounded, text_model

from kalm import choices
from kalm.choices import choose, pick, score
from kalm.language_model import LanguageModel, Tensors
from kalm.layout import Packed, collate, join
from kalm.pretrained import train_quickly

QUESTIONS = ("red disc", "Put the red disc above the blue disc", "north", "red disc", "blue disc ;")
WORDS = (" disc", " above", " red")  # one token each
TEXTS = ("disc above the", "disc above red", "disc", "Put the", "above")


@torch.inference_mode()
def plain_score(model: LanguageModel, question: Packed, ids: list[int]) -> float:
    """Log-probability of `ids` after `question`, everything read anew for every word."""
    total = 0.0
    for place, token in enumerate(ids):
        whole = join([question, model.layout.text(ids[:place])])
        hidden = model.hidden(Tensors.of(collate([whole])))[0, -1]
        logits = model.backbone.get_output_embeddings()(hidden).double()
        total += float(logits.log_softmax(-1)[token])
    return total


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("quick", [False, True])
def test_scores_equal_those_read_word_by_word(family: str, quick: bool) -> None:
    model = text_model(family)
    if quick:
        train_quickly(model.backbone)
    questions = model.questions(QUESTIONS)
    for options in (WORDS, TEXTS):
        # "disc" begins "disc above the", so every text is read with its end.
        end = [model.end_token] if options is TEXTS else []
        expected = [
            [plain_score(model, question, model.encode_text(option) + end) for option in options]
            for question in questions
        ]
        np.testing.assert_allclose(score(model, questions, options, batch=2), expected, atol=1e-4)


def test_options_that_are_not_allowed_are_never_chosen_and_leave_the_others_alone() -> None:
    model = text_model()
    questions = model.questions(QUESTIONS)
    allowed = np.random.default_rng(0).random((len(QUESTIONS), len(TEXTS))) < 0.6
    allowed[0], allowed[3] = [1, 0, 0, 1, 0], [0, 1, 1, 0, 0]
    every = score(model, questions, TEXTS)
    some = score(model, questions, TEXTS, allowed)
    np.testing.assert_allclose(some[allowed], every[allowed], atol=1e-5)
    assert np.isneginf(some[~allowed]).all()
    chosen = choose(model, questions, TEXTS, allowed)
    assert chosen.tolist() == np.where(allowed, every, -np.inf).argmax(1).tolist()


def test_equal_questions_are_read_once_and_options_of_one_word_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = text_model()
    shapes: list[tuple[int, ...]] = []
    hidden = model.hidden

    def recording(batch: Any) -> Any:
        shapes.append(tuple(batch.token.shape))
        return hidden(batch)

    monkeypatch.setattr(model, "hidden", recording)
    questions = model.questions(QUESTIONS)
    score(model, questions, WORDS)
    assert shapes == [(4, max(len(question) for question in questions))]


def test_a_tree_reads_shared_beginnings_once_and_last_words_never() -> None:
    tree = choices._grow([[5, 6, 7], [5, 6, 8], [5, 9], [4]])
    # Read: 5 and 6 (7, 8, 9 and 4 come last). Words: 5 6 7 | 5 6 8 | 5 9 | 4.
    assert tree.tokens.tolist() == [5, 6]
    assert tree.depths.tolist() == [1, 2]
    assert tree.readable.tolist() == [[True, False], [True, True]]
    assert tree.parents.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0]
    assert tree.words.tolist() == [5, 6, 7, 5, 6, 8, 5, 9, 4]
    assert tree.starts.tolist() == [0, 3, 6, 8]


def test_questions_of_a_grounded_model_with_other_states_are_not_mixed_up() -> None:
    model = grounded()
    states = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    words = model.questions(["disc"])[0]
    questions = [join([words, model.layout.state(state, loss=False)]) for state in states]
    scores = score(model, questions, WORDS)
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


# ------------------------------------------------------------------------------------ drawing


def test_draws_follow_the_probabilities_at_their_temperature() -> None:
    scores = np.log(np.tile([0.5, 0.0, 0.3, 0.2], (5, 1)), where=np.array([1, 0, 1, 1], bool),
                    out=np.full((5, 4), -np.inf))  # fmt: skip
    uniforms = np.array([0.0, 0.49, 0.51, 0.81, 0.999999])
    assert pick(scores, 1.0, uniforms).tolist() == [0, 0, 2, 3, 3]
    # Temperature 0.5 squares: 0.25, 0.09, 0.04 of 0.38, so 0.66 and 0.89 are the borders.
    assert pick(scores, 0.5, uniforms).tolist() == [0, 0, 0, 2, 3]


def test_each_question_has_its_own_temperature() -> None:
    scores = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert pick(scores, np.array([0.0, 1.0]), np.array([0.9, 0.9])).tolist() == [0, 1]


def test_an_option_of_no_weight_is_not_drawn_at_either_end() -> None:
    scores = np.log(np.array([[0.0, 1.0, 0.0]]), out=np.full((1, 3), -np.inf),
                    where=np.array([[False, True, False]]))  # fmt: skip
    for uniform in (0.0, np.nextafter(1.0, 0.0)):
        assert pick(scores, 1.0, np.array([uniform])).tolist() == [1]


# ---------------------------------------------------------------------------------- bad input


def test_a_question_without_an_allowed_option_is_refused_and_named() -> None:
    model = text_model()
    allowed = np.ones((5, 3), bool)
    allowed[2] = False
    with pytest.raises(ValueError, match="none for question 2"):
        choose(model, model.questions(QUESTIONS), WORDS, allowed)


@pytest.mark.parametrize("options", [[], ["left", ""], ["left", "left"]])
def test_doubtful_options_are_refused(options: list[str]) -> None:
    model = text_model()
    with pytest.raises(ValueError, match="different options of at least one token"):
        score(model, model.questions(["disc"]), options)


def test_a_temperature_without_uniforms_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected uniforms"):
        pick(np.zeros((1, 2)), 1.0)


def test_a_question_that_is_too_long_is_refused() -> None:
    model = text_model("gpt2")
    for options in (WORDS, TEXTS):
        with pytest.raises(ValueError, match="at most 256 positions"):
            score(model, model.questions(["disc " * 300]), options)
