"""The report as JSON, format 1: integers raw, ranges half-open ``[shard, start, stop]``.

``report-format-1.schema.json`` beside this file says the same to machines. Format 1 history: 1 first version.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from coverage_audit._version import __version__
from coverage_audit.model.finding import Finding
from coverage_audit.result import AuditResult, EpochCount, PassCount, SplitCounts, SplitResult, WriterCount, shard_lines

FORMAT = 1


def render(result: AuditResult) -> str:
    """One JSON document, ending in a newline; the same result gives the same bytes."""
    return json.dumps(document(result), ensure_ascii=False, indent=1) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) every document follows."""
    text = files("coverage_audit.reporters").joinpath("report-format-1.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def document(result: AuditResult) -> dict[str, Any]:
    """The same as plain values."""
    run = result.run
    return {
        "format": FORMAT,
        "tool": {"name": "coverage-audit", "version": __version__},
        "verdict": result.verdict.value,
        "run": {
            "log": run.log, "run_id": run.run_id, "attempts": run.attempts, "writers": len(run.writers),
            "ranks": run.ranks,
        },
        "splits": [_split(split) for split in result.splits],
        "findings": [_finding(f) for f in result.findings],
    }  # fmt: skip


def _split(split: SplitResult) -> dict[str, Any]:
    counts, totals = split.counts, split.totals
    shards = counts.shards
    return {
        "split": split.name,
        "verdict": split.verdict.value,
        "counts": counts.counts,
        "contract": counts.info.contract.to_json(),
        "dataset": None if shards is None else {
            "shards": len(shards), "rows": shards.rows, "fingerprint": shards.fingerprint,
        },
        "totals": {
            "epochs": totals.epochs, "steps": totals.steps, "visits": totals.visits, "rows_seen": totals.rows_seen,
            "rows_never_seen": totals.rows_never_seen, "rows_repeated": totals.rows_repeated, "missed": totals.missed,
            "repeated": totals.repeated, "explained": totals.explained, "unexplained": totals.unexplained,
            "unidentified": totals.unidentified, "untrained_batches": totals.untrained_batches,
        },
        "epochs": [_epoch(e) for e in counts.epochs],
        "passes": [_pass(p) for p in counts.passes],
        "shards": [
            {
                "shard": name, "rows": rows, "visits": visits, "rows_seen": seen, "rows_never_seen": never,
                "min_visits": low, "max_visits": high,
            }
            for _, name, rows, visits, seen, never, low, high in shard_lines(counts)
        ],
        "ranks": [_rank(w) for w in split.counts.writers],
        "attempts": _attempts(counts, split.name),
    }  # fmt: skip


def _epoch(e: EpochCount) -> dict[str, Any]:
    at = e.starts_at
    return {
        "epoch": e.epoch, "fit": e.fit, "complete": e.complete, "steps": e.steps, "needed": e.needed,
        "needed_from": e.needed_from, "batch_size": e.batch_size, "visits": e.visits, "unique": e.unique,
        "missed": len(e.missed), "repeated": e.surplus,
        "starts_at": None if at is None else {"pass": at.pass_, "batch": at.batch},
    }  # fmt: skip


def _pass(p: PassCount) -> dict[str, Any]:
    return {
        "rank": p.rank, "pass": p.pass_, "pass_from": p.pass_from, "complete": p.complete, "batches": p.batches,
        "visits": p.visits, "unique": p.unique, "missed": len(p.missed), "repeated": p.repeated,
        "partial_batches": p.partial_batches,
    }  # fmt: skip


def _rank(w: WriterCount) -> dict[str, int]:
    return {
        "attempt": w.attempt, "rank": w.rank, "process": w.process, "steps": w.steps, "batches": w.batches,
        "visits": w.visits, "unique": w.unique,
    }  # fmt: skip


def _attempts(counts: SplitCounts, split: str) -> list[dict[str, Any]]:
    """Per launch of the run: who recorded this split, and whether all of them came to an end; of several launches, what
    each restored and did, and how much of that the final weights saw."""
    run, known = counts.run, {a.attempt: a for a in counts.attempts}
    writers = [w for w in run.writers if not w.writer.splits or split in {s.name for s in w.writer.splits}]
    out = []
    for attempt in sorted({w.writer.attempt for w in writers}):
        own = [w for w in writers if w.writer.attempt == attempt]
        complete = all(w.state in ("closed", "idle") and not w.torn for w in own)
        ranks = len({w.writer.rank for w in own})
        facts: dict[str, Any] = {"attempt": attempt, "writers": len(own), "ranks": ranks, "complete": complete}
        did = known.get(attempt)
        if did is not None and len(known) > 1:
            origin = did.origin
            facts["restored"] = None if origin is None else {
                "tag": origin.tag, "attempt": origin.attempt, "step": origin.step,
            }  # fmt: skip
            facts |= {
                "steps": did.steps, "steps_kept": did.steps_kept, "visits": did.visits, "visits_kept": did.visits_kept,
            }  # fmt: skip
        out.append(facts)
    return out


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "code": f.code, "name": f.name, "severity": f.severity.value, "split": f.split, "epochs": list(f.epochs),
        "message": f.message, "cause": f.cause, "fix": f.fix, "rows": f.rows, "ranges": [list(r) for r in f.ranges],
        "truncated": f.truncated, "explains": list(f.explains), "claimed_by": list(f.claimed_by),
    }  # fmt: skip
