"""JSON files that notice every altered byte: they hold the SHA-256 of themselves.

The seal is the hash of the file's text without it, and the text is canonical, so that a change of
blanks or of the case of a letter counts too. Files from before there were seals stay readable.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from envs.files import StoreError

SEAL = "seal"


def sealed(content: Mapping[str, Any]) -> str:
    """JSON text of `content`, its keys sorted, with its seal."""
    return _text({**content, SEAL: hashlib.sha256(_text(content).encode()).hexdigest()})


def read_sealed(path: Path, unsealed_keys: Collection[str] = ()) -> dict[str, Any]:
    """The content that `sealed` made into the text of `path`.

    Args:
        unsealed_keys: a file with these keys alone is from before there were seals, and is right.

    Raises:
        StoreError: the file is missing, is not JSON, or was altered.
    """
    try:
        text = path.read_text("utf-8")
        content = json.loads(text)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing. Restore it from a copy.") from None
    except ValueError as error:
        raise StoreError(f"{path} was altered: it is not JSON ({error}).") from None
    if not isinstance(content, dict):
        raise StoreError(f"{path} was altered: expected an object, got {type(content).__name__}.")
    if SEAL not in content and content.keys() == set(unsealed_keys):
        return content
    seal = content.pop(SEAL, None)
    if seal is None or sealed(content) != text:
        raise StoreError(f"{path} was altered: its seal does not fit. Restore it from a copy.")
    return content


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
