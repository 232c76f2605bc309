"""How work is divided among processes, and what they hand to each other."""

import itertools

import numpy as np
import pytest

from fastrecon_jax.detector import Scores
from fastrecon_jax.evaluation import shares
from fastrecon_jax.evaluation.shares import Share


def share(n, seed=0, *, seconds=(0.5, None)):
    rng = np.random.default_rng(seed)
    scores = tuple(Scores(rng.random((d, n, 3, 5), np.float32), rng.random((d, n), np.float32)) for d in (1, 2))
    return Share(rng.random((n, 7, 9)) > 0.5, scores, seconds, seconds)


def test_many_categories_belong_to_one_process_each_and_the_work_is_even():
    sizes = [83, 150, 132, 117, 78, 110, 124, 115, 167, 160, 117, 42, 100, 79, 151]  # test images of MVTec AD
    teams = shares.teams(sizes, 4)
    assert all(len(team) == 1 for team in teams)
    work = [sum(size for size, team in zip(sizes, teams, strict=True) if team == (i,)) for i in range(4)]
    assert max(work) / (sum(sizes) / 4) < 1.1


@pytest.mark.parametrize(
    ("sizes", "processes", "teams"),
    [
        ([83], 4, ((0, 1, 2, 3),)),
        ([40, 10], 4, ((0, 1, 2), (3,))),
        ([10, 10, 10], 3, ((0,), (1,), (2,))),
        ([10, 20], 1, ((0,), (0,))),
        ([], 2, ()),
    ],
)
def test_few_categories_are_divided_by_images(sizes, processes, teams):
    assert shares.teams(sizes, processes) == teams


@pytest.mark.parametrize(("length", "members"), [(11, 4), (2, 4), (8, 2), (5, 1)])
def test_parts_in_order_are_the_list(length, members):
    parts = [list(range(length))[shares.part(length, i, members)] for i in range(members)]
    assert list(itertools.chain(*parts)) == list(range(length))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_share_is_received_as_it_was_sent():
    sent = share(3)
    got = shares.unpack(shares.pack(sent))
    assert (got.fit_seconds, got.score_seconds) == (sent.fit_seconds, sent.score_seconds)
    np.testing.assert_array_equal(got.masks, sent.masks)
    for a, b in zip(got.scores, sent.scores, strict=True):
        np.testing.assert_array_equal(a.patches, b.patches)
        np.testing.assert_array_equal(a.images, b.images)


def test_shares_together_are_as_slow_as_the_slowest():
    parts = [share(3, 0, seconds=(0.5, None)), share(2, 1, seconds=(0.8, None))]
    whole = shares.joined(parts)
    assert whole.score_seconds == (0.8, None)
    assert whole.fit_seconds == (0.5, None)
    assert whole.masks.shape == (5, 7, 9)
    np.testing.assert_array_equal(whole.scores[1].images, np.concatenate([p.scores[1].images for p in parts], axis=1))
