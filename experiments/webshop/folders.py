"""Where the stages of a WebShop run meet on disk, and what earlier stages said."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.folders import read_json
from experiments.names import require_known
from experiments.origin import say
from experiments.stage_records import stage_settings
from experiments.teduo.folders import COLLECT, GOALS, PLANNED, Distilled

if TYPE_CHECKING:
    from envs.webshop.goals import ShoppingGoal
    from envs.webshop.products import Catalogue
    from envs.webshop.requirements import Requirement
    from envs.webshop.shop import Shop
    from imagination.purchases import Play

PLAYS = "data/plays"  # what shoppers did: no goals, no rewards
GOAL_TEXTS = "data/goal-texts.json"  # the list of training goals, in words
KEPT = "data/kept-plays.parquet"  # which plays are worth imitating for which goal
FILTERING = "evaluation/filtering.json"  # what became of the goals
FILTERED = "filtered"  # samples that are the best plays
# Where the samples of a method come from, and how pages are told in them.
METHODS = {
    "teduo": (PLANNED, "roles"),
    "teduo-filtered": (FILTERED, "roles"),
    "teduo-raw": (FILTERED, "raw"),
}


@dataclass(frozen=True)
class ShopArm(Distilled):
    """A method, and what is made with it."""

    method: str  # key in METHODS

    def __post_init__(self) -> None:
        require_known("method", self.method, METHODS)

    @property
    def label(self) -> str:
        """Its name in tables."""
        return self.method

    @property
    def slug(self) -> str:
        """Its name in file and stage names."""
        return self.method

    @property
    def source(self) -> str:
        """PLANNED or FILTERED."""
        return METHODS[self.method][0]

    @property
    def form(self) -> str:
        """How pages are told, of imagination.shop_roles.FORMS."""
        return METHODS[self.method][1]

    @property
    def is_raw(self) -> bool:
        """Whether pages are told as they are."""
        return self.form == "raw"


def run_shop(folder: Path) -> "Shop":
    """The shop of a run, made once per process."""
    settings = stage_settings(folder, COLLECT)
    return shop_of(settings["catalogue"], settings["num_products"], settings["shop_seed"])


@lru_cache(maxsize=2)
def shop_of(catalogue: str, num_products: int, seed: int) -> "Shop":
    """A shop with a generated catalogue, or with the original's files.

    Args:
        catalogue: folder of the original's files; "" generates products.
    """
    from envs.webshop.generation import generate_catalogue
    from envs.webshop.shop import Shop

    if not catalogue:
        return Shop(generate_catalogue(num_products, seed))
    return Shop(_original(Path(catalogue), seed))


def _original(folder: Path, seed: int) -> "Catalogue":
    """The catalogue of the original's files, the thousand products where they are there alone."""
    from envs.webshop.original import load_catalogue

    end = ".json" if (folder / "items_shuffle.json").exists() else "_1000.json"
    catalogue, dropped = load_catalogue(
        folder / f"items_shuffle{end}",
        folder / f"items_ins_v2{end}",
        folder / "items_human_ins.json",
        seed=seed,
    )
    for reason, count in dropped.items():
        say(f"catalogue: {count} products left out: {reason}")
    return catalogue


def shop_goals(folder: Path, split: str, count: int) -> "tuple[ShoppingGoal, ...]":
    """The first goals of a split; hidden fields are for collection and evaluation alone."""
    from envs.webshop.goals import generate_goals, human_goals

    settings, catalogue = stage_settings(folder, COLLECT), run_shop(folder).catalogue
    if settings["catalogue"]:
        return human_goals(catalogue, settings["shop_seed"])[split][:count]
    return generate_goals(catalogue, split, count, settings["shop_seed"])


def goal_texts(folder: Path) -> list[str]:
    """The training goals in words, equal ones once."""
    return list(dict.fromkeys(read_json(folder / GOAL_TEXTS)["goals"]))


def read_requirements(folder: Path, file: str = GOALS) -> "dict[str, Requirement | None]":
    """What goal texts were read as; None for those that were not understood."""
    from envs.webshop.requirements import parse_requirement

    texts = read_json(folder / file)["programs"]
    return {text: parse_requirement(said) for text, said in texts.items()}


def understood_goals(folder: Path) -> "dict[str, Requirement]":
    """The training goals that were understood; there may be none."""
    return {text: meant for text, meant in read_requirements(folder).items() if meant}


def read_plays(folder: Path) -> "Sequence[Play]":
    """Pages and actions of all plays; nothing else of an episode is looked at."""
    from envs.store import EpisodeStore
    from imagination.purchases import Play

    return [
        Play(tuple(episode.observations.tolist()), tuple(episode.actions.tolist()))
        for episode in EpisodeStore(folder / PLAYS)
    ]
