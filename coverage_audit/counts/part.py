"""A part of a lineage: the stretch of one writer's record that counts, with the numbers it has in the whole run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coverage_audit.counts.lineage import Declared, Leg
from coverage_audit.counts.source import EpochFacts
from coverage_audit.model.rows import Ints, Mask
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.summary import EpochMark, Place, Segment
from coverage_audit.runlog.visits import Visits, only_value


@dataclass(frozen=True, slots=True)
class Part:
    """The stretch of one writer's record of a split between ``start`` and ``stop`` (None: its ends), and what its own
    numbers have to be raised by to go on from the part before.

    ``trained``: consumption was told, so steps are the axis; else yields are.
    """

    declared: Declared
    leg: Leg
    start: Place | None
    stop: Place | None
    trained: bool
    tag: str | int | None = None
    batch: int = 0
    step: int = 0
    fit: int = 0
    epoch: int = 0
    pass_: int = 0
    opening: int = -1
    """The pass, by the number of the whole, that its first iteration goes on in without saying so; -1 for none."""

    @property
    def epochs(self) -> tuple[EpochMark, ...]:
        """Epochs of which it holds any, by the writer's own numbers."""
        log, writer, info = self.declared
        first = first_epoch(self.start)
        own = [m for m in log.epoch_marks(writer) if m.split == info.name and m.epoch >= first]
        return tuple(m for m in own if self.stop is None or m.epoch < self.stop.epochs)

    @property
    def all_segments(self) -> tuple[Segment, ...]:
        """Every iteration of the writer's record, also those without a batch."""
        log, writer, info = self.declared
        return tuple(s for s in log.segments(writer) if s.split == info.name)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Iterations of which it holds any."""
        own = [s for s in self.all_segments if s.batches]
        low, high = self.first_batch, self.last_batch
        return tuple(s for s in own if s.first_batch + s.batches > low and (high is None or s.first_batch <= high))

    @property
    def first_batch(self) -> int:
        if self.start is None:
            return 0
        return self.start.batch + 1 if self.trained else self.start.yields

    @property
    def last_batch(self) -> int | None:
        return None if self.stop is None else self.stop.batch if self.trained else self.stop.yields - 1

    def taken(self, mark: EpochMark) -> int:
        """How many steps of an epoch lie in it."""
        low = mark.first_step if self.start is None else max(mark.first_step, self.start.steps)
        high = mark.first_step + mark.steps_taken
        return max((high if self.stop is None else min(high, self.stop.steps)) - low, 0)

    def is_over(self, mark: EpochMark) -> bool:
        """Whether an epoch came to its end in it: also where a checkpoint is saved after its last step."""
        return mark.complete and (self.stop is None or mark.first_step + mark.steps_taken <= self.stop.steps)

    def visits(self) -> Iterator[Visits]:
        """Its records with the numbers of the whole. Yields that were not consumed by the checkpoint are left out."""
        log, writer, info = self.declared
        begun = self.start is None or not self.start.steps
        held: list[Visits] = []
        for piece in log.visits(writer):
            own = piece.of_split(info.name)
            if not self.trained:
                which = self._by_batch(own)
                own = own if which.all() else own.take(which)
            elif len(own):
                if not begun:
                    assert self.start is not None
                    later = np.flatnonzero(own.step >= self.start.steps)
                    own = own.take(slice(int(later[0]) if len(later) else len(own), None))
                    begun = bool(len(later))
                if self.stop is not None:
                    own, done = self._before_stop(own, held)
                    if len(own):
                        yield self._raised(own)
                    if done:
                        return
                    continue
            if len(own):
                yield self._raised(own)

    def _by_batch(self, own: Visits) -> Mask:
        high = np.iinfo(np.int64).max if self.last_batch is None else self.last_batch
        mine: Mask = (own.batch >= self.first_batch) & (own.batch <= high)
        return mine

    def _before_stop(self, own: Visits, held: list[Visits]) -> tuple[Visits, bool]:
        """What surely lies before the checkpoint, and whether that is all. Yields after the last step wait."""
        assert self.stop is not None
        beyond = np.flatnonzero(own.step >= self.stop.steps)
        own = own.take(slice(0, int(beyond[0]))) if len(beyond) else own
        consumed = np.flatnonzero(own.step >= 0)
        if not self.stop.steps or not len(consumed):
            held.append(own)
            return own.take(slice(0, 0)), bool(len(beyond)) or not self.stop.steps
        last = int(consumed[-1]) + 1
        waited, out = [v for v in held if len(v)], own.take(slice(0, last))
        if waited:
            out = Visits.concat([*waited, out])
        held[:] = [own.take(slice(last, None))]
        return out, bool(len(beyond))

    def _raised(self, own: Visits) -> Visits:
        def up(values: Ints, by: int) -> Ints:
            if not by or not len(values):
                return values
            one = only_value(values)
            if one is not None:
                return np.broadcast_to(values.dtype.type(one + by if one >= 0 else one), len(values))
            raised = values + np.asarray(by, values.dtype)
            return raised if values.min() >= 0 else np.where(values >= 0, raised, values)

        pass_: Ints = up(own.pass_, self.pass_)  # type: ignore[arg-type]
        if self.opening >= 0:
            first = self.segments[0]
            mine = (own.batch >= first.first_batch) & (own.batch < first.first_batch + first.batches)
            pass_ = np.where(mine, np.asarray(self.opening, pass_.dtype), pass_)
        return replace(
            own,
            batch=up(own.batch, self.batch),
            step=up(own.step, self.step),
            fit=up(own.fit, self.fit),  # type: ignore[arg-type]
            epoch=up(own.epoch, self.epoch),  # type: ignore[arg-type]
            pass_=pass_,  # type: ignore[arg-type]
        )


def first_epoch(start: Place | None) -> int:
    """The writer's number of the epoch that a part begins in."""
    return 0 if start is None else start.epochs - start.in_epoch


def ids_of(part: Part, column: str, number: int, shards: Shards, before_batch: int | None = None) -> Ints:
    """Sample ids of the known rows that a part visits in an epoch or a told pass, by the numbers of the whole.

    ``before_batch``: only in batches below this one.
    """
    out = [np.empty(0, np.int64)]
    for visits in part.visits():
        if only_value(getattr(visits, column)) not in (None, number):
            continue
        chosen = (getattr(visits, column) == number) & (visits.shard >= 0)
        mine = visits.take(chosen if before_batch is None else chosen & (visits.batch < before_batch))
        first = shards.offsets[mine.shard] + mine.row
        before = np.cumsum(mine.count) - mine.count
        out.append(np.arange(int(mine.count.sum()), dtype=np.int64) + np.repeat(first - before, mine.count))
    return np.concatenate(out)


def facts_of(parts: Sequence[Part]) -> tuple[EpochFacts, ...]:
    """What the trainer said of the epochs of all parts; one that goes on in the next part is one epoch.

    An epoch that was cut by a checkpoint and never gone on with is over: the weights will not see the rest of it.
    """
    out: dict[int, EpochFacts] = {}
    taken: dict[int, int] = {}
    last_part: dict[int, int] = {}
    for at, part in enumerate(parts):
        for mark in part.epochs:
            epoch = mark.epoch + part.epoch
            taken[epoch] = taken.get(epoch, 0) + part.taken(mark)
            known = out.get(epoch)
            declared = mark.steps_declared if known is None or known.declared is None else known.declared
            over = part.is_over(mark) or (declared is not None and taken[epoch] >= declared)
            fit = mark.fit + part.fit if known is None else known.fit
            number = mark.number if mark.number is not None or known is None else known.number
            out[epoch] = EpochFacts(epoch, fit, number, over, declared)
            last_part[epoch] = at
    latest = max((e for e, n in taken.items() if n), default=-1)
    return tuple(
        replace(fact, complete=fact.complete or (epoch < latest and last_part[epoch] < len(parts) - 1))
        for epoch, fact in sorted(out.items())
    )


def exhausted_from(parts: Sequence[Part]) -> tuple[frozenset[int], bool]:
    """First batches of the passes that ran to the loader's end, and whether any iteration did."""
    first: dict[int, int] = {}
    out: set[int] = set()
    ended = False
    for part in parts:
        segments = part.segments
        for segment in segments:
            begin = max(segment.first_batch, part.first_batch) + part.batch
            number = segment.pass_ + part.pass_ if segment.pass_ >= 0 else -1
            if segment is segments[0] and number < 0:
                number = part.opening
            if number >= 0:
                begin = first.setdefault(number, begin)
            last = segment.first_batch + segment.batches - 1
            whole = part.last_batch is None or last <= part.last_batch
            if segment.ended == "exhausted" and whole:
                ended = True
                if not failed_at_first(segment, part.all_segments):
                    out.add(begin)
    return frozenset(out), ended


def failed_at_first(segment: Segment, segments: Sequence[Segment]) -> bool:
    """Whether the pass an iteration goes on in lost its first batches: the one before it failed and yielded nothing."""
    return segment.pass_ >= 0 and any(
        s.ended == "failed" and not s.batches and s.pass_ == segment.pass_ and s.segment < segment.segment
        for s in segments
    )
