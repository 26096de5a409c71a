"""The record breaks off, or nothing in it came to an end.

## What it looks for
A writer whose last mark is neither *idle* (a fit ended, a loader was exhausted) nor *closed*; a journal with a torn
end; recording that failed; a restart that does not say which checkpoint it restored; no complete epoch (or pass, under
a contract per pass) to judge.

## Why it matters
What is not in the record may have happened or not. No verdict on coverage can stand on it.

## How to fix it
If the run was killed, this is the truth about it: everything yielded until then is in the log. If it still runs, look
again later. If the loop simply stopped iterating, close the recorder (`gen.recorder.close()`) or declare
steps_per_epoch so that epochs can be told. Under `coverage-audit run`, `--per run` judges all that was recorded as one;
of a log that was imported, `coverage-audit import` takes --steps-per-epoch, --finished and --per.

## When it is fine
To look at a run under way: `--allow-incomplete` judges what is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.processes import joint_passes
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.run import WriterEnd
from coverage_audit.model.words import several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Each writer of this split by how its record ends, then whether there is anything to judge."""
    ends = [
        w
        for w in counts.run.writers
        if (any(s.name == counts.split for s in w.writer.splits) or len(counts.run.writers) == 1)
        and w.writer.name not in counts.superseded
    ]
    broken = False
    for end in ends:
        for evidence in _writer(end, _went_on_from(counts, end)):
            broken = True
            yield evidence
    if counts.restarts_unplaced:
        broken = True
        yield Evidence(
            message=f"{several(counts.restarts_unplaced, 'restart')} without a known restore point",
            cause="a later attempt went on without saying which checkpoint it restored, so it is unknown which steps "
            "the final weights saw",
            fix="record checkpoints and restores, or use a new run_id for a new run",
            numbers={"restarts": counts.restarts_unplaced},
        )
    for problem in counts.restart_problems:
        broken = True
        yield Evidence(
            message=problem,
            cause="the steps before it are not in this log",
            fix="record all attempts into one log, under one run_id, and give restored() the tag that checkpoint() got",
            numbers={},
        )
    if not broken and counts.steps and not _judgeable(counts):
        unit = counts.info.contract.per
        known = counts.epochs_from != "unknown"
        steps = sum(e.steps for e in counts.epochs)  # per rank
        yield Evidence(
            message=f"no complete {unit} was recorded: {several(steps, 'step')} so far",
            cause="" if known else "nothing says where an epoch ends, and no pass of the data could be told",
            fix=_import_anew(counts)
            if counts.run.imported
            else "record to the end of an epoch"
            if known
            else "judge per run (--per run of `coverage-audit run`, contract={'per': 'run'} of wrap()), declare "
            "steps_per_epoch, or tell epochs and steps: recorder.epoch() and recorder.step(), gen.callback() for Keras",
            numbers={"steps": steps},
        )


def _import_anew(counts: SplitCounts) -> str:
    options = {
        "trainer": "--finished if the run ended there",
        "steps_per_epoch": "--steps-per-epoch with the steps that an epoch has",
    }.get(counts.epochs_from, "--steps-per-epoch if epochs have a length")
    return (
        f"import it again, `coverage-audit import {counts.run.imported} ...`: {options}, --per run to judge all as one"
    )


def _went_on_from(counts: SplitCounts, end: WriterEnd) -> int | None:
    """The attempt that went on from a checkpoint this writer did not get to, None for no such."""
    later = (a.attempt for a in counts.attempts if a.origin is not None and a.origin.attempt == end.writer.attempt)
    return next((a for a in later if a > end.writer.attempt and end.writer.name not in counts.superseded), None)


def _writer(end: WriterEnd, restored_by: int | None) -> Iterator[Evidence]:
    who = f"writer {end.writer.name}"
    for failure in end.failures:
        yield Evidence(
            message=f"recording stopped in {who}: {failure}",
            fix="import the whole file; what comes before its end is counted"
            if end.writer.imported
            else "see the warning in the run's output; what was recorded before is counted",
            numbers={"writer": end.writer.name},
        )
    if end.state == "open" and not end.live and restored_by is not None:
        yield Evidence(
            message=f"{who} broke off before the checkpoint that attempt {restored_by} restored",
            cause="what this rank did between the end of its record and the checkpoint is unknown",
            fix="save when all ranks are there (a barrier before it), or call checkpoint() on every rank",
            numbers={"writer": end.writer.name, "live": end.live, "torn": end.torn},
        )
    elif end.state == "open":
        torn = ", in the middle of an event" if end.torn else ""
        yield Evidence(
            message=f"{who} is still recording" if end.live else f"{who} broke off{torn}",
            cause="" if end.live else "the process ended without closing its record: killed, or out of memory",
            fix="look again when the run has ended; in a loop of your own, call gen.recorder.close()"
            if end.live
            else "everything yielded until then is counted; resume or repeat the run",
            numbers={"writer": end.writer.name, "live": end.live, "torn": end.torn},
        )
    elif end.torn:
        yield Evidence(message=f"the record of {who} has a torn end", numbers={"writer": end.writer.name, "torn": True})


def _judgeable(counts: SplitCounts) -> bool:
    per = counts.info.contract.per
    if per == "run" or counts.planned:
        return True
    if per == "pass":
        return any(p.complete for p in joint_passes(counts))
    return bool(counts.complete_epochs)


_DONE = (((0,), (1,)),)
RULE = Rule(
    code="CA901",
    name="incomplete-log",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((2,), _DONE), Example((2,), _DONE, writer="idle")),
    fires=(Example((2,), _DONE, writer="open"), Example((2,), (((0,),),), trained=False, steps_per_epoch=2)),
)
