"""How good goal labels are: each goal's labels of transitions against the environment's verifiers.

The verifiers are the truth of evaluation; nothing that trains may come here. What a label claims is
`imagination.programs.MEANINGS`: facing, taking, opening, dropping and standing, as a step does it.
A goal that was abstained on labels nothing, so that all it misses lowers the recall of its kind.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.babyai.goals import specs_array
from envs.babyai.states import GridShape
from envs.babyai.verifiers import success
from envs.transitions import Transitions
from envs.world import Goal
from imagination.programs import Program, program_labels


@dataclass(frozen=True)
class LabelCounts:
    """Transitions by what they are labelled and what they are, summed over goals."""

    goals: int = 0
    unlabelled_goals: int = 0  # abstained on, or beyond their proxy's precision
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        mine, theirs = vars(self), vars(other)
        return LabelCounts(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def accuracy(self) -> float:
        """Share of right labels; nan without transitions."""
        right, wrong = (
            self.true_positives + self.true_negatives,
            self.false_positives + self.false_negatives,
        )
        return _share(right, wrong)

    @property
    def precision(self) -> float:
        """Share of successes among those labelled so; nan where none is."""
        return _share(self.true_positives, self.false_positives)

    @property
    def recall(self) -> float:
        """Share of successes that are labelled so; nan where the data holds none."""
        return _share(self.true_positives, self.false_negatives)

    def numbers(self) -> dict[str, float]:
        """Rates and counts by name, for a table."""
        rates = {name: getattr(self, name) for name in ("accuracy", "precision", "recall")}
        return rates | vars(self)


def audit_labels(
    labelled: Iterable[tuple[Goal, np.ndarray | None]], transitions: Transitions, shape: GridShape
) -> dict[str, LabelCounts]:
    """Counts by goal kind, and of all goals as "all".

    Args:
        labelled: goals with their labels (N,) bool of `transitions`, or None where there are none.
    """
    found: dict[str, LabelCounts] = {}
    for goal, labels in labelled:
        truth = _truth(goal, transitions, shape)
        claimed = np.zeros_like(truth) if labels is None else labels
        if claimed.shape != truth.shape:
            raise ValueError(
                f"Expected a label for each of {len(truth)} transitions, got {claimed.shape} "
                f"for `{goal.text}`."
            )
        counts = LabelCounts(
            1,
            int(labels is None),
            int((claimed & truth).sum()),
            int((claimed & ~truth).sum()),
            int((~claimed & truth).sum()),
            int((~claimed & ~truth).sum()),
        )
        for name in (goal.kind, "all"):
            found[name] = found.get(name, LabelCounts()) + counts
    return found


def labels_by_programs(
    goals: Sequence[Goal],
    programs: Mapping[str, Program],
    transitions: Transitions,
    shape: GridShape,
) -> Iterator[tuple[Goal, np.ndarray | None]]:
    """Each goal with the labels (N,) bool of the program its text was read as, if any."""
    rows = (transitions.states, transitions.actions, transitions.next_states)
    for goal in goals:
        program = programs.get(goal.text)
        yield goal, None if program is None else program_labels(program, *rows, shape)


def _truth(goal: Goal, transitions: Transitions, shape: GridShape) -> np.ndarray:
    """Which transitions (N,) bool reach the goal."""
    specs = np.tile(specs_array([goal.spec]), (len(transitions), 1))
    rows = (transitions.states, transitions.actions, transitions.next_states)
    return success(specs, *rows, shape)


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part + rest else float("nan")
