"""What went wrong at a restore, decided once for all the rules about it, so that each is named for one cause."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.resumes import Resume
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim
from coverage_audit.model.rows import RowSet

AGREEMENT = 0.9
"""Share of rows that have to fit before a shape is believed."""
SAMPLED = 0.1
"""Share of repeats before the checkpoint from which rows are drawn rather than passed over."""
FEW = 0.25
"""Repeats, as a share of the rows lost, up to which they go along with the loss."""


class Fault(enum.Enum):
    """What a restore did to the pass it lies in."""

    RESTARTED = "the data began again"
    RESHUFFLED = "the rest came in another order"
    REPLAYED = "rows came again"
    SKIPPED = "rows were left out"


@dataclass(frozen=True, slots=True)
class Judged:
    """A restore with its fault. ``epoch``: the epoch it lies in, None where passes are the measure or it is unknown."""

    resume: Resume
    fault: Fault
    epoch: EpochCount | None

    @property
    def missed(self) -> RowSet:
        return RowSet.empty() if self.epoch is None else self.epoch.missed

    @property
    def again(self) -> RowSet:
        """Rows that came again: in the epoch, where there is one."""
        return self.resume.again if self.epoch is None else self.epoch.repeated.rows & self.resume.before

    def claims(self) -> tuple[Claim, ...]:
        if self.epoch is None or not self.epoch.complete:
            return ()
        return (Claim(self.epoch.epoch, self.missed, self.again),)

    @property
    def epochs(self) -> tuple[int, ...]:
        return () if self.epoch is None else (self.epoch.epoch,)


def judge(counts: SplitCounts) -> Iterator[Judged]:
    """Every faulty restore of the lineage, once."""
    if counts.evaluation or counts.info.contract.kind == "with-replacement":
        return
    epochs = {e.epoch: e for e in counts.epochs}
    for resume in counts.resumes:
        epoch = epochs.get(resume.number) if _lies_in_an_epoch(counts, resume) else None
        fault = _fault(counts, resume, epoch)
        if fault is not None:
            yield Judged(resume, fault, epoch)


def saved_at(resume: Resume) -> str:
    """'restored checkpoint 'a' of attempt 0, step 120'."""
    origin = resume.origin
    if origin is None or origin.attempt is None:
        return f"attempt {resume.attempt}"
    return f"attempt {resume.attempt} restored {origin.tag!r} of attempt {origin.attempt}, step {origin.step:,}"


def usual(counts: SplitCounts) -> tuple[int, int]:
    """(missed, surplus) that epochs have here without any restore; what batches leave over where there is none."""
    touched = {r.number for r in counts.resumes if _lies_in_an_epoch(counts, r)}
    others = [e for e in counts.complete_epochs if e.epoch not in touched]
    if others:
        return max(e.missed.size for e in others), max(e.surplus for e in others)
    if counts.shards is None or not counts.batch_size:
        return 0, 0
    rest = counts.shards.rows % (counts.batch_size * max(counts.run.ranks, 1))
    return rest, 0


def _lies_in_an_epoch(counts: SplitCounts, resume: Resume) -> bool:
    """Whether the number of its unit is that of an epoch: passes are epochs where nobody tells of others."""
    return resume.unit == "epoch" or counts.epochs_from == "passes"


def _fault(counts: SplitCounts, resume: Resume, epoch: EpochCount | None) -> Fault | None:
    n, b = counts.expected.size, resume.before.size
    missed_usual, surplus_usual = usual(counts)
    if not b or resume.before_visits - b > SAMPLED * resume.before_visits:
        return None
    if not resume.goes_on:
        return _after_a_cut(counts, resume, epoch, missed_usual)
    again = resume.again.size
    missed = 0
    if epoch is not None and epoch.complete and not epoch.unidentified:
        meant = counts.info.steps_per_epoch if epoch.declared is None else epoch.declared
        # What an epoch leaves out that took all steps meant for it was never to be visited.
        room = 0 if meant is None or epoch.steps < meant else max(n - epoch.visits, 0)
        missed = epoch.missed.size if epoch.missed.size > max(missed_usual, room) else 0
    if again <= surplus_usual:
        again = 0
    if not again:
        return Fault.SKIPPED if missed else None
    if resume.compared and resume.reopened >= AGREEMENT * resume.compared:
        return Fault.RESTARTED
    if again >= AGREEMENT * b and resume.after.size >= AGREEMENT * (n - missed_usual):
        return Fault.RESTARTED
    if not missed or resume.again_first >= AGREEMENT * resume.first_visits:
        return Fault.REPLAYED
    if again <= FEW * missed:
        return Fault.SKIPPED
    return Fault.RESHUFFLED if missed <= 2 * again and again <= 2 * missed else Fault.REPLAYED


def _after_a_cut(counts: SplitCounts, resume: Resume, epoch: EpochCount | None, missed_usual: int) -> Fault | None:
    """The unit was cut by the checkpoint, and what came next was another one."""
    if not resume.cut or resume.before.size >= counts.expected.size - missed_usual:
        return None
    if resume.unit == "pass":
        alike = resume.compared and resume.reopened >= AGREEMENT * resume.compared
        if alike or resume.again.size >= AGREEMENT * resume.before.size:
            return Fault.RESTARTED
    lost = epoch is not None and epoch.complete and epoch.missed.size > missed_usual
    return Fault.SKIPPED if lost else None
