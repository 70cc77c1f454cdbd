"""The instruction texts of every fine-tuning task: pure text, no model and no tokenizer.

A prompt comes in two pieces: the words before the rollout and the words after it; training and
generation call the same functions, so their inputs cannot differ.
"""

TASKS = ("generation", "dynamics", "consequence", "explanation", "decomposition")

BEFORE_EXPLANATION = "Explain this rollout:"
AFTER_EXPLANATION = "Goal:"
DYNAMICS = "Predict what happens next:"
SUBGOAL_SEPARATOR = " ; "


def generation_prompt(goal: str) -> str:
    """The words before a rollout that should reach `goal`."""
    return f"Imagine: {goal} Rollout:"


def consequence_prompt(goal: str) -> str:
    """The words before an initial state and the state in which `goal` is reached."""
    return f"Predict the outcome: {goal} States:"


def decomposition_prompt(goal: str) -> str:
    """The words before the simpler goals that `goal` is made of."""
    return f"Divide this goal into simple goals: {goal} Simple goals:"


def join_subgoals(subgoals: list[str]) -> str:
    """The answer to a decomposition prompt."""
    return SUBGOAL_SEPARATOR.join(subgoals)


def split_subgoals(answer: str) -> list[str]:
    """Sub-goals in the order of an answer, without empty ones."""
    return [part.strip() for part in answer.split(SUBGOAL_SEPARATOR.strip()) if part.strip()]
