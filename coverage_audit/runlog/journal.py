"""The crash-safe append a recorder writes in the training loop.

Each event is one unbuffered ``writev``: once it returned, the event survives the death of the process (not of the
machine: that takes ``sync_every``). A write that fails leaves the journal ending at its last whole event.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_digest, xxh3_64_intdigest

from coverage_audit.errors import LogError
from coverage_audit.model.event import BatchRows, Mark
from coverage_audit.model.rows import Ints
from coverage_audit.runlog.frames import EMPTY, HEAD, HEADER_BYTES, MAGIC, Frame, mark_to_bytes
from coverage_audit.runlog.journal_read import JournalRead, read_journal
from coverage_audit.runlog.own_file import close_own, file_of

__all__ = ["Journal", "JournalRead", "is_live", "journal_path", "read_journal"]

_LOCK_PATIENCE = 2.0  # seconds; a reader that asks whether we live holds the lock for microseconds

_IDS, _IDS_SMALL, _RUN, _CONSUMED = int(Frame.IDS), int(Frame.IDS_SMALL), int(Frame.RUN), int(Frame.CONSUMED)

_WORTH_HALVING = 128  # ids: from there on writing half the bytes saves more than it costs to make them

_open_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def journal_path(folder: Path, stem: str, roll: int) -> Path:
    """``<stem>-00000.journal`` and its successors."""
    return folder / f"{stem}-{roll:05d}.journal"


def is_live(folder: Path, stem: str) -> bool:
    """Whether a process holds the lock of this writer's journal."""
    try:
        fd = os.open(journal_path(folder, stem, 0), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Journal:
    """Appends the events of one writer. Safe to call from several threads; useless in a forked child.

    While it is open (or its process lives), an exclusive ``flock`` on ``<stem>-00000.journal`` tells others that the
    writer is live. In a forked child every write raises ``OSError`` (bad file descriptor): a child is a writer of its
    own.

    Every ``write_*`` raises ``OSError`` when the event could not be written whole (disk full, file size limit); what
    was written before stays readable and the event leaves no trace. So it does when the program has closed our file.

    Raises :class:`LogError` if a journal of this stem exists already, ``OSError`` if the folder cannot be written.
    """

    def __init__(
        self, folder: Path, stem: str, *, roll_bytes: int = 256 << 20, sync_every: float | None = None
    ) -> None:
        self.folder = folder
        self.stem = stem
        self.roll = 0
        self._roll_bytes = roll_bytes
        self._sync_every = sync_every
        self._synced = time.monotonic()
        self._lock = threading.RLock()  # a signal's handler may tell of a checkpoint in the middle of a write
        self._size = 0
        self._fd = self._create()
        self._file = file_of(self._fd)
        self._first_fd, self._first_file = self._fd, self._file
        _take_lock(self._first_fd, journal_path(folder, stem, 0))
        _open_journals.add(self)

    @property
    def path(self) -> Path:
        """The journal that is being written."""
        return journal_path(self.folder, self.stem, self.roll)

    def write_ids(
        self, split: int, number: int, segment: int, pass_: int, worker: int, found: int, time_ns: int, ids: Ints
    ) -> None:
        """One yield by its sample ids (int64, C-contiguous, 1-D). Consecutive ids are written as one run."""
        n = len(ids)
        # The ends agree for few batches that are no run; all ids decide.
        if n and ids.item(n - 1) - ids.item(0) == n - 1 and _is_run(ids, n):
            self.write_run(split, number, segment, pass_, worker, found, time_ns, -1, ids.item(0), n)
            return
        frame = _IDS
        payload: npt.NDArray[Any] = ids
        if n >= _WORTH_HALVING and 0 <= int(np.bitwise_or.reduce(ids)) < 1 << 31:  # then so is each of them
            frame, payload = _IDS_SMALL, _halved(ids, n)
        digest = xxh3_64_intdigest(payload)  # type: ignore[arg-type]  # numpy types no buffer before Python 3.12
        head = HEAD.pack(MAGIC, frame, found, split, pass_, worker, segment, n, number, time_ns, 0, 0, digest)
        self._append(head, payload, payload.nbytes)

    def write_run(
        self,
        split: int,
        number: int,
        segment: int,
        pass_: int,
        worker: int,
        found: int,
        time_ns: int,
        shard: int,
        row: int,
        count: int,
    ) -> None:
        """One yield of ``count`` consecutive rows of ``shard``; with shard -1, ``row`` is the first sample id."""
        head = HEAD.pack(MAGIC, _RUN, found, split, pass_, worker, segment, count, number, time_ns, shard, row, EMPTY)
        self._append(head, b"", 0)

    def write_batch(
        self,
        split: int,
        number: int,
        segment: int,
        pass_: int,
        worker: int,
        found: int,
        time_ns: int,
        rows: BatchRows,
    ) -> None:
        """One yield in whichever form its rows are known."""
        if rows.ids is not None:
            ids = np.ascontiguousarray(rows.ids, np.int64)
            self.write_ids(split, number, segment, pass_, worker, found, time_ns, ids)
            return
        payload: bytes | Any = b""
        size = runs = 0
        if rows.runs is not None:
            table = np.ascontiguousarray(rows.runs, np.int64)
            runs = len(table)
            if runs == 1 and table.item(0) >= 0:
                self.write_run(split, number, segment, pass_, worker, found, time_ns, *table[0].tolist())
                return
            frame, payload, size = Frame.RUNS, table.tobytes(), table.nbytes
        elif rows.row is not None and rows.shard is not None:
            row = np.ascontiguousarray(rows.row, np.int64)
            shard = np.ascontiguousarray(rows.shard, np.int32)
            frame = Frame.PAIRS
            payload = row.tobytes() + shard.tobytes() + bytes(4 * (len(row) % 2))
            size = len(payload)
        else:
            frame = Frame.UNKNOWN
        head = HEAD.pack(
            MAGIC,
            frame,
            found,
            split,
            pass_,
            worker,
            segment,
            rows.count,
            number,
            time_ns,
            runs,
            0,
            xxh3_64_intdigest(payload),
        )
        self._append(head, payload, size)

    def write_consumed(self, split: int, steps: int, time_ns: int) -> None:
        """The loop finished ``steps`` more steps of this split."""
        self._append(HEAD.pack(MAGIC, _CONSUMED, 0, split, 0, 0, 0, 0, steps, time_ns, 0, 0, EMPTY), b"", 0)

    def write_mark(self, mark: Mark) -> None:
        """A rare event."""
        text = mark_to_bytes(mark)
        payload = text + b" " * (-len(text) % 8)
        head = HEAD.pack(MAGIC, Frame.MARK, 0, 0, 0, 0, 0, 0, 0, mark.time_ns, len(text), 0, xxh3_64_intdigest(payload))
        self._append(head, payload, len(payload))

    def close(self) -> None:
        """End the journal and release the lock. Closing twice is closing once."""
        with self._lock:
            self._release(sync=self._sync_every is not None)
        _open_journals.discard(self)

    def _append(self, head: bytes, payload: Any, size: int) -> None:
        total = HEADER_BYTES + size
        with self._lock:
            if file_of(self._fd) != self._file:
                raise OSError(f"{self.path.name}: the program has closed this file; close only files that it opened")
            if size:
                written = os.writev(self._fd, (head, xxh3_64_digest(head), payload))
            else:
                written = os.write(self._fd, head + xxh3_64_digest(head))
            if written != total:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                raise OSError(f"{self.path.name}: {written} of {total} bytes could be written; free space on the disk")
            self._size += total
            if self._size >= self._roll_bytes:
                self._roll_over()
            elif self._sync_every is not None and time.monotonic() - self._synced >= self._sync_every:
                os.fdatasync(self._fd)
                self._synced = time.monotonic()

    def _roll_over(self) -> None:
        """Go on in a new file. The first stays open: it carries the lock.

        The event is written by now, so a new file that cannot be had is no reason to complain: grow this one.
        """
        self.roll += 1
        try:
            fd = self._create()
        except OSError:
            self.roll -= 1
            self._roll_bytes *= 2
            return
        old, old_file = self._fd, self._file
        self._fd, self._file, self._size = fd, file_of(fd), 0
        if self._sync_every is not None:
            os.fdatasync(old)
        if old != self._first_fd:
            close_own(old, old_file)

    def _create(self) -> int:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except FileExistsError as error:
            raise LogError(
                f"{self.path} exists already: another recorder uses this name; open the log again to get another",
                slug="journal-exists",
            ) from error

    def _release(self, *, sync: bool) -> None:
        if self._fd == -1:
            return
        if sync:
            os.fdatasync(self._fd)
        for fd, file in {(self._fd, self._file), (self._first_fd, self._first_file)}:
            close_own(fd, file)
        self._fd = self._first_fd = -1

    def _forget(self) -> None:
        """In a forked child: the parent's lock must not outlive the parent, nor its events be written twice."""
        self._lock = threading.RLock()  # a thread that held it is not here
        self._release(sync=False)


def _halved(ids: Ints, n: int) -> npt.NDArray[Any]:
    """The ids as int32, padded to 8 bytes."""
    if n % 2 == 0:
        return ids.astype(np.int32)
    padded = np.zeros(n + 1, np.int32)
    padded[:n] = ids
    return padded


_RAMP_AT_MOST = 1 << 16
_ramp = np.arange(256, dtype=np.int64)


def _is_run(ids: Ints, n: int) -> bool:
    """Whether each id is one more than the one before it. As bytes: numpy's own ``all()`` costs a microsecond more."""
    global _ramp  # noqa: PLW0603 - grows to the largest batch; whoever loses a race makes it once more
    ramp = _ramp
    if n > _RAMP_AT_MOST:
        return bool((ids[1:] == ids[:-1] + 1).all())
    if len(ramp) < n:
        _ramp = ramp = np.arange(n, dtype=np.int64)
    return (ids - ids.item(0)).tobytes() == ramp[:n].tobytes()


def _take_lock(fd: int, path: Path) -> None:
    until = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(fd)
                raise
            time.sleep(0.001)
        except OSError as error:
            os.close(fd)
            raise LogError(
                f"{path} cannot be locked ({error.strerror}): put the log on a file system that has flock",
                slug="no-file-locks",
            ) from error


def _forget_all() -> None:
    for journal in tuple(_open_journals):
        journal._forget()
    _open_journals.clear()


os.register_at_fork(after_in_child=_forget_all)
