import itertools
import threading
import time

import pytest

from fastrecon_jax.data.prefetch import prefetch


def test_results_come_in_the_order_of_the_items():
    def slow_at_first(i):
        time.sleep(0.02 if i == 0 else 0)
        return i * i

    assert list(prefetch(slow_at_first, range(9), buffer_size=4, threads=3)) == [i * i for i in range(9)]
    assert list(prefetch(slow_at_first, [], buffer_size=4)) == []


def test_items_are_taken_as_they_are_needed():
    taken = []
    endless = (taken.append(i) or i for i in itertools.count())
    results = prefetch(lambda i: i, endless, buffer_size=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) <= 5 + 3
    results.close()


def test_an_error_comes_where_its_result_would():
    def fail(i):
        if i == 2:
            raise ValueError("item 2")
        return i

    results = prefetch(fail, range(9), buffer_size=8, threads=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="item 2"):
        next(results)


def test_an_early_end_cancels_what_has_not_begun():
    begun, go_on = [], threading.Event()

    def wait(i):
        begun.append(i)
        assert i == 0 or go_on.wait(10)
        return i

    results = prefetch(wait, range(100), buffer_size=50, threads=2)
    assert next(results) == 0
    threading.Timer(0.1, go_on.set).start()
    results.close()
    assert len(begun) < 10


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_of_the_caller_ends_the_threads(error):
    before = threading.active_count()
    results = prefetch(lambda i: i, itertools.count(), buffer_size=4, threads=3)
    with pytest.raises(error):
        for _ in results:
            raise error
    results.close()
    assert threading.active_count() == before
