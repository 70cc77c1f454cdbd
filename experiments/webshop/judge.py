"""Labels of purchases: by the requirement that was read, or by a chat model as in the paper."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from experiments.chats import chat_costs
from experiments.folders import read_json, whole_json
from experiments.origin import say
from experiments.progress import progress
from experiments.results import write_text
from experiments.stage import Stage, complete
from experiments.teduo.base import ReadSettings, run_chat
from experiments.teduo.folders import COLLECT, READ
from experiments.tracking import Run
from experiments.webshop.folders import read_plays, understood_goals
from imagination.shop_judge import ShopJudgeSettings

if TYPE_CHECKING:
    from imagination.purchases import Purchase
    from offline_rl.shop_distillation import Rewards

JUDGE = "judge-purchases"
JUDGED = "data/judged.json"  # rewards of the purchases that were judged, by goal


@dataclass(frozen=True)
class LabelSettings:
    """Who says what a purchase is worth to a goal."""

    judged: bool = False  # by the chat model that reads; otherwise by what was read
    judge: ShopJudgeSettings = field(default_factory=ShopJudgeSettings)


def judge_stage(run: Run, settings: LabelSettings, read: ReadSettings, *, overwrite: bool) -> None:
    """Asks the judge about purchases, where one is wanted."""
    if not settings.judged:
        return
    complete(
        run,
        Stage(JUDGE, settings, (COLLECT, READ), (JUDGED,)),
        lambda: _judge(run, settings, read),
        lambda: whole_json(run.folder / JUDGED),
        overwrite=overwrite,
    )


def label_needs(settings: LabelSettings) -> tuple[str, ...]:
    """The stages that labels come from."""
    return (COLLECT, READ, JUDGE) if settings.judged else (COLLECT, READ)


def label_rewards(run: Run, settings: LabelSettings, purchases: "Sequence[Purchase]") -> "Rewards":
    """What every purchase is worth, by the words of an understood goal; nan if nobody said."""
    from imagination.purchases import PurchaseTable
    from imagination.shop_judge import spread

    if settings.judged:
        rows = read_json(run.folder / JUDGED)["rewards"]
        return lambda goal: spread(rows.get(goal, ()), len(purchases))
    goals, table = understood_goals(run.folder), PurchaseTable(purchases)
    return lambda goal: table.rewards(goals[goal])


def _judge(run: Run, settings: LabelSettings, read: ReadSettings) -> None:
    from imagination.purchases import find_purchases
    from imagination.shop_judge import judge_purchases

    chat, goals = run_chat(run.folder, read), list(understood_goals(run.folder))
    purchases = find_purchases(read_plays(run.folder))
    rewards, nonsense, problem = {}, 0, ""
    with progress("judging purchases", len(goals), "goals") as advance:
        for done, said in enumerate(judge_purchases(chat, goals, purchases, settings.judge), 1):
            rewards[said.goal] = said.rows
            nonsense, problem = nonsense + said.num_nonsense, problem or said.problem
            advance(done)
    numbers = {
        "goals": len(goals),
        "goals_without_labels": sum(not rows for rows in rewards.values()),
        "judged": sum(map(len, rewards.values())) + nonsense,
        "nonsense": nonsense,
        **chat_costs(chat),
    }
    content = {"rewards": rewards, "numbers": numbers, "problem": problem}
    write_text(run.folder / JUDGED, json.dumps(content) + "\n")
    if problem:
        say(f"{JUDGE}: not all of {len(goals)} goals were judged to the end: {problem}")
    run.rewind(JUDGE, -1)
    run.log(JUDGE, 0, numbers)
