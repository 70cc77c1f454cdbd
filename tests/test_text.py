"""Words in and out: user text never forges control tokens, answers are the likeliest words."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, grounded, task_stream, tokenizer, toy

from kalm import prompts
from kalm.language_model import Tensors
from kalm.layout import Packed, collate, join
from kalm.model import GroundedModel
from kalm.text import Sampling, answer, decompose, write

FORGERIES = (
    "<eos>",
    "<bos><pad>",
    "Push <eos> the <reserved_0> disc <pad>",
    "</s><s><|endoftext|><|im_start|>",
    "🤖 déjà vu 你好 \u202e \x00",
    " \t two  spaces \n",
    "disc " * 2000,
)


def assert_harmless(text: str) -> None:
    model_words = tokenizer()
    ids = model_words(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert not set(ids) & set(model_words.all_special_ids)
    assert model_words.decode(ids) == text


@pytest.mark.parametrize("text", FORGERIES)
def test_goal_text_becomes_no_control_token_and_comes_back_unchanged(text: str) -> None:
    assert_harmless(text)
    assert not set(grounded().encode_text(text)) & set(tokenizer().all_special_ids)


@given(st.text(max_size=200) | st.text(st.sampled_from("<>/s eoba_pd|0disc"), max_size=60))
def test_any_unicode_text_becomes_no_control_token_and_comes_back_unchanged(text: str) -> None:
    assert_harmless(text)


def test_ten_thousand_characters_come_back_unchanged() -> None:
    assert_harmless("".join(chr(32 + place % 2000) for place in range(10_000)))


@pytest.mark.parametrize("name", ["toy", "toy_continuous", "clevr_robot"])
def test_a_world_answers_the_decomposition_prompt_with_training_goals(name: str) -> None:
    world = toy(name)
    before, after = prompts.decomposition_prompt("\0").split("\0")
    pairs = world.knowledge(200, np.random.default_rng(1))
    answers = [a for q, a in pairs if q.startswith(before) and q.endswith(after)]
    known = {goal.text for goal in world.goals("train")}
    assert len(answers) >= 50
    assert {goal for text in answers for goal in prompts.split_subgoals(text)} <= known


def test_subgoals_come_back_from_the_answer_that_joins_them() -> None:
    subgoals = ["Put the red disc above the blue disc.", "Push it; gently"]
    assert prompts.split_subgoals(prompts.join_subgoals(subgoals[:1])) == subgoals[:1]
    assert prompts.split_subgoals("a ;  ; b ;") == ["a", "b"]


def test_an_empty_answer_holds_no_subgoals() -> None:
    assert prompts.split_subgoals("") == []


@torch.inference_mode()
def plain_answer(model: GroundedModel, question: Packed, max_tokens: int) -> str:
    """The likeliest words, everything encoded anew for every word."""
    tokens: list[int] = []
    while len(tokens) < max_tokens:
        whole = join([question, model.layout.text(tokens)])
        hidden = model.hidden(Tensors.of(collate([whole])))[0, -1]
        chosen = int(model.backbone.get_output_embeddings()(hidden).argmax())
        if chosen == model.end_token:
            break
        tokens.append(chosen)
    text: str = model.tokenizer.decode(tokens, skip_special_tokens=True)
    return text.strip()


def questions(model: GroundedModel) -> list[Packed]:
    """Texts and rollouts of different lengths."""
    texts = [goal.text for goal in toy().goals("hard")[:4]]
    asked = [model.layout.text(model.prompt(prompts.decomposition_prompt(t))) for t in texts]
    stream = task_stream(model, only="explanation")
    samples = [stream.sample(0, index)[1] for index in range(4)]
    cut = [int(np.argmax(sample.loss)) for sample in samples]
    told = [
        Packed(**{n: getattr(s, n)[:c] for n in Packed.__dataclass_fields__})
        for s, c in zip(samples, cut, strict=True)
    ]
    return [asked[0], told[0], asked[1], told[1], *asked[2:], *told[2:]]


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_equal_greedy_decoding_without_a_cache(family: str) -> None:
    model = grounded(family=family)
    asked = questions(model)
    expected = [plain_answer(model, question, 10) for question in asked]
    assert answer(model, asked, max_tokens=10, batch=3) == expected
    assert len(set(expected)) > 1


def test_an_answer_ends_at_the_end_token() -> None:
    model = grounded()
    with torch.no_grad():
        head = model.backbone.get_output_embeddings()
        head.weight[model.end_token] = 0.0
        bias = torch.full((head.out_features,), -100.0)
        bias[model.end_token] = 100.0
        head.bias = torch.nn.Parameter(bias)
    assert answer(model, questions(model)[:2], max_tokens=10) == ["", ""]


def test_an_answer_also_ends_at_what_the_backbone_itself_ends_with() -> None:
    model = grounded()
    asked = questions(model)
    first = write(model, asked, max_tokens=1, batch=4)
    ends = {token for tokens in first for token in tokens}
    assert ends
    model.backbone.generation_config.eos_token_id = sorted(ends)
    assert model.end_tokens == sorted({*ends, model.end_token})
    assert answer(model, asked, max_tokens=10) == [""] * len(asked)


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"temperature": np.nan}, {"top_k": 0}])
def test_sampling_that_makes_no_sense_is_refused_with_its_flag(options: dict[str, float]) -> None:
    flag = next(iter(options)).replace("_", "-")
    with pytest.raises(ValueError, match=f"--{flag} of at least "):
        Sampling(**options)


def test_each_goal_is_decomposed_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def scripted(model: GroundedModel, questions: list[Packed]) -> list[str]:
        asked.append(len(questions))
        return [f"first {len(question)} ; second" for question in questions]

    monkeypatch.setattr("kalm.text.answer", scripted)
    model = grounded()
    found = decompose(model, ["disc", "disc disc", "disc"])
    assert asked == [2]
    assert found[0] == found[2]
    assert [parts[1] for parts in found] == ["second"] * 3
