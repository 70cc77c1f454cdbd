"""Reading an offline mirror back: the lines of metrics that a wandb file holds.

A wandb file is a LevelDB log of protocol buffers: blocks of 32 KiB after a header of 7 bytes, in
which a record lies whole or in parts.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.tracking import mirror_record

BLOCK_BYTES, HEADER_BYTES = 32_768, 7
WHOLE, LAST_PART = 1, 4


def mirrored_lines(folder: Path, run_id: str, seconds: float = 30.0) -> list[dict[str, Any]]:
    """Values by "stage/name" of every line that one offline mirror of a run folder holds.

    Args:
        seconds: to wait for the end of the file; wandb's own process may write it late.

    Raises:
        ValueError: the file does not come to its end.
    """
    (path,) = folder.glob(f"wandb/offline-run-*/run-{run_id}.wandb")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        records = [mirror_record(content) for content in _records(path.read_bytes())]
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            return [
                _line(record.history)
                for record in records
                if record.WhichOneof("record_type") == "history"
            ]
        time.sleep(0.05)
    raise ValueError(f"{path} does not come to its end. Was its run killed?")


def _line(history: Any) -> dict[str, Any]:
    items = {item.key or "/".join(item.nested_key): item.value_json for item in history.item}
    return {name: json.loads(value) for name, value in items.items() if name[0] != "_"}


def _records(content: bytes) -> Iterator[bytes]:
    place, record = HEADER_BYTES, b""
    while place + HEADER_BYTES <= len(content):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < HEADER_BYTES:
            place += left
            continue
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        kind = content[place + 6]
        record += content[place + HEADER_BYTES : place + HEADER_BYTES + length]
        place += HEADER_BYTES + length
        if kind in (WHOLE, LAST_PART):
            yield record
            record = b""
