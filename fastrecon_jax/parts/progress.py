"""How far a fit is, for those who wait for it."""

import functools
from collections.abc import Callable

from tqdm import tqdm

Bars = Callable[..., tqdm]  # takes `desc`, `total` and `unit`; the result is a context with `update`

SILENT: Bars = functools.partial(tqdm, disable=True)
ON_A_TERMINAL: Bars = functools.partial(tqdm, disable=None, leave=False)
