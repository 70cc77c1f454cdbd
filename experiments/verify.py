"""`kalm verify`: every byte of episode stores, models, results and whole run folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.results import load_results

MARKERS = {
    "manifest.json": "store",
    "hashes.json": "model",
    "tensors.safetensors": "agent",
    "outcomes.parquet": "evaluation",
    "results.json": "results",
}


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
    return code


def parts(path: Path) -> list[Path]:
    """What there is to check at `path`: itself, or everything in a run folder."""
    if _kind(path):
        return [path]
    if not path.is_dir():
        return []
    found = {
        marker if marker.name == "results.json" else marker.parent
        for name in MARKERS
        for marker in path.rglob(name)
        if not any(piece.startswith(".") for piece in marker.relative_to(path).parts[:-1])
    }
    return sorted(found)


def part_problems(path: Path) -> list[str]:
    """Problems of one store, model, agent, evaluation or results file, each naming its file."""
    kind = _kind(path)
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
    try:
        load_results(path)
    except ValueError as error:
        return [str(error)]
    return []


def _kind(path: Path) -> str:
    """One of the values of `MARKERS`, or "" where `path` is none of them."""
    if path.is_file() and path.suffix == ".json":
        return "results"
    kinds = [kind for name, kind in MARKERS.items() if (path / name).exists()]
    return kinds[0] if kinds and kinds[0] != "results" else ""
