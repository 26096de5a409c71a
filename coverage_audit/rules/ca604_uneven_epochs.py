"""Epochs have different numbers of steps: one was cut short, or is empty.

## What it looks for
Complete epochs with fewer or more steps than the others (or than the declared steps_per_epoch, for a shorter one).

## Why it matters
The trainer takes what it gets: a loader that runs out in mid-epoch ends the epoch with a warning at most, a
learning-rate schedule counts steps that never happened, and every later epoch starts somewhere else.

## How to fix it
If the loader ran out or raised an error, mend it, make it cycle, or set steps_per_epoch to what one pass takes. If
training was stopped on purpose (`stop_training`), the last epoch is not one to compare.

## When it is fine
When the data itself grows or shrinks between epochs.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.alignment import Alignment, fits_pass, usual_steps
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, listed, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs whose steps differ from the usual, and an epoch that an error of the loader cut off."""
    yield from _odd(counts)
    cut = [e for e in counts.epochs if not e.complete]
    if counts.loader_errors and cut:
        error = counts.loader_errors[-1]
        yield Evidence(
            message=f"{epochs_text([e.epoch for e in cut], len(counts.epochs))} cut off after "
            f"{several(cut[-1].steps, 'step')}: the loader raised {error}",
            fix="mend the loader; the epoch is shown so far and not judged",
            epochs=tuple(e.epoch for e in cut),
            count=0,
            severity=Severity.WARNING,
            numbers={"error": error, "steps": cut[-1].steps},
        )


def _odd(counts: SplitCounts) -> Iterator[Evidence]:
    epochs = counts.complete_epochs
    declared = counts.info.steps_per_epoch
    usual = usual_steps(counts)
    if usual is None:
        return
    if declared is not None and declared > usual and len({e.steps for e in epochs}) == 1 and counts.exhausted:
        usual = declared
    odd = [e for e in epochs if e.steps != usual]
    if not odd:
        return
    alignment = Alignment(counts)
    claims = [Claim(e.epoch, e.missed, alignment.of(e).repeated) for e in odd if e.steps < usual]
    claims += [alignment.of(e) for e in odd if e.steps > usual]
    if fits_pass(counts):
        first = odd[0].epoch
        claims += [alignment.of(e) for e in epochs if e.epoch > first and e not in odd]
    counted = [str(e.steps) for e in epochs]
    short = [e for e in odd if e.steps < usual]
    what = "cut short" if short else "longer than the others"
    ran_out = bool(short) and counts.exhausted
    yield Evidence(
        message=f"{epochs_text([e.epoch for e in odd], len(epochs))} {what}: "
        f"{listed([f'{e.steps}' for e in odd])} of {several(usual, 'step')}",
        cause=f"the loader ended after {several(counts.yields, 'batch')}" if ran_out else "",
        fix="make the loader cycle for ever, or set steps_per_epoch to what one pass takes"
        if ran_out
        else "end epochs where a pass ends; an epoch stopped on purpose cannot be compared",
        epochs=tuple(e.epoch for e in odd),
        rows=odd[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=tuple(c for c in claims if c.missed or c.repeated),
        severity=Severity.INFO if counts.info.contract.per != "epoch" else None,
        numbers={"steps": counted[:100], "usual": usual},
    )


RULE = Rule(
    code="CA604",
    name="uneven-epochs",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=35,
    quiet=(Example((2,), (((0,), (1,)), ((0,), (1,)))),),
    fires=(Example((2,), (((0,), (1,)), ((0,), (1,)), ((0,),)), reported=(1,)),),
)
