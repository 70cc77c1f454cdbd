"""What a store says of itself: the manifest, the completion marker, and the checks against both.

Every check returns the problem in words, naming the file and the next step; empty is good.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from envs.columns import Layout
from envs.files import StoreError, sha256_file, well_formed

SCHEMA_VERSION = 1
CARD, MANIFEST, MARKER = "card.json", "manifest.json", "COMPLETE"
_NEXT_STEP = "Restore it from a copy, or write the store again."


@dataclass(frozen=True)
class Shard:
    """One Parquet file."""

    file: str  # path inside the store
    rows: int
    steps: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store holds."""

    rows: int  # episodes, N
    steps: int  # actions over all episodes
    layout: Layout
    shards: tuple[Shard, ...]
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """The manifest as JSON text with sorted keys."""
        values = {
            "schema_version": self.schema_version,
            "rows": self.rows,
            "steps": self.steps,
            "layout": self.layout.to_json(),
            "shards": [asdict(shard) for shard in self.shards],
        }
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest that `to_json` wrote.

        Raises:
            StoreError: a later release wrote it.
        """
        values = json.loads(text)
        if values["schema_version"] != SCHEMA_VERSION:
            raise StoreError(
                f"Expected store schema {SCHEMA_VERSION}, got {values['schema_version']}. "
                "Read this store with the release that wrote it."
            )
        layout = Layout.from_json(values["layout"])
        shards = tuple(Shard(**shard) for shard in values["shards"])
        return cls(values["rows"], values["steps"], layout, shards)


def marker_text(folder: Path) -> str:
    """The completion marker: hashes of card and manifest, then of these lines themselves."""
    lines = "".join(f"{sha256_file(folder / name)}  {name}\n" for name in (CARD, MANIFEST))
    return lines + f"{hashlib.sha256(lines.encode()).hexdigest()}  {MARKER}\n"


def problems_of_marker(folder: Path) -> list[str]:
    """Problems of the card, the manifest and the marker."""
    if not folder.is_dir():
        return [f"{folder} is no folder. Name a folder that `write_store` wrote."]
    for name in (MARKER, CARD, MANIFEST):
        if not (folder / name).is_file():
            return [f"{folder / name} is missing. {_NEXT_STEP}"]
    lines = (folder / MARKER).read_bytes().splitlines(keepends=True)
    own = f"{hashlib.sha256(b''.join(lines[:-1])).hexdigest()}  {MARKER}\n".encode()
    if len(lines) != 3 or lines[-1] != own:
        return [f"{folder / MARKER} was altered. {_NEXT_STEP}"]
    return [
        f"{folder / name} was altered. {_NEXT_STEP}"
        for name, line in zip((CARD, MANIFEST), lines[:-1], strict=True)
        if line != f"{sha256_file(folder / name)}  {name}\n".encode()
    ]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a store whose marker is right."""
    with well_formed(folder / MANIFEST):
        return Manifest.from_json((folder / MANIFEST).read_text("utf-8"))


def problem_of_size(path: Path, shard: Shard) -> str:
    """Whether a shard is there and as long as it was: the quick check at opening."""
    if not path.is_file():
        return f"{path} is missing. {_NEXT_STEP}"
    if (size := path.stat().st_size) != shard.bytes:
        return f"{path} was cut or altered: {size} bytes instead of {shard.bytes}. {_NEXT_STEP}"
    return ""


def problem_of_shard(path: Path, shard: Shard) -> str:
    """Whether every byte of a shard is as written: the check at first reading."""
    if problem := problem_of_size(path, shard):
        return problem
    if sha256_file(path) != shard.sha256:
        return f"{path} was altered: its SHA-256 differs from the manifest's. {_NEXT_STEP}"
    return ""


def problem_of_pages(path: Path, shard: Shard) -> str:
    """Reads a shard whose bytes are right, in case it was written wrong."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            rows = sum(batch.num_rows for batch in file.iter_batches())
    except (OSError, pa.ArrowException) as error:
        return f"{path} cannot be read: {error}. {_NEXT_STEP}"
    return "" if rows == shard.rows else f"{path} holds {rows} rows instead of {shard.rows}."


def problems_of_files(folder: Path, shards: Sequence[Shard]) -> list[str]:
    """What is wrong with the shards of a store, and files that do not belong to it."""
    problems = [
        problem
        for shard in shards
        for path in [folder / shard.file]
        if (problem := problem_of_shard(path, shard) or problem_of_pages(path, shard))
    ]
    known = {CARD, MANIFEST, MARKER, *(shard.file for shard in shards)}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    foreign = sorted(found - known)
    return problems + [
        f"{folder / name} is not part of the store. Move it elsewhere." for name in foreign
    ]
