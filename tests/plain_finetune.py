"""A script for `accelerate launch`: fine-tunes a tiny model and writes the order of its samples.

python plain_finetune.py FOLDER
"""

import json
import sys
from pathlib import Path

from tiny_models import grounded, task_stream

from kalm.finetune import FinetuneConfig, finetune

CONFIG = FinetuneConfig(
    num_steps=4, batch_size=6, accumulation_steps=1, warmup_steps=0, bf16=False, log_steps=1,
    bucket_batches=2,
)  # fmt: skip


def main(folder: Path) -> None:
    """Fine-tunes into `folder`, with `samples-RANK.json` and `losses-RANK.json` beside it."""
    import os

    model = grounded()
    samples: list[list[int]] = []
    losses: list[dict[str, float]] = []
    finetune(
        model,
        task_stream(model),
        None,
        CONFIG,
        folder,
        base_model="tiny",
        on_samples=lambda step, indices: samples.append(indices),
        on_metrics=lambda step, metrics: losses.append(metrics),
    )
    rank = os.environ.get("RANK", "0")
    folder.with_name(f"samples-{rank}.json").write_text(json.dumps(samples))
    folder.with_name(f"losses-{rank}.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
