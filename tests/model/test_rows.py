"""Sets and multisets of sample ids behave as Python's set and Counter do, row 0 included."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.model.rows import Repeats, RowSet

LIMIT = 40  # small, so that ranges touch, overlap and reach both ends
ids = st.lists(st.integers(0, LIMIT - 1), max_size=60)
pairs = st.lists(st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT)), max_size=12)


def plain(rows: RowSet) -> set[int]:
    """The set as Python's, after checking that its ranges are in normal form."""
    ranges = list(rows.ranges())
    assert all(start < stop for start, stop in ranges)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(ranges))
    assert rows.starts.dtype == rows.stops.dtype == np.dtype(np.int64)
    assert rows.n_ranges == len(ranges)
    return {i for start, stop in ranges for i in range(start, stop)}


class TestExamples:
    def test_row_0_is_a_row(self) -> None:
        rows = RowSet.of_ids([0])
        assert (list(rows.ranges()), len(rows), bool(rows), repr(rows)) == ([(0, 1)], 1, True, "RowSet(1: 0-1)")

    def test_the_empty_set(self) -> None:
        for rows in (
            RowSet.empty(),
            RowSet.of_ids([]),
            RowSet.span(3, 3),
            RowSet.of_ranges([]),
            RowSet.of_ranges([(5, 2)]),
        ):
            assert (plain(rows), len(rows), bool(rows), rows == RowSet.empty()) == (set(), 0, False, True)

    def test_touching_ranges_become_one(self) -> None:
        assert list(RowSet.of_ranges([(5, 8), (0, 3), (3, 5), (10, 11)]).ranges()) == [(0, 8), (10, 11)]

    def test_a_range_inside_a_longer_one_does_not_shorten_it(self) -> None:
        assert list(RowSet.of_ranges([(0, 10), (2, 3), (4, 12)]).ranges()) == [(0, 12)]

    def test_the_first_ranges_only(self) -> None:
        rows = RowSet.of_ids([0, 2, 4, 6])
        assert (list(rows.ranges(2)), list(rows.ranges(0))) == ([(0, 1), (2, 3)], [])

    def test_many_ranges_are_cut_in_the_repr(self) -> None:
        assert repr(RowSet.of_ids(range(0, 20, 2))) == "RowSet(10: 0-1, 2-3, 4-5, 6-7, 8-9, 10-11, ...)"

    def test_other_things_are_not_equal(self) -> None:
        assert RowSet.of_ids([1]) != {1}


class TestAgainstPythonSets:
    @given(ids)
    def test_of_ids(self, values: list[int]) -> None:
        assert plain(RowSet.of_ids(values)) == set(values)

    @given(pairs)
    def test_of_ranges(self, ranges: list[tuple[int, int]]) -> None:
        assert plain(RowSet.of_ranges(ranges)) == {i for a, b in ranges for i in range(a, b)}

    @given(st.lists(st.booleans(), max_size=LIMIT), st.integers(0, 5))
    def test_of_mask(self, mask: list[bool], base: int) -> None:
        rows = RowSet.of_mask(np.array(mask, np.bool_), base)
        assert plain(rows) == {base + i for i, inside in enumerate(mask) if inside}

    @given(st.integers(0, LIMIT), st.integers(0, LIMIT))
    def test_span(self, start: int, stop: int) -> None:
        assert plain(RowSet.span(start, stop)) == set(range(start, stop))

    @given(ids, ids)
    def test_union_intersection_difference(self, left: list[int], right: list[int]) -> None:
        a, b = RowSet.of_ids(left), RowSet.of_ids(right)
        assert plain(a | b) == set(left) | set(right)
        assert plain(a & b) == set(left) & set(right)
        assert plain(a - b) == set(left) - set(right)

    @given(ids, ids)
    def test_equality_and_hash(self, left: list[int], right: list[int]) -> None:
        a, b = RowSet.of_ids(left), RowSet.of_ids(right)
        assert (a == b) == (set(left) == set(right))
        assert hash(a) == hash(RowSet.of_ids(sorted(left, reverse=True)))

    @given(ids)
    def test_size_ids_and_truth(self, values: list[int]) -> None:
        rows = RowSet.of_ids(values)
        assert (rows.ids().tolist(), len(rows), bool(rows)) == (sorted(set(values)), len(set(values)), bool(values))

    @given(ids, st.integers(0, LIMIT + 5))
    def test_mask(self, values: list[int], n: int) -> None:
        """A mask shorter than the set cuts it off."""
        assert RowSet.of_ids(values).mask(n).tolist() == [i in set(values) for i in range(n)]

    @given(ids, st.lists(st.integers(-3, LIMIT + 3), max_size=20))
    def test_contains(self, values: list[int], asked: list[int]) -> None:
        answer = RowSet.of_ids(values).contains(np.array(asked, np.int64))
        assert answer.tolist() == [i in set(values) for i in asked]

    @given(ids)
    def test_the_ways_in_agree(self, values: list[int]) -> None:
        rows = RowSet.of_ids(values)
        assert rows == RowSet.of_ranges(rows.ranges()) == RowSet.of_mask(rows.mask(LIMIT))


@given(ids, st.integers(0, 20), ids, st.integers(0, 20), st.integers(0, 9))
def test_bits_are_the_same_set_as_ranges(left: list[int], more: int, right: list[int], far: int, n: int) -> None:
    """GIVEN two sets, each kept as ranges or as bits of either length, or with an id far away THEN nothing else tells
    which."""
    as_bits = [RowSet.of_mask(np.isin(np.arange(LIMIT + more), left)), RowSet.of_mask(np.isin(np.arange(LIMIT), left))]
    for a in (RowSet.of_ids(left), *as_bits):
        assert (plain(a), len(a), bool(a), a.ids().tolist()) == (
            set(left),
            len(set(left)),
            bool(left),
            sorted(set(left)),
        )
        assert a.mask(4 * n).tolist() == [i in left for i in range(4 * n)]
        assert a.contains(np.arange(-3, LIMIT + 30)).tolist() == [i in left for i in range(-3, LIMIT + 30)]
        assert hash(a) == hash(RowSet.of_ids(left))
        others = set(right) | {LIMIT * far}
        for b in (
            RowSet.of_ids([*right, LIMIT * far]),
            RowSet.of_mask(np.isin(np.arange(LIMIT * far + 1 + LIMIT), [*others])),
        ):
            assert plain(a | b) == plain(RowSet.union([a, b])) == set(left) | others
            assert plain(a & b) == set(left) & others
            assert (plain(a - b), plain(b - a)) == (set(left) - others, others - set(left))
            assert (a == b) == (set(left) == others)


@given(ids, st.lists(st.integers(0, 200), min_size=2, max_size=9), st.sampled_from([LIMIT, 3000]))
def test_ids_between_edges_are_counted(values: list[int], edges: list[int], length: int) -> None:
    scattered = list(range(0, length, 2)) if length > LIMIT else []
    expected = [sum(a <= i < b for i in {*values, *scattered}) for a, b in itertools.pairwise(sorted(edges))]
    mask = np.isin(np.arange(length), [*values, *scattered])
    for rows in (RowSet.of_ids([*values, *scattered]), RowSet.of_mask(mask)):
        assert rows.counts_between(np.array(sorted(edges), np.int64)).tolist() == expected


def test_scattered_ids_take_a_bit_each() -> None:
    """GIVEN every third of a million rows THEN not 16 bytes a range, and the few ranges of a half are kept as such."""
    third = RowSet.of_mask(np.arange(1_000_000) % 3 == 0)
    assert third._bits is not None
    assert third._bits.nbytes == 125_000
    assert (len(third), third.n_ranges, list(third.ranges(2))) == (333_334, 333_334, [(0, 1), (3, 4)])
    half = RowSet.of_mask(np.arange(1_000_000) < 500_000)
    assert (half._bits, list(half.ranges())) == (None, [(0, 500_000)])


class TestRepeats:
    @given(ids, ids)
    def test_surplus_visits_are_those_of_a_counter(self, visits: list[int], chosen: list[int]) -> None:
        surplus = {i: n - 1 for i, n in Counter(visits).items() if n > 1}
        repeats = Repeats.of_counts(np.bincount(np.array(visits, np.int64), minlength=LIMIT))
        assert dict(zip(repeats.rows.ids().tolist(), repeats.extra.tolist(), strict=True)) == surplus
        assert repeats.total == len(visits) - len(set(visits))
        assert repeats.among(RowSet.of_ids(chosen)) == sum(n for i, n in surplus.items() if i in chosen)

    def test_none(self) -> None:
        none = Repeats.none()
        assert (none.total, plain(none.rows), none.among(RowSet.span(0, 9))) == (0, set(), 0)

    def test_small_counters_do_not_overflow(self) -> None:
        """GIVEN a million rows visited 255 times, in uint8 WHEN summed THEN nothing wraps."""
        assert Repeats.of_counts(np.full(1_000_000, 255, np.uint8)).total == 254_000_000
