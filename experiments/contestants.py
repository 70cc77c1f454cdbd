"""The rows of a table as policies: references, trained agents, and the language model itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envs.world import Policy, World
from experiments.doctor import available_cores
from experiments.folders import GROUNDED, goal_encoder
from experiments.ground import torch_device
from experiments.progress import progress
from experiments.train import AgentName

if TYPE_CHECKING:
    from kalm.model import GroundedModel
    from offline_rl.agents import Agent
    from offline_rl.policies import AgentPolicy

GREEDY = " (greedy)"
PROTOCOL_MARK = "@"  # between an agent's label and its protocol in an outcomes file


@dataclass(frozen=True)
class Contestant:
    """A policy to evaluate."""

    name: str  # in the outcomes file
    policy: Policy
    seed: int  # training seed; 0 for those that are not trained


@dataclass(frozen=True)
class Acting:
    """How trained agents choose actions: drawn, if discrete, at the temperature of their kind."""

    imitation_temperature: float  # of agents whose policy is a distribution
    value_temperature: float  # of agents that rank actions by value
    greedy_too: bool  # adds a contestant that takes the best action

    def temperature(self, agent: "Agent") -> float:
        """At which `agent` draws its actions; 0 takes the best."""
        from offline_rl.algorithms import find_algorithm

        if not agent.discrete:
            return 0.0
        values = find_algorithm(agent.card.algorithm, agent.card.action_kind).values
        return self.value_temperature if values else self.imitation_temperature


def references(world: World, num_slots: int) -> Iterator[Contestant]:
    """A uniformly random policy and the scripted expert."""
    from offline_rl.policies import RandomPolicy

    yield Contestant("random", RandomPolicy(world), 0)
    yield Contestant("expert", world.expert_policy(num_slots, available_cores()), 0)


def outcome_name(name: AgentName, suffix: str = "") -> str:
    """An agent's name in an outcomes file, its protocol included."""
    return name.label + suffix + (PROTOCOL_MARK + name.protocol if name.protocol else "")


class Trained:
    """The trained agents of a run folder, loaded once."""

    def __init__(self, folder: Path, world: World, names: Sequence[AgentName]) -> None:
        from offline_rl.agents import Agent

        self._world = world
        self._encoder = goal_encoder(folder)
        self._agents: dict[AgentName, Agent] = {
            name: Agent.from_pretrained(folder / name.folder, world=world.name) for name in names
        }

    @property
    def seed(self) -> int:
        """Training seed of the agents."""
        return max((agent.card.seed for agent in self._agents.values()), default=0)

    def contestants(self, acting: Acting) -> Iterator[Contestant]:
        """Every agent, and once more greedily where that is asked for and differs."""
        for name, agent in self._agents.items():
            temperature = acting.temperature(agent)
            yield Contestant(outcome_name(name), self._policy(agent, temperature), self.seed)
            if acting.greedy_too and temperature > 0:
                greedy = outcome_name(name, GREEDY)
                yield Contestant(greedy, self._policy(agent, 0.0), self.seed)

    def planners(
        self, model: "GroundedModel", goals: Sequence[str], acting: Acting
    ) -> Iterator[Contestant]:
        """Every real-only agent, led from sub-goal to sub-goal of `goals` by the model."""
        from offline_rl.policies import PlannerPolicy

        divided = _divided(model, goals)
        for name, agent in self._agents.items():
            if name.mix == "real-only":
                inner = self._policy(agent, acting.temperature(agent))
                policy = PlannerPolicy(inner, divided.__getitem__, self._world)
                yield Contestant(f"planner/{name.label}", policy, self.seed)

    def _policy(self, agent: "Agent", temperature: float) -> "AgentPolicy":
        from offline_rl.policies import AgentPolicy

        return AgentPolicy(agent, self._encoder, temperature, self._world)


def grounded_model(folder: Path, world: World) -> "GroundedModel":
    """The grounded model of a run folder, on the accelerator where there is one."""
    from kalm.pretrained import load_grounded

    return load_grounded(folder / GROUNDED, world_name=world.name).to(torch_device())


def language_model(
    model: "GroundedModel", num_slots: int, temperature: float, seed: int
) -> Contestant:
    """The grounded model itself as the policy."""
    from kalm.policy import LanguageModelPolicy

    policy = LanguageModelPolicy(model, num_slots, temperature=temperature)
    return Contestant("language-model", policy, seed)


def _divided(model: "GroundedModel", goals: Sequence[str]) -> dict[str, list[str]]:
    from kalm.text import decompose

    texts = sorted(set(goals))
    with progress("dividing goals", len(texts), "goals") as advance:
        divided = decompose(model, texts)
        advance(len(texts))
    return dict(zip(texts, divided, strict=True))
