"""What a uniform shuffle does to each order statistic: exact means and standard deviations.

``n`` visits are drawn from the ``N`` places 0..N-1 without replacement, in uniformly random order; ``n = N`` is a whole
pass. A statistic over neighbours is a sum over the ``n - 1`` pairs of consecutive visits. Its variance follows from
three joint probabilities: of one pair, of two pairs that share a visit, and of two pairs that share none.

Sources: correlation, E = 0 and Var = 1/(n - 1) under permutation (Pitman 1937); footrule, E = (N² - 1)/3 and
Var = (N + 1)(2N² + 7)/45 (Diaconis & Graham 1977); descents, Var = (n + 1)/12 (Eulerian numbers, Carlitz et al. 1972);
neighbours of one kind, the multi-colour join count of Barton & David (1957). Gap and successions: worked out here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from coverage_audit.model.rows import Ints


@dataclass(frozen=True, slots=True)
class Null:
    """Mean and standard deviation of a statistic under a uniform shuffle."""

    mean: float
    sd: float

    def z(self, value: float) -> float:
        """How many standard deviations ``value`` lies above the mean; 0 where there is no spread and no difference."""
        if self.sd > 0:
            return (value - self.mean) / self.sd
        return 0.0 if value == self.mean else math.copysign(math.inf, value - self.mean)


def correlation(n: int) -> Null:
    """Pearson's r of position and place, for any set of at least two places."""
    return Null(0.0, 1 / math.sqrt(n - 1))


def displacement(n: int) -> Null:
    """Sum of the distances of place and position over a whole pass of ``n`` places."""
    return Null((n * n - 1) / 3, math.sqrt((n + 1) * (2 * n * n + 7) / 45))


def descents(n: int) -> Null:
    """Visits whose place lies before that of the visit before, among ``n`` different places."""
    return Null((n - 1) / 2, math.sqrt((n + 1) / 12))


def successions(n: int, n_places: int) -> Null:
    """Visits whose place is the one right after that of the visit before."""
    pairs, places = n - 1, n_places
    if places < 2:
        return Null(0.0, 0.0)
    # One pair: (N - 1) of N(N - 1). Two pairs, sharing a visit or not: both work out to 1 / (N (N - 1)).
    two = 1 / (places * (places - 1)) if places > 2 else 0.0
    mean = pairs / places
    return Null(mean, math.sqrt(max(mean + pairs * (pairs - 1) * two - mean**2, 0.0)))


def gaps(n: int, n_places: int) -> Null:
    """Sum of the distances between the places of consecutive visits.

    With T_b the sum of distances from place b to all others: the sum of T_b is N(N² - 1)/3, that of T_b² is
    N(N² - 1)(7N² - 8)/60, and the sum of all squared distances is N²(N² - 1)/6.
    """
    pairs, places = n - 1, n_places
    if places < 2:
        return Null(0.0, 0.0)
    total = places * (places**2 - 1) // 3
    squares = places**2 * (places**2 - 1) // 6
    star = places * (places**2 - 1) * (7 * places**2 - 8) // 60 - squares  # both distances from one place
    apart = total**2 - 4 * star - 2 * squares
    return _of_pairs(pairs, places, total, squares, star, apart)


def same_shard(per_shard: Ints) -> Null:
    """Pairs of consecutive visits in one shard, given how many of the visits each shard got."""
    sizes = [int(s) for s in per_shard if s > 0]
    n = sum(sizes)
    if n < 2:
        return Null(0.0, 0.0)
    two = [s * (s - 1) for s in sizes]
    total = sum(two)
    star = sum(s * (s - 1) * (s - 2) for s in sizes)
    apart = sum(s * (s - 1) * (s - 2) * (s - 3) for s in sizes) + total**2 - sum(t * t for t in two)
    return _of_pairs(n - 1, n, total, total, star, apart)


def _of_pairs(pairs: int, n: int, total: int, squares: int, star: int, apart: int) -> Null:
    """Mean and sd of a sum over ``pairs`` consecutive pairs of draws without replacement from ``n``.

    Sums over ordered tuples of different draws: ``total`` of f(a, b), ``squares`` of f², ``star`` of f(a, b) f(b, c),
    ``apart`` of f(a, b) f(c, d). Integers as long as they can be: the terms cancel by many digits.
    """
    falling = [1, n, n * (n - 1), n * (n - 1) * (n - 2), n * (n - 1) * (n - 2) * (n - 3)]
    mean = pairs * total / falling[2]
    parts = [(pairs * squares, falling[2]), (-((pairs * total) ** 2), falling[2] ** 2)]
    if n > 2 and pairs > 1:
        parts.append((2 * (pairs - 1) * star, falling[3]))
    if n > 3 and pairs > 2:
        parts.append(((pairs - 1) * (pairs - 2) * apart, falling[4]))
    common = math.lcm(*(d for _, d in parts))
    variance = sum(value * (common // d) for value, d in parts) / common
    return Null(mean, math.sqrt(max(variance, 0.0)))
