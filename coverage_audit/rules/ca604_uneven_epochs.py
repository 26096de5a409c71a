"""Epochs have different numbers of steps: one was cut short, or is empty.

## What it looks for
Complete epochs with fewer or more steps than the others (or than the declared steps_per_epoch, for a shorter one),
unless they visit every row once. Where only yields are known: a generator that ended inside an epoch, or before the
declared number of epochs.

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

from coverage_audit.counts.alignment import Alignment, ends_by_itself, fits_pass, usual_steps
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import epochs_text, listed, number, several
from coverage_audit.rules._resume import judge
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs whose steps differ from the usual, and an epoch that an error of the loader cut off."""
    yield from _odd(counts)
    yield from _ran_out(counts)
    cut = [e for e in counts.epochs if not e.complete]
    if counts.loader_errors and cut:
        error = counts.loader_errors[-1]
        yield Evidence(
            message=f"{epochs_text([e.epoch for e in cut], len(counts.epochs))} cut off after "
            f"{several(cut[-1].steps, 'step')}: the loader raised {error}",
            fix="mend the loader; the epoch is shown so far and not judged",
            epochs=tuple(e.epoch for e in cut),
            count=0,
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
    resumed = {e for found in judge(counts) for e in found.epochs}  # their length is a fault of the restore
    odd = [e for e in epochs if e.steps != usual and e.epoch not in resumed and not _as_it_should(counts, e, usual)]
    if not odd:
        return
    alignment = Alignment(counts)
    claims = [Claim(e.epoch, e.missed, alignment.of(e).repeated) for e in odd if e.steps < usual]
    claims += [alignment.of(e) for e in odd if e.steps > usual]
    if fits_pass(counts):
        first = odd[0].epoch
        claims += [alignment.of(e) for e in epochs if e.epoch > first and e not in odd]
    cause, fix = _why(counts, odd, usual)
    yield Evidence(
        message=_message(odd, len(epochs), usual),
        cause=cause,
        fix=fix,
        epochs=tuple(e.epoch for e in odd),
        rows=odd[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=tuple(c for c in claims if c.missed or c.repeated),
        severity=Severity.INFO if counts.info.contract.per != "epoch" else None,
        numbers={"steps": [str(e.steps) for e in epochs][:100], "usual": usual},
    )


def _as_it_should(counts: SplitCounts, epoch: EpochCount, usual: int) -> bool:
    """Whether the epoch is one whole pass of a loader whose passes differ in length (batches made by length, say)."""
    if counts.expected and not epoch.missed and not epoch.surplus:
        return True
    return epoch.steps > usual and _is_pass(counts, epoch)


def _is_pass(counts: SplitCounts, epoch: EpochCount) -> bool:
    """Whether the epoch is what the loader itself says is a pass, from its begin to its end."""
    told = {(p.rank, p.pass_): p.batches for p in counts.passes if p.pass_from == "told" and ends_by_itself(p)}
    spans = {s.rank: s for s in epoch.spans}
    return len(spans) == len(epoch.spans) > 0 and all(told.get((s.rank, s.pass_)) == s.batches for s in epoch.spans)


def _message(odd: list[EpochCount], n_epochs: int, usual: int) -> str:
    which, took = epochs_text([e.epoch for e in odd], n_epochs), listed([number(e.steps) for e in odd])
    if all(e.steps < usual for e in odd):
        return f"{which} cut short: {took} of {several(usual, 'step')}"
    if all(e.steps > usual for e in odd):
        return f"{which} longer than the others: {took} instead of {several(usual, 'step')}"
    return f"{which} of another length than the others: {took} instead of {several(usual, 'step')}"


def _why(counts: SplitCounts, odd: list[EpochCount], usual: int) -> tuple[str, str]:
    """(cause, fix)."""
    short = [e for e in odd if e.steps < usual]
    if short and counts.exhausted and not any(p.pass_from == "told" for p in counts.passes):
        return (
            f"the loader ended after {several(counts.yields, 'batch')}",
            "make the loader cycle for ever, or set steps_per_epoch to what one pass takes",
        )
    if short and all(not e.steps or _is_pass(counts, e) for e in short):
        return (
            "the loader itself ended its pass there",
            "look at why the loader ends early: an iterator that is used up, a list of files that shrank",
        )
    return "", "end epochs where a pass ends; an epoch stopped on purpose cannot be compared"


def _ran_out(counts: SplitCounts) -> Iterator[Evidence]:
    """A generator that ended inside an epoch, where only yields are known and no trainer says so."""
    last = counts.epochs[-1] if counts.epochs else None
    steps, planned = counts.info.steps_per_epoch, counts.info.epochs
    if last is None or steps is None or counts.epochs_from != "steps_per_epoch" or not counts.exhausted:
        return
    if counts.info.contract.per != "epoch" or any(p.pass_from == "told" for p in counts.passes):
        return
    done = len(counts.complete_epochs)
    too_few = planned is not None and done < planned
    if last.complete and not too_few:
        return
    yield Evidence(
        message=f"the loader ended after {several(counts.yields, 'batch')}: "
        + (
            f"{number(planned)} epochs of {several(steps, 'step')} take {number(planned * steps)}"
            if planned is not None and too_few
            else f"{number(last.steps)} of {several(steps, 'step')} into epoch {last.epoch}"
        ),
        fix="make the loader cycle for ever, or set steps_per_epoch to what one pass takes",
        epochs=() if last.complete else (last.epoch,),
        count=0,
        severity=Severity.ERROR if too_few else Severity.WARNING,
        numbers={"yields": counts.yields, "steps_per_epoch": steps, "complete_epochs": done},
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
