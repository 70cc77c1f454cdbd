"""`webshop_gpu`, shrunk, with chat models: a random one all the way, and one behind an endpoint."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from test_chat import completion, served
from tiny_models import save_shop_chat

from envs.webshop.generation import generate_catalogue
from envs.webshop.goals import NO_LIMIT, ShoppingGoal, generate_goals
from envs.webshop.requirements import Requirement, require
from experiments.chats import ChatSettings
from experiments.folders import read_json
from experiments.pipeline import run_pipeline
from experiments.results import Results
from experiments.teduo.folders import AUDIT_FILE, GOALS, TEST_GOALS
from experiments.tracking import WandbConfig
from experiments.webshop.audit import AuditSettings
from experiments.webshop.collect import ShopCollectSettings
from experiments.webshop.evaluate import ShopEvaluateSettings
from experiments.webshop.folders import FILTERING, ShopArm
from experiments.webshop.judge import JUDGED
from experiments.webshop.pipeline import ShopPreset
from experiments.webshop.presets import webshop_gpu
from experiments.webshop.sections import shop_sections
from experiments.webshop.select import SelectSettings
from imagination.requirements import ALL, PRICE_OK, Offer, estimate
from imagination.shop_judge import ShopJudgeSettings
from imagination.shop_roles import vocabulary
from kalm.pretrained import load_text_model
from offline_rl.distillation_set import TextSamples
from offline_rl.shop_planning import PlanConfig

Done = tuple[Path, Results]
NUM_PRODUCTS, NUM_TEXTS, NUM_GOALS = 30, 80, 12
VERDICTS = (
    "kind: yes; properties: 1 of 1; options: 1 of 1; price: yes",
    "kind: no; properties: 0 of 1; options: 1 of 2; price: no",
    "kind: yes; properties: 3 of 1; options: 0 of 0; price: yes",  # nonsense: three of one
)
BOUGHT = re.compile(
    r"Instruction: (.*)\nBought: (.*), (\$[\d.]+(?: to \$[\d.]+)?), chosen: (.*)\nKnown: (.*)"
)


@cache
def goals(split: str, count: int) -> tuple[ShoppingGoal, ...]:
    """Goals of the runs' shop."""
    return generate_goals(generate_catalogue(NUM_PRODUCTS, 0), split, count, 0)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It says verdicts of all kinds, and products that goals may be about, or a word of theirs."""
    names = [product.name for product in generate_catalogue(NUM_PRODUCTS, 0).products]
    wanted = goals("train", NUM_TEXTS)
    common = Counter(goal.query for goal in wanted).most_common(2)
    likes = [*VERDICTS, "product: and", *(f"product: {query}" for query, _ in common)]
    texts = [*vocabulary(), *names, *(goal.text for goal in wanted)]
    return save_shop_chat(tmp_path_factory.mktemp("chat") / "base", texts, likes=likes, seed=12)


def preset(base: Path, num_goals: int, chat: ChatSettings) -> ShopPreset:
    """The 8B preset with a tiny model, few goals and few plays."""
    big = webshop_gpu()
    tiny = replace(big.read.base, name=str(base), revision=None, lora_rank=2, lora_alpha=4)
    loop = replace(big.tune.finetune, batch_size=4)
    return replace(
        big,
        collect=ShopCollectSettings(
            num_products=NUM_PRODUCTS, num_goals=num_goals, num_plays=120, horizon_steps=60
        ),
        read=replace(big.read, base=tiny, chat=chat),
        audit=AuditSettings(num_goals=num_goals, purchases_per_goal=10),
        labels=replace(big.labels, judge=ShopJudgeSettings(12)),
        select=SelectSettings(plans=PlanConfig(least_count=1)),
        tune=replace(big.tune, finetune=loop, epochs=0.5),
        evaluate=ShopEvaluateSettings(episodes=2, horizon_steps=6, variants=False),
        free_gigabytes=0.01,
    )


def run(settings: ShopPreset, folder: Path) -> Done:
    return folder / "seed-0", run_pipeline(settings, folder, "kalm run chat", WandbConfig())


def report(folder: Path, method: str) -> dict[str, float]:
    """The numbers of a method's distillation."""
    numbers: dict[str, float] = read_json(folder / ShopArm(method).report)["numbers"]
    return numbers


# ------------------------------------------------------------------------- a random chat model


@pytest.fixture(scope="module")
def random_chat(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """It reads and judges at random, one line each time."""
    chat = replace(webshop_gpu().read.chat, temperature=1.0, max_tokens=1)
    return run(preset(base, NUM_TEXTS, chat), tmp_path_factory.mktemp("runs") / "random")


def test_a_random_chat_model_reads_and_judges_a_shop_and_its_nonsense_is_counted(
    random_chat: Done,
) -> None:
    folder, _ = random_chat
    read = read_json(folder / GOALS)["numbers"]
    assert read["programs"] + read["abstained: no program"] == NUM_TEXTS
    assert 0 < read["programs"] < NUM_TEXTS
    judged = read_json(folder / JUDGED)["numbers"]
    assert judged["goals"] == read["programs"]
    assert 0 < judged["nonsense"] < judged["judged"] <= 12 * judged["goals"]
    # Equal questions are asked once.
    assert judged["model_calls"] + judged["cached_answers"] == judged["judged"]
    (losses,) = (s for s in shop_sections([folder]) if s.title == "What was asked in vain")
    counts = [f"{judged[name]:,}" for name in ("goals", "goals_without_labels", "judged")]
    assert losses.tables[0].rows[0][1:5] == (*counts, f"{judged['nonsense']:,}")
    assert "What was asked in vain" in (folder.parent / "report.html").read_text()


def test_what_a_random_judge_praised_is_distilled_and_shopped_with(random_chat: Done) -> None:
    folder, results = random_chat
    agents = {row.agent for row in results.rows}
    trained = {method for method in webshop_gpu().methods if report(folder, method)["plans"] > 1}
    assert {"teduo-raw", "teduo-filtered"} <= trained
    assert {"random", "rule", "expert", "untuned", "filtered cloning", *trained} <= agents
    assert not agents & (set(webshop_gpu().methods) - trained)
    for method in trained:
        assert report(folder, method)["environment_steps"] == 0
        model = load_text_model(folder / ShopArm(method).model / "best")
        weights = [name for name, p in model.named_parameters() if p.requires_grad]
        assert weights
        assert all("lora_" in name for name in weights)
    samples = TextSamples.read(folder / ShopArm("teduo-raw").samples)
    told = model.tokenizer.decode(model.prompt(samples.questions[0]))
    assert told.startswith(f"<|im_start|>user\nInstruction: {samples.goals[0]}")


# ------------------------------------------------------------------------ a scripted endpoint


@cache
def meant() -> dict[str, Requirement]:
    """What the instructions of the shop ask for."""
    known = (*goals("train", NUM_GOALS), *goals("test", NUM_GOALS))
    return {
        goal.text: require(
            *(goal.query, goal.attributes, tuple(goal.options.values())),
            None if goal.price_upper == NO_LIMIT else goal.price_upper,
        )
        for goal in known
    }


def verdict(shown: str) -> str:
    """What is to be said of a purchase by what the judge is shown of it."""
    found = BOUGHT.fullmatch(shown)
    assert found is not None, shown
    text, title, tag, chosen, known = found.groups()
    wanted = meant()[text]
    offer = Offer(title, tag, texts=(known,), chosen=tuple(chosen.split(", ")))
    told = estimate(wanted, offer)
    return (
        f"kind: {'yes' if told.product == ALL else 'no'}; "
        f"properties: {told.features} of {len(wanted.features)}; "
        f"options: {told.options} of {len(wanted.options)}; "
        f"price: {'yes' if told.price == PRICE_OK else 'no'}"
    )


def scripted(request: dict[str, Any], headers: Mapping[str, str]) -> tuple[int, Any]:
    """Understands every instruction, and will not judge the first one's purchases."""
    system, user = (message["content"] for message in request["messages"])
    if system.startswith("You write"):
        return 200, completion(f"Let me think.\n`{meant()[user].text()}`")
    first = goals("train", NUM_GOALS)[0].text
    return 200, completion("I would rather not say." if first in user else verdict(user))


def asked(base: Path, folder: Path, reply: Callable[..., tuple[int, Any]], *, alive: bool) -> Done:
    """A run whose goals are read and judged behind an endpoint, or by nobody."""
    with served(reply) as (url, _):
        settings = preset(base, NUM_GOALS, ChatSettings("tiny", url=url, tries=1))
        if alive:
            return run(settings, folder)
    return run(settings, folder)


@pytest.fixture(scope="module")
def endpoint(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    return asked(base, tmp_path_factory.mktemp("runs") / "endpoint", scripted, alive=True)


def test_an_endpoint_reads_and_judges_a_shop_and_its_labels_are_audited(endpoint: Done) -> None:
    folder, results = endpoint
    read = read_json(folder / GOALS)["numbers"]
    assert (read["programs"], read["model_calls"]) == (NUM_GOALS, NUM_GOALS)
    assert (read["prompt_tokens"], read["answer_tokens"]) == (NUM_GOALS * 7, NUM_GOALS * 2)
    judged = read_json(folder / JUDGED)
    silent = goals("train", NUM_GOALS)[0].text
    assert [goal for goal, rows in judged["rewards"].items() if not rows] == [silent]
    assert judged["numbers"]["goals_without_labels"] == 1
    audit = read_json(folder / AUDIT_FILE)
    assert audit["purchases"] == 10 * NUM_GOALS
    assert audit["read_exactly"] == 1.0
    assert audit["precision"] >= 0.9
    assert audit["correlation"] > 0.5
    assert {"teduo", "teduo-filtered", "teduo-raw"} <= {row.agent for row in results.rows}
    assert results.base_model.endswith("LoRA rank 2; goals read by tiny")


def test_purchases_that_nobody_judged_are_neither_kept_nor_planned_with(endpoint: Done) -> None:
    folder, _ = endpoint
    silent = goals("train", NUM_GOALS)[0].text
    assert read_json(folder / FILTERING)["numbers"]["goals_without_plays"] >= 1
    for method in webshop_gpu().methods:
        numbers = report(folder, method)
        samples = TextSamples.read(folder / ShopArm(method).samples)
        assert silent not in samples.goals
        assert numbers["goals"] + numbers["goals_without_plans"] == NUM_GOALS
        assert numbers["environment_steps"] == 0


# ---------------------------------------------------------------------------------- bad input


def test_a_shop_run_goes_on_without_its_endpoint_and_counts_what_was_lost(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, results = asked(base, tmp_path / "alone", scripted, alive=False)
    assert read_json(folder / GOALS)["numbers"]["abstained: no answer"] == NUM_GOALS
    assert read_json(folder / TEST_GOALS)["numbers"]["programs"] == 0
    assert read_json(folder / JUDGED)["numbers"]["goals"] == 0
    assert read_json(folder / AUDIT_FILE)["purchases"] == 0
    filtered = read_json(folder / FILTERING)["numbers"]
    assert (filtered["goals"], filtered["coverage"], filtered["mean_best_reward"]) == (0, 0, 0)
    agents = {row.agent for row in results.rows}
    assert agents == {"random", "rule", "data policy", "expert", "filtered cloning", "untuned"}
    (losses,) = (s for s in shop_sections([folder]) if s.title == "What was asked in vain")
    assert losses.tables[-1].rows == tuple(
        (m, "1") for m in ("teduo", "teduo-filtered", "teduo-raw")
    )
    said = "".join(capsys.readouterr())
    assert (
        f"{NUM_GOALS} of {NUM_GOALS} goals left out; the first: no answer: Could not reach" in said
    )
    assert "teduo-raw: no plans to learn from" in said
