"""Imagining rollouts for goals: what is imagined, and how it is judged.

Rollout i is a pure function of (model, config, i): its goal, its start state, its random stream.
Rollouts come in shards, which `imagination.shards` divides among processes and merges.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from envs.episode import Episode, Scalar
from envs.settings import Count, Settings, Whole
from envs.store import EpisodeStore
from envs.world import Goal, World
from imagination.checks import NOT_FINITE, Limits, finite_part, reject_reason
from imagination.directors import ModelDirector, Plan, WorldDirector, make_plans
from imagination.goals import goals_to_imagine, refused_goals, spread
from kalm.engine import GenerationConfig, GenerationEngine, Project, Request
from kalm.model import GroundedModel
from kalm.pretrained import decode_quickly
from kalm.text import decompose

START_KEY, GOAL_KEY = 7_001, 7_002  # keep imagined starts and goals apart from other streams
LEAST_SLOTS = 4  # fewer rows are multiplied by other routines, which round differently
MODES, JUDGES, STARTS = ("planned", "direct"), ("world", "model"), ("fresh", "real")


@dataclass(frozen=True)
class ImagineConfig(Settings):
    """What is imagined, and how."""

    protocol: str = "target"  # imagination.goals.PROTOCOLS
    mode: str = "planned"  # "planned": sub-goal by sub-goal; "direct": the goal's own words
    judge: str = "world"  # "world": environment functions on imagined states; "model": its own
    starts: str = "fresh"  # "fresh" draws, or "real": first states of real rollouts
    num_rollouts: Count = 4000  # to imagine, before checks
    shares: dict[str, float] = field(
        default_factory=lambda: {"rephrase": 0.2, "easy": 0.2, "hard": 0.6}
    )  # of the rollouts by level
    tries: Count = 1  # rollouts per goal and start, of which the best is kept
    plausible: bool = True  # whether decoded states pass the plausibility hook
    rollouts_per_shard: Count = 500  # unit of work and of loss after a crash
    bf16: bool = True  # backbone in bfloat16, where there is any; off for equal last bits
    seed: Whole = 0  # of goals, starts and draws
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("mode", MODES), ("judge", JUDGES), ("starts", STARTS)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"Expected --{name} among {', '.join(choices)}, got `{getattr(self, name)}`."
                )
        if self.rollouts_per_shard % self.tries:
            raise ValueError(
                f"Expected --rollouts-per-shard to be a multiple of --tries, "
                f"got {self.rollouts_per_shard} and {self.tries}."
            )


@dataclass(frozen=True)
class Imagination:
    """Everything that shards share."""

    world: World
    model: GroundedModel
    model_hash: str
    config: ImagineConfig
    plans: Sequence[Plan]  # one per rollout, tries next to each other
    limits: Limits
    real_starts: np.ndarray | None  # (N, D) first states of real rollouts, for starts="real"
    refused: Mapping[str, str] = field(default_factory=dict)  # goals left out, with the reason

    def start(self, index: int) -> np.ndarray:
        """Start state (D,) of rollout `index`; equal for all tries at one goal."""
        rng = np.random.default_rng([self.config.seed, START_KEY, index // self.config.tries])
        if self.real_starts is not None:
            row: np.ndarray = self.real_starts[rng.integers(len(self.real_starts))]
            return row
        fresh: np.ndarray = self.world.draw_starts(1, rng)[0]
        return fresh

    def stream(self, index: int) -> tuple[int, ...]:
        """Key of the random stream of rollout `index`: (model, goal, seed, index)."""
        words = f"{self.model_hash}\0{self.plans[index].goal.text}".encode()
        key = int.from_bytes(hashlib.sha256(words).digest()[:8], "big")
        return (key, self.config.seed, index)

    def fingerprint(self) -> str:
        """SHA-256 over everything that decides what is imagined; slots only set the pace."""
        config = asdict(self.config)
        config["generation"].pop("num_slots")
        parts = [self.model_hash, self.world.name, config, [asdict(plan) for plan in self.plans]]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for numbers in (self.limits.low, self.limits.high, np.array(self.limits.jump)):
            digest.update(np.ascontiguousarray(numbers).tobytes())
        if self.real_starts is not None:
            digest.update(np.ascontiguousarray(self.real_starts).tobytes())
        return digest.hexdigest()

    @property
    def num_shards(self) -> int:
        """Number of shards; the last one may be smaller."""
        return -(-len(self.plans) // self.config.rollouts_per_shard)

    def shard(self, number: int) -> Iterator[Episode]:
        """Imagined episodes of shard `number`, in order, judged."""
        size = self.config.rollouts_per_shard
        return self.run_shard(number * size, min((number + 1) * size, len(self.plans)))

    def run_shard(self, first: int, last: int) -> Iterator[Episode]:
        """Imagined episodes of rollouts `first` to `last` - 1, in order, judged."""
        director = (
            WorldDirector(self.world, self.plans)
            if self.config.judge == "world"
            else ModelDirector(self.plans)
        )
        hook: Project | None = None
        if self.config.plausible:
            hook = self._project
        slots = max(self.config.generation.num_slots, LEAST_SLOTS)
        generation = replace(self.config.generation, num_slots=slots)
        engine = GenerationEngine(self.model, director, generation, project=hook)
        requests = (
            Request(i, director.begin(i, start := self.start(i)), start, self.stream(i))
            for i in range(first, last)
        )
        done = {request.index: request for request in engine.imagine(requests)}
        episodes = [self._episode(done[index]) for index in range(first, last)]
        yield from keep_best(episodes, self.config.tries)

    def _project(self, slot: int, proposal: np.ndarray, placed: np.ndarray) -> np.ndarray:
        """Passes every entity of a slot through the world's hook, in turn."""
        spaces = self.world.spaces
        width = spaces.entity_dim
        hook = getattr(self.world, "project_entity", self.limits.project_entity)
        per_slot = proposal.shape[1] // width
        before = placed.reshape(len(placed), -1, width)
        values = proposal.reshape(len(proposal), per_slot, width).copy()
        for entity in range(per_slot):
            known = np.concatenate([before, values[:, :entity]], axis=1)
            values[:, entity] = hook(slot * per_slot + entity, values[:, entity], known)
        return values.reshape(proposal.shape)

    def _episode(self, request: Request) -> Episode:
        goal = self.plans[request.index].goal
        observations, actions = np.stack(request.observations), np.stack(request.actions)
        observations, actions, finite = finite_part(observations, actions)
        success, ends, rewards = self._judge(goal, request, observations, actions)
        episode = Episode(
            goal=goal.text,
            observations=observations,
            actions=actions,
            rewards=rewards,
            terminated=ends,
            source="imagined",
            level=goal.level,
            success=success and finite,
            provenance={
                "model_hash": self.model_hash,
                "seed": self.config.seed,
                "index": request.index,
                "kind": goal.kind,
                "protocol": self.config.protocol,
                "mode": self.config.mode,
                "judge": self.config.judge,
                "projected": request.projected,
            },
        )
        reason = reject_reason(self.world, self.limits, episode) if finite else NOT_FINITE
        return with_verdict(episode, reason)

    def _judge(
        self, goal: Goal, request: Request, observations: np.ndarray, actions: np.ndarray
    ) -> tuple[bool, bool, np.ndarray]:
        """Success, whether the task ended, and rewards (T,) of an imagined rollout."""
        if self.config.judge == "model":
            rewards = np.zeros(len(actions), np.float32)
            rewards[-1] = float(request.finished)
            return request.finished, request.finished, rewards
        specs = np.tile(np.array(goal.spec), (len(actions), 1))
        before, after = observations[:-1], observations[1:]
        success = self.world.success(specs, before, actions, after)
        rewards = self.world.reward(specs, before, actions, after)
        return bool(success[-1]), bool(self.world.ends(specs, success)[-1]), rewards


def with_verdict(episode: Episode, reason: str) -> Episode:
    """`episode` with the reason of its rejection, empty if it is accepted, in its provenance."""
    verdict: dict[str, Scalar] = {"accepted": not reason, "reason": reason}
    return replace(episode, provenance={**episode.provenance, **verdict})


def keep_best(episodes: Sequence[Episode], tries: int) -> Iterator[Episode]:
    """All episodes; of each group of `tries` only the shortest accepted one stays accepted."""
    for first in range(0, len(episodes), tries):
        group = episodes[first : first + tries]
        good = [episode for episode in group if episode.provenance["accepted"]]
        best = min(good, key=len, default=None)
        for episode in group:
            beaten = episode.provenance["accepted"] and episode is not best
            yield with_verdict(episode, "not_the_best") if beaten else episode


def prepare(
    world: World,
    model: GroundedModel,
    model_hash: str,
    real: EpisodeStore,
    config: ImagineConfig,
    *,
    goals: Sequence[Goal] | None = None,
) -> tuple[Imagination, dict[str, int]]:
    """What shards share, and how well the goals could be divided.

    Args:
        goals: to imagine; None takes those of the protocol.
    """
    if config.bf16:
        decode_quickly(model.backbone)
    pool = goals_to_imagine(world, config.protocol, seed=config.seed) if goals is None else goals
    refused = refused_goals(world, model, pool)
    pool = [goal for goal in pool if goal.text not in refused]
    rng = np.random.default_rng([config.seed, GOAL_KEY])
    chosen = spread(pool, config.shares, -(-config.num_rollouts // config.tries), rng)
    chosen = [chosen[place] for place in rng.permutation(len(chosen))]
    texts = sorted({goal.text for goal in chosen})
    divided = (
        dict(zip(texts, decompose(model, texts), strict=True)) if config.mode == "planned" else {}
    )
    plans, counts = make_plans(world, chosen, divided)
    counts |= {"refused_goals": len(refused)} if refused else {}
    limits = Limits.of(real.episodes())
    starts = None
    if config.starts == "real":
        starts = np.stack([episode.observations[0] for episode in real.episodes()])
    repeated = [plan for plan in plans for _ in range(config.tries)]
    made = Imagination(world, model, model_hash, config, repeated, limits, starts, refused)
    return made, counts
