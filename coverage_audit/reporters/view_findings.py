"""Findings in words: what, why, which rows, what to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coverage_audit.model.finding import Finding, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import several
from coverage_audit.reporters.wording import number, numbers, pieces, printable
from coverage_audit.result import SplitResult

RANGES_SHOWN = 3
RANGES_VERBOSE = 20
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
    return f"explains all {number(whole)} {kinds[0]} row-epochs" if kinds else ""


def _ranges(finding: Finding, split: SplitResult | None, limit: int) -> str:
    if not finding.ranges:
        return f"epochs {numbers(finding.epochs)}" if len(finding.epochs) > 1 and finding.rows > 0 else ""
    when = _when(finding, split)
    label = "first" if finding.truncated or len(finding.epochs) > 1 or len(finding.ranges) > limit else "rows"
    if len(finding.epochs) > 1 and when.endswith("every epoch)"):
        label = "rows"
    return f"{label}: {pieces(finding.ranges, limit, finding.truncated)}{when}"


def _when(finding: Finding, split: SplitResult | None) -> str:
    """In which of the finding's epochs its first range is missed or repeated, looked up rather than assumed."""
    if split is None or split.counts.shards is None or not finding.epochs:
        return ""
    shards = split.counts.shards
    name, start, stop = finding.ranges[0]
    index = next((i for i, s in enumerate(shards) if s.name == name), None)
    if index is None:
        return ""
    base = int(shards.offsets[index])
    wanted = set(finding.epochs)
    chosen = [e for e in split.counts.epochs if e.epoch in wanted]
    hit = [e.epoch for e in chosen if any(_holds(r, base + start, base + stop) for r in (e.missed, e.repeated.rows))]
    if not hit:
        return ""
    if len(hit) > 1 and len(hit) == len(split.counts.complete_epochs):
        return " (every epoch)"
    return f" (epoch {hit[0]})" if len(hit) == 1 else f" ({several(len(hit), 'epoch')}: {numbers(hit)})"


def _holds(rows: RowSet, start: int, stop: int) -> bool:
    """Whether all of [start, stop) is in ``rows``; ranges there are never adjacent, so one of them must hold it."""
    at = int(np.searchsorted(rows.starts, start, side="right")) - 1
    return at >= 0 and stop <= int(rows.stops[at])
