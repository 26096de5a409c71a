"""Recency: the index of each row's previous visit, whatever comes twice, and beyond 2^31 visits."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.counts.recency import NARROW, STRETCH, Recency

CALLS = st.lists(st.lists(st.integers(0, 5), max_size=8), max_size=8)


@settings(max_examples=200, deadline=None)
@given(CALLS, st.sampled_from([6, 500]), st.sampled_from([0, NARROW - 7]), st.sampled_from([2, STRETCH]))
def test_each_visit_is_told_the_index_of_the_one_before(
    calls: list[list[int]], rows: int, index: int, stretch: int
) -> None:
    """GIVEN visits in several calls, few or many rows, some beyond what 4 bytes can count, long calls cut into
    stretches or not, THEN a dictionary says the same."""
    with patch("coverage_audit.counts.recency.STRETCH", stretch):
        check(calls, rows, index)


def check(calls: list[list[int]], rows: int, index: int) -> None:
    recency = Recency(rows)
    recency.index = index
    latest: dict[int, int] = {}
    for ids in calls:
        expected = []
        for row in ids:
            expected.append(latest.get(row, -1))
            latest[row] = index
            index += 1
        assert recency.visit(np.array(ids, np.int64)).tolist() == expected
        assert recency.latest.tolist() == [latest.get(row, -1) for row in range(rows)]
        assert recency.index == index


@settings(max_examples=200, deadline=None)
@given(CALLS, st.lists(st.integers(0, 5), max_size=8), st.sampled_from([0, NARROW - 7]))
def test_undone_is_as_if_it_never_happened(calls: list[list[int]], undone: list[int], index: int) -> None:
    recency = Recency(6)
    recency.index = index
    for call in calls:
        recency.visit(np.array(call, np.int64))
    before, latest = recency.index, recency.latest.tolist()
    ids = np.array(undone, np.int64)
    previous = recency.visit(ids)
    after = recency.latest.tolist()
    recency.undo(ids, previous)
    assert (recency.index, recency.latest.tolist()) == (before, latest)
    recency.revisit(ids)
    assert recency.latest.tolist() == after


def test_indices_take_four_bytes_until_they_need_eight() -> None:
    recency = Recency(3)
    recency.index = NARROW - 2
    assert recency.visit(np.array([0, 1])).dtype == np.int32
    assert recency.visit(np.array([1, 2])).tolist() == [NARROW - 1, -1]
    assert recency.latest.dtype == np.int64
    assert recency.latest.tolist() == [NARROW - 2, NARROW, NARROW + 1]


def test_no_rows_have_no_visits() -> None:
    assert Recency(0).visit(np.empty(0, np.int64)).tolist() == []
