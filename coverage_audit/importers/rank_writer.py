"""The lines of one rank as the journals of its attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from coverage_audit.importers.block import Block
from coverage_audit.importers.checkpoints import insert_checkpoint
from coverage_audit.importers.step_axis import StepAxis
from coverage_audit.model.event import BatchRows, Found, Mark, MarkKind
from coverage_audit.model.rows import Ints
from coverage_audit.model.run import SplitInfo
from coverage_audit.runlog.identity import OpenLog, open_log
from coverage_audit.runlog.journal import Journal

MISSING = "the imported log has no line for this step"
_EXPLICIT, _UNKNOWN = int(Found.EXPLICIT), int(Found.UNKNOWN)
_SEGMENT = 1


@dataclass(slots=True)
class _Attempt:
    """``start``: steps of the run before it. ``saved``: places in it that a later one restored."""

    log: OpenLog
    start: int
    saved: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Step:
    """A step of which more lines may follow."""

    step: int
    epoch: int | None
    ids: list[Ints]
    where: str


@dataclass
class RankWriter:
    """Writes what one rank's lines tell: consecutive lines of one step are one batch, and every step is trained.

    A log that goes back to a step it had was restarted there: a new attempt, restored from a checkpoint at that step.
    Steps without a line become steps of unknown rows. Epochs are told where the lines tell them.
    """

    path: Path
    run_id: str
    rank: int
    info: SplitInfo
    axis: StepAxis
    steps: int = 0
    ids: int = 0
    missing: int = 0
    first_missing: int | None = None
    restarts: list[tuple[str, int]] = field(default_factory=list)
    """Where in the log, and the number of the step it went back to."""
    attempts: list[_Attempt] = field(default_factory=list)
    _journal: Journal | None = None
    _number: int = 0
    _held: _Step | None = None
    _epoch: int | None = None
    _epoch_began: dict[int, int] = field(default_factory=dict)
    _longest_epoch: int = 0

    @property
    def logs(self) -> list[OpenLog]:
        """The writers it made, one per attempt."""
        return [attempt.log for attempt in self.attempts]

    def add(self, block: Block) -> None:
        """Lines that follow those before. Raises :class:`LogError` (import-order), ``OSError`` if the disk is full."""
        n = len(block.sizes)
        if not n:
            return
        step = self._counted_up(n) if block.step is None else block.step
        new = np.ones(n, np.bool_)
        np.not_equal(step[1:], step[:-1], out=new[1:])
        if block.epoch is not None:
            new[1:] |= block.epoch[1:] != block.epoch[:-1]
        lines = np.flatnonzero(new)
        ends = np.append(0, np.cumsum(block.sizes))
        cuts = [*ends[lines].tolist(), int(ends[-1])]
        steps = step[lines].tolist()
        epochs = [None] * len(steps) if block.epoch is None else block.epoch[lines].tolist()
        at, held = 0, self._held
        if held is not None and (held.step, held.epoch) == (steps[0], epochs[0]):
            held.ids.append(block.ids[: cuts[1]].copy())
            at = 1
        if at == len(steps):
            return
        self._release()
        for i in range(at, len(steps) - 1):
            self._step(steps[i], epochs[i], block.ids[cuts[i] : cuts[i + 1]], block, int(lines[i]))
        last = block.ids[cuts[-2] :].copy()
        self._held = _Step(steps[-1], epochs[-1], [last], block.place(int(lines[-1])))

    def finish(self, *, finished: bool, cut_off: str | None) -> None:
        """No more lines come. ``finished``: the last epoch is one that ended, however short; ``cut_off``: why it is
        not known how the log goes on."""
        self._release()
        if cut_off is not None:
            self._mark(MarkKind.FAILED, error=cut_off, split="")
        whole = finished or self._steps_of_epoch() >= (self.info.steps_per_epoch or self._longest_epoch)
        if self._epoch is not None and cut_off is None and whole:
            self._end_epoch()
        self._close()

    def abandon(self) -> None:
        """Something went wrong: let go of the files."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            ids = held.ids[0] if len(held.ids) == 1 else np.concatenate(held.ids)
            if held.step != self.axis.next_step or held.epoch != self._epoch or self._journal is None:
                self._turn(held.step, held.epoch, held.where)
            self._write(ids)

    def _step(self, step: int, epoch: int | None, ids: Ints, block: Block, line: int) -> None:
        if step != self.axis.next_step or epoch != self._epoch or self._journal is None:
            self._turn(step, epoch, block.place(line))
        self._write(ids)

    def _write(self, ids: Ints) -> None:
        journal = self._journal
        assert journal is not None
        journal.write_ids(0, self._number, _SEGMENT, -1, -1, _EXPLICIT, 0, ids)
        journal.write_consumed(0, 1, 0)
        self._number += 1
        self.axis.next += 1
        self.steps += 1
        self.ids += len(ids)

    def _turn(self, step: int, epoch: int | None, where: str) -> None:
        """A step that does not simply come next: the first one, one after a gap, a restart, a new epoch."""
        place = self.axis.place_of(step, epoch, where)
        if self._journal is None:
            self._open(0)
        if place < self.axis.next:
            self.restarts.append((where, step))
            self._restart(place)
        for _ in range(place - self.axis.next):
            self._miss()
        if epoch != self._epoch:
            if self._epoch is not None:
                self._end_epoch()
            self._epoch = epoch
            if epoch is not None:
                self._epoch_began.setdefault(epoch, place)
                self._mark(MarkKind.EPOCH_BEGIN, number=epoch)

    def _miss(self) -> None:
        """A step without a line."""
        journal = self._journal
        assert journal is not None
        if self.first_missing is None:
            self.first_missing = self.axis.next + (self.axis.first or 0)
            self._mark(MarkKind.UNIDENTIFIED, reason=MISSING)
        rows = BatchRows(-1 if self.info.batch_size is None else self.info.batch_size)
        journal.write_batch(0, self._number, _SEGMENT, -1, -1, _UNKNOWN, 0, rows)
        journal.write_consumed(0, 1, 0)
        self._number += 1
        self.axis.next += 1
        self.missing += 1

    def _restart(self, place: int) -> None:
        """The run went back: what follows is another attempt, which began with the weights of ``place``."""
        self._close()
        holder = next((a for a in reversed(self.attempts) if a.start < place), None)
        if holder is not None and place not in holder.saved:
            insert_checkpoint(holder.log.state, holder.log.stem, place - holder.start, _tag(place))
            holder.saved.add(place)
        self._epoch_began = {epoch: began for epoch, began in self._epoch_began.items() if began <= place}
        self._epoch, self.axis.next = None, place
        self._open(place)

    def _open(self, place: int) -> None:
        log = open_log(
            self.path,
            run_id=self.run_id,
            resume=False,
            if_exists="error",
            rank=self.rank,
            world_size=max(self.rank + 1, 1),
            launcher_id=None,
            restart=len(self.attempts),
        )
        log.close()  # nobody else knows of this folder: no need to hold it
        self._journal = Journal(log.state, log.stem)
        self._number = 0
        if self.attempts:
            self._mark(MarkKind.RESTORED, tag=_tag(place))
        self.attempts.append(_Attempt(log, place))
        self._mark(MarkKind.OPENED, segment=_SEGMENT)
        self._mark(MarkKind.FIT_BEGIN, peek=-1)

    def _close(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            for kind in (MarkKind.FIT_END, MarkKind.IDLE):
                journal.write_mark(Mark(kind, self.info.name))
            journal.write_mark(Mark(MarkKind.CLOSED))
            journal.close()

    def _end_epoch(self) -> None:
        self._longest_epoch = max(self._longest_epoch, self._steps_of_epoch())
        self._mark(MarkKind.EPOCH_END, number=self._epoch)

    def _steps_of_epoch(self) -> int:
        return 0 if self._epoch is None else self.axis.next - self._epoch_began[self._epoch]

    def _mark(self, kind: MarkKind, split: str | None = None, **data: object) -> None:
        assert self._journal is not None
        self._journal.write_mark(Mark(kind, self.info.name if split is None else split, 0, data))

    def _counted_up(self, n: int) -> Ints:
        first = self.axis.next_step if self._held is None else self._held.step + 1
        return np.arange(first, first + n, dtype=np.int64)


def _tag(place: int) -> str | None:
    """How a checkpoint after so many steps is called; None for weights that are new."""
    return None if place == 0 else f"step-{place}"
