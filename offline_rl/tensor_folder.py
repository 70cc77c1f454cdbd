"""A folder of one safetensors file and one JSON file, published at once and checked when read.

safetensors does not notice a flipped bit, so the JSON holds the SHA-256 of the tensors, and
a seal of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from envs.files import publish, sha256_file
from envs.sealed import read_sealed, sealed

FORMAT = 1
_TENSORS, _CARD = "tensors.safetensors", "card.json"


def write_tensors(folder: Path, kind: str, tensors: Mapping[str, torch.Tensor], card: Any) -> None:
    """Publishes `tensors` and a JSON-able `card` as `folder`.

    Args:
        kind: what the folder holds, such as "agent"; readers ask for it.

    Raises:
        StoreError: the folder exists.
        ValueError: a tensor holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"Expected finite weights, got NaN or infinity in `{name}`.")
    with publish(folder) as partial:
        copies = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
        save_file(copies, partial / _TENSORS)
        content = {
            "kind": kind,
            "format": FORMAT,
            "sha256": sha256_file(partial / _TENSORS),
            "card": card,
        }
        (partial / _CARD).write_text(sealed(content), "utf-8")


def read_tensors(folder: Path, kind: str) -> tuple[dict[str, torch.Tensor], Any]:
    """The tensors and the card of a folder of that kind.

    Raises:
        ValueError: the folder is missing, holds something else, or was altered.
    """
    card_file, tensor_file = folder / _CARD, folder / _TENSORS
    if not card_file.is_file() or not tensor_file.is_file():
        raise ValueError(f"Expected a saved {kind} in {folder}, found none. Check the path.")
    try:
        content = read_sealed(card_file, ("kind", "format", "sha256", "card"))
        found, version, expected = content["kind"], content["format"], content["sha256"]
        card = content["card"]
    except KeyError as error:
        raise ValueError(f"{card_file} is not a card of a saved {kind}: no {error}.") from error
    if (found, version) != (kind, FORMAT):
        raise ValueError(
            f"Expected a saved {kind} of format {FORMAT} in {folder}, got {found} of format "
            f"{version}. Check the path."
        )
    if sha256_file(tensor_file) != expected:
        raise ValueError(f"{tensor_file} was altered: its SHA-256 is not that of {card_file}.")
    return load_file(tensor_file), card
