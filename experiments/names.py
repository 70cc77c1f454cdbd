"""Checks of what a command chooses: an unknown name is answered with the nearest known one."""

import difflib
from collections.abc import Iterable, Sequence


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Checks that `name` is among the `known` names.

    Args:
        what: what is chosen, such as "preset".

    Raises:
        ValueError: it is not; the nearest known name is suggested.
    """
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"Unknown {what} `{name}`.{hint} Known: {', '.join(names)}.")


def require_different_seeds(seeds: Sequence[int]) -> None:
    """Checks the seeds of a run.

    Raises:
        ValueError: there is none, one is negative, or one is named twice.
    """
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"Expected different --seeds >= 0, got {seeds}.")
