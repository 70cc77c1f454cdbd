"""Minari data sets: export publishes a folder whole, import reads ours and others'.

Goal, level, source, success and provenance travel as episode metadata, the card as that of the
data set. Minari's default HDF5 files are written: its Parquet files take time that grows with the
square of the number of episodes.
"""

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from envs.card import Card
from envs.columns import TEXT, Column
from envs.episode import Episode
from envs.files import StoreError, publish


def export_minari(
    root: str | Path,
    dataset_id: str,
    episodes: Sequence[Episode],
    card: Card,
    num_actions: int | None = None,
    data_format: str = "hdf5",
) -> Path:
    """The folder of a new Minari data set; goal, level, source and provenance are its metadata.

    Args:
        root: folder of all Minari data sets, as in MINARI_DATASETS_PATH.
        dataset_id: such as "kalm/toy/behaviour-v0".
        num_actions: of discrete actions; None where actions are continuous or text.
        data_format: of Minari, such as "hdf5" or "arrow".

    Raises:
        StoreError: the data set exists already, there are no episodes, or Minari is missing.
    """
    minari = _import_minari()
    if not episodes:
        raise StoreError(f"Expected at least one episode for {dataset_id}, got none.")
    spaces = {
        name: _minari_space(episodes, name, num_actions) for name in ("observations", "actions")
    }
    target = Path(root).absolute() / dataset_id
    with publish(target) as partial, _minari_root(partial), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about metadata that nobody gave
        dataset = minari.create_dataset_from_buffers(
            dataset_id,
            [
                minari.data_collector.EpisodeBuffer(**_minari_arrays(episode))
                for episode in episodes
            ],
            observation_space=spaces["observations"],
            action_space=spaces["actions"],
            data_format=data_format,
            author=card.author or None,
            description=f"{card.environment} {card.environment_version}. {card.note}".strip(),
        )
        dataset.storage.update_episode_metadata(map(_minari_metadata, episodes))
        dataset.storage.update_metadata({"card": card.to_json()})
        for path in (partial / dataset_id).iterdir():
            path.rename(partial / path.name)
        shutil.rmtree(partial / Path(dataset_id).parts[0])
    return target


def import_minari(folder: str | Path, goal: str | None = None) -> Iterator[Episode]:
    """Episodes of a Minari data set of vectors, images or text.

    Args:
        folder: of one data set, the one that holds `data`.
        goal: words for all episodes of a data set that names none.

    Raises:
        StoreError: there is no data set, or it names no goals and none was given.
    """
    minari = _import_minari()
    data = Path(folder) / "data"
    if not data.is_dir():
        raise StoreError(f"{folder} holds no Minari data set. Name the folder that holds `data`.")
    dataset = minari.MinariDataset(data)
    metadata = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for episode, words in zip(dataset.iterate_episodes(), metadata, strict=True):
        if "goal" not in words and goal is None:
            raise StoreError(f"{folder} names no goals. Give one for all of its episodes.")
        yield Episode(
            goal=str(words.get("goal", goal)),
            observations=_plain_array(episode.observations, "observations"),
            actions=_plain_array(episode.actions, "actions"),
            rewards=np.asarray(episode.rewards),
            terminated=bool(episode.terminations[-1]),
            source=str(words.get("source", "real")),
            level=str(words.get("level", "")),
            success=bool(words.get("success", False)),
            provenance=json.loads(words.get("provenance", "{}")),
        )


def _import_minari() -> Any:
    try:
        import_module("PIL")  # Minari needs it without saying so
        return import_module("minari")
    except ModuleNotFoundError as error:
        raise StoreError(
            f"Minari data sets need the package {error.name}. Install the extra: kalm[minari]."
        ) from error


def _minari_arrays(episode: Episode) -> dict[str, Any]:
    last = np.arange(len(episode)) == len(episode) - 1
    return {
        "observations": _lines_or_array(episode.observations),
        "actions": _lines_or_array(episode.actions),
        "rewards": episode.rewards,
        "terminations": last & episode.terminated,
        "truncations": last & (not episode.terminated),
    }


def _minari_metadata(episode: Episode) -> dict[str, str | bool]:
    words: dict[str, str | bool] = {
        name: getattr(episode, name) for name in ("goal", "level", "source")
    }
    return words | {
        "success": bool(episode.success),
        "provenance": json.dumps(dict(episode.provenance), sort_keys=True),
    }


def _lines_or_array(values: np.ndarray) -> np.ndarray | list[str]:
    lines: list[str] = values.tolist()
    return lines if values.dtype.kind == "U" else values


def _minari_space(episodes: Sequence[Episode], name: str, num_actions: int | None) -> Any:
    """The Gymnasium space of the episodes' observations or actions."""
    from gymnasium.spaces import Box, Discrete, Text

    column = Column.of(getattr(episodes[0], name))
    if column.dtype == TEXT:
        lines = [line for episode in episodes for line in getattr(episode, name).tolist()]
        letters = "".join(sorted(set("".join(lines))))
        return Text(max(map(len, lines)), min_length=0, charset=letters)
    if name == "actions" and num_actions is not None:
        return Discrete(num_actions)
    dtype = np.dtype(column.dtype)
    if dtype.kind == "f":
        return Box(-np.inf, np.inf, column.shape, dtype.type)
    return Box(np.iinfo(dtype).min, np.iinfo(dtype).max, column.shape, dtype.type)


def _plain_array(values: Any, name: str) -> np.ndarray:
    if isinstance(values, dict | tuple):
        raise StoreError(f"Expected arrays or text as {name}, got parts. Flatten them first.")
    return np.array(values)


@contextmanager
def _minari_root(folder: Path) -> Iterator[None]:
    """Lets Minari write below `folder`; it takes its root from the environment alone."""
    before = os.environ.get("MINARI_DATASETS_PATH")
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MINARI_DATASETS_PATH"]
        else:
            os.environ["MINARI_DATASETS_PATH"] = before
