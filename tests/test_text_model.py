"""A model of words alone: the loop, the decoder and the saving code of grounded ones serve it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import (
    FAMILIES,
    equal_weights,
    grounded,
    save_base,
    text_model,
    tokenizer,
    toy_knowledge,
)

from kalm.finetune import FinetuneConfig, finetune
from kalm.language_model import Tensors
from kalm.layout import collate
from kalm.pretrained import (
    ModelError,
    add_lora,
    load_backbone,
    load_grounded,
    load_text_model,
    model_hash,
    save_model,
)
from kalm.text import answer
from kalm.text_model import TextModel
from kalm.text_stream import TextStream

CONFIG = FinetuneConfig(
    num_steps=6, batch_size=4, warmup_steps=2, bf16=False, log_steps=1, checkpoint_steps=2,
    bucket_batches=2,
)  # fmt: skip
FOUR = (
    ("red disc north", "left"),
    ("red disc south", "right right"),
    ("blue disc north north", "forward"),
    ("blue disc south", ""),
)


def run(
    folder: Path, config: FinetuneConfig, model: TextModel, pairs: Any = None, **options: Any
) -> dict[int, dict[str, float]]:
    """Metrics by step of a fine-tuning run."""
    losses: dict[int, dict[str, float]] = {}
    finetune(
        model,
        TextStream(toy_knowledge() if pairs is None else pairs, model, 0),
        options.pop("validation", None),
        config,
        folder,
        base_model=options.pop("base_model", "tiny"),
        on_metrics=lambda step, metrics: losses.setdefault(step, {}).update(metrics),
        **options,
    )
    return losses


def adapted(folder: Path, family: str) -> TextModel:
    """A model with adapters on the base model that is saved in `folder`."""
    if not folder.exists():
        save_base(folder, family, head_scale=10.0)
    base, _ = load_backbone(str(folder))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return text_model(base=add_lora(base, rank=8, alpha=16, dropout=0.0))


# ---------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("family", [*FAMILIES, "llama-lora", "gpt2-lora"])
def test_four_answers_are_learned_by_heart_saved_and_given(family: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    lora = family.endswith("-lora")
    model = adapted(base, family.removesuffix("-lora")) if lora else text_model(family)
    config = replace(
        CONFIG, num_steps=150, learning_rate=1e-2, checkpoint_steps=1000, weight_decay=0.0
    )
    losses = run(tmp_path / "run", config, model, FOUR, base_model=str(base))
    assert losses[150]["token_loss"] < 0.05
    assert losses[150]["loss"] == losses[150]["token_loss"]
    loaded = load_text_model(tmp_path / "run" / "last")
    asked = loaded.questions([question for question, _ in FOUR])
    assert answer(loaded, asked, max_tokens=20) == [text for _, text in FOUR]


class Interrupted(Exception):  # noqa: N818 -- nothing went wrong
    """A power cut."""


@pytest.mark.parametrize("family", ["llama", "llama-lora"])
def test_an_interrupted_run_resumes_to_bitwise_equal_weights(family: str, tmp_path: Path) -> None:
    def fresh() -> TextModel:
        return adapted(tmp_path / "base", "llama") if "lora" in family else text_model()

    def interrupt(step: int, indices: list[int]) -> None:
        if step == 3:
            raise Interrupted

    whole, resumed = fresh(), fresh()
    run(tmp_path / "whole", CONFIG, whole)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", CONFIG, fresh(), on_samples=interrupt)
    said: list[str] = []
    run(tmp_path / "run", CONFIG, resumed, on_message=said.append)
    assert "Resumed at step 2" in said[0]
    assert equal_weights(resumed, whole)


# ------------------------------------------------------------------------------------ samples


def test_the_loss_is_on_the_answer_and_on_its_end_only() -> None:
    model = text_model()
    _, sample = TextStream(FOUR, model, 0).sample(3, 1)
    words = model.encode_text("right right")
    assert sample.token.tolist() == [*model.prompt("red disc south"), *words, model.end_token]
    assert sample.loss.sum() == len(words) + 1
    assert sample.loss[-len(words) - 1 :].all()
    sums = model(Tensors.of(collate([sample])))
    assert int(sums["token_count"]) == len(words) + 1


def test_samples_and_their_order_are_pure_functions_of_seed_epoch_and_index() -> None:
    model = text_model()
    one, again, other = (TextStream(toy_knowledge(), model, seed) for seed in (0, 0, 1))
    for epoch, index in ((2, 7), (0, 0), (2, 7)):
        for name in ("token", "loss"):
            np.testing.assert_array_equal(
                getattr(one.sample(epoch, index)[1], name),
                getattr(again.sample(epoch, index)[1], name),
            )
    orders = [stream.order(epoch).tolist() for stream in (one, again, other) for epoch in (0, 1)]
    assert sorted(orders[0]) == list(range(len(one)))
    assert orders[:2] == orders[2:4]
    assert len({tuple(order) for order in orders}) == 4


def test_samples_beyond_the_models_limit_are_refused_and_counted() -> None:
    long = [*FOUR, ("disc " * 300, "left"), ("disc " * 400, "left")]
    with pytest.raises(ValueError, match=r"at most 256 tokens.*2 of 6 that are longer"):
        TextStream(long, text_model(), 0)


def test_truncated_questions_keep_their_ends_and_answers() -> None:
    model = text_model()
    question = "north " + "disc " * 300 + "south"
    stream = TextStream([*FOUR, (question, "left")], model, 0, allow_truncated=True)
    assert stream.num_truncated == 1
    sample = stream.sample(0, 4)[1]
    whole = [*model.prompt(question), *model.encode_text("left"), model.end_token]
    # 256 positions: the beginning of text, then the last 255 tokens.
    assert sample.token.tolist() == [whole[0], *whole[-255:]]
    assert sample.loss.sum() == len(model.encode_text("left")) + 1


@pytest.mark.parametrize(("window", "limit"), [(None, 256), (64, 64), (512, 256)])
def test_a_model_that_reads_a_window_is_limited_to_it(window: int | None, limit: int) -> None:
    config = transformers.MistralConfig(
        **{"vocab_size": len(tokenizer()), "hidden_size": 32, "intermediate_size": 32},
        **{"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2},
        **{"max_position_embeddings": 256, "sliding_window": window},
    )
    assert text_model(base=transformers.MistralForCausalLM(config)).max_positions == limit


# ------------------------------------------------------------------------------------- saving


def saved(model: Any, folder: Path) -> Path:
    folder.mkdir()
    save_model(model, folder, base_model="tiny")
    return folder


def test_a_loaded_text_model_has_bitwise_equal_weights_and_the_same_hash(tmp_path: Path) -> None:
    model = text_model()
    folder = saved(model, tmp_path / "one")
    loaded = load_text_model(folder)
    assert equal_weights(model, loaded)
    assert not loaded.training
    assert loaded.tokenizer.get_vocab() == tokenizer().get_vocab()
    assert model_hash(folder) == model_hash(saved(text_model(), tmp_path / "two"))
    assert model_hash(folder) != model_hash(saved(text_model(seed=1), tmp_path / "three"))


def test_an_altered_text_model_is_refused_and_its_file_named(tmp_path: Path) -> None:
    folder = saved(text_model(), tmp_path / "model")
    weights = folder / "backbone" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors was altered"):
        load_text_model(folder)
    shutil.rmtree(folder / "backbone")
    with pytest.raises(ModelError, match="is missing"):
        load_text_model(folder)


def test_a_grounded_model_is_no_text_model_and_the_other_way_round(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Expected a model with text_model\.json"):
        load_text_model(saved(grounded(), tmp_path / "grounded"))
    with pytest.raises(ModelError, match=r"Expected a model with grounded\.json"):
        load_grounded(saved(text_model(), tmp_path / "text"))
