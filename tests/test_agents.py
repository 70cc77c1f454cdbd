"""Agents act the same after a round trip through disk, and refuse what is not theirs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_agents import WordEncoder, behaviour_data

from envs import make_world
from envs.files import StoreError
from envs.sealed import sealed
from offline_rl.agents import Agent
from offline_rl.algorithms import ALGORITHMS, ActionKind, AlgorithmConfig
from offline_rl.policies import AgentPolicy
from offline_rl.train import train_agent

WORLDS: dict[ActionKind, str] = {"discrete": "toy", "continuous": "toy_continuous"}
NAMES = [(kind, name) for kind, known in ALGORITHMS.items() for name in known]
TINY = AlgorithmConfig(hidden_sizes=(8, 8), transformer_width=8, num_layers=1, context_steps=3)


def train(kind: ActionKind, name: str) -> Agent:
    world = make_world(WORLDS[kind])
    data = behaviour_data(world.name)
    return train_agent(world, data, None, WordEncoder(), name, steps=2, batch_size=16, config=TINY)


def probe(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations (count, 6) and goal vectors (count, 10)."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(count, 16)).astype(np.float32)
    return draws[:, :6], draws[:, 6:]


def window_probe(agent: Agent, count: int) -> list[np.ndarray]:
    steps = agent.context_steps
    inputs = np.stack([agent.inputs(*probe(count))] * steps, axis=1)
    actions = np.ones((count, steps, 1), np.int64)
    returns = np.ones((count, steps, 1), np.float32)
    return [inputs, actions, returns, np.tile(np.arange(steps), (count, 1))]


def answers(agent: Agent, count: int = 40) -> np.ndarray:
    if agent.context_steps > 1:
        return agent.window_logits(*window_probe(agent, count))
    return agent.logits(*probe(count)) if agent.discrete else agent.act(*probe(count))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one saved agent per algorithm."""
    folder = tmp_path_factory.mktemp("agents")
    for kind, name in NAMES:
        train(kind, name).save_pretrained(folder / f"{kind}-{name}")
    return folder


def test_every_agent_answers_bit_for_bit_the_same_in_a_fresh_process(
    saved: Path, tmp_path: Path
) -> None:
    script = (
        "import sys, numpy as np; sys.path.insert(0, 'tests'); from pathlib import Path\n"
        "from test_agents import answers; from offline_rl.agents import Agent\n"
        "for folder in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    np.save(Path(sys.argv[2]) / folder.name, answers(Agent.from_pretrained(folder)))\n"
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", script, str(saved), str(tmp_path)], check=True, cwd=root)
    for kind, name in NAMES:
        fresh = np.load(tmp_path / f"{kind}-{name}.npy")
        assert np.array_equal(fresh, answers(train(kind, name))), (kind, name)


def test_an_agent_is_saved_as_json_and_safetensors_without_target_networks(saved: Path) -> None:
    from safetensors import safe_open

    for kind, name in NAMES:
        folder = saved / f"{kind}-{name}"
        assert sorted(path.name for path in folder.iterdir()) == [
            "card.json",
            "tensors.safetensors",
        ]
        with safe_open(folder / "tensors.safetensors", framework="np") as file:
            assert not [key for key in file.keys() if key.startswith("targ_")]  # noqa: SIM118


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_rows_answer_does_not_depend_on_the_rows_beside_it(
    kind: ActionKind, name: str, saved: Path
) -> None:
    agent = Agent.from_pretrained(saved / f"{kind}-{name}")
    whole = answers(agent, 40)
    for count in (1, 7, 32, 33):
        assert np.array_equal(answers(agent, count), whole[:count])


def test_action_values_are_standardised_into_logits_with_the_same_order(saved: Path) -> None:
    agent = Agent.from_pretrained(saved / "discrete-cql")
    values, logits = agent.action_values(*probe(20)), agent.logits(*probe(20))
    assert np.array_equal(values.argsort(axis=1), logits.argsort(axis=1))
    assert np.allclose(logits.mean(axis=1), 0, atol=1e-5)
    assert np.allclose(logits.std(axis=1), 1, atol=1e-4)
    assert np.array_equal(agent.act(*probe(20)), values.argmax(axis=1))


def test_actions_that_bcq_excludes_cannot_be_drawn(saved: Path) -> None:
    agent = Agent.from_pretrained(saved / "discrete-bcq")
    imitation = agent.learner.implementation.modules.imitator
    imitation._fc.bias.data[:] = 0.0
    imitation._fc.bias.data[3] = 5.0  # e^-5 is below the threshold of 0.3
    imitation._fc.weight.data[:] = 0.0
    logits = agent.logits(*probe(5))
    assert np.isfinite(logits).sum(axis=1).tolist() == [1] * 5
    assert agent.act(*probe(5)).tolist() == [3] * 5


def test_imitation_knows_no_action_values(saved: Path) -> None:
    agent = Agent.from_pretrained(saved / "discrete-bc")
    with pytest.raises(ValueError, match="`bc` learns no action values"):
        agent.action_values(*probe(1))


def test_continuous_actions_stay_within_one(saved: Path) -> None:
    observations, goals = probe(50)
    for name in ALGORITHMS["continuous"]:
        actions = Agent.from_pretrained(saved / f"continuous-{name}").act(100 * observations, goals)
        assert actions.shape == (50, 2)
        assert np.abs(actions).max() <= 1.0


def test_an_agent_of_another_world_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="Expected an agent of `clevr_robot`, got one of `toy`"):
        Agent.from_pretrained(saved / "discrete-bc", world="clevr_robot")
    agent = Agent.from_pretrained(saved / "discrete-bc", world="toy")
    with pytest.raises(ValueError, match="Expected an agent of `toy_continuous`, got one of"):
        AgentPolicy(agent, WordEncoder(), world=make_world("toy_continuous"))


def test_an_agent_is_not_written_over_another(saved: Path) -> None:
    with pytest.raises(StoreError, match="exists already"):
        train("discrete", "bc").save_pretrained(saved / "discrete-bc")


def test_an_altered_agent_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    train("discrete", "bc").save_pretrained(folder)
    content = bytearray((folder / "tensors.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "tensors.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"tensors\.safetensors was altered"):
        Agent.from_pretrained(folder)


def test_a_folder_that_holds_no_agent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected a saved agent in .*, found none"):
        Agent.from_pretrained(tmp_path / "nothing")
    train("discrete", "bc").save_pretrained(tmp_path / "agent")
    card = tmp_path / "agent" / "card.json"
    content = json.loads(card.read_text())
    del content["seal"]
    card.write_text(sealed(content | {"kind": "checkpoint"}))
    with pytest.raises(ValueError, match="Expected a saved agent of format 1"):
        Agent.from_pretrained(tmp_path / "agent")
    card.write_text(sealed({"kind": "agent"}))
    with pytest.raises(ValueError, match="is not a card of a saved agent"):
        Agent.from_pretrained(tmp_path / "agent")
    card.write_text("{")
    with pytest.raises(ValueError, match=r"card\.json was altered: it is not JSON"):
        Agent.from_pretrained(tmp_path / "agent")


def test_a_card_from_before_cards_were_sealed_is_read(tmp_path: Path) -> None:
    train("discrete", "bc").save_pretrained(tmp_path / "agent")
    card = tmp_path / "agent" / "card.json"
    content = json.loads(card.read_text())
    del content["seal"]
    card.write_text(json.dumps(content, indent=2) + "\n")
    assert Agent.from_pretrained(tmp_path / "agent").card.algorithm == "bc"


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    agent = train("discrete", "bc")
    next(agent.learner.networks["imitator"].parameters()).data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="Expected finite weights"):
        agent.save_pretrained(tmp_path / "agent")
    assert not (tmp_path / "agent").exists()
