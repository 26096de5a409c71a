"""The journal: every event comes back, a cut file is a prefix, a full disk leaves no half event."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.errors import LogError
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Mark, MarkKind
from coverage_audit.runlog.frames import HEADER_BYTES
from coverage_audit.runlog.journal import Journal, is_live, journal_path, read_journal
from coverage_audit.testing.logs import write_events

STEM = "a000-r0000-p0001"
SPLITS = ["train", "validation"]

int64s = st.integers(-(2**63), 2**63 - 1)
int32s = st.integers(-(2**31), 2**31 - 1)
small = st.integers(0, 2**31 - 1)


def _rows() -> st.SearchStrategy[BatchRows]:
    ids = st.lists(int64s, max_size=8).map(lambda v: BatchRows(len(v), ids=np.array(v, np.int64)))
    run = st.tuples(st.integers(-5, 2**40), st.integers(1, 9)).map(
        lambda v: BatchRows(v[1], ids=np.arange(v[0], v[0] + v[1], dtype=np.int64))
    )
    pairs = st.lists(st.tuples(int32s, int64s), max_size=8).map(
        lambda v: BatchRows(
            len(v), shard=np.array([s for s, _ in v], np.int32), row=np.array([r for _, r in v], np.int64)
        )
    )
    runs = st.lists(st.tuples(st.integers(-1, 99), st.integers(0, 2**40), st.integers(0, 99)), max_size=5).map(
        lambda v: BatchRows(sum(c for *_, c in v), runs=np.array(v, np.int64).reshape(-1, 3))
    )
    unknown = st.integers(-1, 2**31 - 1).map(BatchRows)
    return st.one_of(ids, run, pairs, runs, unknown)


events = st.one_of(
    st.builds(
        Batch,
        split=st.sampled_from(SPLITS),
        number=int64s,
        rows=_rows(),
        found=st.integers(0, 127),
        segment=small,
        pass_=st.integers(-1, 2**31 - 1),
        worker=st.integers(-1, 2**31 - 1),
        time_ns=int64s,
    ),
    st.builds(Consumed, split=st.sampled_from(SPLITS), steps=st.integers(0, 2**40), time_ns=int64s),
    st.builds(
        Mark,
        kind=st.sampled_from(MarkKind),
        split=st.sampled_from(["", *SPLITS]),
        time_ns=int64s,
        data=st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.booleans(), int64s, st.text(max_size=9))),
    ),
)


def plain(event: Event) -> Any:
    """An event as a value that can be compared."""
    if not isinstance(event, Batch):
        return event
    rows = event.rows
    arrays = [None if a is None else a.tolist() for a in (rows.ids, rows.shard, rows.row, rows.runs)]
    return (event.split, event.number, event.segment, event.pass_, event.worker, event.found, rows.count, arrays)


def write(folder: Path, what: list[Event], **options: Any) -> list[Path]:
    journal = Journal(folder, STEM, **options)
    write_events(journal, what, SPLITS)
    journal.close()
    return sorted(folder.glob("*.journal"))


def read(path: Path) -> list[Any]:
    return [plain(e) for e in read_journal(path, SPLITS)]


@settings(deadline=None)
@given(what=st.lists(events, max_size=12), roll=st.sampled_from([1, 200, 10**9]))
def test_events_come_back(tmp_path_factory: pytest.TempPathFactory, what: list[Event], roll: int) -> None:
    paths = write(tmp_path_factory.mktemp("journal"), what, roll_bytes=roll)

    assert [e for path in paths for e in read(path)] == [plain(e) for e in what]


def test_a_run_is_never_claimed_where_there_is_none(tmp_path: Path) -> None:
    # GIVEN ids whose ends look like a run
    ids = np.array([3, 5, 4, 6], np.int64)

    # WHEN they are written as ids, WHEN a true run is
    journal = Journal(tmp_path, STEM)
    journal.write_ids(0, 0, 0, -1, -1, 1, 0, ids)
    size = journal.path.stat().st_size
    journal.write_ids(0, 1, 0, -1, -1, 1, 0, np.arange(3, 7))
    journal.close()

    # THEN the first keeps its order, THEN the second is a header without payload
    assert size == HEADER_BYTES + 4 * 8
    assert journal_path(tmp_path, STEM, 0).stat().st_size == size + HEADER_BYTES
    first, second = read(journal_path(tmp_path, STEM, 0))
    assert (first[-1][0], second[-1][0]) == ([3, 5, 4, 6], [3, 4, 5, 6])


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 1000, 65_536, 65_537])
@pytest.mark.parametrize("first", [-5, 0, 2**63 - 70_000])
def test_consecutive_ids_are_a_run_at_any_length(tmp_path: Path, n: int, first: int) -> None:
    # GIVEN n consecutive ids, and the same with two in the middle swapped
    run = np.arange(first, first + n)
    swapped = run.copy()
    swapped[[n // 2, n // 2 - 1]] = swapped[[n // 2 - 1, n // 2]]

    # WHEN both are written
    journal = Journal(tmp_path, STEM)
    journal.write_ids(0, 0, 0, -1, -1, 1, 0, run)
    size = journal.path.stat().st_size
    journal.write_ids(0, 1, 0, -1, -1, 1, 0, swapped)
    journal.close()

    # THEN only what is a run is stored as one, THEN both come back
    first_back, second_back = read(journal_path(tmp_path, STEM, 0))
    assert size == HEADER_BYTES
    assert (first_back[-1][0], second_back[-1][0]) == (run.tolist(), swapped.tolist())


@settings(deadline=None)
@given(st.integers(100, 300), st.sampled_from([0, -1, 2**31 - 1, 2**31, 2**40, -(2**40)]), st.integers(0, 99))
def test_many_small_ids_take_half_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, n: int, odd_one: int, at: int
) -> None:
    """GIVEN a batch with one id that may be large THEN it comes back, and took 4 bytes an id where that is enough."""
    ids = np.random.default_rng(n).permutation(n)
    ids[at] = odd_one
    path = write(tmp_path_factory.mktemp("journal"), [Batch("train", 0, BatchRows(n, ids=ids))])[0]

    assert read(path)[0][-1][0] == ids.tolist()
    is_small = n >= 128 and 0 <= odd_one < 2**31
    assert path.stat().st_size == HEADER_BYTES + (4 * (n + n % 2) if is_small else 8 * n)


def test_a_journal_cut_anywhere_is_a_prefix(tmp_path: Path) -> None:
    # GIVEN a journal of each kind of event
    what: list[Event] = [
        Mark(MarkKind.OPENED, "train", 1, {"segment": 0}),
        Batch("train", 0, BatchRows(3, ids=np.array([4, 0, 9]))),
        Batch("train", 1, BatchRows(2, ids=np.array([4, 5]))),
        Batch("train", 2, BatchRows(1, shard=np.array([1], np.int32), row=np.array([0]))),
        Batch("validation", 0, BatchRows(7)),
        Consumed("train", 2),
    ]
    path = write(tmp_path, what)[0]
    whole, every = path.read_bytes(), read(path)
    ends = []
    for count in range(len(what)):
        folder = tmp_path / str(count)
        folder.mkdir()
        ends.append(write(folder, what[:count])[0].stat().st_size)

    for cut in range(len(whole) + 1):
        # WHEN it is cut at any byte
        path.write_bytes(whole[:cut])
        journal = read_journal(path, SPLITS)
        got = [plain(e) for e in journal]

        # THEN what lies before the cut is there, and the rest is said to be torn
        n = sum(end <= cut for end in [*ends[1:], len(whole)])
        assert got == every[:n]
        assert journal.torn == (cut not in [*ends, len(whole)])
        assert journal.whole_bytes == [*ends, len(whole)][n]


@settings(deadline=None)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_ends_the_journal(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    what: list[Event] = [Batch("train", n, BatchRows(3, ids=np.array([4, 0, 9]))) for n in range(4)]
    path = write(tmp_path_factory.mktemp("journal"), what)[0]
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at] ^= 1 << bit
    path.write_bytes(data)

    journal = read_journal(path, SPLITS)

    assert [plain(e) for e in journal] == [plain(e) for e in what[: at // (len(data) // 4)]]
    assert journal.torn


def test_a_large_event_crosses_reading_blocks(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).permutation(700_000).astype(np.int64)
    what: list[Event] = [Batch("train", n, BatchRows(len(ids), ids=ids)) for n in range(2)]

    assert read(write(tmp_path, what)[0]) == [plain(e) for e in what]


def test_a_full_disk_leaves_whole_events_only(tmp_path: Path) -> None:
    # GIVEN a process whose files may not grow beyond 1000 bytes
    script = f"""
        import resource, signal, sys
        import numpy as np
        from pathlib import Path
        from coverage_audit.runlog.journal import Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        journal = Journal(Path({str(tmp_path)!r}), {STEM!r})
        failures = 0
        for number in range(5):
            try:
                journal.write_ids(0, number, 0, -1, -1, 1, 0, np.arange(0, 80, 2))
            except OSError:
                failures += 1
        journal.write_consumed(0, 1, 0)
        journal.close()
        print(failures)
    """
    # WHEN it writes five events of 384 bytes and then a small one
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )

    # THEN three failed and told so, THEN the file ends with a whole event
    assert done.stdout == "3\n"
    journal = read_journal(journal_path(tmp_path, STEM, 0), SPLITS)
    assert [type(e).__name__ for e in journal] == ["Batch", "Batch", "Consumed"]
    assert not journal.torn


def test_kill_9_loses_no_acknowledged_event(tmp_path: Path) -> None:
    # GIVEN a process that says each number once its event is written
    script = f"""
        import os
        import numpy as np
        from pathlib import Path
        from coverage_audit.runlog.journal import Journal
        journal = Journal(Path({str(tmp_path)!r}), {STEM!r}, roll_bytes=50_000)
        ids = np.arange(0, 512, 2)
        for number in range(10**9):
            journal.write_ids(0, number, 0, -1, -1, 1, 0, ids)
            os.write(1, b"%d\\n" % number)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process, process.stdout as said:
        acknowledged = [int(said.readline()) for _ in range(500)]
        assert is_live(tmp_path, STEM)
        # WHEN it is killed
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in said.read().splitlines() if line]
        process.wait()

    # THEN every acknowledged number is in the journals, in order, and nobody is taken for live
    numbers = [event[1] for path in sorted(tmp_path.glob("*.journal")) for event in read(path)]
    assert acknowledged == list(range(len(acknowledged)))
    assert numbers[: len(acknowledged)] == acknowledged
    assert len(numbers) - len(acknowledged) in (0, 1)
    assert not is_live(tmp_path, STEM)


def test_a_fork_neither_writes_nor_keeps_the_lock(tmp_path: Path) -> None:
    # GIVEN a process with a journal that forks and dies, while its child lives on
    script = f"""
        import json, os, sys, time
        from pathlib import Path
        from coverage_audit.runlog.journal import Journal
        journal = Journal(Path({str(tmp_path)!r}), {STEM!r})
        journal.write_consumed(0, 1, 0)
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(write)
            while os.read(read, 1):  # until the parent is gone
                pass
            try:
                journal.write_consumed(0, 1, 0)
                print(json.dumps("written"), flush=True)
            except OSError as error:
                print(json.dumps(error.strerror), flush=True)
            sys.stdin.read()
            os._exit(0)
        os._exit(0) if os.write(write, b"x") else None
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        said = json.loads(process.stdout.readline())

        # THEN the child could not write, and does not look like a live writer
        assert said == "Bad file descriptor"
        gone_by = time.monotonic() + 10  # the parent closes its files one after the other
        while is_live(tmp_path, STEM) and time.monotonic() < gone_by:
            time.sleep(0.01)
        assert not is_live(tmp_path, STEM)
    assert [type(e).__name__ for e in read_journal(journal_path(tmp_path, STEM, 0))] == ["Consumed"]


def test_a_closed_journal_refuses_and_a_second_one_of_its_name_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path, STEM, sync_every=0.0)
    journal.write_consumed(0, 1, 0)
    assert is_live(tmp_path, STEM)
    journal.close()
    journal.close()

    assert not is_live(tmp_path, STEM)
    with pytest.raises(OSError, match="Bad file descriptor"):
        journal.write_consumed(0, 1, 0)
    with pytest.raises(LogError, match="exists already") as caught:
        Journal(tmp_path, STEM)
    assert caught.value.slug == "journal-exists"


def test_an_index_without_a_name_is_still_read(tmp_path: Path) -> None:
    path = write(tmp_path, [Consumed("validation", 3)])[0]

    assert list(read_journal(path)) == [Consumed("split-1", 3)]
