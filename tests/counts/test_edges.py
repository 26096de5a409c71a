"""Several loader workers that stream several passes in one iteration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.rules._rule import find_rule
from coverage_audit.testing.runs import Run, Step, shards_of


def streamed(orders: list[list[int]], workers: int, batch: int) -> list[tuple[int, list[int]]]:
    """Every W-th visit of the passes end to end is one worker's, which makes batches of them; workers take turns."""
    rows = [row for order in orders for row in order]
    own = [[rows[w::workers][i : i + batch] for i in range(0, len(rows[w::workers]), batch)] for w in range(workers)]
    longest = max(map(len, own))
    return [(w, own[w][i]) for i in range(longest) for w in range(workers) if i < len(own[w])]


def counted(
    n: int, batches: list[tuple[int, list[int]]], batch: int, pieces: int = 1, *, exhausted: bool = True
) -> SplitCounts:
    steps = [Step(ids, worker=worker) for worker, ids in batches]
    return Run(shards_of(n), steps, trained=False, batch_size=batch, pieces=pieces, exhausted=exhausted).count()


def orders_of(n: int, passes: int, seed: int, *, shuffled: bool = True) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(n).tolist() if shuffled else list(range(n)) for _ in range(passes)]


def found_by(code: str, counts: SplitCounts) -> list[str]:
    return [e.message for e in find_rule(code).check(counts)]


@pytest.mark.parametrize("shuffled", [False, True])
def test_two_workers_end_a_pass_in_a_batch_each(shuffled: bool) -> None:
    """GIVEN 83 rows in batches of 8 from two workers, twice: batches 10 and 11 hold rows of both passes."""
    counts = counted(83, streamed(orders_of(83, 2, 1, shuffled=shuffled), 2, 8), 8)
    assert [(e.visits, e.unique, len(e.missed), e.surplus) for e in counts.epochs] == [(83, 83, 0, 0)] * 2
    assert [(p.batches, p.visits, p.complete, p.mixed_batches) for p in counts.passes] == [
        (12, 83, True, 0),
        (10, 83, True, 2),
    ]
    assert counts.run_visits.tolist() == [2] * 83
    for code in ("CA101", "CA103", "CA201", "CA402"):
        assert found_by(code, counts) == []


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 5), st.integers(2, 9), st.integers(30, 300), st.integers(2, 4), st.integers(0, 2**32),
    st.integers(1, 4),
)  # fmt: skip
def test_passes_of_any_workers_are_whole(workers: int, batch: int, n: int, passes: int, seed: int, pieces: int) -> None:
    """THEN each pass visits every row once, where a pass is longer than what the workers begin together."""
    batches = streamed(orders_of(n, passes, seed), workers, batch)
    counts = counted(n, batches, batch, pieces)
    assert counts.run_visits.tolist() == [passes] * n
    assert sum(p.batches for p in counts.passes) == len(batches)
    assert sum(p.visits for p in counts.passes) == n * passes
    if n >= 4 * workers * batch:
        assert [(p.visits, p.unique, p.repeated) for p in counts.passes] == [(n, n, 0)] * passes
        assert [(e.visits, len(e.missed), e.surplus) for e in counts.epochs] == [(n, 0, 0)] * passes


def test_many_visits_are_counted_as_they_come() -> None:
    """GIVEN passes of 20,000 rows from four workers, in 60 pieces."""
    counts = counted(20_000, streamed(orders_of(20_000, 3, 5), 4, 16), 16, 60)
    assert [(p.visits, p.unique, p.complete) for p in counts.passes] == [(20_000, 20_000, True)] * 3


@pytest.mark.parametrize("dropped", [1, 3, 8])
def test_rows_that_are_dropped_stay_missed(dropped: int) -> None:
    """GIVEN passes that leave out their last rows, always the same."""
    orders = [list(range(200 - dropped))] * 3
    counts = counted(200, streamed(orders, 2, 8), 8)
    assert counts.never_seen.ids().tolist() == list(range(200 - dropped, 200))
    assert all(len(e.missed) >= dropped for e in counts.epochs)


def test_rows_that_come_twice_stay_repeated() -> None:
    """GIVEN a worker that gives its first batch of each pass twice."""
    batches = streamed([list(range(96))], 2, 8)
    counts = counted(96, [batches[0], *batches] * 2, 8)
    assert sum(e.surplus for e in counts.epochs) == 16
    assert counts.run_visits.tolist() == [4 if row in batches[0][1] else 2 for row in range(96)]


def test_workers_that_get_out_of_step() -> None:
    """GIVEN two workers with 502 and 501 rows of their own: the second is 19 rows ahead by the last pass."""
    rng = np.random.default_rng(0)
    shares = (np.arange(502), np.arange(502, 1003))
    rows = [np.concatenate([rng.permutation(share) for _ in range(20)]).tolist() for share in shares]
    own = [[one[i : i + 8] for i in range(0, len(one), 8)] for one in rows]
    batches = [(w, own[w][i]) for i in range(len(own[0])) for w in range(2) if i < len(own[w])]
    counts = counted(1003, batches, 8, 3)
    assert [(p.visits, p.unique, p.complete) for p in counts.passes] == [(1003, 1003, True)] * 20
    assert [(len(e.missed), e.surplus) for e in counts.epochs] == [(0, 0)] * 20
