"""Flipped bits and cut files anywhere in a finished run: `kalm verify` names every one."""

from pathlib import Path

import numpy as np

from experiments.folders import GOAL_VECTORS
from experiments.published import PUBLISHED
from experiments.soak.check import Found, require
from experiments.soak.toy_run import finish, publish_run
from experiments.verify import part_problems, parts

GROWING = ("metrics.jsonl", "seconds.json", "config.json", "command.txt", GOAL_VECTORS)


def flip_and_cut(run: Path, flips: int, cuts: int, seed: int = 0) -> Found:
    """Damages one file of a finished run at a time, by one bit or by its end, and puts it back.

    Files that grow with a run (metrics, settings, the cache of goal vectors) are left out: they
    have no final content that could be compared.

    Args:
        run: folder of a finished run.

    Raises:
        NotHeldError: damage was not noticed, or its file not named.
    """
    require(finish(publish_run, run) == 0, "The run could not be published.")
    require(not problems(run), f"A whole run has problems: {problems(run)[:1]}")
    files = verified_files(run)
    rng = np.random.default_rng(seed)
    for trial in range(flips + cuts):
        path = files[int(rng.integers(len(files)))]
        intact = path.read_bytes()
        place = int(rng.integers(8 * len(intact)))
        if trial < flips:
            altered = bytearray(intact)
            altered[place // 8] ^= 1 << place % 8
            story = f"bit {place} of {path} was flipped"
        else:
            altered = bytearray(intact[: place // 8])
            story = f"{path} was cut to {place // 8} bytes"
        path.write_bytes(altered)
        named = any(str(path) in problem for problem in problems(run))
        path.write_bytes(intact)
        require(named, f"{story}, and nobody noticed.")
    require(not problems(run), "The run was not put back as it was.")
    return Found(flips + cuts, flips + cuts, {"flips": flips, "cuts": cuts, "files": len(files)})


def problems(run: Path) -> list[str]:
    """What `kalm verify` says of a run folder."""
    return [problem for part in parts(run) for problem in part_problems(part)]


def verified_files(run: Path) -> list[Path]:
    """Every file of a run that has a final content; empty ones cannot be damaged."""
    found = [
        path
        for path in sorted(run.rglob("*"))
        if path.is_file()
        and path.relative_to(run).as_posix() not in GROWING
        and not any(piece.startswith(".") for piece in path.relative_to(run).parts)
        and path.stat().st_size
    ]
    require(run / PUBLISHED in found, "The run was not published.")
    return found
