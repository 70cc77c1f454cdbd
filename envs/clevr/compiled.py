"""How the hot loops of CLEVR-Robot are compiled: once for each machine, kept beside the module.

Arithmetic is IEEE's, operation by operation (no `fastmath`), and threads run side by side.

One thing to know: numba keeps compiled code until the file that it stands in changes. Loops that
call each other therefore share a file, and after a change of numbers that they import, such as
those of `envs.clevr.model`, `make clean` (or deleting `envs/clevr/__pycache__`) compiles them anew.
"""

from collections.abc import Callable
from typing import Any

import numba

compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    cache=True, nogil=True, error_model="numpy"
)
