"""The parts of a lineage laid end to end: one stream of visits, as if the run had never been interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from coverage_audit.counts.lineage import Declared, Leg, Story
from coverage_audit.counts.source import EpochFacts
from coverage_audit.model.rows import Ints, Mask
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.summary import EpochMark, Place, Segment
from coverage_audit.runlog.visits import Visits

AGREEMENT = 0.9
"""Share of rows that must come again before a pass counts as begun anew."""


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
    def segments(self) -> tuple[Segment, ...]:
        """Iterations of which it holds any."""
        log, writer, info = self.declared
        own = [s for s in log.segments(writer) if s.split == info.name and s.batches]
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
            if info.name not in piece.splits:
                continue
            mine = piece.split == piece.splits.index(info.name)
            own = piece if mine.all() else piece.take(mine)
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


@dataclass(slots=True)
class Stitch:
    """Lays parts of one rank end to end."""

    shards: Shards | None
    parts: list[Part] = field(default_factory=list)

    def add(self, story: Story, leg: Leg, stop: Place | None, trained: bool, tag: str | int | None, base: int) -> None:
        """The next part; ``base``: epochs of what lies before the first one."""
        start = story.leg_of(leg.ordinal)[0]
        if stop is None:
            end = story.leg_of(leg.ordinal)[1]
            stop = end  # the next restore, of which nothing is known
        part = Part(story.declared, leg, start, stop, trained, tag)
        if not self.parts:
            self.parts.append(replace(part, epoch=base - first_epoch(start)))
            return
        before = self.parts[-1]
        cut = before.stop
        assert cut is not None
        end_batch = cut.batch + 1 if trained else cut.yields
        part = replace(
            part,
            batch=before.batch + end_batch - part.first_batch,
            step=before.step + cut.steps - (0 if start is None else start.steps),
            fit=before.fit if before.declared[1] is story.writer else before.fit + _n_fits(before),
            epoch=self._next_epoch(before, cut, part) - first_epoch(start),
        )
        opening = self._opening(before, part)
        if opening >= 0:
            told = min((s.pass_ for s in part.segments if s.pass_ >= 0), default=0)
            self.parts.append(replace(part, opening=opening, pass_=opening + 1 - told))
            return
        self.parts.append(replace(part, pass_=self._pass_shift(before, part)))

    def _next_epoch(self, before: Part, cut: Place, part: Part) -> int:
        """The epoch a part goes on with: the one the checkpoint was saved in, or the next.

        The trainer's numbers decide; where it has none, whether that epoch was done.
        """
        marks, following = before.epochs, part.epochs
        if not marks:
            return before.epoch + cut.epochs
        last = marks[-1]
        here = before.epoch + last.epoch
        old, new = last.number, following[0].number if following else None
        if self.is_done(len(self.parts) - 1):
            nothing_left = new is not None and new == old and not part.taken(following[0])
            return here if nothing_left else here + 1
        return here + 1 if old is not None and new == old + 1 else here

    def is_done(self, at: int) -> bool:
        """Whether the epoch a part was cut in had come to its end: said to be over, and of the usual length.

        A loop that saves its weights to stop there leaves its epoch in good order, too. Without a declared length that
        of the epochs before counts, in the first one how many of the rows had been seen.
        """
        part = self.parts[at]
        if not part.epochs:
            return False
        last = part.epochs[-1]
        if not part.is_over(last):
            return False
        taken: dict[int, int] = {}
        for one in self.parts[: at + 1]:
            for mark in one.epochs:
                taken[mark.epoch + one.epoch] = taken.get(mark.epoch + one.epoch, 0) + one.taken(mark)
        steps = taken.pop(last.epoch + part.epoch)
        if last.steps_declared is not None:
            return steps >= last.steps_declared
        others = [n for n in taken.values() if n]
        if others:
            return steps >= AGREEMENT * max(others)
        if self.shards is None:
            return True
        seen = np.unique(np.concatenate([ids_of(p, "epoch", last.epoch + part.epoch, self.shards) for p in self.parts]))
        return len(seen) >= AGREEMENT * self.shards.rows

    def is_cut(self, at: int) -> bool:
        """Whether a part ends in the middle of an epoch; where none were told, of an iteration."""
        part = self.parts[at]
        if part.stop is None:
            return False
        if part.epochs:
            return not self.is_done(at)
        last = max(part.segments, key=lambda s: s.first_batch, default=None)
        whole = last is not None and part.last_batch == last.first_batch + last.batches - 1
        return last is not None and not (last.ended == "exhausted" and whole)

    def _opening(self, before: Part, part: Part) -> int:
        """The pass that a part's first iteration goes on in, where it does not begin the data and says no pass.

        -1 where it says one, where the part before told none, or where it is longer than what a pass can still take.
        """
        cut = max(before.segments, key=lambda s: s.first_batch, default=None)
        first = min(part.segments, key=lambda s: s.first_batch, default=None)
        if cut is None or first is None or first.pass_ >= 0 or self.shards is None or part.start is None:
            return -1
        number = cut.pass_ + before.pass_ if cut.pass_ >= 0 else before.opening
        if number < 0:
            return -1
        seen = sum(len(ids_of(p, "pass_", number, self.shards)) for p in self.parts)
        last = first.first_batch + first.batches
        following = ids_of(part, "pass_", -1, self.shards, before_batch=last + part.batch)
        if before.declared[1] is part.declared[1] and first.segment == cut.segment:
            return number
        if cut.ended == "exhausted" and before.last_batch == cut.first_batch + cut.batches - 1:
            return number + 1 if len(following) <= self.shards.rows else -1
        return number if seen + len(following) <= (2 - AGREEMENT) * self.shards.rows else -1

    def _pass_shift(self, before: Part, part: Part) -> int:
        cut = max(before.segments, key=lambda s: s.first_batch, default=None)
        new = min((s.pass_ for s in part.segments if s.pass_ >= 0), default=-1)
        if cut is None or cut.pass_ < 0 or new < 0:
            return before.pass_
        if before.declared[1] is part.declared[1] and new == cut.pass_:
            return before.pass_
        over = cut.ended == "exhausted" and before.last_batch == cut.first_batch + cut.batches - 1
        goes_on = not over and not self._begins_again(cut.pass_ + before.pass_, part, new)
        return before.pass_ + cut.pass_ + (0 if goes_on else 1) - new

    def _begins_again(self, cut: int, part: Part, new: int) -> bool:
        """Whether the first pass after a restore visits what the one before it had visited."""
        if self.shards is None:
            return False
        seen = np.unique(np.concatenate([ids_of(p, "pass_", cut, self.shards) for p in self.parts]))
        following = np.unique(ids_of(part, "pass_", new, self.shards))
        again = len(np.intersect1d(seen, following, assume_unique=True))
        return again > 0 and again >= AGREEMENT * min(len(seen), len(following))


def align_late(stitches: Sequence[Stitch]) -> None:
    """Ranks that were not there from the begin join in the epoch and the pass that the others go on with."""
    longest = max(stitches, key=lambda s: len(s.parts), default=None)
    if longest is None:
        return
    there = {part.leg: part for part in longest.parts}
    for stitch in stitches:
        first = stitch.parts[0]
        peer = there.get(first.leg)
        if peer is None or peer is first or first.leg == longest.parts[0].leg:
            continue
        epochs = peer.epoch + first_epoch(peer.start) - first.epoch - first_epoch(first.start)
        passes = peer.pass_ - first.pass_
        stitch.parts = [replace(p, epoch=p.epoch + epochs, pass_=p.pass_ + passes) for p in stitch.parts]
        if all(s.pass_ < 0 for s in first.segments[:1]):
            stitch.parts[0] = replace(stitch.parts[0], opening=peer.opening)


def ids_of(part: Part, column: str, number: int, shards: Shards, before_batch: int | None = None) -> Ints:
    """Sample ids of the known rows that a part visits in an epoch or a told pass, by the numbers of the whole.

    ``before_batch``: only in batches below this one.
    """
    out = [np.empty(0, np.int64)]
    for visits in part.visits():
        chosen = (getattr(visits, column) == number) & (visits.shard >= 0)
        mine = visits.take(chosen if before_batch is None else chosen & (visits.batch < before_batch))
        first = shards.offsets[mine.shard] + mine.row
        before = np.cumsum(mine.count) - mine.count
        out.append(np.arange(int(mine.count.sum()), dtype=np.int64) + np.repeat(first - before, mine.count))
    return np.concatenate(out)


def _n_fits(part: Part) -> int:
    log, writer, info = part.declared
    return 1 + max((m.fit for m in log.epoch_marks(writer) if m.split == info.name), default=0)


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
                out.add(begin)
                ended = True
    return frozenset(out), ended
