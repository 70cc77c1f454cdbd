"""Unlabelled plays of the data policy, and apart from them a list of goals in words."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from envs.settings import Count, Settings, Whole
from experiments.folders import data_card, whole_json
from experiments.origin import say
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.folders import COLLECT
from experiments.tracking import Run
from experiments.webshop.folders import GOAL_TEXTS, PLAYS, shop_of

if TYPE_CHECKING:
    from envs.episode import Episode
    from envs.webshop.goals import ShoppingGoal


@dataclass(frozen=True)
class ShopCollectSettings(Settings):
    """Which shop, and how much is watched in it."""

    catalogue: str = ""  # folder of the original's files; "" generates products
    num_products: Count = 5_000  # of the generated catalogue
    shop_seed: Whole = 0  # of products, prices and goals; the same for all training seeds
    num_goals: Count = 1_500  # training instructions: what plays are after, and the list to learn
    num_plays: Count = 5_000
    horizon_steps: Count = 200  # a play is cut after this many
    seed: Whole = 0  # of the plays


@dataclass
class _ShopName:
    """What a data card records of the shop."""

    version: str
    name: str = "webshop"


def collect_stage(
    run: Run, settings: ShopCollectSettings, command: str, *, overwrite: bool
) -> None:
    """Writes the plays, stripped of goals and rewards, and the list of goals."""
    complete(
        run,
        Stage(COLLECT, settings, (), (PLAYS, GOAL_TEXTS)),
        lambda: _collect(run, settings, command),
        lambda: _problems(run),
        overwrite=overwrite,
    )


def _collect(run: Run, settings: ShopCollectSettings, command: str) -> None:
    import shutil

    from envs.store import write_store
    from envs.webshop.policies import CollectionPolicy
    from envs.webshop.trajectories import collect

    shutil.rmtree(run.folder / PLAYS, ignore_errors=True)  # of an interrupted start
    shop = shop_of(settings.catalogue, settings.num_products, settings.shop_seed)
    goals = _goals(settings)
    texts = [goal.text for goal in goals]
    if len(set(texts)) < len(texts):
        say(f"{COLLECT}: {len(texts) - len(set(texts))} goals are told twice; one of each is read")
    with progress("watching shoppers", settings.num_plays, "plays") as advance:
        watched = collect(
            *(shop, goals, CollectionPolicy(), settings.num_plays, settings.seed),
            horizon_steps=settings.horizon_steps,
            on_progress=advance,
        )
        card = data_card(
            _ShopName(shop.version), "real", command, settings.seed, "unlabelled plays"
        )
        write_store(
            run.folder / PLAYS, _unlabelled(watched), card, expected_episodes=settings.num_plays
        )
    write_text(run.folder / GOAL_TEXTS, json.dumps({"goals": texts}, indent=1) + "\n")


def _goals(settings: ShopCollectSettings) -> "tuple[ShoppingGoal, ...]":
    from envs.webshop.goals import generate_goals, human_goals

    shop = shop_of(settings.catalogue, settings.num_products, settings.shop_seed)
    if settings.catalogue:
        return human_goals(shop.catalogue, settings.shop_seed)["train"][: settings.num_goals]
    return generate_goals(shop.catalogue, "train", settings.num_goals, settings.shop_seed)


def _unlabelled(episodes: "Iterator[Episode]") -> "Iterator[Episode]":
    """What a bystander sees of each episode: pages and actions."""
    for episode in episodes:
        yield replace(
            episode,
            goal="",
            rewards=np.zeros_like(episode.rewards),
            level="",
            success=False,
            provenance={name: episode.provenance[name] for name in ("seed", "index")},
        )


def _problems(run: Run) -> list[str]:
    from envs.files import StoreError
    from envs.store import EpisodeStore

    try:
        for _ in EpisodeStore(run.folder / PLAYS):
            pass
    except StoreError as error:
        return [str(error)]
    return whole_json(run.folder / GOAL_TEXTS)
