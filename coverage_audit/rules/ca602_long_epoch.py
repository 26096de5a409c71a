"""steps_per_epoch is above what one pass over the data needs.

## What it looks for
Complete epochs with the usual number of steps, more than one pass of this loader takes.

## Why it matters
The surplus steps show rows a second time before the others had their turn, and the boundary of the pass drifts through
the epochs (CA603). "Epoch" in your logs is not one look at the data.

## How to fix it
Set steps_per_epoch to the number the finding gives. If the loader's pass is shorter because it leaves rows out (CA103,
CA104, CA105, CA106), mend that first; where the steps are not too many for a pass over all rows, this only warns.

## When it is fine
Several passes per epoch on purpose: declare `contract="at-least-once"`, or judge per pass or run.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.alignment import Alignment, full_pass, leaves_rows_out, usual_steps
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Epochs of the usual length that are longer than a pass."""
    usual = usual_steps(counts)
    # A pass nobody can tell has no length: rows that come twice need not be the next pass.
    if any(p.pass_from == "unknown" for p in counts.passes):
        return
    long = [e for e in counts.complete_epochs if e.steps == usual and e.needed is not None and e.steps > e.needed]
    if not long or usual is None:
        return
    needed = long[-1].needed
    assert needed is not None
    alignment = Alignment(counts)
    claims = tuple(c for c in (alignment.of(e) for e in long) if c.missed or c.repeated)
    contract = counts.info.contract
    name = "validation_steps" if counts.evaluation else "steps_per_epoch"
    leaves_out = leaves_rows_out(counts)
    whole = full_pass(counts) if leaves_out else ()
    # Long only beside a pass that leaves rows out: the loader is at fault.
    not_long = leaves_out and usual <= max(whole, default=0)
    tolerated = contract.per != "epoch" or contract.tolerates_repeats
    yield Evidence(
        message=f"{several(usual, 'step')}, one pass of this loader takes {number(needed)}",
        cause=f"each epoch goes {several(usual - needed, 'batch')} into the next pass"
        + (", as the loader's pass leaves rows out" if leaves_out else ""),
        fix=_fix(name, usual, needed, whole=whole),
        epochs=tuple(e.epoch for e in long),
        rows=long[0].repeated.rows,
        count=sum(e.surplus for e in long),
        claims=claims,
        severity=Severity.INFO if tolerated else Severity.WARNING if not_long else None,
        numbers={"steps": usual, "needed": needed, "needed_from": long[-1].needed_from},
    )


def _fix(name: str, usual: int, needed: int, *, whole: tuple[int, ...]) -> str:
    """``whole``: what a pass may take once it leaves nothing out; empty if it leaves nothing out now."""
    if usual in whole:
        return f"mend what the loader leaves out: {name} = {number(usual)} is right for a pass over all rows"
    if whole:
        return f"mend what the loader leaves out, then {name} = {' or '.join(number(n) for n in whole)}"
    return f"{name} = {number(needed)}"


_PASS = ((0, 1), (2, 3), (4,))
RULE = Rule(
    code="CA602",
    name="long-epoch",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=40,
    quiet=(Example((5,), (_PASS, _PASS), batch_size=2),),
    fires=(Example((5,), ((*_PASS, (0, 1)), ((2, 3), (4,), *_PASS[:2])), batch_size=2, reported=(0, 1)),),
)
