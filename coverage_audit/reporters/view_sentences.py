"""The sentences of a report: what heads a split, what stands under its table, what it comes to."""

from __future__ import annotations

from collections import Counter

import numpy as np

from coverage_audit.model.finding import Severity
from coverage_audit.model.words import several
from coverage_audit.reporters.wording import number, percent, printable, times
from coverage_audit.result import AuditResult, SplitResult, Verdict

# By the names that counting gives them.
WAYS = {
    "explicit": "ids the loader told",
    "provenance": "arrays that remember their rows",
    "view": "views of the data",
    "recent content": "content of rows just read",
    "indexed content": "content looked up in an index",
    "tracer": "a tracer dataset",
    "inferred": "inferred",
    "unknown": "unknown",
}

NEEDED = {
    "observed": "observed: the batches of the last complete pass",
    "projected": "projected: the batches so far and what the unvisited rows still take",
    "computed": "computed from the number of rows and the batch size",
    "unknown": "unknown: no complete pass, and no batch size that holds",
}

DIVIDED = "unknown: several processes took steps, and their passes do not add up to one of all rows"


def facts(result: AuditResult, split: SplitResult) -> tuple[str, ...]:
    """Log, split, epochs, rows and shards, and what was counted: the first line."""
    counts = split.counts
    out = [printable(result.run.log), printable(split.name), _epochs(split)]
    if counts.shards is None:
        out.append("unknown dataset")
    else:
        rows = several(counts.shards.rows, "row")
        if counts.shards.selected is not None:
            rows = f"{rows} selected of {number(counts.shards.n_ids)}"
        out.append(f"{rows} in {several(len(counts.shards), 'shard')}")
    contract = counts.info.contract
    if contract.explicit or contract.per != "epoch":
        out.append(f"{contract.kind} per {contract.per}")
    if result.run.attempts > 1:
        out.append(several(result.run.attempts, "attempt"))
    if result.run.ranks > 1:
        out.append(several(result.run.ranks, "rank"))
    out.append(_counted(split))
    return tuple(out)


def notes(result: AuditResult, split: SplitResult, verbose: bool = False) -> tuple[str, ...]:
    """What holds over the run: how often rows were seen, what explains what, how rows are known."""
    counts, totals = split.counts, split.totals
    out = [*_needed(split, verbose), *_two_truths(split), _over_the_run(split)]
    claims: Counter[str] = Counter()
    for f in result.findings:
        if f.split == split.name and f.explained > 0:
            claims[f.code] += f.explained
    if (totals.unexplained > 0 and not counts.knows_nothing) or len(claims) > 1:
        parts = [f"{number(n)} explained by {code}" for code, n in claims.items()]
        parts.append(f"{number(totals.unexplained)} unexplained")
        out.append(f"missed or repeated row-epochs {number(totals.missed + totals.repeated)}: {', '.join(parts)}")
    if totals.unidentified > 0:
        batches = several(counts.unidentified_batches, "batch", "batches")
        out.append(f"rows unknown: {several(totals.unidentified, 'row')} in {batches}")
    if counts.outside > 0:
        out.append(f"outside the data: {several(counts.outside, 'visit')}")
    known = {way: rows for way, rows in counts.found.items() if rows > 0}
    if not counts.planned and known and (len(known) > 1 or verbose or set(known) - {"explicit", "view"}):
        whole = sum(known.values())
        mix = ", ".join(f"{_way(way)} {percent(rows, whole)}" for way, rows in known.items())
        out.append(f"how rows are known: {mix}")
    remarks = counts.remarks
    if remarks.twins > 0:
        out.append(
            f"identical rows: {several(remarks.twin_rows, 'row')} in {several(remarks.twins, 'group')}; "
            "the rows of a group share its visits"
        )
    if verbose and totals.untrained_batches > 0:
        out.append(f"yielded and never trained: {several(totals.untrained_batches, 'batch', 'batches')}")
    return tuple(out)


def conclusion(result: AuditResult, split: SplitResult) -> tuple[str, str]:
    """The verdict in a sentence, and a remark under it: what was checked, or what to do."""
    if split.verdict is Verdict.FAIL:
        return "; ".join(printable(g) for g in split.gates) or "a finding is an error", ""
    if split.verdict is Verdict.INCOMPLETE:
        return _incomplete(result, split)
    checked = "checked: missed rows, steps, rows that are unknown or outside the data, complete evidence"
    if split.counts.counts == "yielded" and not split.counts.planned:
        checked += f". Counts yields, not {_used(split)} steps"
    return _passed(split) + _of_epochs_asked(split), checked


def _incomplete(result: AuditResult, split: SplitResult) -> tuple[str, str]:
    reasons = [
        f"{f.code} {f.name}"
        for f in result.findings
        if f.severity is Severity.INCOMPLETE and (f.split == split.name or f.split not in _names(result))
    ]
    if reasons:
        unique = dict.fromkeys(reasons)
        return f"the evidence does not support a number: {', '.join(unique)}", ""
    if not split.counts.complete_epochs:
        return "no epoch was recorded to its end", "let an epoch finish, then report again"
    return "the evidence does not support a number", ""


def _passed(split: SplitResult) -> str:
    counts, totals = split.counts, split.totals
    if counts.shards is None:
        return f"{several(totals.steps, 'step')} recorded; without a dataset nobody can say which rows were missed"
    n = number(counts.shards.rows)
    if counts.info.contract.per == "run":
        missed, repeated, where = totals.rows_never_seen, totals.rows_repeated, "over the run"
    elif counts.info.contract.per == "pass":
        passes = [p for p in counts.passes if p.complete]
        missed, repeated = sum(len(p.missed) for p in passes), sum(p.repeated for p in passes)
        where = _in_each(len(passes), "pass", "passes")
    else:
        missed, repeated = totals.missed, totals.repeated
        noun = "evaluation" if counts.evaluation else "epoch"
        where = _in_each(len(counts.complete_epochs), noun, f"{noun}s") + _steps_each(split)
    if missed > 0:
        unit = {"run": "row", "pass": "row-pass"}.get(counts.info.contract.per, "row-epoch")
        many = several(missed, f"missed {unit}")
        be = "is" if missed == 1 else "are"
        return f"{many} {be} let through ({counts.info.contract.kind}, and the gates)"
    if repeated > 0:
        return f"every one of {n} rows seen {where}; {number(repeated)} repeated"
    return f"every one of {n} rows seen exactly once {where}"


def _of_epochs_asked(split: SplitResult) -> str:
    """That fewer epochs were trained than was asked for: stopped early, or cut short where nobody tells."""
    counts = split.counts
    done, asked = counts.epochs_done, counts.epochs_asked
    if counts.planned or counts.evaluation or asked is None or not 0 < done < asked:
        return ""
    return f"; {number(done)} of {several(asked, 'epoch')} asked for"


def _in_each(n: int, noun: str, nouns: str) -> str:
    if n == 0:
        return f"so far: no complete {noun}"
    return f"in the {noun}" if n == 1 else f"in each of {n:,} {nouns}"


def _steps_each(split: SplitResult) -> str:
    taken = {e.steps for e in split.counts.complete_epochs}
    if len(taken) != 1:
        return ""
    steps = several(taken.pop(), "step")
    return f", {steps} each" if len(split.counts.complete_epochs) > 1 else f", {steps}"


def _names(result: AuditResult) -> set[str]:
    return {s.name for s in result.splits}


def _epochs(split: SplitResult) -> str:
    noun = "evaluation" if split.counts.evaluation else "epoch"
    whole = len(split.counts.complete_epochs)
    begun = len(split.counts.epochs) - whole
    if begun == 0:
        return several(whole, noun)
    return f"{several(begun, noun)} so far" if whole == 0 else f"{several(whole, noun)} and {begun} so far"


def _counted(split: SplitResult) -> str:
    counts = split.counts
    if counts.planned:
        return "planned, nothing recorded"
    if counts.counts == "yielded":
        return f"counts yields, not {_used(split)} steps"
    told = " (told by the trainer)" if counts.epochs_from == "trainer" else ""
    return f"{_used(split)} steps{told}"


def _used(split: SplitResult) -> str:
    """What the trainer does with a batch of this split."""
    return "evaluated" if split.counts.evaluation else "trained"


def _over_the_run(split: SplitResult) -> str:
    shards, totals = split.counts.shards, split.totals
    if shards is None:
        return f"over the run: {several(totals.visits, 'visit')} of rows of an unknown dataset"
    if shards.rows == 0:
        return "over the run: the dataset has no rows"
    visits = split.counts.run_visits
    if shards.selected is not None:
        visits = visits[shards.selected.mask(shards.n_ids)]
    low, high = int(np.min(visits)), int(np.max(visits))
    if totals.rows_never_seen == 0:
        return f"over the run: every row seen {times(low, high)}, never seen 0"
    if split.counts.knows_nothing:
        return f"over the run: which of {several(shards.rows, 'row')} were seen is unknown"
    if high == 0:
        return f"over the run: none of {several(shards.rows, 'row')} seen"
    bound = "at most " if totals.unidentified > 0 else ""
    never = f"{bound}{number(totals.rows_never_seen)} of {number(shards.rows)} rows never seen"
    share = percent(totals.rows_never_seen, shards.rows)
    return f"over the run: {never} ({share}), the others up to {several(high, 'time')}"


def _two_truths(split: SplitResult) -> list[str]:
    """Every visit made, and what the final weights saw of it, where restores parted the two."""
    counts = split.counts
    if len(counts.attempts) < 2 or (not counts.resumes and counts.all_visits == counts.visits):
        return []
    attempts = several(len(counts.attempts), "attempt")
    lost = counts.all_visits - counts.visits
    thrown = f"; {several(lost, 'visit')} beyond the checkpoints restored" if lost else ""
    return [
        f"every visit made: {number(counts.all_visits)} in {several(counts.all_steps, 'step')} of {attempts}",
        f"what the final weights saw: {number(counts.visits)} in {several(counts.steps, 'step')}{thrown}",
    ]


def _needed(split: SplitResult, verbose: bool) -> list[str]:
    """Where the needed steps come from, said unless they were observed."""
    ways = dict.fromkeys(e.needed_from for e in split.counts.epochs)
    if split.counts.planned or not ways or (list(ways) == ["observed"] and not verbose):
        return []
    said = [NEEDED.get(w, printable(w)) for w in ways]
    if split.counts.divided and split.counts.batch_size is not None:  # else it would be computed
        said = [DIVIDED if w == "unknown" else text for w, text in zip(ways, said, strict=True)]
    return [f"needed steps are {' or '.join(said)}"]


def _way(name: str) -> str:
    base, plus, verified = name.partition("+")
    return WAYS.get(base, printable(base)) + (f" ({verified})" if plus else "")
