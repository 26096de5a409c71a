"""Some rows were visited more than once in an epoch.

## What it looks for
Visits beyond the first of a row in one complete epoch. It counts the surplus: a row visited three times counts two.
Where the repeats are those of whole shards, of certain rows or of all of them, equally often in every pass, it says so.

## Why it matters
Repeated rows weigh more than the others, and in an epoch of fixed length every repeat takes the place of a row.

## How to fix it
Read the diagnosis that explains it: an epoch longer than a pass, a drifting pass boundary, replayed batches.

## When it is fine
Under `contract="at-least-once"`, `"padded"` (repeats that fill up a batch) or `"with-replacement"`; under a contract
per run, or per pass where no pass repeats a row. Repeats as such only warn, unless exactly-once was declared by hand or
`--fail-on repeated-rows` is given.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.processes import joint_passes
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, several
from coverage_audit.rules._duplicates import duplicates
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Surplus visits per complete epoch."""
    twice = [e for e in counts.complete_epochs if e.surplus]
    if not twice:
        return
    total = sum(e.surplus for e in twice)
    most = max(int(e.repeated.extra.max()) for e in twice) + 1
    epochs = tuple(e.epoch for e in twice)
    listed_twice = duplicates(counts)
    yield Evidence(
        message=f"{several(total, 'surplus visit')} in {epochs_text(epochs, len(counts.complete_epochs))}, "
        f"up to {most} visits of one row in an epoch",
        cause="" if listed_twice is None else listed_twice.cause(),
        fix="" if listed_twice is None else listed_twice.fix(),
        epochs=epochs,
        rows=twice[0].repeated.rows,
        count=total,
        claims=tuple(Claim(e.epoch, repeated=e.repeated.rows) for e in twice),
        severity=Severity.INFO if _tolerated(counts) else None,
        numbers={"repeated": total, "most_visits": most},
    )


def _tolerated(counts: SplitCounts) -> bool:
    """Whether the contract says nothing about repeats in an epoch, or allows these."""
    contract = counts.info.contract
    if contract.per == "run" or contract.tolerates_repeats or pads_only(counts):
        return True
    return contract.per == "pass" and not any(p.repeated for p in joint_passes(counts) if p.complete)


def pads_only(counts: SplitCounts) -> bool:
    """Whether the contract says that batches are padded, and no epoch repeats more than fills one up on every rank."""
    if counts.info.contract.kind != "padded" or counts.batch_size is None:
        return False
    return all(e.surplus < counts.batch_size * max(counts.run.ranks, 1) for e in counts.complete_epochs)


RULE = Rule(
    code="CA201",
    name="repeated-rows",
    severity=Severity.WARNING,
    role="symptom",
    since="0.1",
    check=check,
    quiet=(Example((3,), (((0,), (1,), (2,)), ((0,), (1,), (2,)))),),
    fires=(Example((3,), (((0,), (1,), (1,), (2,)),), reported=(1,)),),
)
