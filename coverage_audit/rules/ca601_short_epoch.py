"""steps_per_epoch is below what one pass over the data needs.

## What it looks for
Complete epochs with the usual number of steps, fewer than one pass of this loader takes. What a pass takes is
observed where the loader completed one, else projected from the batches so far and the rows still unvisited.

## Why it matters
Every epoch leaves rows out. Over a generator that runs on, the next epoch begins with them and the boundary drifts
(CA603); over one that starts anew, the same tail is left out for ever (CA106).

## How to fix it
Set steps_per_epoch to the number the finding gives. ceil(N / B) is right only for a loader that fills every batch; one
that ends each shard with a partial batch needs the sum of ceil(n / B) over the shards (CA606).

## When it is fine
Short "virtual" epochs over a continuous stream: declare `contract={"kind": "exactly-once", "per": "run"}` (or per
pass) and it becomes a note.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.alignment import Alignment, full_pass, leaves_rows_out, usual_steps
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Epochs of the usual length that are shorter than a pass."""
    usual = usual_steps(counts)
    # Where batches are filled up by the next pass, a later one takes fewer steps and misses nothing.
    short = [
        e
        for e in counts.complete_epochs
        if e.steps == usual and e.needed is not None and e.steps < e.needed and e.missed
    ]
    if not short or usual is None:
        return
    # The latest epoch knows best what a pass takes.
    needed = short[-1].needed
    assert needed is not None
    alignment = Alignment(counts)
    claims = tuple(c for c in (alignment.of(e) for e in short) if c.missed or c.repeated)
    contract = counts.info.contract
    name = "validation_steps" if counts.evaluation else "steps_per_epoch"
    tolerated = contract.per != "epoch" or contract.tolerates_missed
    if any(p.pass_from == "unknown" for p in counts.passes):
        # What one pass takes cannot be seen; that so few steps cannot hold all rows is arithmetic.
        said = f"{several(usual, 'step')} cannot visit all rows, which take at least {number(needed)}"
        cause, fix = "", f"{name} = {number(needed)} at least, and go through the data once per pass"
    else:
        said = message(counts, usual, needed)
        cause, more = explain_needed(counts, usual, needed)
        fix = f"{name} = {number(needed)}{more}"
        if leaves_rows_out(counts):
            fix = f"mend what the loader leaves out, then {name} = {' or '.join(number(n) for n in full_pass(counts))}"
    yield Evidence(
        message=said,
        cause=cause,
        fix="" if tolerated else fix,
        epochs=tuple(e.epoch for e in short),
        rows=short[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        severity=Severity.INFO if tolerated else None,
        numbers={"steps": usual, "needed": needed, "needed_from": short[-1].needed_from},
    )


def message(counts: SplitCounts, steps: int, needed: int) -> str:
    """'49 steps, one pass needs ceil(3190 / 64) = 50', or what this loader needs where that formula does not hold."""
    size, rows = counts.batch_size, counts.expected.size
    if size is not None and counts.run.ranks <= 1 and needed == -(-rows // size):
        return f"{several(steps, 'step')}, one pass needs ceil({rows} / {size}) = {needed}"
    return f"{several(steps, 'step')}, one pass of this loader needs {number(needed)}"


def explain_needed(counts: SplitCounts, steps: int, needed: int) -> tuple[str, str]:
    """(why a pass takes ``needed`` steps although ``steps`` were set, an alternative to setting the steps)."""
    size, shards = counts.batch_size, counts.shards
    if size is None or shards is None:
        return "", ""
    rows = counts.expected.size
    textbook = -(-rows // size)
    per_shard = [-(-int(n) // size) for n in shards.expected_per_shard]
    scattered = any(p.partial_batches > 1 for p in counts.passes)
    if scattered and needed == sum(per_shard) > textbook:
        terms = (
            " + ".join(str(n) for n in per_shard) if len(per_shard) <= 6 else f"the sum over {len(per_shard)} shards"
        )
        begin = (
            f"ceil({rows} / {size}) = {textbook} is right for a loader that fills every batch; "
            if (steps == textbook)
            else f"ceil({rows} / {size}) = {textbook}, but "
        )
        return (
            f"{begin}this one ends each shard with a partial batch (CA606), so a pass takes ceil(n / {size}) per "
            f"shard: {terms} = {needed}",
            ", or carry the rest of a shard over into the next batch",
        )
    if steps == rows // size and needed == textbook:
        return (
            f"floor({rows} / {size}) = {steps} leaves out the last, partial batch of {several(rows % size, 'row')}",
            "",
        )
    starts = {e.starts_at for e in counts.complete_epochs if e.starts_at is not None}
    lost = any(not h.tail for h in counts.holes)  # what was pulled and dropped may have ended the pass
    if len(starts) > 1 and all(s.batch == 0 for s in starts) and not lost:
        return f"each epoch starts the data anew and stops after {steps} of {needed} batches", ""
    if steps < needed:
        return f"an epoch ends after {steps} of the {needed} batches of a pass", ""
    return "", ""


_PASS = ((0, 1), (2, 3), (4,))
RULE = Rule(
    code="CA601",
    name="short-epoch",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=41,
    quiet=(Example((5,), (_PASS, _PASS), batch_size=2),),
    fires=(
        Example((5,), (((0, 1), (2, 3)),), batch_size=2, steps_per_epoch=2, reported=(4,)),
        Example((5,), (((0, 1), (2, 3)), ((4,), (0, 1)), ((2, 3), (4,))), batch_size=2, reported=(4,)),
    ),
)
