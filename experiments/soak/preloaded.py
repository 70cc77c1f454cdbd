"""What the fork server loads once: the libraries that stages need, none of them set to work."""

import importlib

for name in (
    "d3rlpy",
    "transformers",
    "sentence_transformers",
    "experiments.pipeline",
    "experiments.soak.workers",
    "imagination.shards",
    "kalm.finetune",
    "kalm.metrics",
    "kalm.primer",
    "offline_rl.evaluation",
    "offline_rl.train",
):
    importlib.import_module(name)
