"""The global list of batches: a pure function of (seed, epoch), whatever reads it.

One thing to know: samples of like length share a batch, within buckets of many batches; the order
of the batches in a bucket is shuffled again.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from kalm.layout import UNKNOWN, Packed


class SampleStream(Protocol):
    """Samples by (epoch, index): what the fine-tuning loop reads."""

    seed: int

    def __len__(self) -> int:
        """Samples in one epoch."""
        ...

    def order(self, epoch: int) -> np.ndarray:
        """The samples' indices (N,) in the order of this epoch."""
        ...

    def sample(self, epoch: int, index: int) -> tuple[str, Packed]:
        """Task name and sequence; a pure function."""
        ...


class Batches:
    """The global list of batches: sample indices by step, sorted by length within buckets."""

    def __init__(self, stream: SampleStream, batch_size: int, bucket_batches: int) -> None:
        if len(stream) < batch_size:
            raise ValueError(
                f"Expected at least {batch_size} samples (one batch), got {len(stream)}. "
                f"Collect more or lower --batch-size."
            )
        self.stream, self.batch_size, self.bucket_batches = stream, batch_size, bucket_batches
        self.per_epoch = len(stream) // batch_size
        self._bucket: tuple[int, int] = (-1, -1)
        self._sorted: list[list[tuple[int, Packed]]] = []

    def at(self, step: int) -> tuple[int, list[tuple[int, Packed]]]:
        """Epoch, and (rollout index, sequence) of every sample, of optimizer step `step`."""
        epoch, place = divmod(step, self.per_epoch)
        bucket, row = divmod(place, self.bucket_batches)
        if self._bucket != (epoch, bucket):
            self._bucket, self._sorted = (epoch, bucket), self._fill(epoch, bucket)
        return epoch, self._sorted[row]

    def _fill(self, epoch: int, bucket: int) -> list[list[tuple[int, Packed]]]:
        size = self.batch_size
        first = bucket * self.bucket_batches * size
        last = min(first + self.bucket_batches * size, self.per_epoch * size)
        indices = self.stream.order(epoch)[first:last]
        samples = [(int(index), self.stream.sample(epoch, int(index))[1]) for index in indices]
        samples.sort(key=lambda sample: len(sample[1]))
        batches = [samples[start : start + size] for start in range(0, len(samples), size)]
        shuffled = np.random.default_rng([self.stream.seed, epoch, 0, bucket]).permutation(
            len(batches)
        )
        return [batches[place] for place in shuffled]


def share(batch: Sequence[Packed], rank: int, num_processes: int) -> list[Packed]:
    """What process `rank` computes of a batch: as many samples as every other process.

    Sharded models are put together for every forward pass by all processes, so that one with fewer
    samples would leave the others waiting. A silent sample fills up where the batch cannot be
    divided.
    """
    mine = list(batch[rank::num_processes])
    missing = -(-len(batch) // num_processes) - len(mine)
    return mine + [silent(batch[0])] * missing


def silent(sample: Packed) -> Packed:
    """The same positions, none of which any loss reads."""
    return replace(
        sample,
        loss=np.zeros_like(sample.loss),
        stop=np.full_like(sample.stop, UNKNOWN),
        held=np.full_like(sample.held, UNKNOWN),
    )
