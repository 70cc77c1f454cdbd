"""What measured numbers are called in tables, and which of them are shares."""

from collections.abc import Iterable

LABELS = {
    "violations/any": "states that break a physical check",
    "violations/overlap": "states with overlapping entities",
    "violations/out_of_bounds": "states out of bounds",
    "goal_reached": "goal reached at the end, by the predicate",
    "goals_unknown": "rollouts whose goal no predicate knows",
    "goals_covered": "goals with an accepted rollout",
    "action_consistency": "what the simulator moves most is what moved most",
    "direction_cosine": "cosine of imagined and simulated move",
    "one_step_error": "one-step error, mean over entities",
    "one_step_error_of_mover": "one-step error of what moved",
    "replay_success": "goal reached when replayed in the simulator",
    "replay_error": "distance of replay and rollout at the end",
    "mean_length": "steps per rollout",
    "coverage": "cells of the state space that occur",
    "novelty": "distance to the nearest real transition",
    "rollouts": "rollouts",
    "transitions": "transitions",
    "goals": "different goals",
    "next_state_error_moved": "next-state error of what moved",
    "next_state_error_unmoved": "next-state error of what lay still",
    "copy_error_moved": "the same if nothing were predicted to move",
    "action_agreement": "action is the one that was taken",
    "explanation_achieved": "named goals that the rollout did reach",
    "explanation_unaided": "the same without the model's own recognition",
    "explanation_named": "goals named in a rollout",
    "explanation_asked": "explanation names the goal that was asked for",
    "held_out_rollouts": "held-out rollouts",
}
SHARES = {
    "goal_reached",
    "goals_unknown",
    "goals_covered",
    "action_consistency",
    "coverage",
    "action_agreement",
    "explanation_asked",
    "explanation_achieved",
    "explanation_unaided",
}
SHARE_PREFIXES = ("violations/", "replay_success")


def label(measure: str) -> str:
    """A measure in words."""
    if measure in LABELS:
        return LABELS[measure]
    group, _, part = measure.rpartition("/")
    words = part.replace("_", " ")
    return f"{LABELS[group]}: {words}" if group in LABELS else measure.replace("_", " ")


def ordered(measures: Iterable[str]) -> list[str]:
    """Measures in the order of `LABELS`, parts of a measure after it, unknown ones last."""
    known = list(LABELS)

    def place(measure: str) -> tuple[int, str]:
        group = measure if measure in LABELS else measure.rpartition("/")[0]
        return (known.index(group) if group in LABELS else len(known), measure)

    return sorted(measures, key=place)


def shown(measure: str, value: float) -> str:
    """A measured value: shares in per cent, counts whole, other numbers to four digits."""
    if measure in SHARES or measure.startswith(SHARE_PREFIXES):
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"
