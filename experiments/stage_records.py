"""What a run folder tells of its stages: `RUN/stages/NAME.json`, sealed, one for each.

A record holds the settings of a stage, the keys of the stages it read from, its own key, which is
the hash of both, and once it is done its files with bytes and SHA-256, and the commit of the code.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.files import StoreError, well_formed
from envs.sealed import read_sealed, sealed
from experiments.origin import commit
from experiments.outputs import describe_files, file_problems, published_files
from experiments.results import write_text

IDENTITY = ("settings", "needs", "repaired")  # parts of a record that its key is the hash of
UNSEALED_KEYS = ("settings", "needs", "key", "done")  # of records from before files were named


def record_path(folder: Path, name: str) -> Path:
    """Where run `folder` keeps the record of stage `name`."""
    return folder / "stages" / f"{name}.json"


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """The record of stage `name` of run `folder`; None before the stage was begun.

    Raises:
        StoreError: it was altered, or holds something else.
    """
    path = record_path(folder, name)
    if not path.exists():
        return None
    record = read_sealed(path, UNSEALED_KEYS)
    with well_formed(path):
        if any(name not in record for name in UNSEALED_KEYS):
            raise KeyError(*(name for name in UNSEALED_KEYS if name not in record))
        dict(record["settings"]), dict(record["needs"])
        files = dict(record.get("files", {}))
        if not all(facts.keys() == {"bytes", "sha256"} for facts in files.values()):
            raise TypeError("files have bytes and sha256")
    return record


def write_record(
    folder: Path, name: str, outputs: Sequence[str], record: Mapping[str, Any], *, done: bool
) -> None:
    """Writes settings, needs and key of stage `name`, and what is in `outputs` once it is done."""
    content = {
        **record,
        "files": describe_files(folder, outputs) if done else {},
        "outputs": outputs,
        "done": done,
        "commit": commit(),
    }
    write_text(record_path(folder, name), sealed(content))


def record_key(record: Mapping[str, Any]) -> str:
    """What tells a stage from the same one with other settings, or made from something else."""
    content = {name: record[name] for name in IDENTITY if name in record}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_done(folder: Path, name: str) -> bool:
    """Whether stage `name` of run `folder` came to its end."""
    record = read_record(folder, name)
    return record is not None and bool(record["done"])


def done_stages(folder: Path) -> list[str]:
    """Names of the finished stages of run `folder`, in alphabetical order."""
    return [name for name in all_stages(folder) if is_done(folder, name)]


def stage_settings(folder: Path, name: str) -> dict[str, Any]:
    """The settings with which stage `name` of run `folder` was done."""
    record = read_record(folder, name)
    if record is None:
        raise ValueError(f"`{name}` is not done in {folder}.")
    settings: dict[str, Any] = record["settings"]
    return settings


def made_by(folder: Path) -> list[str]:
    """The commits of the code that did the stages of run `folder`, each once; "" outside git.

    None of stages that were done before records named commits.
    """
    records = [read_record(folder, name) for name in done_stages(folder)]
    return list(dict.fromkeys(r["commit"] for r in records if r is not None and "commit" in r))


def record_problems(folder: Path, name: str) -> list[str]:
    """Problems of stage `name` of run `folder`: its record, and every file that it published."""
    try:
        record = read_record(folder, name)
    except StoreError as error:
        return [str(error)]
    if record is None:
        return [f"{record_path(folder, name)} is missing."]
    if record_key(record) != record["key"]:
        return [f"{record_path(folder, name)} was altered: its key is not that of its settings."]
    if not record["done"]:
        told = "the stage broke off. The same command goes on from there."
        return [f"{record_path(folder, name)}: {told}"]
    return [
        *_origin_problems(folder, name, record["needs"]),
        *file_problems(folder, record.get("files", {}), content=True),
    ]


def _origin_problems(folder: Path, name: str, needs: Mapping[str, str]) -> list[str]:
    """What stage `name` was made from and is not there any more; `needs` holds keys by stage."""
    problems = []
    for needed, key in needs.items():
        try:
            record = read_record(folder, needed)
        except StoreError:
            continue  # a problem of that stage
        if record is None:
            problems.append(
                f"{record_path(folder, needed)} is missing, and `{name}` was made from it."
            )
        elif record["key"] != key:
            problems.append(
                f"{record_path(folder, name)}: `{needed}` was made anew or repaired since. "
                f"Make `{name}` anew with --overwrite."
            )
    return problems


def names_no_files(folder: Path, name: str) -> bool:
    """Whether a stage's record is from before records named files."""
    return "files" not in (read_record(folder, name) or {})


def foreign_files(folder: Path) -> list[str]:
    """Files, relative to run `folder`, among outputs of its stages that no stage published.

    None where a stage is unfinished or its record names no files: they may be that stage's.
    """
    records = [read_record(folder, name) for name in all_stages(folder)]
    if any(record is None or not record["done"] or "files" not in record for record in records):
        return []
    known = {name for record in records if record for name in record["files"]}
    outputs = [name for record in records if record for name in record["outputs"]]
    return [name for name in published_files(folder, outputs) if name not in known]


def all_outputs(folder: Path) -> list[str] | None:
    """What the stages of run `folder` say is theirs, relative to it.

    None where a record is from before records said so.
    """
    records = [record for name in all_stages(folder) if (record := read_record(folder, name))]
    if any("outputs" not in record for record in records):
        return None
    return [output for record in records for output in record["outputs"]]


def all_stages(folder: Path) -> list[str]:
    """Names of the stages of run `folder` that were begun, in alphabetical order."""
    root = folder / "stages"
    return sorted(
        path.relative_to(root).with_suffix("").as_posix()
        for path in root.rglob("*.json")
        if not path.name.startswith(".")
    )


def note_repair(folder: Path, part: str) -> str:
    """The stage of run `folder` whose record now tells that its store `part` was repaired.

    The key of the stage changes, so that what was made from the store before is not mixed with
    what will be made from it. "" where the record needs no change, or no stage wrote `part`.
    """
    found = describe_files(folder, [part])
    for name in all_stages(folder):
        record = read_record(folder, name)
        files = {} if record is None or not record["done"] else record.get("files", {})
        if record is None or not found.keys() <= files.keys() or found.items() <= files.items():
            continue
        repaired = {path: facts["sha256"] for path, facts in found.items()}
        record["repaired"] = {**record.get("repaired", {}), **repaired}
        record |= {"files": {**files, **found}, "key": record_key(record)}
        write_text(record_path(folder, name), sealed(record))
        return name
    return ""
