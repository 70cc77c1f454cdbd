"""Keys in the environment: after a whole pipeline, mirrored offline, nothing holds one."""

import os
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from experiments.pipeline import run_pipeline
from experiments.presets import Preset
from experiments.soak.check import Found, require
from experiments.soak.toy_run import finish, tiny
from experiments.tracking import WandbConfig

KEYS = {
    "WANDB_API_KEY": "dummy0key1" * 4,
    "HF_TOKEN": "hf_dummytokendummytokendummytoken00",
    "OPENAI_API_KEY": "sk-dummykeydummykeydummykey11",
    "DATABASE_PASSWORD": "dummy-password-22",
    "SOME_SECRET": "dummy-secret-33",
}


def search_for_keys(folder: Path) -> Found:
    """Runs the whole pipeline with dummy keys in the environment and on the command line.

    Raises:
        NotHeldError: a file of the run, or something it said, holds one of them.
    """
    run, words = folder / "keys", folder / "keys.txt"
    words.unlink(missing_ok=True)
    require(finish(_work, tiny(), run, KEYS, words=words) == 0, f"It failed: {words.read_text()}")
    mirrors = list(run.rglob("*.wandb"))
    require(bool(mirrors), "Nothing was mirrored.")
    files = [path for path in [words, *run.rglob("*")] if path.is_file()]
    for path in files:
        content = path.read_bytes()
        leaked = [name for name, key in KEYS.items() if key.encode() in content]
        require(not leaked, f"{path} holds {', '.join(leaked)}.")
    return Found(len(KEYS), len(KEYS), {"files": len(files), "mirrors": len(mirrors)})


def _work(preset: Preset, run: Path, keys: Mapping[str, str]) -> None:
    command = f"kalm run toy --note {keys['OPENAI_API_KEY']}"
    with patch.dict(os.environ, keys):
        run_pipeline(preset, run, command, WandbConfig("offline"))
