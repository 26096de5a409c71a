"""Visits as they were recorded -> blocks: whole batches of one epoch, one told pass and one status."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.expand import expand, shard_of_ids
from coverage_audit.counts.source import SplitSource, Stream
from coverage_audit.counts.tally import Tally, count_batches, nameless_rows
from coverage_audit.model.event import VERIFIED, Found
from coverage_audit.model.rows import Ints, Mask
from coverage_audit.runlog.visits import I8, Visits, only_value

MAX_VISITS = 1 << 17  # one block's ids: 1 MB, so that temporaries are used again before they leave the cache

_ZERO: Ints = np.zeros(1, np.int64)


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
    lies in one shard and its size is congruent to that), ``worker`` (of the loader, -1: none), ``offset`` (len + 1:
    where its known, expected rows begin in ``ids``). ``epoch`` is -1 where nobody says. ``shard``: of each of ``ids``,
    None where there are not several shards. ``attempt``: that recorded it.
    """

    epoch: int
    fit: int
    pass_: int
    status: Status
    number: Ints
    size: Ints
    one_shard: npt.NDArray[np.int32]
    worker: npt.NDArray[np.int32]
    offset: Ints
    ids: Ints
    unidentified: int = 0
    outside: int = 0
    shard: npt.NDArray[np.int32] | None = None
    attempt: int = 0


@dataclass(slots=True)
class _Past:
    """What a piece of the log has to know of those before it.

    ``highest``: batch number; ``epoch``, ``fit``: of the last batch that is no hole, None before there is one.
    """

    highest: int = -1
    epoch: int | None = None
    fit: int | None = None


def read_blocks(source: SplitSource, stream: Stream, tally: Tally) -> Iterator[Block]:
    """All blocks of one stream. Batches that straddle two pieces of the log are put together first."""
    shards = source.shards
    expected = None if shards is None or shards.selected is None else shards.selected.mask(shards.n_ids)
    past = _Past()
    held: Visits | None = None
    for piece in stream.visits():
        visits = piece.of_split(source.info.name)
        if not len(visits):
            continue
        starts = np.flatnonzero(_starts(visits))
        if held is not None:
            if held.batch[0] == visits.batch[0] and held.step[0] == visits.step[0]:
                held = Visits.concat([held, visits.take(slice(0, int(starts[1]) if len(starts) > 1 else len(visits)))])
                starts = starts[1:]
            if not len(starts):
                continue
            yield from _blocks(held, np.zeros(1, np.int64), source, stream, expected, past, tally)
        first, last = int(starts[0]), int(starts[-1])
        held = visits.take(slice(last, None))
        if first < last:
            whole = visits.take(slice(first, last))
            yield from _blocks(whole, starts[:-1] - first, source, stream, expected, past, tally)
    if held is not None:
        yield from _blocks(held, np.zeros(1, np.int64), source, stream, expected, past, tally)


def _starts(visits: Visits) -> Mask:
    """Which records begin a batch: another batch number, or the same one consumed again."""
    first = np.ones(len(visits), np.bool_)
    np.not_equal(visits.batch[1:], visits.batch[:-1], out=first[1:])
    first[1:] |= visits.step[1:] != visits.step[:-1]
    return first


def _blocks(
    visits: Visits,
    starts: Ints,
    source: SplitSource,
    stream: Stream,
    expected: Mask | None,
    past: _Past,
    tally: Tally,
) -> Iterator[Block]:
    """Blocks of whole batches, which begin at ``starts``."""
    number = visits.batch[starts]
    ends = np.append(starts, len(visits))
    count = only_value(visits.count)
    single = count == 1 or (count is None and bool((visits.count == 1).all()))  # a record is a visit, if shuffled
    size = np.diff(ends) if single else np.add.reduceat(visits.count, starts, dtype=np.int64)
    how = _ways(visits.found)
    known = visits.shard >= 0
    if source.raw_ids and source.shards is not None:
        known = (how != Found.UNKNOWN) & (visits.row >= 0) & (visits.row + visits.count <= source.shards.n_ids)
    replay, hole = _status(visits, starts, number, source, past.highest)
    unknown = number < 0
    nameless = how[starts] == Found.UNKNOWN
    size = _assumed(size, nameless & ~unknown, source.info.batch_size, tally)
    status = np.select(
        [unknown, hole, replay], [int(Status.UNKNOWN), int(Status.HOLE), int(Status.REPLAY)], int(Status.NORMAL)
    )
    # A hole has no epoch; it stands between its neighbours and must not cut their epoch in two.
    epoch = _carry(_epochs(visits, starts, number, source, stream), hole, past.epoch)
    fit = _carry(visits.fit[starts].astype(np.int64), hole, past.fit)
    pass_ = visits.pass_[starts].astype(np.int64)
    count_batches(visits, how, starts, size, ~replay & ~unknown, tally)
    one_shard = _single_shard(visits, starts, known)
    worker = visits.worker[starts]

    total = np.cumsum(size) // MAX_VISITS
    change = np.ones(len(starts), np.bool_)
    change[1:] = (
        (epoch[1:] != epoch[:-1])
        | (fit[1:] != fit[:-1])
        | (pass_[1:] != pass_[:-1])
        | (status[1:] != status[:-1])
        | (total[1:] != total[:-1])
    )
    bounds = np.append(np.flatnonzero(change), len(starts)).tolist()
    past.highest = max(past.highest, int(number.max()))
    if not hole.all():
        past.epoch, past.fit = int(epoch[-1]), int(fit[-1])
    for low, high in itertools.pairwise(bounds):
        records = slice(int(ends[low]), int(ends[high]))
        ids, of_record, outside = expand(visits, records, single, known[records], source, expected, tally)
        counts = size[low:high] if of_record is None else np.add.reduceat(of_record, starts[low:high] - records.start)
        yield Block(
            epoch=int(epoch[low]),
            fit=int(fit[low]),
            pass_=int(pass_[low]),
            status=Status(int(status[low])),
            number=number[low:high],
            size=size[low:high],
            one_shard=one_shard[low:high],
            worker=worker[low:high],
            offset=np.concatenate((_ZERO, np.cumsum(counts, dtype=np.int64))),
            ids=ids,
            unidentified=nameless_rows(size[low:high], nameless[low:high]),
            outside=outside,
            shard=shard_of_ids(visits.shard[records], of_record, ids, source),
            attempt=visits.attempt,
        )


def _assumed(size: Ints, nameless: Mask, declared: int | None, tally: Tally) -> Ints:
    """Rows per batch. Where even their number is unknown it is taken to be the declared one, else the largest so far:
    a batch of no rows would be a partial one, and prove others missed."""
    unsized = nameless & (size < 1)
    if not unsized.any():
        return size
    return np.where(unsized, declared or max(int(size.max()), max(tally.sizes, default=0)), size)


def _ways(found: I8) -> I8:
    one = only_value(found)
    return found & ~VERIFIED if one is None else np.broadcast_to(np.int8(one & ~VERIFIED), len(found))


def _status(visits: Visits, starts: Ints, number: Ints, source: SplitSource, highest: int) -> tuple[Mask, Mask]:
    consumed = visits.step[starts] >= 0
    # Where anybody says what was trained, a yield nobody trained on is a hole, in a forked child's record too.
    hole = ~consumed if source.trained else np.zeros(len(starts), np.bool_)
    reached = np.maximum.accumulate(np.concatenate(([highest], number)))[:-1]
    return consumed & (number <= reached), hole


def _epochs(visits: Visits, starts: Ints, number: Ints, source: SplitSource, stream: Stream) -> Ints:
    if source.trained:
        told = visits.epoch[starts].astype(np.int64)
        if not stream.epochs and source.info.steps_per_epoch is not None:
            # Steps were told and epochs were not: they are as long as was declared.
            step = visits.step[starts]
            return np.where(step >= 0, step // source.info.steps_per_epoch + stream.epoch_offset, -1)
        return np.where(told >= 0, told + stream.epoch_offset, told)
    if source.info.steps_per_epoch is not None:
        return number // source.info.steps_per_epoch + stream.epoch_offset
    return np.full(len(starts), -1, np.int64)


def _carry(values: Ints, holes: Mask, before: int | None) -> Ints:
    """Give holes their predecessor's value; at the start that of the batch ``before``, else the first known one's."""
    if not holes.any():
        return values
    real = np.flatnonzero(~holes)
    if not len(real):
        return values if before is None else np.full(len(values), before, np.int64)
    at = np.searchsorted(real, np.arange(len(values)), side="right") - 1
    carried = values[real[np.maximum(at, 0)]]
    return carried if before is None else np.where(at < 0, before, carried)


def _single_shard(visits: Visits, starts: Ints, known: Mask) -> npt.NDArray[np.int32]:
    """The shard each batch lies in, -1 where it lies in several or in none that is known."""
    low = np.minimum.reduceat(visits.shard, starts)
    high = np.maximum.reduceat(visits.shard, starts)
    one = low == high
    if not known.all():
        one &= np.minimum.reduceat(known, starts)
    return np.where(one, low, -1).astype(np.int32)
