"""A journal back into events, up to its last whole one.

Blocks are read with ``pread``, never mapped: a live writer that runs into a full disk cuts its file, and a mapping
would turn that into a bus error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xxhash import xxh3_64_intdigest

from coverage_audit.errors import LogError
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Mark
from coverage_audit.model.rows import Ints
from coverage_audit.runlog.frames import (
    HEAD,
    HEADER_BYTES,
    MAGIC,
    Frame,
    Head,
    is_whole,
    mark_from_bytes,
    payload_bytes,
)

_BLOCK = 4 << 20

Record = tuple[Head, bytes | memoryview]
"""A header and its payload, which is a view that keeps its block alive."""


@dataclass
class JournalRead:
    """One journal. Iterate :meth:`records` or :meth:`events`; both stop at the last whole event.

    ``torn`` and ``whole_bytes`` are known once an iteration came to its end: whether bytes follow the last whole
    event, and where it ends. ``splits`` names the split indices the journal stores; an index without a name is
    called ``split-<index>``. Nothing behind byte ``limit`` is looked at.
    """

    path: Path
    splits: Sequence[str] = ()
    limit: int | None = None
    torn: bool = False
    whole_bytes: int = 0

    def records(self) -> Iterator[Record]:
        """Headers with their payloads, in order. Raises :class:`LogError` if the file cannot be read."""
        self.torn, self.whole_bytes = False, 0
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise LogError(
                f"{self.path} cannot be read ({error.strerror}): give this user the right to read it",
                slug="unreadable-journal",
            ) from error
        try:
            yield from self._records(fd)
        finally:
            os.close(fd)

    def _records(self, fd: int) -> Iterator[Record]:
        end = os.fstat(fd).st_size  # what a live writer appends later is for the next reading
        if self.limit is not None:
            end = min(end, self.limit)
        block, start = memoryview(b""), 0  # the file's bytes from `start` on
        at = 0  # inside the block
        while True:
            need = HEADER_BYTES
            if len(block) - at >= need:
                header = block[at : at + need]
                head: Head = HEAD.unpack_from(header)
                if head[0] != MAGIC or not is_whole(header):
                    break
                need += payload_bytes(head)
                if len(block) - at >= need:
                    payload = block[at + HEADER_BYTES : at + need]
                    if xxh3_64_intdigest(payload) != head[12]:
                        break
                    at += need
                    self.whole_bytes = start + at
                    yield head, payload
                    continue
            start += at
            if start + need > end:
                break
            block, at = memoryview(os.pread(fd, max(_BLOCK, need), start)), 0
            if len(block) < need:
                break
        self.torn = self.whole_bytes < end

    def events(self) -> Iterator[Event]:
        """The same as :mod:`~coverage_audit.model.event` values."""
        for head, payload in self.records():
            yield self._event(head, payload)

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    def name_of(self, split: int) -> str:
        return self.splits[split] if split < len(self.splits) else f"split-{split}"

    def _event(self, head: Head, payload: bytes | memoryview) -> Event:
        frame, found, split, pass_, worker, segment, _, number, time_ns, a = head[1:11]
        if frame == Frame.MARK:
            return mark_from_bytes(bytes(payload[:a]), time_ns)
        if frame == Frame.CONSUMED:
            return Consumed(self.name_of(split), number, time_ns)
        return Batch(self.name_of(split), number, rows_of(head, payload), found, segment, pass_, worker, time_ns)


def rows_of(head: Head, payload: bytes | memoryview) -> BatchRows:
    """The rows of a yield; a run of sample ids is spelled out."""
    frame, count, a, b = head[1], head[7], head[10], head[11]
    if frame in (Frame.IDS, Frame.IDS_SMALL):
        return BatchRows(count, ids=ids_of(head, payload))
    if frame == Frame.RUN:
        if a < 0:
            return BatchRows(count, ids=np.arange(b, b + count, dtype=np.int64))
        return BatchRows(count, runs=np.array([[a, b, count]], np.int64))
    if frame == Frame.PAIRS:
        row, shard = pairs_of(count, payload)
        return BatchRows(count, shard=shard, row=row)
    if frame == Frame.RUNS:
        return BatchRows(count, runs=runs_of(payload))
    return BatchRows(count)


def ids_of(head: Head, payload: bytes | memoryview) -> Ints:
    """int64 sample ids of an IDS or IDS_SMALL payload."""
    if head[1] == Frame.IDS_SMALL:
        return np.frombuffer(payload, np.int32, head[7]).astype(np.int64)
    return np.frombuffer(payload, np.int64)


def pairs_of(count: int, payload: bytes | memoryview) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """(rows, shards) of a PAIRS payload."""
    return np.frombuffer(payload, np.int64, count), np.frombuffer(payload, np.int32, count, 8 * count)


def runs_of(payload: bytes | memoryview) -> Ints:
    """int64 (n, 3) of a RUNS payload."""
    return np.frombuffer(payload, np.int64).reshape(-1, 3)


def mark_of(head: Head, payload: bytes | memoryview) -> Mark:
    return mark_from_bytes(bytes(payload[: head[10]]), head[9])


def read_journal(path: Path, splits: Sequence[str] = ()) -> JournalRead:
    """A journal to be read; ``splits`` are the writer's declared names, in order. Reads nothing yet."""
    return JournalRead(path, splits)
