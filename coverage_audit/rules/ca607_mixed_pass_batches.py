"""One batch holds rows of two passes.

## What it looks for
Batches in whose middle a new pass begins: the data is repeated first and cut into batches afterwards. A last batch that
is filled up with rows which come again in the same pass is padding, not this.

## Why it matters
Passes no longer end where batches end, so no number of steps is exactly one pass, and a row can be in one batch twice.

## How to fix it
Cut into batches first and repeat afterwards (`ds.batch(B).repeat()` instead of `ds.repeat().batch(B)`).

## When it is fine
Over an endless stream judged per run.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.alignment import Alignment, fits_pass
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Passes that begin inside a batch."""
    mixed = [p for p in counts.passes if p.mixed_batches and p.pass_from != "unknown"]
    if not mixed:
        return
    alignment = Alignment(counts)
    claims = tuple(alignment.of(e) for e in counts.complete_epochs) if fits_pass(counts) else ()
    batches = sum(p.mixed_batches for p in mixed)
    yield Evidence(
        message=f"{several(batches, 'batch')} hold rows of two passes"
        if batches > 1
        else "1 batch holds rows of two passes",
        cause="the data is repeated before it is cut into batches",
        fix="batch first, repeat afterwards",
        count=0,
        claims=tuple(c for c in claims if c.missed or c.repeated),
        severity=Severity.INFO if counts.info.contract.per == "run" else None,
        numbers={"batches": batches},
    )


RULE = Rule(
    code="CA607",
    name="mixed-pass-batches",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=45,
    quiet=(Example((5,), (((0, 1), (2, 3), (4,)), ((0, 1), (2, 3), (4,))), batch_size=2),),
    fires=(Example((5,), (((0, 1), (2, 3), (4, 0)), ((1, 2), (3, 4), (0, 1))), batch_size=2),),
)
