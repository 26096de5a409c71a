"""Pieces in, epochs, passes and holes out. All exact; epochs are finished one after the other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.blocks import Status
from coverage_audit.counts.marking import count_among, rows_of
from coverage_audit.counts.ordering import Ordering, places_of
from coverage_audit.counts.recency import Indices
from coverage_audit.counts.shares import EpochShare
from coverage_audit.counts.sharing import Sharing
from coverage_audit.counts.source import SplitSource
from coverage_audit.counts.tables import EpochCount, Hole, PassCount, Position, Span
from coverage_audit.counts.tracker import Piece, Tracker
from coverage_audit.counts.unfinished import NONE, Lane, OpenEpoch, OpenHole, OpenPass, OpenSpan, Remaining
from coverage_audit.counts.walk import Scratch
from coverage_audit.model.rows import Mask, Repeats, RowSet


class Accountant:
    """Counts pieces in the order of their epochs.

    While there is one stream and every yield is consumed exactly once, the sequence of consumed visits *is* the
    stream's sequence of yields and both share one Recency; the first hole or replay parts them.
    """

    def __init__(self, source: SplitSource, trackers: list[Tracker]) -> None:
        shards = source.shards
        self.n_ids = 0 if shards is None else shards.n_ids
        self.source = source
        self.expected: Mask | None = (
            None if shards is None or shards.selected is None else shards.selected.mask(self.n_ids)
        )
        scratch, place_of = Scratch(), places_of(shards)
        self.lanes = [
            Lane(s.writer.rank, t, Ordering(s.writer.rank, i, shards, place_of, scratch))
            for i, (s, t) in enumerate(zip(source.streams, trackers, strict=True))
        ]
        for lane in self.lanes if len(self.lanes) > 1 else ():
            lane.seen = np.zeros(self.n_ids, np.bool_)
        # Several streams interleave in no order of their own: their consumed visits get a sequence of their own.
        self.consumed = None if len(trackers) == 1 else trackers[0].recency.copy() if trackers else None
        self.epochs: list[EpochCount] = []
        self.remaining: dict[int, Remaining] = {}
        self.holes: list[Hole] = []
        self.run_visits: npt.NDArray[np.uint32] = np.zeros(self.n_ids, np.uint32)
        self.open: OpenEpoch | None = None
        self.sharing = Sharing(self.n_ids, [s.writer for s in source.streams])
        self.shares: list[EpochShare] = []

    def add(self, piece: Piece) -> None:
        lane = self.lanes[piece.stream]
        status = piece.block.status
        if status is not Status.HOLE:
            label = piece.block.epoch if piece.block.epoch >= 0 else max(piece.pass_, 0)
            if self.open is not None and self.open.epoch != label:
                self._finish_epoch()
            if lane.hole is not None:
                self._finish_hole(lane, tail=False)
        if status.yielded and (lane.pass_ is None or lane.pass_.number != piece.pass_):
            self._finish_span(lane)
            self._finish_pass(lane)
            lane.pass_ = self._open_pass(lane, piece)
        if piece.tail and lane.pass_ is not None:
            lane.pass_.add_tail(piece.ids[: piece.tail])
        if status is not Status.NORMAL and self.consumed is None:
            self.consumed = lane.tracker.recency.copy()
        if status is not Status.HOLE and self.open is None:
            self.open = self._open_epoch(lane, piece)
        before = lane.tracker.commit(piece) if status.yielded else NONE
        if status is Status.HOLE:
            self._add_hole(lane, piece)
        else:
            self._add_consumed(lane, piece, before)
        if status.yielded:
            lane.ordering.add(piece)
            lane.batches += piece.batches
            assert lane.pass_ is not None
            lane.pass_.add_batches(piece, self.source.info.batch_size)

    def finish(self) -> None:
        """No more pieces: close what is open."""
        self._finish_epoch()
        for lane in self.lanes:
            if lane.hole is not None:
                self._finish_hole(lane, tail=True)
            self._finish_pass(lane, ended=True)

    def _index(self, lane: Lane) -> int:
        return (self.consumed or lane.tracker.recency).index

    def _open_pass(self, lane: Lane, piece: Piece) -> OpenPass:
        first = int(piece.block.number[min(piece.begins, len(piece.block.number) - 1)])
        opened = OpenPass(piece.pass_, lane.tracker.recency.index, self._index(lane), first)
        if piece.visited:
            raise AssertionError("a pass began inside visits that had happened already")
        return opened

    def _open_epoch(self, lane: Lane, piece: Piece) -> OpenEpoch:
        # An epoch that opens with a replay starts nowhere in the loader's own sequence.
        known = piece.block.status is Status.NORMAL and lane.pass_ is not None and self.n_ids > 0
        at = Position(lane.pass_.number, lane.pass_.batches) if known and lane.pass_ is not None else None
        label = piece.block.epoch if piece.block.epoch >= 0 else max(piece.pass_, 0)
        return OpenEpoch(label, piece.block.fit, self._index(lane), at)

    def _add_consumed(self, lane: Lane, piece: Piece, before: Indices) -> None:
        assert self.open is not None
        epoch, ids, status = self.open, piece.ids, piece.block.status
        # The stream's own sequence; with one stream, that of the consumed visits as soon as the two part.
        own, at = before, lane.tracker.recency.index - len(ids)
        if self.consumed is not None:
            before = self.consumed.visit(ids)
            if len(self.lanes) == 1:
                own, at = before, self.consumed.index - len(ids)
        again = before >= epoch.start
        if again.any():
            epoch.surplus.append(ids[again])
        epoch.visits += len(ids)
        epoch.steps[lane.rank] += piece.batches
        lane.steps += piece.batches
        lane.visits += len(ids)
        lane.steps_by_attempt[piece.block.attempt] += piece.batches
        lane.visits_by_attempt[piece.block.attempt] += len(ids)
        if len(self.lanes) > 1:
            lane.seen[ids] = True
        self.sharing.add(piece)
        if piece.first:
            epoch.unidentified += piece.block.unidentified
            epoch.outside += piece.block.outside
        if status is Status.REPLAY:
            epoch.replayed.append(ids)
            epoch.replayed_batches += piece.batches
        if not status.yielded:
            return
        assert lane.pass_ is not None
        if lane.span is None:
            lane.span = OpenSpan(at, lane.pass_.number)
        lane.span.batches += piece.batches
        lane.span.surplus += int(np.count_nonzero(own >= lane.span.start))
        if len(self.lanes) > 1:
            lane.span.ids.append(ids)
        lane.pass_.visits += len(ids)
        twice = own >= (lane.pass_.start_consumed if len(self.lanes) == 1 else lane.pass_.start)
        if twice.any():
            lane.pass_.surplus.append(ids[twice])

    def _add_hole(self, lane: Lane, piece: Piece) -> None:
        block = piece.block
        n_rows = int(block.size[piece.begins : piece.ends].sum())
        if lane.hole is None:
            number = int(block.number[min(piece.begins, len(block.number) - 1)])
            epoch = self.open.epoch if self.open is not None else (self.epochs[-1].epoch if self.epochs else -1)
            lane.hole = OpenHole(number, 0, [], 0, piece.pass_, epoch, block.fit)
        lane.hole.batches += piece.batches
        lane.hole.n_rows += n_rows
        lane.hole.ids.append(piece.ids)
        if lane.pass_ is not None:
            lane.pass_.holes += piece.batches

    def _finish_hole(self, lane: Lane, *, tail: bool) -> None:
        hole, lane.hole = lane.hole, None
        assert hole is not None
        rows = RowSet.of_ids(np.concatenate(hole.ids))
        self.holes.append(
            Hole(
                lane.rank, hole.first_batch, hole.batches, rows, hole.n_rows, hole.pass_, hole.after_epoch,
                hole.after_fit, tail,
            )
        )  # fmt: skip

    def _finish_span(self, lane: Lane) -> None:
        span, lane.span = lane.span, None
        if span is None or self.open is None:
            return
        if span.ids:
            rows = rows_of(span.ids, self.n_ids)
        else:
            recency = self.consumed or lane.tracker.recency
            rows = RowSet.of_mask(recency.seen_since(span.start))
        self.open.spans.append(Span(lane.rank, span.pass_, span.batches, rows, span.surplus))

    def _finish_epoch(self) -> None:
        if self.open is None:
            return
        for lane in self.lanes:
            self._finish_span(lane)
        epoch, self.open = self.open, None
        recency = self.consumed or self.lanes[0].tracker.recency
        seen = recency.seen_since(epoch.start)
        surplus = np.concatenate(epoch.surplus) if epoch.surplus else NONE
        self.run_visits += seen
        np.add.at(self.run_visits, surplus, np.uint32(1))
        self.shares += self.sharing.finish(epoch.epoch, epoch.visits - len(surplus))
        rows, times = np.unique(surplus, return_counts=True)
        aliased = [lane.ordering.take_aliased() for lane in self.lanes]
        self.epochs.append(
            EpochCount(
                epoch=epoch.epoch,
                fit=epoch.fit,
                complete=False,
                steps=max(epoch.steps.values(), default=0),
                visits=epoch.visits,
                unique=epoch.visits - len(surplus),
                missed=self._not(seen),
                repeated=Repeats(RowSet.of_ids(rows), times.astype(np.uint32)),
                starts_at=epoch.starts_at,
                spans=tuple(epoch.spans),
                replayed=RowSet.of_ids(np.concatenate(epoch.replayed)) if epoch.replayed else RowSet.empty(),
                replayed_batches=epoch.replayed_batches,
                unidentified=epoch.unidentified,
                outside=epoch.outside,
                steps_by_rank=dict(sorted(epoch.steps.items())),
                aliased=RowSet.union([rows for _, rows in aliased]),
                aliased_batches=sum(n for n, _ in aliased),
            )
        )
        lane = min(self.lanes, key=lambda item: item.rank)
        # Once an inferred pass is closed it is known how many steps a pass takes.
        projecting = lane.tracker.told or not lane.closed
        if lane.pass_ is not None and projecting and self.source.shards is not None:
            unvisited = self._not(lane.tracker.recency.seen_since(lane.pass_.start))
            self.remaining[epoch.epoch] = Remaining(
                lane.pass_.batches,
                self.source.shards.count_per_shard(unvisited),
                Counter(lane.pass_.sizes),
                Counter(lane.pass_.remainders),
            )

    def _not(self, seen: Mask) -> RowSet:
        """Expected ids that are not ``seen``."""
        return RowSet.of_mask(~seen if self.expected is None else self.expected & ~seen)

    def _finish_pass(self, lane: Lane, *, ended: bool = False) -> None:
        done, lane.pass_ = lane.pass_, None
        if done is None:
            return
        order = lane.ordering.end_pass(done.number)
        if ended and len(done.tail) and not done.batches and not any(p.mixed_batches for p in lane.passes):
            # Nothing but the end of the last batch: it may be padding as well as the head of a pass that never came.
            lane.passes[-1] = _with_padding(lane.passes[-1], done.visits)
            return
        surplus = np.concatenate(done.surplus) if done.surplus else NONE
        apart = self.consumed is not None and len(self.lanes) == 1
        seen = (
            self.consumed.seen_since(done.start_consumed)
            if self.consumed is not None and apart
            else lane.tracker.recency.seen_since(done.start)
        )
        repeated = len(surplus)
        again = count_among(done.tail, surplus, self.n_ids)
        if len(done.tail) and lane.passes and again >= 0.9 * len(done.tail):
            # The rows that filled up the batch came again in this pass: they padded the one before.
            done.padding = len(done.tail)
            done.tail = NONE
            before = lane.passes[-1]
            lane.passes[-1] = _with_padding(before, done.padding)
            done.visits -= done.padding
            repeated -= again
        lane.closed.append(done)
        lane.orders.append(order)
        lane.passes.append(
            PassCount(
                rank=lane.rank,
                pass_=done.number,
                pass_from="told" if lane.tracker.told else "inferred",
                complete=False,
                ended_by="",
                first_batch=done.first_batch,
                batches=done.batches,
                visits=done.visits,
                unique=done.visits - repeated,
                missed=self._not(seen),
                repeated=repeated,
                mixed_batches=done.mixed if len(done.tail) else 0,
                batches_span_shards=done.spanning,
                untrained_batches=done.holes,
            )
        )


def _with_padding(count: PassCount, rows: int) -> PassCount:
    return replace(count, visits=count.visits + rows, repeated=count.repeated + rows)
