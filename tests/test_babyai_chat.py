"""TEDUO with chat models: a tiny random one all the way, and a scripted one behind an endpoint."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_babyai_stages import small
from test_chat import completion, served
from test_judge import reads
from tiny_models import save_grid_chat

from envs.babyai.layouts import SIZES
from envs.babyai.program_text import spec_text
from experiments.babyai.baselines import BaselineSettings
from experiments.babyai.collect import GridCollectSettings
from experiments.babyai.distil import DistilSettings
from experiments.babyai.evaluate import GridEvaluateSettings
from experiments.babyai.folders import (
    Arm,
    asked_goals,
    grid_world,
    judgement_file,
    new_worlds,
    training_goals,
)
from experiments.babyai.label import LabelSettings
from experiments.babyai.losses import grid_losses
from experiments.babyai.pipeline import GridPreset
from experiments.babyai.presets import GRID_PRESETS
from experiments.babyai.read import _drawn
from experiments.chats import ANSWERS, ChatSettings
from experiments.folders import read_json
from experiments.ground import BaseModelSettings
from experiments.pipeline import check_preset, run_pipeline
from experiments.results import Results
from experiments.teduo.base import ReadSettings
from experiments.teduo.folders import AUDIT_FILE, GOALS, TEST_GOALS
from experiments.teduo.read import read_texts
from experiments.teduo.tune import TuneSettings, _config
from experiments.tracking import WandbConfig, read_metrics
from imagination.grid_language import GRID
from imagination.judge import JudgeSettings
from imagination.proxies import ProxySettings
from kalm.finetune import FinetuneConfig
from kalm.pretrained import REVISION, load_text_model
from offline_rl.distillation import DistillationConfig
from offline_rl.distillation_set import DistillationSet

Done = tuple[Path, Results]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_grid_chat(tmp_path_factory.mktemp("chat") / "base", likes=(" true", " false"))


def preset(base: Path, *arms: str, **changes: Any) -> GridPreset:
    """As little as shows that it works, on random play in two rooms."""
    quick = ProxySettings(channels=2, hidden=2, max_epochs=1)
    labels = LabelSettings("judge", JudgeSettings(changes.pop("shown", 12)), quick)
    chat = changes.pop("chat", ChatSettings(max_tokens=6))
    adapted = BaseModelSettings(str(base), lora_rank=2, lora_alpha=4)
    return GridPreset(
        collect=GridCollectSettings(num_layouts=2, num_rows=1_500, expert_shares=(0.3,)),
        read=ReadSettings(adapted, chat=chat, num_goals=6),
        distil=DistilSettings(arms, DistillationConfig(24, longest_steps=12), labels),
        tune=TuneSettings(FinetuneConfig(batch_size=8, bf16=False), 0.2, epochs=0.5),
        baselines=BaselineSettings(imitation=(), offline_rl=()),
        evaluate=GridEvaluateSettings(
            episodes=2, num_new_layouts=1, splits=("train",), variants=False, **changes
        ),
        free_gigabytes=0.01,
    )


def run(settings: GridPreset, folder: Path) -> Done:
    return folder / "seed-0", run_pipeline(settings, folder, "kalm run chat", WandbConfig())


def metrics(folder: Path, stage: str) -> dict[str, float]:
    """All numbers that a stage logged."""
    rows = [row["metrics"] for row in read_metrics(folder) if row["stage"] == stage]
    return {name: number for row in rows for name, number in row.items()}


# ------------------------------------------------------------------------- a random chat model


@pytest.fixture(scope="module")
def random_chat(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """It judges at random and reads nothing, so that only raw words can be distilled."""
    settings = preset(base, "teduo-raw/bot-30", "teduo/bot-30", temperature=0.7, in_context=1)
    return run(settings, tmp_path_factory.mktemp("runs") / "random")


def test_a_random_chat_model_goes_the_whole_way_and_its_nonsense_is_counted(
    random_chat: Done,
) -> None:
    folder, results = random_chat
    numbers = read_json(folder / GOALS)["numbers"]
    assert (numbers["programs"], numbers["abstained: no program"]) == (0, 6)
    assert numbers["model_calls"] == 6
    judged = read_json(folder / judgement_file("bot-30"))["numbers"]
    verdicts = {name: n for name, n in judged.items() if name.startswith("verdicts/")}
    assert sum(verdicts.values()) == 6 * 12
    assert verdicts["verdicts/true"] > 0
    # One call a goal for its features, one for each transition; equal questions are asked once.
    assert judged["model_calls"] + judged["cached_answers"] == 6 + 6 * 12
    agents = {row.agent for row in results.rows}
    assert {"random", "expert", "untuned", "in context", "teduo-raw/bot-30"} <= agents
    # Without programs there are no roles to tell: the arm is left out, the others go on.
    assert "teduo/bot-30" not in agents
    assert read_json(folder / Arm.of("teduo/bot-30").report)["numbers"]["goals"] == 0
    section = grid_losses([folder])
    assert section.tables[-1].rows == (("teduo/bot-30", "1"),)
    assert section.tables[0].rows[0][:2] == ("bot-30", "6")


def test_only_adapters_were_trained_and_the_question_is_a_users_message(random_chat: Done) -> None:
    folder, _ = random_chat
    arm = Arm.of("teduo-raw/bot-30")
    model = load_text_model(folder / arm.model / "best")
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    samples = DistillationSet.read(folder / arm.samples)
    told = model.tokenizer.decode(model.prompt(samples.questions[0]))
    assert told.startswith("<|im_start|>user\nGoal: ")
    assert told.endswith("<|im_end|>\n<|im_start|>assistant\n")
    steps = metrics(folder, f"tune-{arm.slug}")
    assert steps["learning_rate"] > 0.0


def test_answers_that_name_no_action_are_counted(random_chat: Done) -> None:
    folder, results = random_chat
    counted = metrics(folder, "evaluate")
    assert counted["in context/answers"] > 0
    assert counted["in context/answers_without_action"] == counted["in context/answers"]
    answers = f"{int(counted['in context/answers']):,}"
    (acted,) = (t for t in grid_losses([folder]).tables if t.caption == "Actions in words")
    assert acted.rows == (("in context", answers, answers),)
    assert "What was asked in vain" in (folder.parent / "report.html").read_text()
    rows = [row for row in results.rows if row.agent == "in context" and row.kind == "all"]
    assert {row.episodes for row in rows if row.level != "novel"} <= {1}


# ------------------------------------------------------------------- a scripted endpoint


def scripted(folder: Path) -> Any:
    """A server that understands every goal, judges by what it is shown, and asks for a key."""

    def reply(request: dict[str, Any], headers: Mapping[str, str]) -> tuple[int, Any]:
        assert headers["Authorization"] == "Bearer sk-secret"
        system, user = (message["content"] for message in request["messages"])
        if system.startswith("You write"):
            return 200, completion(f"Let me think.\n`{programs(folder)[user]}`")
        goal = user.splitlines()[0].removeprefix("Goal: ")
        return 200, completion(reads(user.replace(goal, programs(folder)[goal], 1)))

    return reply


def programs(folder: Path, cache: dict[str, str] = {}) -> dict[str, str]:  # noqa: B006
    """What the goals of a run mean."""
    if not cache:
        worlds = (grid_world(folder), *new_worlds(folder, ["room"], 1))
        goals = (goal for world in worlds for split in world.splits for goal in world.goals(split))
        cache |= {goal.text: spec_text(goal.spec) for goal in goals}
    return cache


@pytest.fixture(scope="module")
def endpoint(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("runs") / "endpoint"
    with pytest.MonkeyPatch.context() as patch, served(scripted(folder / "seed-0")) as (url, _):
        patch.setenv("TINY_KEY", "sk-secret")
        chat = ChatSettings("tiny", url=url, key_variable="TINY_KEY")
        return run(preset(base, "teduo/bot-30", "teduo-list/bot-30", chat=chat, shown=150), folder)


def test_an_endpoint_reads_and_judges_a_run_and_its_labels_are_audited(endpoint: Done) -> None:
    folder, results = endpoint
    numbers = read_json(folder / GOALS)["numbers"]
    assert (numbers["programs"], numbers["model_calls"]) == (6, 6)
    assert (numbers["prompt_tokens"], numbers["answer_tokens"]) == (6 * 7, 6 * 2)
    audit = read_json(folder / AUDIT_FILE)
    assert audit["all/precision"] == 1.0
    assert audit["all/recall"] > 0.9
    assert (
        audit["model_calls"]
        == read_json(folder / judgement_file("bot-30"))["numbers"]["model_calls"]
    )
    report = read_json(folder / Arm.of("teduo/bot-30").report)["numbers"]
    assert report["plans"] > 4
    assert report["environment_steps"] == 0
    assert report["replayed_on_model"] == report["replayed_in_environment"] == 1.0
    assert {"teduo/bot-30", "teduo-list/bot-30"} <= {row.agent for row in results.rows}


def test_a_key_is_nowhere_in_the_run_folder_but_the_name_of_its_variable(endpoint: Done) -> None:
    files = [path for path in endpoint[0].parent.rglob("*") if path.is_file()]
    assert any(b"TINY_KEY" in path.read_bytes() for path in files)
    assert not any(b"sk-secret" in path.read_bytes() for path in files)
    assert (endpoint[0] / ANSWERS / "answers.jsonl").is_file()


def test_a_list_is_all_that_is_left_of_a_plan(endpoint: Done) -> None:
    folder, _ = endpoint
    single, lists = (
        DistillationSet.read(folder / Arm.of(f"{name}/bot-30").samples)
        for name in ("teduo", "teduo-list")
    )
    assert single.questions == lists.questions
    for row, answer in enumerate(lists.answers):
        left = int(lists.steps_left[row])
        assert answer.split() == list(single.answers[row : row + left])


def test_words_that_name_no_action_are_counted_in_lists(endpoint: Done) -> None:
    counted = metrics(endpoint[0], "evaluate")
    assert counted["teduo-list/bot-30/unknown_actions"] > 0
    assert counted["teduo-list/bot-30/unknown_actions"] <= counted["teduo-list/bot-30/actions"]


def test_tables_name_the_base_model_and_who_read_the_goals(
    base: Path, random_chat: Done, endpoint: Done
) -> None:
    assert random_chat[1].base_model == f"{base}, LoRA rank 2"
    assert endpoint[1].base_model == f"{base}, LoRA rank 2; goals read by tiny"


def test_a_chat_model_here_may_read_for_another_base_model_and_is_asked_once(
    base: Path, tmp_path: Path
) -> None:
    settings = ReadSettings(chat=ChatSettings(str(base), max_tokens=4))
    found, costs = read_texts(tmp_path, settings, ["go there", "go there", "stay"], GRID)
    assert found.numbers()["duplicate_texts"] == 1
    assert (costs["model_calls"], costs["cached_answers"]) == (2, 0)
    again, costs = read_texts(tmp_path, settings, ["stay", "go there"], GRID)
    assert (costs["model_calls"], costs["cached_answers"]) == (0, 2)
    assert again.abstained == {text: found.abstained[text] for text in ("stay", "go there")}


# ---------------------------------------------------------------------------------- bad input


def test_a_run_goes_on_without_its_endpoint_and_counts_what_was_lost(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(lambda *_: (200, completion(""))) as (url, _):
        pass
    settings = preset(base, "teduo/bot-30", chat=ChatSettings("tiny", url=url, tries=1))
    folder, results = run(settings, tmp_path / "alone")
    assert read_json(folder / GOALS)["numbers"]["abstained: no answer"] == 6
    assert read_json(folder / TEST_GOALS)["numbers"]["programs"] == 0
    judged = read_json(folder / judgement_file("bot-30"))
    assert judged["numbers"]["goals_without_labels"] == 6
    assert all("Could not reach" in goal["problem"] for goal in judged["goals"].values())
    assert {"random", "expert", "untuned"} <= {row.agent for row in results.rows}
    judge, lost = grid_losses([folder]).tables
    assert judge.rows[0][1:3] == ("6", "6")
    assert lost.rows == (("teduo/bot-30", "1"),)
    said = "".join(capsys.readouterr())
    assert f"6 of 6 goals left out; the first: no answer: Could not reach {url}" in said
    assert "teduo/bot-30: no plans to learn from" in said


def test_a_judge_that_cannot_chat_is_refused_before_anything_is_written() -> None:
    judged = replace(small().distil, labels=LabelSettings("judge"))
    with pytest.raises(ValueError, match=r"chat model to judge.*`embedded`.*--read\.chat\.model"):
        check_preset(replace(small(), distil=judged))


def test_chat_models_that_are_not_there_are_told_with_what_to_do(tmp_path: Path) -> None:
    def checked(**chat: Any) -> None:
        check_preset(replace(small(), read=ReadSettings(chat=ChatSettings(**chat))))

    with pytest.raises(ValueError, match="Could not load"):
        checked(model=str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="begins with http"):
        checked(model="tiny", url="ftp://somewhere")
    with pytest.raises(ValueError, match="variable NO_SUCH_KEY holds no key"):
        checked(model="tiny", url="http://127.0.0.1:1/v1", key_variable="NO_SUCH_KEY")
    with pytest.raises(ValueError, match=r"Expected --chat\.model for the endpoint"):
        ChatSettings(url="http://127.0.0.1:1/v1")
    with pytest.raises(ValueError, match=r"without a password.*key-variable") as caught:
        ChatSettings("tiny", url="http://me:sk-secret@127.0.0.1:1/v1")
    assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match="Unknown way to label `juge`"):
        LabelSettings("juge")
    with pytest.raises(ValueError, match="adapters on a base model in bfloat16"):
        ReadSettings(half_base=True)


# ------------------------------------------------------------------------------------ settings


def test_goals_are_chosen_kind_after_kind_as_long_as_they_last(endpoint: Done) -> None:
    goals = training_goals(endpoint[0])
    kinds = {goal.text: goal.kind for goal in goals}
    assert Counter(kinds[goal.text] for goal in asked_goals(endpoint[0])) == {
        "go_to": 2,
        "pick_up": 2,
        "put_next": 2,
    }
    fewest = min(Counter(kinds.values()).values())
    many = _drawn(goals, 3 * fewest + 10, np.random.default_rng(0))
    assert len({goal.text for goal in many}) == 3 * fewest + 10
    assert min(Counter(goal.kind for goal in many).values()) == fewest
    assert _drawn(goals, 0, np.random.default_rng(0)) == goals


def test_passes_over_the_samples_set_the_steps_and_the_warm_up() -> None:
    loop = FinetuneConfig(num_steps=7, batch_size=40, warmup_steps=5)
    # Three passes over 4,000 samples are 300 batches of 40, of which one hundredth warms up.
    config = _config(TuneSettings(loop, epochs=3.0), 4_000)
    assert (config.num_steps, config.warmup_steps) == (300, 3)
    assert _config(TuneSettings(loop), 4_000) == loop
    assert _config(TuneSettings(loop, epochs=0.001), 10).num_steps == 1
    with pytest.raises(ValueError, match="--epochs of at least 0"):
        TuneSettings(epochs=-1.0)


def test_the_preset_for_a_big_model_has_the_papers_settings() -> None:
    big = GRID_PRESETS["babyai_gpu"]()
    assert (big.collect.sizes, big.collect.num_rows, big.collect.num_layouts) == (
        ("synth",),
        800_000,
        40,
    )
    base, loop = big.read.base, big.tune.finetune
    assert (base.lora_rank, base.lora_alpha, base.lora_dropout) == (512, 512, 0.1)
    assert base.revision is not None
    assert REVISION.fullmatch(base.revision)
    assert (loop.learning_rate, loop.clip_norm, loop.bf16) == (2e-5, 0.3, True)
    assert loop.batch_size // loop.accumulation_steps == 10
    assert (big.tune.epochs, big.tune.warmup_share, big.tune.validation_share) == (3.0, 0.01, 0.1)
    assert big.read.num_goals == 500
    assert (big.evaluate.episodes, big.evaluate.temperature) == (400, 0.7)
    assert SIZES["synth"].horizon_steps == 500
