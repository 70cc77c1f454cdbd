"""`kalm verify`: every byte of episode stores, models, results and whole run folders.

In a run folder the records of the stages are checked too, and through them every file that a stage
published: also those that carry no hash of their own, such as tasks, outcomes and measures.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from envs.files import StoreError, well_formed
from envs.manifest import MANIFEST, MARKER
from experiments.folders import whole_json
from experiments.published import PUBLISHED, published_problems
from experiments.results import load_results
from experiments.stage_records import (
    all_outputs,
    all_stages,
    foreign_files,
    names_no_files,
    record_problems,
)
from experiments.tracking import CONFIG_FILE, SECONDS_FILE, read_commands, read_metrics

MARKERS = {
    MANIFEST: "store",
    MARKER: "store",  # also one whose manifest is gone
    "hashes.json": "model",
    "tensors.safetensors": "agent",
    "outcomes.parquet": "evaluation",
    "results.json": "results",
}
STAGES = "stages"  # folder of a run's records


@dataclass(frozen=True)
class Command:
    """Checks folders and files that runs wrote; exit code 1 if one is not whole."""

    paths: tyro.conf.Positional[tuple[Path, ...]]  # stores, models, results or run folders


def main(arguments: Sequence[str]) -> int:
    """Prints every problem found in the given paths; 1 if there is one."""
    command = tyro.cli(Command, args=list(arguments), prog="kalm verify")
    if not command.paths:
        raise ValueError("Expected at least one path, got none. Name a store, model or run folder.")
    code = 0
    for path in command.paths:
        checked = list(parts(path))
        if not checked:
            raise ValueError(
                f"`{path}` is no store, model, results file or run folder. Check the path."
            )
        for part in checked:
            problems = part_problems(part)
            code = 1 if problems else code
            print(f"{part}: {'whole' if not problems else 'NOT whole'}")
            for problem in problems:
                print(f"  {problem}")
            if _kind(part) == "run" and (old := _records_without_files(part)):
                print(f"  {len(old)} stages are older than lists of files: {', '.join(old)}")
    return code


def parts(path: Path) -> list[Path]:
    """What there is to check at `path`: itself, or everything in a run folder."""
    if _kind(path) not in ("", "run"):
        return [path]
    if not path.is_dir():
        return []
    found = {
        marker if marker.name == "results.json" else marker.parent
        for name in (*MARKERS, STAGES, PUBLISHED)
        for marker in path.rglob(name)
        if not any(piece.startswith(".") for piece in marker.relative_to(path).parts[:-1])
    }
    return sorted(found)


def run_problems(folder: Path) -> list[str]:
    """Problems of a run folder: its records, what they name, and what none of them names."""
    problems = [problem for name in all_stages(folder) for problem in record_problems(folder, name)]
    if os.path.lexists(folder / PUBLISHED):  # also a dead link
        problems += published_problems(folder)
    problems += _unreadable(folder)
    if problems:
        return problems
    foreign = [folder / name for name in foreign_files(folder)] or _without_owner(folder)
    return [f"{path} is not part of the run. Move it elsewhere." for path in foreign]


def _without_owner(folder: Path) -> list[Path]:
    """Stores, models, agents and evaluations of a run that no record of a stage speaks for."""
    outputs = all_outputs(folder) if (folder / STAGES).is_dir() else None
    if outputs is None:
        return []
    known = {folder / output for output in outputs}
    inside = [part for part in parts(folder) if part.is_dir() and part != folder]
    return [part for part in inside if known.isdisjoint((part, *part.parents))]


def _unreadable(folder: Path) -> list[str]:
    """Problems of the files that grow while a run works, and so have no hash."""
    problems = []
    for name in (CONFIG_FILE, SECONDS_FILE):
        if (folder / name).exists():
            problems += whole_json(folder / name)
    try:
        read_metrics(folder)
        read_commands(folder)
    except ValueError as error:
        problems.append(str(error))
    return problems


def _records_without_files(folder: Path) -> list[str]:
    try:
        with well_formed(folder):
            return [name for name in all_stages(folder) if names_no_files(folder, name)]
    except (StoreError, OSError):
        return []  # told among the problems


def part_problems(path: Path) -> list[str]:
    """Problems of one store, model, agent, evaluation or results file, each naming its file."""
    try:
        with well_formed(path):
            return _problems(path)
    except ValueError as error:
        return [str(error)]
    except OSError as error:  # a folder or a dead link in a file's place, or not ours to read
        return [f"{path} cannot be read: {error}."]


def _problems(path: Path) -> list[str]:
    kind = _kind(path)
    if kind == "run":
        return run_problems(path)
    if kind == "store":
        from envs.store import verify_store
        from envs.transitions import is_transition_store, verify_transitions

        return verify_transitions(path) if is_transition_store(path) else verify_store(path)
    if kind == "model":
        from kalm.pretrained import verify_model

        return verify_model(path)
    if kind == "agent":
        from experiments.train import agent_problems

        return agent_problems(path)
    if kind == "evaluation":
        from experiments.evaluate import outcome_problems

        return outcome_problems(path)
    load_results(path)
    return []


def _kind(path: Path) -> str:
    """One of the values of `MARKERS`, "run", or "" where `path` is none of them."""
    if path.is_file() and path.suffix == ".json":
        return "results"
    if not path.is_dir():
        return ""
    for name, kind in MARKERS.items():
        if (path / name).exists() and kind != "results":
            return kind
    return "run" if (path / STAGES).is_dir() or (path / PUBLISHED).exists() else ""
