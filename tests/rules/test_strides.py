"""Rows left out at regular distances: a division into more parts than are read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.auditor import judge
from coverage_audit.counts.tables import Counts
from coverage_audit.model.rows import RowSet
from coverage_audit.result import AuditResult
from coverage_audit.rules._stride import Stride, stride_of
from coverage_audit.testing.runs import Run, Step, count_runs, shards_of


def run(
    rows: list[int], shards: tuple[int, ...] = (160,), *, told: bool = False, workers: int = 1, shuffled: bool = True
) -> AuditResult:
    """Three epochs over these rows, by workers that take turns."""
    steps = []
    for epoch in range(3):
        order = random.Random(epoch).sample(rows, len(rows)) if shuffled else rows
        steps += [
            Step(order[i : i + 8], epoch=epoch, pass_=epoch if told else -1, worker=i // 8 % workers)
            for i in range(0, len(order), 8)
        ]
    counts = count_runs(Run(shards_of(*shards), steps, batch_size=8))
    return judge(Counts(counts.run, (counts,)))


DIVIDES = "look at what divides the data: a divisor too large, a part that nobody reads, a step in a slice"


@pytest.mark.parametrize(("told", "shuffled"), [(True, True), (False, True), (False, False), (True, False)])
def test_every_third_row(told: bool, shuffled: bool) -> None:
    """However the epochs are told, no number of steps comes to these rows: CA601 says nothing."""
    result = run([i for i in range(160) if i % 3 != 2], told=told, shuffled=shuffled)
    first = result.findings[0]
    assert (first.code, first.message, first.cause, first.fix, first.explained) == (
        "CA106",
        "the same 53 rows missed in all 3 epochs",
        "they are every 3rd row, from row 2 on: no epoch ever comes there",
        DIVIDES,
        159,
    )
    assert "CA601" not in [f.code for f in result.findings]


def test_divided_by_one_reader_too_many() -> None:
    """GIVEN rows dealt out to three WHEN two workers read THEN the number to divide by is named."""
    first = run([i for i in range(160) if i % 3 != 2], told=True, workers=2).findings[0]
    assert (first.code, first.cause, first.fix) == (
        "CA106",
        "they are every 3rd row, from row 2 on: one of 3 parts, and 2 loader workers read: no epoch ever comes there",
        "divide the data by the number of readers: by 2, not by 3",
    )


@pytest.mark.parametrize(
    ("rows", "shards", "where"),
    [
        ([i for i in range(160) if i % 4 in (0, 3)], (160,), "2 of every 4 rows, from row 1 on"),
        ([i for i in range(160) if i % 5 == 1], (160,), "all but every 5th row, from row 0 on"),
        ([i for i in range(160) if i % 2], (160,), "every 2nd row, from row 0 on"),
        ([i for i in range(160) if i // 8 % 2], (160,), "8 of every 16 rows, from row 0 on"),
        (
            [i for i in range(100) if i % 3] + [100 + i for i in range(60) if i % 3],
            (100, 60),
            "every 3rd row, from row 0 of each shard on",
        ),
    ],
)
def test_where_they_lie(rows: list[int], shards: tuple[int, ...], where: str) -> None:
    first = run(rows, shards).findings[0]
    assert (first.code, first.cause) == ("CA106", f"they are {where}: no epoch ever comes there")


def test_rows_without_a_pattern() -> None:
    """GIVEN one row of the pattern that is visited THEN it is none."""
    result = run([i for i in range(160) if i % 3 != 2 or i == 80])
    assert result.findings[0].cause == "no epoch ever comes to these rows"


@given(
    n=st.integers(40, 200), period=st.integers(2, 9), length=st.integers(1, 8), first=st.integers(0, 8),
    spoilt=st.integers(-1, 199),
)  # fmt: skip
def test_a_stride_is_all_rows_at_its_distances(n: int, period: int, length: int, first: int, spoilt: int) -> None:
    """Against the definition: from its first row on, row i is in it if (i - first) mod period < length."""
    if length >= period:
        return
    rows = {i for i in range(n) if (i - first) % period < length}
    changed = rows ^ ({spoilt} & set(range(n)))
    counts = count_runs(Run(shards_of(n), [Step([0], epoch=0)]))
    told = stride_of(RowSet.of_ids(sorted(changed)), counts)
    if changed == rows and RowSet.of_ids(sorted(rows)).n_ranges >= 8:
        assert told is not None
        assert (told.length, told.period, told.first % period) == (length, period, first % period)
    elif told is not None:
        assert changed == {i for i in range(n) if i >= told.first and (i - told.first) % told.period < told.length}


def test_ordinals() -> None:
    said = [Stride(1, 1, n).where() for n in (2, 3, 4, 11, 21, 102, 1113)]
    assert said == [f"every {n} row, from row 1 on" for n in ("2nd", "3rd", "4th", "11th", "21st", "102nd", "1,113th")]
