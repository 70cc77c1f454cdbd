"""Broken settings and files of any kind: one clear message, no traceback, nothing written."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from envs.manifest import CARD, MANIFEST, MARKER, marker_text
from envs.sealed import SEAL, sealed
from experiments.pipeline import ALL_PRESETS
from experiments.published import PUBLISHED
from experiments.soak.check import Found, require
from experiments.soak.commands import outcome
from experiments.soak.drawn import json_values, strategies, try_drawn
from experiments.soak.flips import verified_files
from experiments.soak.toy_run import finish, publish_run
from experiments.verify import STAGES

FUZZED_PRESETS = ("toy", "clevr_gpu", "babyai_demo", "webshop_gpu")  # one of each kind and more
ODD_WORDS = ("toy", "bc", "nan", "inf", "-1", "0", "1e999", "target", "{}", "[]", "None", "True")
HELP = ("-h", "--help")


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
    settings = _fuzz_settings(folder / "run", examples)
    contents = sum(
        _fuzz_content(run, folder / "copy", name, break_it, examples)
        for name, break_it in FILES.items()
    )
    harms = _fuzz_any_file(run, examples)
    tried = settings + contents + harms
    numbers = {"command_lines": settings, "contents": contents, "harmed_files": harms}
    return Found(tried, tried, numbers)


def options_of(settings: Any, prefix: str = "--") -> Iterator[str]:
    """The options of the command line that change one field of `settings` each."""
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from options_of(value, f"{name}.")
        else:
            yield name


def _fuzz_settings(folder: Path, examples: int) -> int:
    """Any settings at all; the disk that is asked for does not exist, so that none of them runs."""
    known = strategies()
    words = (
        known.integers().map(str)
        | known.floats().map(str)
        | known.text(max_size=12).filter(lambda word: word not in HELP)
        | known.sampled_from(ODD_WORDS)
    )
    options = {
        name: [*options_of(ALL_PRESETS[name]()), "--wandb.mode", "--no-such-option"]
        for name in FUZZED_PRESETS
    }
    named = known.sampled_from(FUZZED_PRESETS).flatmap(
        lambda name: known.tuples(
            known.just(name),
            known.lists(
                known.tuples(
                    known.sampled_from(options[name]), known.lists(words, min_size=1, max_size=2)
                ),
                min_size=1,
                max_size=3,
            ),
        )
    )
    count = 0

    def check(drawn: tuple[str, list[tuple[str, list[str]]]]) -> None:
        nonlocal count
        count += 1
        name, chosen = drawn
        changed = [word for option, values in chosen for word in (option, *values)]
        arguments = ["run", name, "--run-folder", str(folder), *changed]
        code = outcome([*arguments, "--free-gigabytes", "1e9"])
        require(code == 2, f"`kalm {' '.join(arguments)}` ended with exit code {code}.")
        require(not folder.exists(), f"`kalm {' '.join(arguments)}` wrote something.")

    try_drawn(check, examples, named)
    return count


def _fuzz_content(
    run: Path, copy: Path, name: str, break_it: Callable[[Path, Any], None], examples: int
) -> int:
    """Well-formed files with other content than they should have, vouched for where possible."""
    source = run / name
    unit = source.parent if name not in WHOLE_RUN else run
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(unit, copy)
    target = copy / source.relative_to(unit)
    intact = json.loads(source.read_text("utf-8"))
    count = 0

    def check(path: list[int], value: Any) -> None:
        nonlocal count
        count += 1
        break_it(target, put_at(intact, path, value))
        before = sorted(copy.rglob("*"))
        code = outcome(["verify", str(copy)])
        require(code in (0, 1, 2), f"A broken {name} ({path}, {value!r}): exit code {code}.")
        require(sorted(copy.rglob("*")) == before, f"Verifying a broken {name} wrote something.")

    known = strategies()
    try_drawn(check, examples, known.lists(known.integers(0, 7), max_size=5), json_values())
    return count


def _fuzz_any_file(run: Path, examples: int) -> int:
    """Any file of a run replaced, cut, removed, or by a folder or a link to itself."""
    files = verified_files(run)
    count = 0

    def check(number: int, way: str, content: bytes) -> None:
        nonlocal count
        path = files[number]
        intact = path.read_bytes()
        if (way == "other bytes" and content == intact) or (way == "missing" and _is_free(path)):
            return
        count += 1
        path.unlink()
        HARMS[way](path, intact, content)
        before = sorted(run.rglob("*"))
        try:
            code = outcome(["verify", str(run)])
            written = sorted(run.rglob("*")) != before
        finally:
            _put_back(path, intact)
        require(code == 1, f"{path} harmed ({way}): `kalm verify` ended with exit code {code}.")
        require(not written, f"{path} harmed ({way}): verifying wrote something.")

    known = strategies()
    places = known.integers(0, len(files) - 1)
    try_drawn(check, examples, places, known.sampled_from(sorted(HARMS)), known.binary(max_size=64))
    return count


def _put_back(path: Path, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(content)


def _is_free(path: Path) -> bool:
    """Whether a run is whole without a file: a measurement, or its report, is then not done yet."""
    is_measure = path.parent.name == STAGES and path.name.startswith("measure-")
    return is_measure or path.name == PUBLISHED


HARMS: dict[str, Callable[[Path, bytes, bytes], object]] = {
    "other bytes": lambda path, intact, content: path.write_bytes(content),
    "cut": lambda path, intact, content: path.write_bytes(intact[: len(intact) // 2]),
    "longer": lambda path, intact, content: path.write_bytes(intact + b"\0" + content),
    "missing": lambda path, intact, content: None,
    "a folder in its place": lambda path, intact, content: path.mkdir(),
    "a link to itself": lambda path, intact, content: path.symlink_to(path),
}


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
