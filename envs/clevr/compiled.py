"""How the hot loops of CLEVR-Robot are compiled: once for each machine, kept beside the module.

Arithmetic is IEEE's, operation by operation (no `fastmath`), and threads run side by side.
"""

from collections.abc import Callable
from typing import Any

import numba

compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    cache=True, nogil=True, error_model="numpy"
)
