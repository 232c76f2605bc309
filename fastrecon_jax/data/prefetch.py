"""A function over many items by threads, its results in order and a limited number of them ready in advance."""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], *, buffer_size: int, threads: int = 0
) -> Iterator[Result]:
    """Results in the order of the items, computed by threads while the caller uses earlier ones.

    Items are taken as they are needed: at most `buffer_size` results wait for the caller. What the function raises is
    raised where its result would come. A caller that stops early cancels what has not begun. There is one thread a
    processor unless `threads` says otherwise.
    """
    waiting: collections.deque[Future[Result]] = collections.deque()
    executor = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) > buffer_size:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the caller stops early, or the user presses Ctrl-C
        executor.shutdown(cancel_futures=True)
