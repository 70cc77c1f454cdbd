"""TEDUO on WebShop in stages, small; instructions are read rightly by a stand-in."""

import html
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scripted_chat import ScriptedChat

from envs.store import EpisodeStore
from envs.webshop.requirements import require
from experiments.folders import EVALUATION, OUTCOMES, WATCHED, open_run
from experiments.ground import BaseModelSettings
from experiments.pipeline import check_preset, run_pipeline, with_seed
from experiments.results import Results, load_results
from experiments.teduo.base import ReadSettings
from experiments.teduo.folders import AUDIT_FILE, GOALS
from experiments.teduo.tune import TuneSettings
from experiments.tracking import Run, WandbConfig
from experiments.webshop import evaluate, judge, read
from experiments.webshop.audit import AuditSettings, agreement
from experiments.webshop.collect import ShopCollectSettings
from experiments.webshop.evaluate import ShopEvaluateSettings, evaluation_goals
from experiments.webshop.folders import (
    FILTERING,
    PLAYS,
    ShopArm,
    goal_texts,
    read_plays,
    shop_goals,
    shop_of,
    understood_goals,
)
from experiments.webshop.judge import LabelSettings
from experiments.webshop.pipeline import ShopPreset
from experiments.webshop.presets import SHOP_PRESETS
from imagination.purchases import find_purchases
from imagination.shop_judge import ShopJudgeSettings
from kalm.chat import CachedChat
from kalm.finetune import FinetuneConfig
from kalm.primer import PrimerConfig
from offline_rl.distillation_set import TextSamples

NUM_GOALS = 40


def small() -> ShopPreset:
    """Everything once, as little as shows that it works."""
    primer = PrimerConfig(hidden=32, layers=1, heads=2, batch_tokens=512)
    return ShopPreset(
        collect=ShopCollectSettings(num_products=300, num_goals=NUM_GOALS, num_plays=150),
        read=ReadSettings(BaseModelSettings(knowledge_pairs=40, primer=primer)),
        audit=AuditSettings(num_goals=10, purchases_per_goal=20),
        methods=("teduo", "teduo-filtered", "teduo-raw"),
        tune=TuneSettings(
            FinetuneConfig(num_steps=2, batch_size=4, validate_steps=2, bf16=False), 0.1
        ),
        evaluate=ShopEvaluateSettings(episodes=6),
        free_gigabytes=0.01,
    )


def read_rightly(
    run: Run, settings: ReadSettings, stage: str, texts: Sequence[str], file: str
) -> None:
    """Stands in for a model that understands everything but one goal."""
    meant = {
        goal.text: require(
            goal.query, goal.attributes, tuple(goal.options.values()), goal.price_upper
        ).text()
        for split in ("train", "test")
        for goal in shop_goals(run.folder, split, NUM_GOALS)
        if goal.price_upper < 1000
    }
    programs = {text: meant.get(text, "") for text in texts} | {texts[0]: ""}
    (run.folder / file).parent.mkdir(parents=True, exist_ok=True)
    (run.folder / file).write_text(json.dumps({"programs": programs}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("runs") / "shop"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "write_requirements", read_rightly)
        patch.setattr(evaluate, "write_requirements", read_rightly)
        return folder, run_pipeline(small(), folder, "kalm run shop", WandbConfig())


def test_every_row_has_a_score_with_its_interval_beside_success(
    finished: tuple[Path, Results],
) -> None:
    folder, results = finished
    agents = {row.agent for row in results.rows}
    assert agents == {
        *("random", "rule", "data policy", "expert", "filtered cloning", "untuned"),
        *("teduo", "teduo (no mask)", "teduo-filtered", "teduo-filtered (no mask)", "teduo-raw"),
    }
    for row in results.rows:
        assert row.score is not None
        assert row.score_low <= row.score <= row.score_high
        assert row.score >= 100 * row.success - 1e-2  # success is reward 1
        assert row.steps is not None
        assert row.invalid is not None
    expert = [row for row in results.rows if row.agent == "expert" and row.kind == "all"]
    assert {row.level for row in expert} == {"train", "test"}
    assert all((row.score, row.success) == (100.0, pytest.approx(1.0)) for row in expert)
    assert load_results(folder / "results.json") == results
    assert "teduo-filtered" in (folder / "table.md").read_text()
    assert "100 times the mean reward" in (folder / "report.html").read_text()


def test_kept_episodes_play_in_the_report_and_score_as_the_table_says(
    finished: tuple[Path, Results],
) -> None:
    folder = finished[0]
    evaluation = folder / "seed-0" / EVALUATION
    outcomes = pq.read_table(evaluation / OUTCOMES).to_pylist()
    returns = {(row["agent"], row["level"], row["task"]): row["episode_return"] for row in outcomes}
    page = (folder / "report.html").read_text()
    episodes = list(EpisodeStore(evaluation / WATCHED))
    assert {episode.provenance["agent"] for episode in episodes} == set(small().methods)
    for episode in episodes:
        key = (episode.provenance["agent"], episode.level, episode.provenance["index"])
        assert returns[key] == pytest.approx(float(episode.rewards.sum()))
    assert episodes[0].goal in html.unescape(page)
    assert "Estimated rewards against true ones" in page


def test_masked_rows_take_no_invalid_action(finished: tuple[Path, Results]) -> None:
    rows = [row for row in finished[1].rows if row.kind == "all"]
    assert {row.agent for row in rows if row.invalid == 0.0} >= {"teduo-raw", "rule"}


def test_filtered_cloning_plays_goals_of_the_list_only(finished: tuple[Path, Results]) -> None:
    levels = {row.level for row in finished[1].rows if row.agent == "filtered cloning"}
    assert levels == {"train"}


def test_the_same_command_again_does_nothing(
    finished: tuple[Path, Results], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, results = finished
    again = run_pipeline(small(), folder, "kalm run shop", WandbConfig())
    assert again.rows == results.rows
    assert "fine-tuning" not in capsys.readouterr().err


def test_what_is_collected_holds_no_goal_and_no_reward(finished: tuple[Path, Results]) -> None:
    folder = finished[0] / "seed-0"
    texts = goal_texts(folder)
    for episode in EpisodeStore(folder / PLAYS):
        assert (episode.goal, episode.level, episode.success) == ("", "", False)
        assert not episode.rewards.any()
        assert set(episode.provenance) == {"seed", "index"}
        assert not any(text in page for text in texts for page in episode.observations)


def test_training_reads_pages_actions_and_words_alone(
    finished: tuple[Path, Results], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Selecting and distilling again, where goals and rewards cannot be had, gives the same."""
    from experiments.webshop import distil, folders, select

    folder = finished[0] / "seed-0"

    def forbidden(*args: object) -> None:
        raise AssertionError("training asked for what shoppers cannot see")

    monkeypatch.setattr(folders, "shop_goals", forbidden)
    monkeypatch.setattr(folders, "shop_of", forbidden)
    monkeypatch.setattr("envs.webshop.rewards.score_purchase", forbidden)
    monkeypatch.setattr("envs.webshop.shop.Session.step", forbidden)
    arm = ShopArm("teduo")
    before = TextSamples.read(folder / arm.samples).pairs
    with open_run(tmp_path, "run", small(), "kalm", WandbConfig()) as run:
        for name in (PLAYS, GOALS):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).symlink_to(folder / name)
        select._select(run, small().select, small().labels)
        distil._distil(run, small().select, small().labels, arm)
    assert TextSamples.read(tmp_path / arm.samples).pairs == before


def test_no_environment_step_is_taken_and_losses_are_counted(
    finished: tuple[Path, Results],
) -> None:
    folder = finished[0] / "seed-0"
    numbers = json.loads((folder / FILTERING).read_text())["numbers"]
    assert numbers["environment_steps"] == 0
    assert numbers["goals"] == len(understood_goals(folder)) < NUM_GOALS
    assert 0 < numbers["coverage"] <= 1
    assert numbers["plays"] == len(read_plays(folder)) == 150
    audit = json.loads((folder / AUDIT_FILE).read_text())
    assert audit["correlation"] > 0.5


def test_a_judge_that_breaks_off_leaves_the_other_purchases_without_labels(
    finished: tuple[Path, Results],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "seed-0"
    shutil.copytree(finished[0] / "seed-0", folder)
    replies = ("kind: yes; properties: 1 of 1; options: 0 of 1; price: yes", "no idea")
    script = ScriptedChat(lambda text: replies["$1" in text], last_call=20)
    chat = CachedChat(script, tmp_path / "answers")
    monkeypatch.setattr(judge, "run_chat", lambda folder, read: chat)
    labels = LabelSettings(judged=True, judge=ShopJudgeSettings(2))
    with open_run(folder, "run", small(), "kalm", WandbConfig()) as run:
        judge.judge_stage(run, labels, small().read, overwrite=False)
        rewards = judge.label_rewards(run, labels, find_purchases(read_plays(folder)))
        found = [rewards(goal) for goal in understood_goals(folder)]
    with pytest.raises(ValueError, match=r"chat model to judge.*leave --labels\.judged out"):
        check_preset(replace(small(), labels=labels))
    said = json.loads((folder / judge.JUDGED).read_text())["numbers"]
    assert said["model_calls"] == 20
    assert 0 < said["nonsense"] < said["judged"] <= 20 + said["cached_answers"]
    assert "goals were judged to the end: The script has ended" in capsys.readouterr().err
    labelled = [row[~np.isnan(row)] for row in found]
    assert said["goals_without_labels"] == sum(not len(row) for row in labelled) >= len(found) - 20
    assert sum(map(len, labelled)) == said["judged"] - said["nonsense"]
    # (1 + 0 + 1) / (1 + 1 + 1), of every purchase that was judged sensibly
    assert {round(float(value), 6) for row in labelled for value in row} == {0.666667}


def test_agreement_of_two_of_three_good_guesses() -> None:
    # Guesses of at least 0.6: the first two, of which one is right; of two good ones one is found.
    numbers = agreement(np.array([1.0, 0.7, 0.2]), np.array([1.0, 0.2, 0.6]))
    assert numbers["precision"] == 0.5
    assert numbers["recall"] == 0.5
    assert numbers["mean_absolute_error"] == pytest.approx((0 + 0.5 + 0.4) / 3)


def test_unseen_goals_that_were_trained_on_are_refused(
    finished: tuple[Path, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished[0] / "seed-0"
    texts = [goal.text for goal in shop_goals(folder, "test", 3)]
    monkeypatch.setattr(evaluate, "goal_texts", lambda folder: texts)
    with pytest.raises(ValueError, match="was trained on"):
        evaluation_goals(folder, small().evaluate)


@pytest.mark.parametrize("name", SHOP_PRESETS)
def test_a_seed_of_a_shop_preset_reaches_plays_and_models_but_not_the_shop(name: str) -> None:
    preset = SHOP_PRESETS[name]()
    seeded = with_seed(preset, 7)
    assert (seeded.collect.seed, seeded.read.seed) == (7, 7)
    assert seeded.collect.shop_seed == preset.collect.shop_seed
    assert seeded.evaluate == preset.evaluate
    assert preset.collect.num_products >= 5_000
    assert preset.evaluate.episodes >= 200


def test_doubtful_presets_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown method `teduo-role`"):
        replace(small(), methods=("teduo-role",))
    with pytest.raises(ValueError, match=r"at most --collect\.num-goals"):
        replace(small(), evaluate=ShopEvaluateSettings(episodes=41))


def test_products_of_the_originals_files_that_lack_fields_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = {"asin": "B01ABCDEF0", "name": "Oak Desk", "query": "desk", "category": "furniture"}
    desk |= {"product_category": "Home", "full_description": "", "small_description": ["wood"]}
    desk |= {"pricing": "$9.00", "customization_options": {}, "images": []}
    files = {
        "items_shuffle_1000.json": [desk, {"asin": "B01ABCDEF1"}],
        "items_ins_v2_1000.json": {"B01ABCDEF0": {"attributes": ["solid wood"]}},
        "items_human_ins.json": {},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    shop = shop_of(str(tmp_path), 0, 0)
    assert [product.name for product in shop.catalogue.products] == ["Oak Desk"]
    assert "catalogue: 1 products left out" in capsys.readouterr().err
