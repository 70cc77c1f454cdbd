"""How right the labels are: estimated or judged rewards of purchases against the true ones.

Of the purchases drawn for each goal half are those that its requirement likes best, because a
uniform draw would hardly hold one that is any good. What the judge did not say is worth nothing.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envs.settings import Count, Settings, Whole
from experiments.folders import whole_json
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.folders import AUDIT, AUDIT_FILE
from experiments.tracking import Run
from experiments.webshop.folders import (
    read_plays,
    read_requirements,
    run_shop,
    shop_goals,
)
from experiments.webshop.judge import LabelSettings, label_needs, label_rewards
from offline_rl.filtered import THRESHOLD

if TYPE_CHECKING:
    from envs.webshop.goals import ShoppingGoal
    from envs.webshop.requirements import Requirement


@dataclass(frozen=True)
class AuditSettings(Settings):
    """How much is judged twice."""

    num_goals: Count = 200
    purchases_per_goal: Count = 100
    seed: Whole = 0  # of the draw


def audit_stage(
    run: Run, settings: AuditSettings, labels: LabelSettings, *, overwrite: bool
) -> None:
    """Writes how labels and truth agree, and how goals were read; nothing that trains reads it.

    Raises:
        ValueError: an earlier stage is missing.
    """
    complete(
        run,
        Stage(AUDIT, settings, label_needs(labels), (AUDIT_FILE,)),
        lambda: _audit(run, settings, labels),
        lambda: whole_json(run.folder / AUDIT_FILE),
        overwrite=overwrite,
    )


def _audit(run: Run, settings: AuditSettings, labels: LabelSettings) -> None:
    from envs.webshop.rewards import score_purchase
    from imagination.purchases import find_purchases

    meant, shop = read_requirements(run.folder), run_shop(run.folder)
    goals = shop_goals(run.folder, "train", settings.num_goals)
    purchases = find_purchases(read_plays(run.folder))
    rewards, rng = label_rewards(run, labels, purchases), np.random.default_rng(settings.seed)
    guessed, true, exact = [], [], []
    for goal in goals:
        requirement = meant.get(goal.text)
        exact.append(requirement is not None and _is_exact(requirement, goal))
        if requirement is None:
            continue
        worth = np.nan_to_num(rewards(goal.text))
        for place in _drawn(worth, settings.purchases_per_goal, rng):
            one = purchases[place]
            index = shop.catalogue.places[one.asin]
            product, price = shop.catalogue.products[index], shop.catalogue.prices[index]
            guessed.append(worth[place])
            true.append(score_purchase(goal, product, price, one.offer.chosen).reward)
    numbers = agreement(np.array(guessed), np.array(true))
    numbers |= {"goals": len(goals), "read_exactly": float(np.mean(exact))}
    write_text(run.folder / AUDIT_FILE, json.dumps(numbers, indent=1) + "\n")
    run.rewind(AUDIT, -1)
    run.log(AUDIT, 0, numbers)


def _is_exact(requirement: "Requirement", goal: "ShoppingGoal") -> bool:
    """Whether an instruction was read as it was meant."""
    from envs.webshop.goals import NO_LIMIT

    upper = NO_LIMIT if requirement.price is None else requirement.price
    return (
        requirement.product == goal.query
        and set(requirement.features) == set(goal.attributes)
        and sorted(requirement.options) == sorted(goal.options.values())
        and upper == goal.price_upper
    )


def agreement(guessed: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """How estimated and true rewards (N,) agree, at the filter's threshold too."""
    if not len(true):
        return {"purchases": 0}
    high, good = guessed >= THRESHOLD, true >= THRESHOLD
    varied = np.ptp(guessed) > 0 and np.ptp(true) > 0
    return {
        "purchases": len(true),
        "correlation": float(np.corrcoef(guessed, true)[0, 1]) if varied else 0.0,
        "mean_absolute_error": float(np.abs(guessed - true).mean()),
        "precision": float(good[high].mean()) if high.any() else 1.0,
        "recall": float(high[good].mean()) if good.any() else 1.0,
    }


def _drawn(rewards: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """`count` places at most, half of them with the highest rewards."""
    best = np.argsort(-rewards, kind="stable")[: count // 2]
    others = np.setdiff1d(np.arange(len(rewards)), best)
    some = rng.permutation(others)[: count - len(best)]
    return [*best.tolist(), *some.tolist()]
