"""What a uniform shuffle does to order statistics: against every order there is, and against simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from coverage_audit.counts import uniform
from coverage_audit.counts.uniform import Null

Statistic = Callable[[tuple[int, ...]], float]


def over_all_orders(n: int, n_places: int, statistic: Statistic) -> Null:
    """The definition: mean and sd over every sequence of ``n`` different places."""
    values = [statistic(order) for order in itertools.permutations(range(n_places), n)]
    return Null(float(np.mean(values)), float(np.std(values)))


def pairs(order: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(order))


def assert_same(got: Null, wanted: Null) -> None:
    assert (got.mean, got.sd) == pytest.approx((wanted.mean, wanted.sd), abs=1e-7)


@pytest.mark.parametrize(("n", "n_places"), [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (2, 5), (3, 6), (4, 7)])
def test_gaps_and_successions(n: int, n_places: int) -> None:
    assert_same(uniform.gaps(n, n_places), over_all_orders(n, n_places, lambda o: sum(abs(b - a) for a, b in pairs(o))))
    assert_same(
        uniform.successions(n, n_places), over_all_orders(n, n_places, lambda o: sum(b == a + 1 for a, b in pairs(o)))
    )


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_displacement_descents_and_correlation(n: int) -> None:
    assert_same(
        uniform.displacement(n), over_all_orders(n, n, lambda o: sum(abs(place - at) for at, place in enumerate(o)))
    )
    assert_same(uniform.descents(n), over_all_orders(n, n, lambda o: sum(b < a for a, b in pairs(o))))
    assert_same(uniform.correlation(n), over_all_orders(n, n, lambda o: float(np.corrcoef(o, range(n))[0, 1])))


@pytest.mark.parametrize("sizes", [(2,), (1, 1), (3, 1), (2, 2, 1), (4, 2), (1, 1, 1), (3, 3), (0, 3, 2)])
def test_same_shard(sizes: tuple[int, ...]) -> None:
    shard = [s for s, n in enumerate(sizes) for _ in range(n)]
    n = len(shard)
    wanted = over_all_orders(n, n, lambda o: sum(shard[a] == shard[b] for a, b in pairs(o)))
    assert_same(uniform.same_shard(np.array(sizes)), wanted)


def test_ten_million_rows() -> None:
    """Far beyond what floating point could subtract; the approximations of measurements.md hold there."""
    n = 10_000_000
    assert uniform.gaps(n, n).sd / n == pytest.approx(math.sqrt(2 / 45 * n), rel=0.01)
    assert uniform.displacement(n).sd / n == pytest.approx(math.sqrt(2 / 45 * n), rel=0.01)
    assert uniform.same_shard(np.full(1000, n // 1000)).mean == pytest.approx(n / 1000, rel=1e-3)


def test_simulated_scores_are_standard() -> None:
    rng = np.random.default_rng(3)
    n, sizes = 2000, np.array([700, 300, 900, 100])
    shard = np.repeat(np.arange(4), sizes)
    scores = []
    for _ in range(400):
        order = rng.permutation(n)
        delta = np.diff(order)
        scores.append(
            (
                uniform.gaps(n, n).z(float(np.abs(delta).sum())),
                uniform.successions(n, n).z(float((delta == 1).sum())),
                uniform.displacement(n).z(float(np.abs(order - np.arange(n)).sum())),
                uniform.descents(n).z(float((delta < 0).sum())),
                uniform.same_shard(sizes).z(float((shard[order[1:]] == shard[order[:-1]]).sum())),
                uniform.correlation(n).z(float(np.corrcoef(order, np.arange(n))[0, 1])),
            )
        )
    means, sds = np.mean(scores, axis=0), np.std(scores, axis=0)
    assert (np.abs(means) < 0.2).all(), means
    assert ((sds > 0.87) & (sds < 1.13)).all(), sds


def test_scores() -> None:
    assert Null(2.0, 0.5).z(3.0) == 2.0
    assert Null(2.0, 0.0).z(2.0) == 0.0
    assert Null(2.0, 0.0).z(1.0) == -math.inf
