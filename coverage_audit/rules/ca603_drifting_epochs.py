"""The boundary of the pass moves through the epochs.

## What it looks for
Complete epochs that start at different batches of the pass, or that begin the data anew before the pass they are in is
over.

## Why it matters
No epoch is one look at the data, and which rows it leaves out or repeats changes all the time. Over the run it evens
out; per epoch nothing is comparable.

## How to fix it
Make an epoch as long as a pass (CA601 and CA602 give the number), or let the loader start anew with each epoch.

## When it is fine
Over a continuous stream judged per run or per pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from coverage_audit.counts.alignment import Alignment
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import epochs_text, listed, number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Epochs whose start lies at different batches of the pass, and epochs that begin a pass anew before its end."""
    yield from _restarted(counts)
    yield from _drifting(counts)


def _restarted(counts: SplitCounts) -> Iterator[Evidence]:
    cut = {
        (p.rank, p.pass_) for p in counts.passes if p.pass_from == "told" and p.ended_by == "trainer" and not p.complete
    }
    found = []
    for epoch in counts.complete_epochs:
        left = [a for a, b in itertools.pairwise(epoch.spans) if a.rank == b.rank and (a.rank, a.pass_) in cut]
        if left and (epoch.missed or epoch.surplus):
            found.append((epoch, sum(s.batches for s in left)))
    if not found:
        return
    alignment = Alignment(counts)
    epochs = [e for e, _ in found]
    yield Evidence(
        message=f"{epochs_text([e.epoch for e in epochs], len(counts.complete_epochs))} "
        f"{'begins' if len(epochs) == 1 else 'begin'} the data anew after {number(found[0][1])} of "
        f"{several(epochs[0].steps, 'step')}",
        cause="a new iter() of the loader was taken before the pass was over",
        fix="iterate the loader once per epoch",
        epochs=tuple(e.epoch for e in epochs),
        count=0,
        claims=tuple(c for c in (alignment.of(e) for e in epochs) if c.missed or c.repeated),
        severity=Severity.INFO if counts.info.contract.per != "epoch" else None,
        numbers={"batches": [n for _, n in found][:100]},
    )


def _drifting(counts: SplitCounts) -> Iterator[Evidence]:
    epochs = [e for e in counts.complete_epochs if e.starts_at is not None and e.steps]
    starts = [e.starts_at.batch for e in epochs if e.starts_at is not None]
    if len(set(starts)) < 2:
        return
    alignment = Alignment(counts)
    claims = tuple(c for c in (alignment.of(e) for e in epochs) if c.missed or c.repeated)
    shift = _shift(epochs)
    if shift:
        way = "earlier" if shift < 0 else "later"
        message = f"each epoch starts {several(abs(shift), 'batch')} {way} in the pass"
        message = message.replace("1 batch ", "one batch ")
    else:
        message = f"the epochs start at batches {listed(starts, 6)} of the pass"
    yield Evidence(
        message=message,
        cause="an epoch is not as long as a pass of the loader, which runs on from one epoch to the next",
        fix="make an epoch as long as a pass",
        epochs=tuple(e.epoch for e in epochs),
        count=0,
        claims=claims,
        severity=Severity.INFO if counts.info.contract.per != "epoch" else None,
        numbers={"shift": shift, "starts": starts[:100]},
    )


def _shift(epochs: list[EpochCount]) -> int:
    """Batches by which each epoch's start moves in the pass, the same every time, else 0. Negative: earlier."""
    shifts = set()
    for before, after in itertools.pairwise(epochs):
        if before.needed is None or before.needed != after.needed or after.epoch != before.epoch + 1:
            return 0
        assert before.starts_at is not None
        assert after.starts_at is not None
        step = (after.starts_at.batch - before.starts_at.batch) % before.needed
        shifts.add(step if step <= before.needed // 2 else step - before.needed)
    return shifts.pop() if len(shifts) == 1 else 0


RULE = Rule(
    code="CA603",
    name="drifting-epochs",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=50,
    quiet=(Example((4,), (((0, 1), (2, 3)), ((2, 3), (0, 1)))),),
    fires=(Example((6,), (((0, 1), (2, 3)), ((4, 5), (0, 1)), ((2, 3), (4, 5)))),),
)
