"""steps_per_epoch is below what one pass over the data needs.

## What it looks for
Complete epochs with the usual number of steps, fewer than one pass of this loader takes. What a pass takes is
observed where the loader completed one, else projected from the batches so far and the rows still unvisited. Where
nothing tells passes, what epochs without a repeat miss is what so few batches have no room for.

## Why it matters
Every epoch leaves rows out. Over a generator that runs on, the next epoch begins with them and the boundary drifts
(CA603); over one that starts anew, the same tail is left out for ever (CA106).

## How to fix it
Set steps_per_epoch to the number the finding gives. ceil(N / B) is right only for a loader that fills every batch; one
that ends each shard with a partial batch needs the sum of ceil(n / B) over the shards (CA606). Where nobody declared
the steps and nothing tells the end of the loader, it may be the loader that ends there: then look at what divides or
limits its data.

## When it is fine
Short "virtual" epochs over a continuous stream: declare `contract={"kind": "exactly-once", "per": "run"}` (or per
pass) and it becomes a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coverage_audit.counts.alignment import Alignment, full_pass, leaves_rows_out, usual_steps
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule
from coverage_audit.rules._stride import strided_hole


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
    untold = any(p.pass_from == "unknown" for p in counts.passes)
    fixed = strided_hole(counts)
    claims = tuple(c for c in _claims(counts, short, fixed, untold) if c.missed or c.repeated)
    if fixed and not any(c.missed for c in claims) and all(not e.missed - fixed for e in short):
        return  # no number of steps comes to rows that are left out at regular distances
    contract = counts.info.contract
    tolerated = contract.per != "epoch" or contract.tolerates_missed
    said, cause, fix = _untold(counts, usual, needed, claims) if untold else _told(counts, usual, needed, short)
    yield Evidence(
        message=said,
        cause=cause,
        fix=_over_the_run(counts, needed, fix) if contract.per == "run" else "" if tolerated else fix,
        epochs=tuple(e.epoch for e in short),
        rows=short[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        severity=Severity.INFO if tolerated else None,
        numbers={"steps": usual, "needed": needed, "needed_from": short[-1].needed_from},
    )


def _over_the_run(counts: SplitCounts, needed: int, fix: str) -> str:
    """What helps where epochs may be short, but the run as a whole left rows out."""
    if counts.info.contract.tolerates_missed or not counts.never_seen:
        return ""
    steps = sum(e.steps for e in counts.epochs)
    if steps >= needed:
        return fix
    return f"train on: one pass takes {several(needed, 'step')}, and the run took {number(steps)}"


def _claims(counts: SplitCounts, short: Sequence[EpochCount], fixed: RowSet, untold: bool) -> Iterator[Claim]:
    alignment = Alignment(counts)
    for epoch in short:
        if untold and not epoch.unidentified and not epoch.surplus:
            # Nothing came twice: whatever the order, so many batches can hold no row more.
            yield Claim(epoch.epoch, epoch.missed - fixed)
        else:
            claim = alignment.of(epoch)
            yield Claim(epoch.epoch, claim.missed - fixed, claim.repeated)


def _untold(counts: SplitCounts, usual: int, needed: int, claims: Sequence[Claim]) -> tuple[str, str, str]:
    """(message, cause, fix) where passes cannot be seen; that so few steps cannot hold all rows is arithmetic."""
    full = any(c.missed for c in claims)
    return (
        f"{several(usual, 'step')} cannot visit all rows, which take at least {number(needed)}",
        "no row comes twice in an epoch, so all it misses is what there was no room for" if full else "",
        f"{_name(counts)} = {number(needed)} at least"
        + (_or_the_loader(counts) if full and not _chosen(counts) else ", and go through the data once per pass"),
    )


def _told(counts: SplitCounts, usual: int, needed: int, short: Sequence[EpochCount]) -> tuple[str, str, str]:
    """(message, cause, fix) where it is known what one pass takes."""
    cause, more = explain_needed(counts, usual, needed)
    if leaves_rows_out(counts):
        steps = " or ".join(number(n) for n in full_pass(counts))
        return message(counts, usual, needed), cause, f"mend what the loader leaves out, then {_name(counts)} = {steps}"
    fix = f"{_name(counts)} = {number(needed)}{more}"
    anew = all(e.starts_at is not None and e.starts_at.batch == 0 for e in short)
    if anew and not _chosen(counts) and not any(p.ended_by == "loader" for p in counts.passes):
        return message(counts, usual, needed), cause, fix + _or_the_loader(counts)
    return message(counts, usual, needed), cause, fix


def _name(counts: SplitCounts) -> str:
    return "validation_steps" if counts.evaluation else "steps_per_epoch"


def _chosen(counts: SplitCounts) -> bool:
    """Whether somebody said how many steps an epoch has: then it is not the loader that ended there."""
    return counts.info.steps_per_epoch is not None or any(e.declared is not None for e in counts.epochs)


def _or_the_loader(counts: SplitCounts) -> str:
    """The other reading of epochs that end early, where nothing tells the end of the loader."""
    divided = f" among {number(counts.run.ranks)} ranks, perhaps twice" if counts.run.ranks > 1 else ""
    return (
        f" if the loop stops there; if the loader itself ends there, look at what leaves the rest out: how the data is "
        f"divided{divided}, a limit, a filter"
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
