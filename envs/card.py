"""The card of a data set: where its episodes come from, as JSON that a person can read.

A card holds no clock time unless one is given, so the same input gives the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version

from envs.world import World


@dataclass(frozen=True)
class Card:
    """What a data set's reader should know about it."""

    environment: str  # key in envs.WORLDS
    environment_version: str  # physics and reward variant of the world
    source: str  # "real", "imagined", "distilled", or "mixed"
    command: str = ""  # the command that wrote it
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)  # of libraries, by package name
    commit: str = ""  # of the code that wrote it
    author: str = ""
    note: str = ""
    created: str = ""  # date; empty where the writer gave none

    def to_json(self) -> str:
        """The card as JSON text with sorted keys."""
        values = {**asdict(self), "versions": dict(self.versions)}
        return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """The card that `to_json` wrote.

        Raises:
            ValueError: the text is no card.
        """
        values = json.loads(text)
        known = {entry.name for entry in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            raise ValueError(f"Expected a card with the keys {', '.join(sorted(known))}.")
        return cls(**values)


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of packages by name; packages that are not installed are left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def require_world(card: Card, world: World) -> None:
    """Checks that a data set comes from `world`, its physics and rewards included.

    Raises:
        ValueError: it does not.
    """
    if card.environment != world.name:
        raise ValueError(
            f"Expected data of the environment `{world.name}`, got `{card.environment}`. "
            f"Choose the environment `{card.environment}`, or another data folder."
        )
    if card.environment_version != world.version:
        raise ValueError(
            f"Expected data of `{world.name}` version `{world.version}`, got "
            f"`{card.environment_version}`. Collect the data again with this version."
        )
