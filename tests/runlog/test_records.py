"""Batches as records: located, cut at shard boundaries, joined into runs; nothing lost, nothing invented."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.model.event import BatchRows
from coverage_audit.model.run import Writer
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.runlog.frames import MAGIC, Frame
from coverage_audit.runlog.records import Entry, columns

SHARDS = Shards((Shard("a", 4), Shard("none", 0), Shard("b", 3)))


def entry(number: int, rows: BatchRows) -> Entry:
    """As the journal would store it; small ids of odd batches in the form it has for many."""
    payload, a, b, frame = b"", 0, 0, Frame.UNKNOWN
    if rows.ids is not None:
        frame, payload = Frame.IDS, rows.ids.tobytes()
        if number % 2 and all(0 <= i < 2**31 for i in rows.ids.tolist()):
            frame, payload = Frame.IDS_SMALL, rows.ids.astype(np.int32).tobytes() + bytes(4 * (rows.count % 2))
    elif rows.row is not None and rows.shard is not None:
        frame, payload = Frame.PAIRS, rows.row.tobytes() + rows.shard.tobytes() + bytes(4 * (rows.count % 2))
    elif rows.runs is not None:
        frame, payload, a = Frame.RUNS, rows.runs.tobytes(), len(rows.runs)
    return Entry((MAGIC, frame, 1, 0, -1, -1, 0, rows.count, number, 0, a, b, 0), payload, 0, 0, number, 2)


def span(number: int, start: int, count: int, shard: int = -1) -> Entry:
    return Entry((MAGIC, Frame.RUN, 1, 0, -1, -1, 0, count, number, 0, shard, start, 0), b"", 0, 0, number, 2)


def records(*entries: Entry, shards: Shards | None = SHARDS) -> list[tuple[int, int, int, int]]:
    v = columns(entries, Writer(0, 0, 1), ("train",), [shards])
    return list(zip(v.batch.tolist(), v.shard.tolist(), v.row.tolist(), v.count.tolist(), strict=True))


def ids(*values: int) -> BatchRows:
    return BatchRows(len(values), ids=np.array(values, np.int64))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (entry(0, ids(0, 1, 2)), [(0, 0, 0, 3)]),
        (entry(0, ids(2, 3, 4, 5)), [(0, 0, 2, 2), (0, 2, 0, 2)]),
        (entry(0, ids(1, 0, 1)), [(0, 0, 1, 1), (0, 0, 0, 2)]),
        (entry(0, ids(-1, 0, 6, 7, 8)), [(0, -1, -1, 1), (0, 0, 0, 1), (0, 2, 2, 1), (0, -1, 7, 2)]),
        (entry(0, ids()), [(0, -1, -1, 0)]),
        (span(0, 1, 3), [(0, 0, 1, 3)]),
        (span(0, 2, 4), [(0, 0, 2, 2), (0, 2, 0, 2)]),
        (span(0, -2, 11), [(0, -1, -2, 2), (0, 0, 0, 4), (0, 2, 0, 3), (0, -1, 7, 2)]),
        (span(0, 9, 2), [(0, -1, 9, 2)]),
        (span(0, 1, 2, shard=2), [(0, 2, 1, 2)]),
        (span(0, 1, 5, shard=2), [(0, 2, 1, 2), (0, -1, 3, 3)]),
        (span(0, 0, 2, shard=9), [(0, -1, 0, 2)]),
        (entry(0, BatchRows(5)), [(0, -1, -1, 5)]),
        (entry(0, BatchRows(3, runs=np.array([[0, 0, 2], [2, 2, 1]]))), [(0, 0, 0, 2), (0, 2, 2, 1)]),
        (entry(0, BatchRows(2, shard=np.array([0, 2], np.int32), row=np.array([3, 3]))), [(0, 0, 3, 1), (0, -1, 3, 1)]),
    ],
)
def test_one_batch(given: Entry, expected: list[tuple[int, int, int, int]]) -> None:
    assert records(given) == expected


def test_without_a_dataset_ids_stay_raw() -> None:
    assert records(entry(0, ids(5, 6, 1)), span(1, 3, 2), shards=None) == [
        (0, -1, 5, 2), (0, -1, 1, 1), (1, -1, 3, 2),
    ]  # fmt: skip


some_ids = st.lists(st.integers(-2, 9), max_size=6)


@settings(deadline=None)
@given(batches=st.lists(st.one_of(some_ids, st.tuples(st.integers(-3, 8), st.integers(1, 9)), st.integers(0, 3))))
def test_any_batches_in_any_forms(batches: list[list[int] | tuple[int, int] | int]) -> None:
    # GIVEN batches as ids, spans, or unknown
    entries, expected = [], []
    for number, what in enumerate(batches):
        if isinstance(what, int):
            entries.append(entry(number, BatchRows(what)))
            expected += [(number, -1, -1)] * what
        elif isinstance(what, tuple):
            entries.append(span(number, *what))
            expected += [(number, *_located(i)) for i in range(what[0], what[0] + what[1])]
        else:
            entries.append(entry(number, ids(*what)))
            expected += [(number, *_located(i)) for i in what]

    found = records(*entries)

    # THEN spelled out row by row it is the same, in the same order
    unknown = {n for n, what in enumerate(batches) if isinstance(what, int)}
    spelled = [
        (number, shard, row if number in unknown else row + i)
        for number, shard, row, count in found
        for i in range(count)
    ]
    assert spelled == expected
    # THEN each batch is there, and neighbours inside one batch and shard are one record
    assert list(dict.fromkeys(number for number, *_ in found)) == list(range(len(batches)))
    assert not any(a[:2] == b[:2] and b[2] == a[2] + a[3] for a, b in pairwise(found))


def _located(sample: int) -> tuple[int, int]:
    if 0 <= sample < 4:
        return 0, sample
    return (2, sample - 4) if 4 <= sample < 7 else (-1, sample)
