"""One stage of a pipeline: done once for its settings, resumed if it broke off, never mixed.

`RUN/stages/NAME.json` records the key of a stage: its settings, and the keys of the stages it
read from. The same key and a verified output mean that there is nothing to do; another
key is refused, because later stages would mix results of two settings. A setting that did not exist
when a stage was made is left out of its key where it has its default, which changes nothing.

A finished stage's record also names the files of its outputs with bytes and SHA-256. Where a stage
is kept, their names and sizes are compared, besides its own checks; before a stage works, the
files of the stages it reads are compared whole, which costs little beside the work; `kalm verify`
compares everything.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.files import StoreError
from experiments.origin import is_main_process, say
from experiments.outputs import file_problems
from experiments.stage_records import read_record, record_key, record_path, write_record
from experiments.tracking import Run

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Stage:
    """What identifies a stage within a run folder."""

    name: str  # such as "collect" or "train/real-only-cql"
    settings: Any  # dataclass with everything that shapes the output, seed included
    needs: tuple[str, ...]  # stages of the same run folder whose outputs it reads
    outputs: tuple[str, ...]  # what it writes, relative to the run folder
    shared: bool = False  # all processes of a job work on it; otherwise they wait for the first


def complete(
    run: Run,
    stage: Stage,
    work: Callable[[], None],
    problems: Callable[[], Sequence[str]],
    *,
    overwrite: bool = False,
) -> bool:
    """Brings a stage to its end; whether there was work to do.

    Args:
        work: makes the outputs; goes on from what an interrupted start left.
        problems: says what is wrong with the outputs; empty when they are whole.
        overwrite: removes outputs of other settings, or broken ones, instead of refusing.

    Raises:
        ValueError: a needed stage is missing, the outputs belong to other settings, or they
            were altered since.
    """
    if not is_main_process():
        for name in stage.needs:
            _wait(run.folder, name)
    if overwrite and _is_unreadable(run.folder, stage.name):
        _remove(run.folder, stage)
    before = read_record(run.folder, stage.name)
    if overwrite and before is not None and "repaired" in before:
        _remove(run.folder, stage)  # it is whole, but less than the stage would write
        before = None
    record = _record(run.folder, stage, before)
    if not (stage.shared or is_main_process()):
        _wait(run.folder, stage.name, record["key"])
        return False
    if before is not None and not any((run.folder / name).exists() for name in stage.outputs):
        before = before if before["done"] else None  # it broke off before it wrote anything

    def flaws() -> list[str]:
        files = before.get("files", {}) if before is not None else {}
        return file_problems(run.folder, files, content=False) or list(problems())

    if overwrite and before is not None and (before["key"] != record["key"] or flaws()):
        _remove(run.folder, stage)
        before = None
    if before is not None:
        _require_same(run.folder, stage, before, record)
        found = flaws()
        # Shared work publishes in parts: that a part is whole does not mean that it is the last.
        if not found and (before["done"] or not stage.shared):
            if not before["done"]:
                _write(run.folder, stage, record, done=True)
            say(f"{stage.name}: done before, kept")
            return False
        if before["done"]:
            raise ValueError(f"{found[0]} Restore it, or run `{stage.name}` with --overwrite.")
    _require_whole(run.folder, stage)
    _write(run.folder, stage, record, done=False)
    with run.stage(stage.name):
        work()
    if not is_main_process():
        _wait(run.folder, stage.name, record["key"])
        return True
    found = list(problems())
    if found:
        raise ValueError(f"Stage `{stage.name}` wrote an output that is not whole: {found[0]}")
    _write(run.folder, stage, record, done=True)
    return True


def _wait(folder: Path, name: str, key: str | None = None) -> None:
    """Returns when the first process has done a stage; the launcher ends us if that fails."""
    while True:
        found = read_record(folder, name)
        if found is not None and found["done"] and key in (None, found["key"]):
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _is_unreadable(folder: Path, name: str) -> bool:
    """Whether a stage's record was altered."""
    try:
        read_record(folder, name)
    except StoreError:
        return True
    return False


def _require_whole(folder: Path, stage: Stage) -> None:
    """Checks every byte of what `stage` will read.

    Raises:
        ValueError: a file is missing or was altered.
    """
    if not is_main_process():
        return
    for name in stage.needs:
        files = (read_record(folder, name) or {}).get("files", {})
        if found := file_problems(folder, files, content=True):
            raise ValueError(
                f"`{stage.name}` cannot use what `{name}` wrote: {found[0]} Restore it, or run "
                f"`{name}` with --overwrite."
            )


def _record(folder: Path, stage: Stage, before: dict[str, Any] | None) -> dict[str, Any]:
    """Settings and key of `stage`, from the keys of the stages it needs.

    Args:
        before: the record of an earlier start, if there was one.
    """
    keys = {}
    for name in stage.needs:
        needed = read_record(folder, name)
        if needed is None or not needed["done"]:
            verb = name.split("/", 1)[0]
            raise ValueError(
                f"`{stage.name}` needs `{name}`, which is not done in {folder}. "
                f"Run `kalm {verb} {folder}` first."
            )
        keys[name] = needed["key"]
    settings = json.loads(json.dumps(dataclasses.asdict(stage.settings), default=str))
    if before is not None:
        settings = _without_new_defaults(stage.settings, settings, before["settings"])
    content = {"settings": settings, "needs": keys}
    if before is not None and "repaired" in before:
        content["repaired"] = before["repaired"]
    return {**content, "key": record_key(content)}


def _without_new_defaults(settings: Any, told: Any, before: Any) -> Any:
    """`told`, which is `settings` as JSON, without new fields that have their defaults.

    Args:
        before: the same settings as an earlier version of the code told them.
    """
    if not (dataclasses.is_dataclass(settings) and isinstance(before, dict)):
        return told
    kept = {}
    for field in dataclasses.fields(settings):
        value, default = getattr(settings, field.name), field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if field.name in before:
            kept[field.name] = _without_new_defaults(value, told[field.name], before[field.name])
        elif value != default:
            kept[field.name] = told[field.name]
    return kept


def _require_same(
    folder: Path, stage: Stage, before: dict[str, Any], record: dict[str, Any]
) -> None:
    if before["key"] == record["key"]:
        return
    names = sorted(before["settings"].keys() | record["settings"].keys())
    changed = [
        f"{name} was {before['settings'].get(name)}, is {record['settings'].get(name)}"
        for name in names
        if before["settings"].get(name) != record["settings"].get(name)
    ]
    changed = changed or ["an earlier stage was done anew"]
    raise ValueError(
        f"`{stage.name}` in {folder} was made with other settings ({'; '.join(changed)}). "
        f"Choose another run folder, or add --overwrite to make it anew."
    )


def _remove(folder: Path, stage: Stage) -> None:
    if not is_main_process():
        return
    for output in stage.outputs:
        path = folder / output
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    record_path(folder, stage.name).unlink(missing_ok=True)


def _write(folder: Path, stage: Stage, record: dict[str, Any], *, done: bool) -> None:
    if is_main_process():
        write_record(folder, stage.name, stage.outputs, record, done=done)
