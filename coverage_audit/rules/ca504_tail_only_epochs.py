"""After a resume every later epoch holds only the leftover.

## What it looks for
Epochs after a restore that each leave out as many rows as the epoch of the checkpoint had visited by then, while
epochs before the restore did not: the offset to resume at is applied to every epoch.

## Why it matters
The rows before the offset are never trained on again, for as long as the run goes on.

## How to fix it
Skip batches in the epoch of the checkpoint only: take the offset back (or use the plain loader) once it has ended.

## When it is fine
Never: rows that no later epoch comes to are lost to the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, several
from coverage_audit.rules._resume import saved_at
from coverage_audit.rules._rule import Example, Resumed, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``earlier``: what an epoch before the restore may miss, as a share of the offset."""

    earlier: float = 0.5


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """Restores whose offset every later epoch begins at."""
    if counts.evaluation or counts.info.contract.kind == "with-replacement":
        return
    resumes = [r for r in counts.resumes if r.unit == "epoch"]
    touched = {r.number for r in resumes}
    size = counts.batch_size or 1
    for at, resume in enumerate(resumes):
        offset = resume.before.size
        end = resumes[at + 1].number if at + 1 < len(resumes) else None
        later = [
            e for e in counts.complete_epochs if e.epoch > resume.number and (end is None or e.epoch < end) and e.steps
        ]
        earlier = [e for e in counts.complete_epochs if e.epoch < resume.number and e.epoch not in touched]
        if not resume.cut or not later or not offset or offset >= counts.expected.size:
            continue
        if any(abs(e.missed.size - offset) >= size or e.surplus for e in later):
            continue
        if any(e.missed.size > limits.earlier * offset for e in earlier):
            continue
        claims = tuple(Claim(e.epoch, e.missed) for e in later)
        which = epochs_text([e.epoch for e in later], len(counts.complete_epochs))
        yield Evidence(
            message=f"{which} {'holds' if len(later) == 1 else 'hold'} only what was left of epoch {resume.number} at "
            f"the restore: {several(offset, 'row')} missed in each",
            cause=f"{saved_at(resume)}; the batches to skip in its epoch are skipped in every later one too",
            fix="skip batches in the resumed epoch only, and use the whole loader from the next epoch on",
            epochs=tuple(e.epoch for e in later),
            rows=later[0].missed,
            count=sum(c.missed.size for c in claims),
            claims=claims,
            numbers={"offset": offset, "epochs": len(later)},
        )


_ONE = ((0, 1), (2, 3), (4, 5))
_TAIL = ((4, 5),)
RULE = Rule(
    code="CA504",
    name="tail-only-epochs",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=11,
    limits=Limits(),
    quiet=(
        Example((6,), (_ONE, ((0, 1), (2, 3), Resumed(), (4, 5)), _ONE)),
        Example((6,), (_TAIL, ((0, 1), (2, 3), Resumed(), (4, 5)), _TAIL)),
    ),
    fires=(
        Example((6,), (_ONE, ((0, 1), (2, 3), Resumed(), (4, 5)), _TAIL, _TAIL), batch_size=2, reported=(0, 1, 2, 3)),
    ),
)
