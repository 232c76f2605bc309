"""A function over many items by threads, in order, a limited number ahead of their use."""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(
    function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int, threads: int = 0
) -> Iterator[Result]:
    """Results in the order of the items, computed by threads while the caller uses earlier ones.

    Args:
        function: of an item; what it raises is raised where its result would come.
        items: read as they are needed.
        ahead: results that are kept ready, at most.
        threads: one a processor by default.

    Yields:
        The results.
    """
    waiting: collections.deque[Future[Result]] = collections.deque()
    executor = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the caller stops early
        executor.shutdown(cancel_futures=True)
