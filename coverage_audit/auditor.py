"""audit(): count a run log, run the rules, let diagnoses claim symptoms, give the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverage_audit.claims import Settled, settle
from coverage_audit.config import Config, Gates
from coverage_audit.counts.leaks import compare_splits
from coverage_audit.counts.load import run_of, sources_of
from coverage_audit.counts.local import count_split
from coverage_audit.counts.tables import Counts, SplitCounts
from coverage_audit.errors import LogError
from coverage_audit.gates import Gated, apply_gates, codes_of
from coverage_audit.model.finding import Finding, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards
from coverage_audit.result import AuditResult, SplitResult, Totals, Verdict, severity_rank
from coverage_audit.rules._rule import Rule, all_rules, find_rule
from coverage_audit.runlog.reader import read_log
from coverage_audit.sources.changes import describe_changes
from coverage_audit.sources.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

MAX_RANGES = 100
# Findings about missed rows are errors through the missed gate only.
THROUGH_MISSED_GATE = frozenset({"CA101", "CA102", "CA103", "CA104", "CA105", "CA106"})
# Costs that are errors where rows are missed for them, through the same gate.
COSTS = frozenset({"CA605"})


def audit(
    log: str | Path | Sequence[str | Path],
    *,
    dataset: Dataset | None = None,
    gates: Gates | None = None,
    config: Config | None = None,
) -> AuditResult:
    """Read a run log, finished or not, count it and judge it. Several logs are judged as one run.

    ``dataset``: the data to compare with the recorded one (CA907), or the denominator where none was recorded.
    ``gates``: what is let through; ``config``'s by default. Raises LogError where the log cannot be read.
    """
    config = config or Config()
    reads = [read_log(path) for path in ([log] if isinstance(log, str | Path) else log)]
    given = None if dataset is None else dataset.shards
    sources = sources_of(reads, given, describe_changes)
    if not sources:
        raise LogError(
            f"{log}: no split was declared in it: nothing was wrapped, or the process died before; record again",
            slug="no-splits",
        )
    counts = Counts(run_of(reads), tuple(compare_splits([count_split(source) for source in sources])))
    shards = {source.info.name: source.shards for source in sources}

    def steps() -> pd.DataFrame:
        from coverage_audit.counts.steps import steps_frame

        return steps_frame((v for read in reads for w in read.writers for v in read.visits(w)), shards)

    result = judge(counts, gates or config.gates, config.rules)
    return replace(result, steps_of=steps)


def judge(
    counts: Counts, gates: Gates | None = None, thresholds: Mapping[str, Mapping[str, Any]] | None = None
) -> AuditResult:
    """Run the rules over what was counted.

    ``thresholds``: rule code -> threshold -> number, as in ``[tool.coverage-audit.rules.CA202]``. Raises UsageError for
    a rule nobody knows and ConfigError for a threshold the rule does not have.
    """
    gates = gates or Gates()
    rules = _with_thresholds(all_rules(), thresholds or {})
    splits: list[SplitResult] = []
    findings: list[Finding] = []
    for split in counts.splits:
        result, found = _judge_split(split, rules, gates)
        splits.append(result)
        findings += found
    return AuditResult(counts.run, tuple(splits), tuple(findings))


def _with_thresholds(rules: tuple[Rule, ...], thresholds: Mapping[str, Mapping[str, Any]]) -> tuple[Rule, ...]:
    changed = {find_rule(code).code: values for code, values in thresholds.items()}
    return tuple(rule.with_limits(changed[rule.code]) if rule.code in changed else rule for rule in rules)


def _judge_split(split: SplitCounts, rules: tuple[Rule, ...], gates: Gates) -> tuple[SplitResult, list[Finding]]:
    settled = settle(split, [(rule, evidence) for rule in rules for evidence in rule.evidence(split)])
    gated = apply_gates(split, gates)
    fail_on, warn_on = codes_of(gates.fail_on), codes_of(gates.warn_on)
    signed = [(_sign(split, item, _severity(item, gated, fail_on, warn_on)), item.rule) for item in settled]
    findings = [finding for finding, _ in sorted(signed, key=_order)]
    return (
        SplitResult(split, _verdict(findings, gated, gates), _totals(split, settled), gated.failed),
        findings,
    )


def _severity(item: Settled, gated: Gated, fail_on: frozenset[str], warn_on: frozenset[str]) -> Severity:
    code = item.rule.code
    severity = item.evidence.severity or item.rule.severity
    if severity is Severity.INCOMPLETE:
        return severity
    # A cost or habit stays one, whoever explains its rows; a fault that others explain in full is theirs.
    if code in COSTS and severity is Severity.ERROR and (item.spent or gated.missed_ok):
        severity = item.rule.severity
    if item.spent and (item.rule.role == "symptom" or severity is Severity.ERROR):
        return Severity.INFO
    if severity is Severity.ERROR and code in THROUGH_MISSED_GATE and gated.missed_ok:
        severity = Severity.INFO if gated.tolerated else Severity.WARNING
    if severity is Severity.WARNING and code in fail_on:
        return Severity.ERROR
    if severity is Severity.ERROR and code in warn_on:
        return Severity.WARNING
    return severity


def _sign(split: SplitCounts, item: Settled, severity: Severity) -> Finding:
    evidence = item.evidence
    rows = evidence.rows & _known(split)
    ranges = () if split.shards is None else tuple(split.shards.pieces(rows, MAX_RANGES))
    many = split.shards is not None and split.shards.n_pieces(rows) > MAX_RANGES
    explains = tuple(code for code, got in (("CA101", item.got_missed), ("CA201", item.got_repeated)) if got)
    return Finding(
        code=item.rule.code,
        name=item.rule.name,
        severity=severity,
        split=split.split,
        epochs=evidence.epochs,
        message=evidence.message,
        cause=evidence.cause,
        fix=evidence.fix,
        rows=rows.size if evidence.count is None else evidence.count,
        ranges=ranges,
        truncated=many,
        explains=explains,
        explained=item.explained,
        claimed_by=item.claimed_by,
        numbers=evidence.numbers,
    )


def _known(split: SplitCounts) -> RowSet:
    shards: Shards | None = split.shards
    return RowSet.empty() if shards is None else RowSet.span(0, shards.n_ids)


def _order(item: tuple[Finding, Rule]) -> tuple[int, bool, bool, int, str]:
    """Worst first; then what makes every other number suspect; then causes before what they leave unexplained, the more
    specific cause first."""
    finding, rule = item
    return severity_rank(finding), rule.role != "evidence", not finding.explained, rule.rank, finding.code


def _verdict(findings: list[Finding], gated: Gated, gates: Gates) -> Verdict:
    severities = {f.severity for f in findings}
    if Severity.INCOMPLETE in severities and not gates.allow_incomplete:
        return Verdict.INCOMPLETE
    return Verdict.FAIL if gated.failed or Severity.ERROR in severities else Verdict.PASS


def _totals(split: SplitCounts, settled: list[Settled]) -> Totals:
    missed = sum(e.missed.size for e in split.complete_epochs)
    repeated = sum(e.surplus for e in split.complete_epochs)
    explained = sum(item.explained for item in settled)
    never = split.never_seen.size
    return Totals(
        epochs=len(split.epochs),
        steps=split.steps,
        visits=split.visits,
        rows_seen=split.expected.size - never,
        rows_never_seen=never,
        rows_repeated=split.rows_repeated.size,
        missed=missed,
        repeated=repeated,
        explained=explained,
        unexplained=missed + repeated - explained,
        unidentified=split.unidentified,
        untrained_batches=sum(h.batches for h in split.holes),
    )
