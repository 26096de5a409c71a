"""Some rows were not visited in an epoch that ended.

## What it looks for
Expected rows without a single visit in a complete epoch; under a contract per pass also in a complete pass. It is
counted in row-epochs: one row missed in three epochs counts three. Where the rows of some batches are unknown (CA904)
the number is the most there can be, and a note if all of it may have been in them; an epoch of nothing but such batches
says nothing.

## Why it matters
The model trains on less data than you think, and metrics "per epoch" describe something else than one look at
everything. Which rows are missed is rarely random: small shards, the ends of files, whatever came last.

## How to fix it
Read the diagnosis that explains it; this finding only says how much. What no diagnosis explains is shown as
unexplained: look at the ranges (`coverage-audit report -v`) for a pattern in the loader.

## When it is fine
Where the data is meant to be sampled: declare it (`contract="with-replacement"` or `"subset"`), or judge short epochs
over a continuous stream per run (`contract={"kind": "exactly-once", "per": "run"}`).
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.alignment import ends_by_itself
from coverage_audit.counts.processes import joint_passes
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, number, several
from coverage_audit.rules._rule import Example, Rule, Unknown


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Rows missed per complete epoch, and per complete pass under a contract per pass."""
    yield from _epochs(counts)
    if counts.info.contract.per == "pass":
        yield from _passes(counts)


def _epochs(counts: SplitCounts) -> Iterator[Evidence]:
    short = [e for e in counts.complete_epochs if e.missed and not e.knows_nothing]
    if not short:
        return
    total = sum(len(e.missed) for e in short)
    epochs = tuple(e.epoch for e in short)
    where = epochs_text(epochs, len(counts.complete_epochs))
    certain = any(e.missed.size > e.unidentified for e in short)
    judged = certain and counts.info.contract.per == "epoch" and not counts.info.contract.tolerates_missed
    rows = number(counts.expected.size)
    what = f"{number(total)} of {rows} rows" if len(epochs) == 1 else several(total, "row-epoch")
    cause, fix = _left_out(counts)
    yield Evidence(
        message=f"{_bound(short)}{what} missed in {where}",
        cause=cause,
        fix=fix,
        epochs=epochs,
        rows=short[0].missed,
        count=total,
        claims=tuple(Claim(e.epoch, missed=e.missed) for e in short),
        severity=None if judged else Severity.INFO,
        numbers={"missed": total},
    )


def _left_out(counts: SplitCounts) -> tuple[str, str]:
    """(what the passes say, what to look at) where every pass the loader ended leaves other rows out."""
    ended = [p for p in counts.passes if ends_by_itself(p)]
    sizes = sorted({p.missed.size for p in ended})
    # One rank's or process's pass leaves to the others what they visit.
    if counts.divided or len(ended) < 2 or not sizes[0] or len({p.missed for p in ended}) == 1:
        return "", ""
    # Rows that come twice take the place of others: nothing is skipped.
    if any(p.repeated >= p.missed.size for p in ended):
        return "", ""
    rows = several(sizes[0], "row") if len(sizes) == 1 else f"{number(sizes[0])} to {several(sizes[-1], 'row')}"
    return (
        f"each pass of the loader leaves {rows} out, not the same ones each time",
        "look at what the loader skips, and how it ends a pass: a buffer never emptied, a batch never yielded",
    )


def _bound(epochs: list[EpochCount]) -> str:
    """Rows of batches nobody could identify may be among the missed."""
    return "at most " if any(e.unidentified for e in epochs) else ""


def _passes(counts: SplitCounts) -> Iterator[Evidence]:
    short = [p for p in joint_passes(counts) if p.complete and p.missed]
    if not short:
        return
    total = sum(len(p.missed) for p in short)
    rows = short[0].missed
    yield Evidence(
        message=f"{several(total, 'row')} missed in {several(len(short), 'complete pass')}",
        rows=rows,
        count=total,
        severity=Severity.INFO if counts.info.contract.tolerates_missed else None,
        numbers={"missed_in_passes": total},
    )


RULE = Rule(
    code="CA101",
    name="missed-rows",
    severity=Severity.ERROR,
    role="symptom",
    since="0.1",
    check=check,
    quiet=(
        Example((3,), (((0,), (1,), (2,)), ((2,), (0,), (1,)))),
        Example((3,), ((Unknown(2), Unknown(1)),), batch_size=2),
    ),
    fires=(
        Example((3,), (((0,), (1,)), ((0,), (1,), (2,))), reported=(2,)),
        Example((3,), (((1,), (2,)),), reported=(0,)),
    ),
)
