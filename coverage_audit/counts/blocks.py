"""Visits as they were recorded -> blocks: whole batches of one epoch, one told pass and one status."""

from __future__ import annotations

import enum
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.source import SplitSource, Stream
from coverage_audit.model.event import VERIFIED, Found
from coverage_audit.model.rows import Ints, Mask
from coverage_audit.runlog.visits import Visits

MAX_VISITS = 1 << 18  # one block's ids: 2 MB, so that the working set stays in the caches' reach


class Status(enum.IntEnum):
    """NORMAL: yielded and consumed. HOLE: yielded, never consumed. REPLAY: consumed again, not yielded again.

    UNKNOWN: a step was taken and nobody can say with which batch.
    """

    NORMAL = 0
    HOLE = 1
    REPLAY = 2
    UNKNOWN = 3

    @property
    def yielded(self) -> bool:
        """Whether the loader made a batch here."""
        return self in (Status.NORMAL, Status.HOLE)


@dataclass(frozen=True, slots=True)
class Block:
    """Whole batches, in order, alike in epoch, fit, told pass and status.

    Per batch: ``number``, ``size`` (rows, known or not), ``remainder`` (one shard's n mod B rows would fit: the batch
    lies in one shard and its size is congruent to that), ``offset`` (len + 1: where its known, expected rows begin in
    ``ids``). ``epoch`` is -1 where nobody says.
    """

    epoch: int
    fit: int
    pass_: int
    status: Status
    number: Ints
    size: Ints
    one_shard: npt.NDArray[np.int32]
    offset: Ints
    ids: Ints
    unidentified: int = 0
    outside: int = 0


@dataclass(slots=True)
class Tally:
    """What needs no order: sizes, ways of knowing, rows that are not of the data. Counts yields."""

    sizes: Counter[int] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    unidentified: int = 0
    unidentified_batches: int = 0
    outside: int = 0
    outside_rows: list[tuple[int, int]] = field(default_factory=list)
    yields: int = 0


def read_blocks(source: SplitSource, stream: Stream, tally: Tally) -> Iterator[Block]:
    """All blocks of one stream. Batches that straddle two pieces of the log are put together first."""
    shards = source.shards
    expected = None if shards is None or shards.selected is None else shards.selected.mask(shards.n_ids)
    highest = -1
    held: Visits | None = None
    for piece in stream.visits():
        if source.info.name not in piece.splits:
            continue
        mine = piece.split == piece.splits.index(source.info.name)
        visits = piece if mine.all() else piece.take(mine)
        if not len(visits):
            continue
        if held is not None:
            visits = Visits.concat([held, visits])
        cut = _last_batch(visits)
        held = visits.take(slice(cut, None))
        for block in _blocks(visits.take(slice(0, cut)), source, stream, expected, highest, tally):
            highest = max(highest, int(block.number.max()))
            yield block
    if held is not None:
        yield from _blocks(held, source, stream, expected, highest, tally)


def _starts(visits: Visits) -> Mask:
    """Which records begin a batch: another batch number, or the same one consumed again."""
    first = np.ones(len(visits), np.bool_)
    first[1:] = (visits.batch[1:] != visits.batch[:-1]) | (visits.step[1:] != visits.step[:-1])
    return first


def _last_batch(visits: Visits) -> int:
    return int(np.flatnonzero(_starts(visits))[-1])


def _blocks(
    visits: Visits, source: SplitSource, stream: Stream, expected: Mask | None, highest: int, tally: Tally
) -> Iterator[Block]:
    if not len(visits):
        return
    starts = np.flatnonzero(_starts(visits))
    number = visits.batch[starts]
    rows = visits.count.astype(np.int64)
    size = np.add.reduceat(rows, starts)
    known = visits.shard >= 0
    if source.raw_ids and source.shards is not None:
        found = (visits.found & ~VERIFIED) != Found.UNKNOWN
        known = found & (visits.row >= 0) & (visits.row + visits.count <= source.shards.n_ids)
    replay, hole = _status(visits, starts, number, stream, highest)
    unknown = number < 0
    status = np.select(
        [unknown, hole, replay], [int(Status.UNKNOWN), int(Status.HOLE), int(Status.REPLAY)], int(Status.NORMAL)
    )
    epoch = _epochs(visits, starts, number, source)
    # A hole has no epoch; it stands between its neighbours and must not cut their epoch in two.
    epoch = _carry(epoch, hole)
    fit = _carry(visits.fit[starts].astype(np.int64), hole)
    pass_ = visits.pass_[starts].astype(np.int64)
    _tally(visits, starts, size, ~replay & ~unknown, tally)
    one_shard = _single_shard(visits, starts, known)

    change = np.ones(len(starts), np.bool_)
    change[1:] = (
        (epoch[1:] != epoch[:-1])
        | (fit[1:] != fit[:-1])
        | (pass_[1:] != pass_[:-1])
        | (status[1:] != status[:-1])
        | (np.cumsum(size)[1:] // MAX_VISITS != np.cumsum(size)[:-1] // MAX_VISITS)
    )
    bounds = np.append(np.flatnonzero(change), len(starts))
    ends = np.append(starts, len(visits))
    for low, high in itertools.pairwise(bounds):
        records = slice(int(ends[low]), int(ends[high]))
        inside = known[records]
        ids, of_record, outside = _expand(visits, records, inside, source, expected, tally)
        counts = np.add.reduceat(of_record, starts[low:high] - records.start)
        offset = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        # A step whose batch nobody knows held at least one row.
        nameless = (visits.found[records] & ~VERIFIED) == Found.UNKNOWN
        yield Block(
            epoch=int(epoch[low]),
            fit=int(fit[low]),
            pass_=int(pass_[low]),
            status=Status(int(status[low])),
            number=number[low:high],
            size=size[low:high],
            one_shard=one_shard[low:high],
            offset=offset,
            ids=ids,
            unidentified=int(rows[records][nameless].sum()) + int(nameless.sum() if unknown[low] else 0),
            outside=outside,
        )


def _status(visits: Visits, starts: Ints, number: Ints, stream: Stream, highest: int) -> tuple[Mask, Mask]:
    consumed = visits.step[starts] >= 0
    hole = ~consumed if stream.trained else np.zeros(len(starts), np.bool_)
    reached = np.maximum.accumulate(np.concatenate(([highest], number)))[:-1]
    return consumed & (number <= reached), hole


def _epochs(visits: Visits, starts: Ints, number: Ints, source: SplitSource) -> Ints:
    if source.trained:
        return visits.epoch[starts].astype(np.int64)
    if source.info.steps_per_epoch is not None:
        return number // source.info.steps_per_epoch
    return np.full(len(starts), -1, np.int64)


def _carry(values: Ints, holes: Mask) -> Ints:
    """Give holes their predecessor's value (the first known one's at the start)."""
    if not holes.any() or holes.all():
        return values
    real = np.flatnonzero(~holes)
    at = np.maximum(np.searchsorted(real, np.arange(len(values)), side="right") - 1, 0)
    return values[real[at]]


def _tally(visits: Visits, starts: Ints, size: Ints, yielded: Mask, tally: Tally) -> None:
    values, times = np.unique(size[yielded], return_counts=True)
    tally.sizes.update({int(v): int(n) for v, n in zip(values, times, strict=True)})
    tally.yields += int(yielded.sum())
    how = visits.found & ~VERIFIED
    for code in np.unique(how):
        rows = int(visits.count[how == code].sum(dtype=np.int64))
        tally.found[Found(int(code)).name.lower().replace("_", " ")] += rows
    unknown = how == Found.UNKNOWN
    tally.unidentified += int(visits.count[unknown].sum(dtype=np.int64))
    tally.unidentified_batches += int(unknown[starts].sum())


def _single_shard(visits: Visits, starts: Ints, known: Mask) -> npt.NDArray[np.int32]:
    """The shard each batch lies in, -1 where it lies in several or in none that is known."""
    low = np.minimum.reduceat(visits.shard, starts)
    high = np.maximum.reduceat(visits.shard, starts)
    return np.where((low == high) & np.minimum.reduceat(known, starts), low, -1).astype(np.int32)


def _expand(
    visits: Visits, records: slice, inside: Mask, source: SplitSource, expected: Mask | None, tally: Tally
) -> tuple[Ints, Ints, int]:
    """Records -> expected sample ids; also how many of them each record gives, and how many rows are outside."""
    shards = source.shards
    shard, row, count = visits.shard[records], visits.row[records], visits.count[records].astype(np.int64)
    strange = ~inside & ((visits.found[records] & ~VERIFIED) != Found.UNKNOWN)
    outside = int(count[strange].sum())
    if outside:
        _remember(tally, -1, row[strange], count[strange])
    if shards is None or not inside.any():
        tally.outside += outside
        return np.empty(0, np.int64), np.zeros(len(row), np.int64), outside
    if not inside.all():
        count = np.where(inside, count, 0)
    first = row if source.raw_ids else shards.offsets[np.maximum(shard, 0)] + row
    if (count == 1).all():
        ids = first
    else:
        before = np.cumsum(count) - count
        ids = np.arange(int(count.sum()), dtype=np.int64) + np.repeat(first - before, count)
    if expected is not None:
        wanted = expected[ids]
        if not wanted.all():
            outside += int((~wanted).sum())
            bad_shard, bad_row = shards.locate(ids[~wanted])
            _remember(tally, int(bad_shard[0]), bad_row, np.ones(len(bad_row), np.int64))
            keep = np.concatenate(([0], np.cumsum(wanted)))
            ends = np.cumsum(count)
            count = keep[ends] - keep[ends - count]
            ids = ids[wanted]
    tally.outside += outside
    return ids, count, outside


def _remember(tally: Tally, shard: int, rows: Ints, counts: Ints, limit: int = 20) -> None:
    """The first few rows that are not of the data; each record is a run of ``counts`` rows."""
    for row, count in zip(rows[:limit], counts[:limit], strict=True):
        for offset in range(min(int(count), limit - len(tally.outside_rows))):
            tally.outside_rows.append((shard, int(row) + offset))
