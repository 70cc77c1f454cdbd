"""The command line: `kalm VERB ...`, the same as `python -m experiments VERB ...`.

A verb's module is imported when the verb is used, so that help answers at once. What a user can
cause ends in one clear message and exit code 2; KALM_TRACEBACK=1 shows where it came from.
"""

import importlib
import os
import select
import signal
import sys
from collections.abc import Sequence

from envs.stopping import Stopped, end_on_sigterm
from experiments.names import require_known

VERBS = {
    "run": ("experiments.pipeline", "a whole preset: from nothing to a table and a report"),
    "collect": ("experiments.collect", "real rollouts with the scripted behaviour policy"),
    "ground": ("experiments.ground", "fine-tune a language model on the rollouts"),
    "imagine": ("experiments.imagine", "rollouts that the language model imagines"),
    "train": ("experiments.train", "offline RL agents on real and imagined rollouts"),
    "evaluate": ("experiments.evaluate", "success of every agent on every level of goals"),
    "report": ("experiments.publish", "HTML page, figure and table of a run"),
    "compare": ("experiments.compare", "runs side by side, with paired differences"),
    "bench": ("experiments.bench", "speed of every stage, side by side with what people use today"),
    "trial": ("experiments.trial", "one trial of a sweep, on the data of a finished run"),
    "plan": ("experiments.plan", "hours, disk and bottleneck of a large run, from a small one"),
    "verify": ("experiments.verify", "check every byte of stores, models and runs"),
    "repair": ("experiments.repair", "keep what is whole of a damaged store"),
    "doctor": ("experiments.doctor", "is this machine ready, and what to do if not"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb with its arguments and returns the exit code."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # loading weights needs no bars of its own
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    end_on_sigterm()
    try:
        require_known("verb", words[0], VERBS)
        module = importlib.import_module(VERBS[words[0]][0])
        code: int = module.main(words[1:])
    except Stopped:
        print("Stopped as asked. The same command goes on from here.", file=sys.stderr)
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    except (ValueError, OSError, ArithmeticError, RuntimeError) as error:
        if os.environ.get("KALM_TRACEBACK"):
            raise
        if isinstance(error, BrokenPipeError) and _reader_left():
            return 128 + signal.SIGPIPE
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError | OSError) else 1
    return code


def _reader_left() -> bool:
    """Whether who read our output has seen enough (`| head`): then nothing more is said."""
    output = sys.stdout.fileno()
    pipe = select.poll()
    pipe.register(output, 0)
    left = any(event & (select.POLLERR | select.POLLHUP) for _, event in pipe.poll(0))
    if left:  # what Python still holds back has to go somewhere when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return left


def usage() -> str:
    """The help of the command line itself."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in VERBS.items())
    return (
        "usage: kalm VERB [options]\n\n"
        "Ground a language model in a world, let it imagine rollouts, train agents on them.\n\n"
        f"{verbs}\n\n"
        "`kalm VERB --help` explains a verb; `kalm run demo` shows everything at work.\n"
        "Set KALM_TRACEBACK=1 to see where an error came from."
    )
