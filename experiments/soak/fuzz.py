"""Broken settings and files of any kind: one clear message, no traceback, nothing written."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from envs.manifest import CARD, MANIFEST, MARKER, marker_text
from envs.sealed import SEAL, sealed
from experiments.cli import main
from experiments.soak.check import Found, NotHeldError, require
from experiments.soak.toy_run import finish, publish_run

OPTIONS = (
    "--collect.num-rollouts",
    "--collect.environment",
    "--ground.base.name",
    "--ground.base.remote-code-revision",
    "--ground.finetune.batch-size",
    "--ground.finetune.learning-rate",
    "--ground.finetune.schedule",
    "--imagine.protocols",
    "--imagine.rollouts.num-rollouts",
    "--imagine.rollouts.generation.num-slots",
    "--imagine.rollouts.shares",
    "--train.algorithms",
    "--train.mixes",
    "--train.algorithm.hidden-sizes",
    "--evaluate.levels",
    "--evaluate.episodes",
    "--seeds",
    "--wandb.mode",
    "--no-such-option",
)


def fuzz(run: Path, folder: Path, examples: int) -> Found:
    """Tries `examples` broken command lines, and as many broken files of a finished run.

    Args:
        run: folder of a finished run.
        folder: for copies.

    Raises:
        NotHeldError: a traceback, or something written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    require(finish(publish_run, run) == 0, "The run could not be published.")
    tried = _fuzz_settings(folder / "run", examples)
    for name, break_it in FILES.items():
        tried += _fuzz_file(run, folder / "copy", name, break_it, examples)
    return Found(tried, tried)


def _fuzz_settings(folder: Path, examples: int) -> int:
    """Any settings at all; the disk that is asked for does not exist, so that none of them runs."""
    strategies = _hypothesis().strategies
    words = (
        strategies.integers().map(str)
        | strategies.floats().map(str)
        | strategies.text(max_size=12)
        | strategies.sampled_from(["toy", "bc", "nan", "inf", "-1", "0", "target", "{}", "[]"])
    )
    pairs = strategies.tuples(strategies.sampled_from(OPTIONS), words)
    count = 0

    def check(chosen: list[tuple[str, str]]) -> None:
        nonlocal count
        count += 1
        options = [word for pair in chosen for word in pair]
        arguments = ["run", "toy", "--run-folder", str(folder), *options]
        code = outcome([*arguments, "--free-gigabytes", "1e9"])
        require(code == 2, f"`kalm {' '.join(arguments)}` ended with exit code {code}.")
        require(not folder.exists(), f"`kalm {' '.join(arguments)}` wrote something.")

    _try(check, examples, strategies.lists(pairs, min_size=1, max_size=3))
    return count


def _fuzz_file(
    run: Path, copy: Path, name: str, break_it: Callable[[Path, Any], None], examples: int
) -> int:
    strategies = _hypothesis().strategies
    source = run / name
    unit = source.parent if name not in WHOLE_RUN else run
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(unit, copy)
    target = copy / source.relative_to(unit)
    intact = json.loads(source.read_text("utf-8"))
    scalars = strategies.none() | strategies.booleans() | strategies.integers()
    scalars |= strategies.floats() | strategies.text(max_size=8)
    values = strategies.recursive(
        scalars,
        lambda inner: (
            strategies.lists(inner, max_size=3)
            | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=6,
    )
    count = 0

    def check(path: list[int], value: Any) -> None:
        nonlocal count
        count += 1
        break_it(target, put_at(intact, path, value))
        before = sorted(copy.rglob("*"))
        code = outcome(["verify", str(copy)])
        require(code in (0, 1, 2), f"A broken {name} ({path}, {value!r}): exit code {code}.")
        require(sorted(copy.rglob("*")) == before, f"Verifying a broken {name} wrote something.")

    _try(check, examples, strategies.lists(strategies.integers(0, 7), max_size=5), values)
    return count


def put_at(content: Any, path: list[int], value: Any) -> Any:
    """`content` with the value at a place of its tree replaced; numbers choose among the keys."""
    if not path or not isinstance(content, dict | list) or not content:
        return value
    if isinstance(content, list):
        place = path[0] % len(content)
        changed = put_at(content[place], path[1:], value)
        return [*content[:place], changed, *content[place + 1 :]]
    key = sorted(content)[path[0] % len(content)]
    return {**content, key: put_at(content[key], path[1:], value)}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), "utf-8")


def _write_in_store(path: Path, content: Any) -> None:
    """Writes a file of a store with a marker that vouches for it."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
    (path.parent / MARKER).write_text(marker_text(path.parent), "utf-8")


def _write_sealed(path: Path, content: Any) -> None:
    """Writes a file with a seal that fits."""
    if isinstance(content, dict):
        path.write_text(sealed({k: v for k, v in content.items() if k != SEAL}), "utf-8")
    else:
        _write(path, content)


FILES: dict[str, Callable[[Path, Any], None]] = {
    f"data/real/{MANIFEST}": _write_in_store,
    f"data/real/{CARD}": _write_in_store,
    "models/grounding/best/hashes.json": _write,
    "models/agents/real-only-bc/card.json": _write_sealed,
    "stages/collect.json": _write_sealed,
    "config.json": _write,
    "results.json": _write,
}
WHOLE_RUN = ("stages/collect.json", "config.json")


def outcome(arguments: list[str]) -> object:
    """The exit code of a command line, its words thrown away; what it did not catch is raised.

    Raises:
        NotHeldError: an error came through that the command line should have told.
    """
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return main(arguments)
    except SystemExit as end:  # the parser's own way to end
        return end.code
    except Exception as error:
        raise NotHeldError(
            f"`kalm {' '.join(arguments)}`: {type(error).__name__}: {error}"
        ) from error


def _try(check: Callable[..., None], examples: int, *strategies: Any) -> None:
    """Calls `check` with drawn values, always the same; where it fails, with simpler ones."""
    library = _hypothesis()
    settings = library.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(library.HealthCheck),
    )
    settings(library.given(*strategies)(check))()


def _hypothesis() -> Any:
    try:
        import hypothesis
        import hypothesis.strategies
    except ImportError:
        raise ValueError("Fuzzing needs `hypothesis`. Run `pip install 'kalm[dev]'`.") from None
    return hypothesis
