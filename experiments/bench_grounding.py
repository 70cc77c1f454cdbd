"""Grounding against TRL's SFTTrainer on the same rollouts written as text, and against the limit.

Both sides train the same backbone, in bfloat16 where the machine has it, on batches of as many
whole rollouts, sorted by length, with the fused AdamW; TRL without gradient checkpointing, which
would only cost it time. Ours computes a batch in parts that a CPU's caches hold, as it does by
default; the peer and the limit compute it at once, as is theirs. So more than the whole of the
limit can be reached.
"""

import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from envs.episode import Episode
from experiments.bench_measure import (
    LIMIT,
    OURS,
    OURS_BESIDE_PEER,
    PEER,
    BenchRow,
    Done,
    MissingPeerError,
    Plan,
    Way,
    interleaved,
    require_peer,
    row_of,
)
from experiments.bench_models import ACTION_WORD, backbone, grounded, rollout_text, tokenizer
from experiments.bench_rollouts import rollouts, world
from kalm.batches import Batches
from kalm.finetune import FinetuneConfig, finetune
from kalm.language_model import Tensors, total_loss
from kalm.layout import Layout, Packed, collate, join
from kalm.model import GroundedModel, GroundingConfig
from kalm.precision import has_bfloat16
from kalm.pretrained import train_quickly
from kalm.prompts import generation_prompt
from kalm.tasks import RolloutSet
from kalm.tokenizer import encode

LEAST_RATIO = {"entity": 6.0, "state": 15.0}
LEAST_SHARE = 0.85
PLAIN = GroundingConfig(  # encoders and heads of one layer, as in the paper
    state_head="regression", num_frequencies=0, relation_width=0, trunk_width=0, goal_weight=0.0
)
MODELS = {
    "one position per entity": GroundingConfig(positions="entity"),
    "one position per state": GroundingConfig(positions="state"),
    "one position per entity, heads as in the paper": PLAIN,  # what our heads cost
}
RATE = 1e-3


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    hidden: int  # width of the backbone
    layers: int
    batch: int  # rollouts
    updates: int  # each repeat
    longest: int  # steps of a rollout
    repeats: int  # beside the peer, which takes most of the time and is far behind
    pairs: int  # repeats beside the limit, which is near


SIZES = {
    "tiny": Size(32, 1, 2, 2, 2, 1, 1),
    "quick": Size(256, 6, 16, 3, 12, 2, 3),
    "full": Size(256, 6, 32, 8, 30, 3, 15),
}


def rows(size: Size) -> Iterator[BenchRow]:
    """One position an entity, and one a state; and without what we add to the paper's model."""
    episodes = rollouts(size.batch * size.updates, size.longest)
    sides = {name: _Ours(size, config, episodes) for name, config in MODELS.items()}
    near = {
        name: interleaved({OURS: side.run, LIMIT: side.bare}, size.pairs, warmups=1)
        for name, side in sides.items()
    }
    ours: dict[str, Way] = {name: side.run for name, side in sides.items()}
    far: dict[str, list[float]] = {}
    unmeasured = ""
    try:
        far = interleaved({**ours, PEER: _Text(size, episodes).run}, size.repeats)
    except MissingPeerError as error:
        unmeasured = f"; peer unmeasured: {error}"
    for name, config in MODELS.items():
        aims = config is not PLAIN
        plan = Plan(
            "grounding",
            f"{name}, {size.hidden}x{size.layers}",
            "rollouts/s",
            peer="TRL SFTTrainer, text",
            limit="bare forward, backward and step",
            least_ratio=LEAST_RATIO[config.positions] if aims else None,
            least_share=LEAST_SHARE if aims else None,
        )
        peer = {OURS_BESIDE_PEER: far[name], PEER: far[PEER]} if far else {}
        share = sides[name].backbone_share()
        note = f"the bare backbone does {share:.2f} of the floating-point operations{unmeasured}"
        yield row_of(plan, near[name] | peer, note)


class WholeRollouts:
    """A stream of whole rollouts after their goals, packed when they are asked for.

    Goals become tokens at once, as TRL does with whole texts before its clock starts.
    """

    def __init__(self, model: GroundedModel, episodes: Sequence[Episode]) -> None:
        self.seed = 0
        self._set = RolloutSet(world(), episodes)
        self._layout: Layout = model.layout
        texts = sorted({generation_prompt(episode.goal) for episode in episodes})
        self._words = dict(zip(texts, model.prompts(texts), strict=True))

    def __len__(self) -> int:
        """Number of rollouts N."""
        return len(self._set)

    def order(self, epoch: int) -> np.ndarray:
        """The rollouts' indices (N,)."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self))

    def sample(self, epoch: int, index: int) -> tuple[str, Packed]:
        """Rollout `index` with its goal's words in front."""
        episode = self._set.episodes[index]
        rollout = self._layout.rollout(
            episode.observations,
            episode.actions,
            ended=episode.success,
            loss=True,
            held=self._set.held[index] if self._layout.num_goals else None,
        )
        words = self._layout.text(self._words[generation_prompt(episode.goal)])
        return "generation", join([words, rollout])


class _Ours:
    """The product's fine-tuning loop, and the bare backbone on sequences of the same shape."""

    def __init__(self, size: Size, config: GroundingConfig, episodes: Sequence[Episode]) -> None:
        self._size, self._config, self._episodes = size, config, episodes
        self._steps = sum(map(len, episodes))

    def _model(self) -> GroundedModel:
        return grounded(self._size.hidden, self._size.layers, self._episodes, self._config)

    def run(self) -> Done:
        """One pass over all rollouts."""
        size, model = self._size, self._model()
        config = FinetuneConfig(
            num_steps=size.updates,
            batch_size=size.batch,
            learning_rate=RATE,
            validate_steps=size.updates + 1,
            checkpoint_steps=size.updates + 1,
        )
        read: list[int] = []
        with tempfile.TemporaryDirectory() as folder:
            result = finetune(
                model,
                WholeRollouts(model, self._episodes),
                None,
                config,
                Path(folder) / "model",
                base_model="benchmark",
                on_samples=lambda step, indices: read.extend(indices),
            )
        steps = sum(len(self._episodes[index]) for index in read)
        return _done(len(read), steps, result.seconds)

    def bare(self) -> Done:
        """Forward, backward and step of the backbone alone on as many positions."""
        size, model = self._size, self._model()
        batches = self._batches(model)
        train_quickly(model.backbone)
        decoder = model.decoder().train()
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=RATE, fused=True)
        seconds = 0.0
        for update in range(size.updates):
            longest = max(len(packed) for _, packed in batches.at(update)[1])
            dense = torch.randn(size.batch, longest, size.hidden)
            began = time.perf_counter()
            _bare_gradients(decoder, dense)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seconds += time.perf_counter() - began
        return Done(size.batch * size.updates, seconds)

    def backbone_share(self) -> float:
        """The bare backbone's part of an update's floating-point operations, on any machine."""
        model = self._model()
        sequences = [packed for _, packed in self._batches(model).at(0)[1]]
        batch = Tensors.of(collate(sequences), torch.device("cpu"))
        with FlopCounterMode(display=False) as whole:
            torch.autograd.backward(total_loss(model(batch), model.loss_weights))
        with FlopCounterMode(display=False) as bare:
            _bare_gradients(model.decoder(), torch.randn(*batch.kind.shape, self._size.hidden))
        return float(bare.get_total_flops() / whole.get_total_flops())

    def _batches(self, model: GroundedModel) -> Batches:
        return Batches(WholeRollouts(model, self._episodes), self._size.batch, bucket_batches=32)


def _bare_gradients(decoder: torch.nn.Module, dense: torch.Tensor) -> None:
    """Forward and backward of a decoder on embeddings (B, L, H)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16("cpu")):
        hidden = decoder(inputs_embeds=dense, use_cache=False).last_hidden_state
    hidden.float().square().mean().backward()


def _done(count: int, steps: int, seconds: float) -> Done:
    return Done(count, seconds, equal={"rollouts": count, "environment steps": steps})


class _Text:
    """TRL's SFTTrainer on rollouts as text."""

    def __init__(self, size: Size, episodes: Sequence[Episode]) -> None:
        self._size, self._trl = size, require_peer("trl")
        table = {"text": [rollout_text(episode) for episode in episodes]}
        self._dataset = require_peer("datasets").Dataset.from_dict(table)

    def run(self) -> Done:
        """One pass over all rollouts; tokens are made before the clock starts."""
        size, (act,) = self._size, encode(tokenizer(), ACTION_WORD)
        with tempfile.TemporaryDirectory() as folder:
            trainer = self._trl.SFTTrainer(
                model=backbone(size.hidden, size.layers),
                args=self._settings(folder),
                train_dataset=self._dataset,
                processing_class=tokenizer(),
            )
            trainer.remove_callback(_printer())
            steps = sum(row.count(act) for row in trainer.train_dataset["input_ids"])
            output = trainer.train()
        return _done(size.batch * size.updates, steps, output.metrics["train_runtime"])

    def _settings(self, folder: str) -> Any:
        warnings.simplefilter("ignore", FutureWarning)  # about a setting's name
        return self._trl.SFTConfig(
            output_dir=folder,
            dataset_text_field="text",
            max_length=None,
            per_device_train_batch_size=self._size.batch,
            max_steps=self._size.updates,
            learning_rate=RATE,
            train_sampling_strategy="group_by_length",
            gradient_checkpointing=False,
            optim="adamw_torch_fused",
            bf16=has_bfloat16("cpu"),
            use_cpu=True,
            dataloader_pin_memory=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )


def _printer() -> Any:
    """The callback that would print into our table."""
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback
