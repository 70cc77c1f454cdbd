"""The embedded base model, its tokenizer and its primer."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from envs.clevr.goals import clevr_goals
from kalm import prompts
from kalm.primer import (
    CARD,
    NAME,
    PrimerConfig,
    answer_greedily,
    audit_decomposition,
    build_base_model,
    corpus_hash,
)
from kalm.tokenizer import BEGIN, END, PAD, RESERVED, build_tokenizer, encode

SENTENCES = ["Push the red ball behind the blue ball.", "Is the green ball left of the red ball?"]
PAIRS = [
    ("What is the opposite of left?", "right"),
    ("What is the opposite of right?", "left"),
    ("What is the opposite of near?", "far"),
    ("What is the opposite of far?", "near"),
    ("Which ball is red?", "the red ball"),
    ("Which ball is blue?", "the blue ball"),
    ("Is the red ball blue?", "no"),
    ("Is the blue ball blue?", "yes"),
]
TINY = PrimerConfig(
    hidden=32, layers=2, heads=2, epochs=60, batch_tokens=512, learning_rate=2e-2, bf16=False
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer([*SENTENCES, *(text for pair in PAIRS for text in pair)])


@pytest.fixture(scope="module")
def primed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base_model(tmp_path_factory.mktemp("primer") / "base", PAIRS, SENTENCES, TINY)


def test_a_known_word_is_one_token_with_the_space_before_it(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    ids = encode(tokenizer, "Push the red ball behind the blue ball.")
    pieces = [tokenizer.decode([token]) for token in ids]
    assert pieces == ["Push", " the", " red", " ball", " behind", " the", " blue", " ball", "."]


def test_an_unknown_word_becomes_its_bytes(tokenizer: PreTrainedTokenizerFast) -> None:
    # "é" is two bytes in UTF-8.
    assert len(encode(tokenizer, "zqé")) == 4


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_every_unicode_text_comes_back_unchanged(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    assert tokenizer.decode(encode(tokenizer, text)) == text


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.sampled_from([PAD, BEGIN, END, *RESERVED]) | st.text(max_size=8), max_size=8)
)
def test_no_text_can_forge_a_control_token(
    tokenizer: PreTrainedTokenizerFast, pieces: list[str]
) -> None:
    text = "".join(pieces)
    ids = encode(tokenizer, text)
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(ids) == text


def test_a_saved_tokenizer_loads_and_encodes_the_same(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Push the red ball, <eos> 漢字!"
    assert encode(loaded, text) == encode(tokenizer, text)
    assert (loaded.pad_token, loaded.bos_token, loaded.eos_token) == (PAD, BEGIN, END)


def test_a_tiny_model_learns_eight_answers_by_heart(primed: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(primed)
    tokenizer = AutoTokenizer.from_pretrained(primed)
    answers = answer_greedily(model, tokenizer, [question for question, _ in PAIRS])
    assert answers == [answer for _, answer in PAIRS]


def test_the_card_names_the_model_and_its_texts(primed: Path) -> None:
    card = json.loads((primed / CARD).read_text())
    assert card["name"] == NAME
    assert card["corpus_sha256"] == corpus_hash(PAIRS, SENTENCES)
    assert card["num_pairs"] == 8
    assert card["steps"] >= TINY.epochs


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    config = PrimerConfig(hidden=32, layers=1, heads=2, epochs=2, batch_tokens=64)
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        folder = build_base_model(tmp_path / name, PAIRS, SENTENCES, config, seed=seed)
        model = AutoModelForCausalLM.from_pretrained(folder)
        weights.append(torch.cat([value.flatten() for value in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_an_existing_folder_is_refused(primed: Path) -> None:
    with pytest.raises(ValueError, match=r"exists already\. Delete it or choose another folder"):
        build_base_model(primed, PAIRS, SENTENCES, TINY)


def test_priming_leaves_no_partial_folder(primed: Path) -> None:
    assert [path.name for path in primed.parent.iterdir()] == ["base"]


def test_the_audit_counts_exact_decompositions_by_kind(primed: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(primed)
    tokenizer = AutoTokenizer.from_pretrained(primed)
    goals = [clevr_goals("easy")[0], clevr_goals("hard")[0]]
    answers = answer_greedily(
        model,
        tokenizer,
        [prompts.decomposition_prompt(goal.text) for goal in goals],
        max_tokens=8,
    )
    right = prompts.split_subgoals(answers[0])
    found = audit_decomposition(
        model,
        tokenizer,
        goals,
        lambda goal: right if goal.level == "easy" else ["never this"],
        max_tokens=8,
    )
    assert found == {"easy/move": 1.0, "hard/two": 0.0}


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected --hidden divisible by --heads, got 32 and 3"):
        PrimerConfig(hidden=32, heads=3)


def test_words_that_must_have_a_token_have_one_among_any_number_of_commoner_words() -> None:
    texts = [f"word{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10]} common" for n in range(100)]
    plain = build_tokenizer([*texts, "zeal"], max_words=20)
    sure = build_tokenizer([*texts, "zeal"], max_words=20, always=["zeal words"])
    assert len(encode(plain, "zeal")) > 1
    assert len(encode(sure, "zeal")) == 1
    assert len(encode(sure, "zeal words")) == 2
    known = build_tokenizer(["zeal common"], always=["zeal"])
    assert known.get_vocab() == build_tokenizer(["zeal common"]).get_vocab()
