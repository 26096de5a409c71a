"""Findings in words: what, why, which rows, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coverage_audit.model.finding import Finding, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.reporters.wording import number, numbers, pieces, printable
from coverage_audit.result import SplitResult, Verdict

RANGES_SHOWN = 3
RANGES_VERBOSE = 20
COUNTING = frozenset({"CA101", "CA102", "CA201"})
"""What is missed and repeated, in numbers."""
LABELS = {
    Severity.ERROR: "FAIL",
    Severity.WARNING: "warn",
    Severity.INFO: "info",
    Severity.INCOMPLETE: "INCOMPLETE",
}


@dataclass(frozen=True, slots=True)
class FindingView:
    """``extent`` says how much it explains and which rows; each text but ``message`` may be empty."""

    label: str
    severity: Severity
    code: str
    name: str
    message: str
    cause: str
    extent: str
    fix: str


def speaks(finding: Finding) -> bool:
    """Whether a short report shows it: a symptom that a diagnosis explains in full is kept for --verbose."""
    return not (finding.severity is Severity.INFO and finding.claimed_by)


def explain_gates(split: SplitResult, findings: Sequence[Finding]) -> list[Finding]:
    """Of the findings of a split those that only are notes, and yet explain rows that a gate failed for.

    None where an error tells of such rows. The one that explains most comes first.
    """
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if split.verdict is not Verdict.FAIL or not split.gates or any(f.explained or f.code in COUNTING for f in errors):
        return []
    explaining = [f for f in findings if f.explained and f.severity is not Severity.INCOMPLETE]
    return sorted(explaining, key=lambda f: -f.explained)


def word(finding: Finding, split: SplitResult | None, verbose: bool = False) -> FindingView:
    """``split`` is None for a finding of the whole run."""
    parts = [_explains(finding, split), _ranges(finding, split, RANGES_VERBOSE if verbose else RANGES_SHOWN)]
    if finding.claimed_by:
        parts.append(f"explained by {', '.join(finding.claimed_by)}")
    return FindingView(
        label=LABELS[finding.severity],
        severity=finding.severity,
        code=finding.code,
        name=finding.name,
        message=printable(finding.message),
        cause=printable(finding.cause),
        extent=" · ".join(p for p in parts if p),
        fix=printable(finding.fix),
    )


def _explains(finding: Finding, split: SplitResult | None) -> str:
    if finding.explained == 0 or split is None:
        return ""
    totals = split.totals
    whole = totals.missed + totals.repeated
    kinds = [word for word, n in (("missed", totals.missed), ("repeated", totals.repeated)) if n > 0]
    if finding.explained < whole:
        return f"explains {number(finding.explained)} of {number(whole)} {' or '.join(kinds)} row-epochs"
    if len(kinds) > 1:
        return f"explains all {number(totals.missed)} missed and {number(totals.repeated)} repeated row-epochs"
    if whole == 1:
        return f"explains the 1 {kinds[0]} row-epoch"
    return f"explains all {number(whole)} {kinds[0]} row-epochs" if kinds else ""


def _ranges(finding: Finding, split: SplitResult | None, limit: int) -> str:
    if not finding.ranges:
        return in_epochs(finding.epochs) if len(finding.epochs) > 1 and finding.rows > 0 else ""
    whole = not finding.truncated and len(finding.ranges) <= limit
    where = _epochs_holding(finding, split, limit)
    everywhere = len(where) == len(finding.epochs)
    when = ""
    if where and split is not None:
        every = len(where) > 1 and len(where) == len(split.counts.complete_epochs)
        when = " (every epoch)" if every else f" ({in_epochs(where)})"
    label = "rows" if whole and (everywhere or split is None) else "first"
    return f"{label}: {pieces(finding.ranges, limit, finding.truncated, when)}"


def in_epochs(epochs: Sequence[int]) -> str:
    """``epoch 0``, ``epochs 0–2, 5``."""
    return f"{'epoch' if len(epochs) == 1 else 'epochs'} {numbers(epochs)}"


def _epochs_holding(finding: Finding, split: SplitResult | None, limit: int) -> list[int]:
    """In which of the finding's epochs the ranges shown are missed (if nowhere, repeated): looked up, not assumed."""
    shards = None if split is None else split.counts.shards
    if split is None or shards is None or not finding.epochs:
        return []
    shown = finding.ranges[:limit]
    names = {name for name, _, _ in shown}
    base = {s.name: int(shards.offsets[i]) for i, s in enumerate(shards) if s.name in names}
    spans = [(base[name] + start, base[name] + stop) for name, start, stop in shown if name in base]
    wanted = set(finding.epochs)
    epochs = [e for e in split.counts.epochs if e.epoch in wanted]
    missed = [e.epoch for e in epochs if all(_holds(e.missed, *s) for s in spans)]
    return missed or [e.epoch for e in epochs if all(_holds(e.repeated.rows, *s) for s in spans)]


def _holds(rows: RowSet, start: int, stop: int) -> bool:
    """Whether all of [start, stop) is in ``rows``; ranges there are never adjacent, so one of them must hold it."""
    at = int(np.searchsorted(rows.starts, start, side="right")) - 1
    return at >= 0 and stop <= int(rows.stops[at])
