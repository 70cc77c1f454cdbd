"""The files that a stage published, as its record names them: bytes and SHA-256 of each.

Hidden files (unfinished folders, locks, caches) are nobody's outputs.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from envs.files import sha256_file
from envs.manifest import MARKER


class FileFacts(TypedDict):
    """What a file was when it was published."""

    bytes: int
    sha256: str


def published_files(folder: Path, outputs: Iterable[str]) -> list[str]:
    """Names, relative to `folder`, of the files that `outputs` are or hold; of a store its marker.

    The marker holds the hash of the manifest, and that the hashes of the rest, so that a record
    stays small however many shards there are.
    """
    found: list[Path] = []
    for output in outputs:
        path = folder / output
        if path.is_file():
            found.append(path)
        for place, folders, names in os.walk(path):
            folders[:] = [] if MARKER in names else [n for n in folders if n[0] != "."]
            chosen = [MARKER] if MARKER in names else [n for n in names if n[0] != "."]
            found += [Path(place, name) for name in chosen]
    return sorted({path.relative_to(folder).as_posix() for path in found})


def describe_files(folder: Path, outputs: Iterable[str]) -> dict[str, FileFacts]:
    """Bytes and SHA-256 of every file that `outputs` are or hold."""
    return {
        name: FileFacts(bytes=(folder / name).stat().st_size, sha256=sha256_file(folder / name))
        for name in published_files(folder, outputs)
    }


def file_problems(folder: Path, files: Mapping[str, FileFacts], *, content: bool) -> list[str]:
    """Which of `files` are missing, cut or altered.

    Args:
        content: compare the SHA-256 too; otherwise size alone, which costs nothing.
    """
    problems = []
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing.")
        elif (size := path.stat().st_size) != facts["bytes"]:
            problems.append(f"{path} was cut or altered: {size} bytes, not {facts['bytes']}.")
        elif content and sha256_file(path) != facts["sha256"]:
            problems.append(f"{path} was altered: its SHA-256 is not the recorded one.")
    return problems
