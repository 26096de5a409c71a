"""What was read lately is remembered within bounds: by number of reads, and by the memory that their ids take."""

from __future__ import annotations

import numpy as np

from coverage_audit.identity.origins import Key, Origins
from coverage_audit.identity.reads import IDS_KEPT, KEPT, Read, Reads, gather
from coverage_audit.identity.shadows import Shadow, Span, Windows


def reads_of(*told: Shadow) -> list[tuple[int, int]]:
    """(serial, length) of what is remembered of these."""
    reads = Reads()
    reads.listeners = 1
    for rows in told:
        reads.tell(rows)
    return [
        (read.serial, len(read.rows) if isinstance(read.rows, np.ndarray) else read.rows.length)
        for read in reads.since(0)
    ]


def test_reads_are_numbered_from_one() -> None:
    assert reads_of(Span(0, 1, 5), np.array([3, 1]), Windows(np.array([4]), 8)) == [(1, 5), (2, 2), (3, 8)]


def test_old_reads_are_forgotten() -> None:
    told = reads_of(*[Span(0, 1, 1)] * (KEPT + 2))
    assert (len(told), told[0], told[-1]) == (KEPT, (3, 1), (KEPT + 2, 1))


def test_ids_are_forgotten_before_they_fill_the_memory() -> None:
    """GIVEN a loader that reads whole files in shuffled order WHEN it goes on THEN only its last reads are kept."""
    file = np.zeros(IDS_KEPT // 4, np.int64)
    assert reads_of(*[file] * 9) == [(n, len(file)) for n in (6, 7, 8, 9)]


def test_the_last_read_is_kept_whatever_its_size() -> None:
    assert reads_of(Span(0, 1, 9), np.zeros(IDS_KEPT + 1, np.int64)) == [(2, IDS_KEPT + 1)]


def test_spans_are_free() -> None:
    assert reads_of(*[Span(0, 1, IDS_KEPT)] * 3) == [(1, IDS_KEPT), (2, IDS_KEPT), (3, IDS_KEPT)]


def test_rows_read_one_by_one_are_gathered_by_file() -> None:
    """GIVEN rows of two files read in turn, and a slice THEN there is one look at each file's rows, and the slice."""
    origins = Origins()
    bases = [origins.register(Key(f"{name}.npy", "", 1, 1), 100).base for name in "xy"]
    reads = [Read(n, 0, Span(bases[n % 2] + n, 1, 1)) for n in range(6)]
    reads.insert(3, Read(9, 0, Span(50, 1, 8)))
    x, y, part = gather(reads, origins)
    assert isinstance(x, np.ndarray)
    assert isinstance(y, np.ndarray)
    assert (x.tolist(), y.tolist(), part) == ([0, 2, 4], [101, 103, 105], Span(50, 1, 8))
    assert list(gather([], origins)) == []
