"""Everyone who shops for the table: references, replayed plays, and every arm's model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.ground import torch_device
from experiments.teduo.base import ReadSettings, base_text_model
from experiments.teduo.folders import TEST_GOALS, has_samples
from experiments.webshop.folders import (
    KEPT,
    ShopArm,
    read_plays,
    read_requirements,
    run_shop,
)
from experiments.webshop.select import read_kept

if TYPE_CHECKING:
    from envs.webshop.policies import TextPolicy

SEEN_GOALS = ("train",)


@dataclass(frozen=True)
class Shopper:
    """Who shops, and for which goals."""

    name: str
    policy: "Callable[[], TextPolicy]"
    levels: tuple[str, ...] = ("train", "test")
    trained: bool = True  # whether its rows belong to a training seed
    watched: bool = False  # whether the report shows some of its episodes


def references(folder: Path) -> Iterator[Shopper]:
    """Shoppers that no training changes: random, the rule, the data policy, the expert."""
    from envs.webshop.policies import (
        CollectionPolicy,
        ExpertPolicy,
        RulePolicy,
        UniformPolicy,
        title_words,
    )

    words = title_words(run_shop(folder).catalogue)
    yield Shopper("random", lambda: UniformPolicy(words), trained=False)
    yield Shopper("rule", RulePolicy, trained=False)
    yield Shopper("data policy", CollectionPolicy, trained=False)
    yield Shopper("expert", ExpertPolicy, trained=False)


def agents(
    folder: Path, read: ReadSettings, arms: Sequence[ShopArm], *, variants: bool
) -> Iterator[Shopper]:
    """The kept plays again, the untuned model, and every arm with and without its rules."""
    from kalm.pretrained import load_text_model
    from offline_rl.shop_policy import AnswerScores, LanguageShopper, ReplayShopper

    meant = read_requirements(folder, TEST_GOALS)
    replayed = _replayed(folder)
    yield Shopper("filtered cloning", lambda: ReplayShopper(replayed), SEEN_GOALS)
    base = AnswerScores(base_text_model(folder, read))
    yield Shopper("untuned", lambda: LanguageShopper(base, meant, arms[0].form))
    for arm in (arm for arm in arms if has_samples(folder, arm)):
        scores = AnswerScores(load_text_model(folder / arm.model / "best").to(torch_device()))

        def make(
            scores: AnswerScores = scores, form: str = arm.form, **rules: bool
        ) -> LanguageShopper:
            return LanguageShopper(scores, meant, form, **rules)

        yield Shopper(arm.label, make, watched=True)
        if variants and not arm.is_raw:
            yield Shopper(f"{arm.label} (no mask)", lambda make=make: make(mask=False))  # type: ignore[misc]


def _replayed(folder: Path) -> dict[str, list[str]]:
    """What the first of each goal's kept plays did."""
    found: dict[str, list[str]] = {}
    for kept in read_kept(folder / KEPT, list(read_plays(folder))):
        found.setdefault(kept.goal, [str(action) for action in kept.trace.actions])
    return found
