"""The parts of a lineage laid end to end: one stream of visits, as if the run had never been interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from coverage_audit.counts.lineage import Leg, Story
from coverage_audit.counts.part import Part, first_epoch, ids_of
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.summary import Place

AGREEMENT = 0.9
"""Share of rows that must come again before a pass counts as begun anew."""


@dataclass(slots=True)
class Stitch:
    """Lays parts of one rank end to end. ``peers``: those of all ranks, this one among them, which grow leg by leg."""

    shards: Shards | None
    parts: list[Part] = field(default_factory=list)
    peers: Sequence[Stitch] = ()

    def add(self, story: Story, leg: Leg, stop: Place | None, trained: bool, tag: str | int | None, base: int) -> None:
        """The next part; ``base``: epochs of what lies before the first one."""
        start = story.leg_of(leg.ordinal)[0]
        if stop is None:
            end = story.leg_of(leg.ordinal)[1]
            stop = end  # the next restore, of which nothing is known
        part = Part(story.declared, leg, start, stop, trained, tag)
        if not self.parts:
            # What its record holds before it is no part of the run: where the lineage begins, batches and steps do.
            steps = 0 if start is None else start.steps
            self.parts.append(replace(part, batch=-part.first_batch, step=-steps, epoch=base - first_epoch(start)))
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
        of the epochs before counts, in the first one how many of the rows all ranks together had seen.
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
        legs = {p.leg for p in self.parts}
        there = self.parts + [p for s in self.peers if s is not self for p in s.parts if p.leg in legs]
        seen = np.unique(np.concatenate([ids_of(p, "epoch", last.epoch + part.epoch, self.shards) for p in there]))
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


def _n_fits(part: Part) -> int:
    log, writer, info = part.declared
    return 1 + max((m.fit for m in log.epoch_marks(writer) if m.split == info.name), default=0)
