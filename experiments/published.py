"""What `kalm report` wrote for readers: a sealed list of the files with bytes and SHA-256."""

from collections.abc import Sequence
from pathlib import Path

from envs.files import StoreError
from envs.sealed import read_sealed, sealed
from experiments.outputs import describe_files, file_problems
from experiments.results import write_text

PUBLISHED = "published.json"


def note_published(folder: Path, names: Sequence[str]) -> None:
    """Writes the list for the files `names` of `folder`; those that are not there are left out."""
    write_text(folder / PUBLISHED, sealed({"files": describe_files(folder, names)}))


def published_problems(folder: Path) -> list[str]:
    """Problems of the list and of every file on it."""
    try:
        return file_problems(folder, read_sealed(folder / PUBLISHED)["files"], content=True)
    except StoreError as error:
        return [str(error)]
