"""Imagination on a Ray cluster: Ray Data hands out shard numbers to actors that hold the model.

The actors do a shard by the same function as every other process, claims included, so that tasks
which Ray starts twice, or processes beside Ray, do no harm. Needs the extra `ray`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.folders import imagined_folder
from experiments.imagine import ImagineSettings, prepared, shard_folder
from experiments.origin import say
from imagination.claims import Claims
from imagination.imagine import ImagineConfig
from imagination.places import CLAIMS, open_place, require_same
from imagination.shards import imagine_shard


class ShardWorker:
    """An actor: loads the model once, then does the shards that it is given."""

    def __init__(
        self, folder: str, settings: ImagineSettings, config: ImagineConfig, command: str
    ) -> None:
        """Loads what shards share.

        Args:
            folder: of the run, under the same path on every machine.
        """
        target = Path(folder) / imagined_folder(config.protocol)
        self._imagination, self._card, _ = prepared(Path(folder), config, command)
        self._place = open_place(target, shard_folder(settings, config.protocol))
        require_same(self._place.files, self._imagination.fingerprint())
        self._claims = Claims(self._place.files, CLAIMS, lease_seconds=settings.lease_seconds)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Which shards of a batch of numbers this worker did; others did the rest."""
        did = [
            imagine_shard(self._imagination, self._place, self._claims, int(number), self._card)
            for number in batch["id"]
        ]
        return {"shard": batch["id"], "did": np.array(did)}


def imagine_with_ray(
    folder: Path, settings: ImagineSettings, config: ImagineConfig, command: str
) -> list[dict[str, Any]]:
    """Does all shards on the Ray cluster that is running, or a local one; a row a shard.

    Raises:
        ValueError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    try:
        import ray
        import ray.data
    except ImportError:
        raise ValueError(
            "--ray-workers needs the `ray` package. Run `pip install 'kalm[ray]'`, or start "
            "`kalm imagine` in several processes instead."
        ) from None
    num_shards = -(-config.num_rollouts // config.rollouts_per_shard)
    numbers = [{"id": number} for number in range(num_shards)]
    done: list[dict[str, Any]] = (
        # Items are there without a task that reads them, for which workers may leave no core free.
        ray.data.from_items(numbers, override_num_blocks=num_shards)
        .map_batches(
            ShardWorker,
            fn_constructor_args=(str(folder.absolute()), settings, config, command),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=settings.ray_workers),
            num_cpus=1,
            num_gpus=settings.ray_gpus,
        )
        .take_all()
    )
    say(f"ray: {sum(row['did'] for row in done)} of {num_shards} shards done by its workers")
    return done
