"""Where each of several workers begins the next pass, against every way there is."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.counts.parting import part_workers

VISIT = st.tuples(st.integers(0, 5), st.integers(0, 2))


def slowly(ids: list[int], worker: list[int], prior: list[bool], lacking: int) -> list[set[int]]:
    """Every choice of first visits of each worker that holds each row that is not prior once."""
    own = [[i for i, w in enumerate(worker) if w == k] for k in range(3)]
    ways = []
    for stops in itertools.product(*(range(len(o) + 1) for o in own)):
        taken = [i for o, stop in zip(own, stops, strict=True) for i in o[:stop]]
        rows = [ids[i] for i in taken]
        if len(set(rows)) == len(rows) == lacking and not any(prior[i] for i in taken):
            ways.append(set(taken))
    return ways


@settings(max_examples=400, deadline=None)
@given(st.lists(VISIT, max_size=14), st.sets(st.integers(0, 5)))
def test_any_visits_of_three_workers(visits: list[tuple[int, int]], before: set[int]) -> None:
    """A way is found exactly if there is one, and is one of them."""
    ids, worker = [i for i, _ in visits], [w for _, w in visits]
    prior = [i in before for i in ids]
    lacking = 6 - len(before)
    found = part_workers(np.array(ids, np.int64), np.array(worker, np.int32), np.array(prior, np.bool_), lacking)
    ways = slowly(ids, worker, prior, lacking) if lacking else []
    if found is None:
        assert ways == []
    else:
        assert set(np.flatnonzero(found).tolist()) in ways


def test_two_workers_each_with_a_batch_of_two_passes() -> None:
    """GIVEN rows 3, 4 and 5 lacking, WHEN worker 0 gives 3 4 | 0 5 and worker 1 gives 5 | 1 3 2."""
    ids = np.array([3, 4, 0, 5, 5, 1, 3, 2])
    worker = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
    found = part_workers(ids, worker, np.isin(ids, (0, 1, 2)), 3)
    assert found is not None
    assert found.tolist() == [True, True, False, False, True, False, False, False]


def test_rows_that_never_come_part_nothing() -> None:
    """GIVEN rows 3, 4 and 5 lacking, WHEN 5 is dropped."""
    ids = np.array([3, 0, 1, 4, 2, 3])
    assert part_workers(ids, np.array([0, 0, 0, 1, 1, 1], np.int32), np.isin(ids, (0, 1, 2)), 3) is None
