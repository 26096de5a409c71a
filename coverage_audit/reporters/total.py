"""The one number: how much of the data was seen, in percent, for scripts and badges."""

from __future__ import annotations

from coverage_audit.reporters.wording import percent_digits
from coverage_audit.result import AuditResult, SplitResult


def render(result: AuditResult) -> str:
    """``98.05``: row-epochs seen per row-epoch promised, all splits together, and a newline.

    Under a contract per pass, complete passes are counted instead of complete epochs; under one per run, rows.
    ``100`` and ``0`` only when it is exactly that; ``nan`` where any split has nothing to measure.
    """
    parts = [covered(split) for split in result.splits]
    if not parts or any(promised == 0 for _, promised in parts):
        return "nan\n"
    return percent_digits(sum(seen for seen, _ in parts), sum(promised for _, promised in parts)) + "\n"


def covered(split: SplitResult) -> tuple[int, int]:
    """(seen, promised) in row-epochs, row-passes or rows; promised is 0 where nothing was measured."""
    counts = split.counts
    if counts.shards is None:
        return 0, 0
    rows = counts.shards.rows
    match counts.info.contract.per:
        case "run":
            return rows - split.totals.rows_never_seen, rows if counts.steps > 0 else 0
        case "pass":
            missed = [len(p.missed) for p in counts.passes if p.complete]
        case _:
            missed = [len(e.missed) for e in counts.complete_epochs]
    return rows * len(missed) - sum(missed), rows * len(missed)
