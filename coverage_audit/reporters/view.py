"""What a report shows, already worded and rounded: templates and terminals only lay it out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from coverage_audit.model.finding import Severity
from coverage_audit.model.words import several
from coverage_audit.reporters import view_findings, view_sentences, view_tables
from coverage_audit.reporters.view_findings import FindingView
from coverage_audit.reporters.view_tables import Table
from coverage_audit.reporters.wording import printable
from coverage_audit.result import AuditResult, SplitResult, Verdict, severity_rank

FINDINGS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SplitView:
    """One split. ``facts`` head it; ``notes`` stand under the epoch table; ``conclusion`` is empty if findings say it.

    ``details`` are the tables below the notes: passes, shards, ranks, where they are asked for or matter.
    """

    name: str
    verdict: Verdict
    facts: tuple[str, ...]
    epochs: Table
    notes: tuple[str, ...]
    details: tuple[Table, ...]
    findings: tuple[FindingView, ...]
    hidden: str
    conclusion: str
    remark: str


@dataclass(frozen=True, slots=True)
class ReportView:
    """One run log. ``findings`` are those of the run as a whole; ``next`` are commands worth typing now."""

    log: str
    verdict: Verdict
    splits: tuple[SplitView, ...]
    findings: tuple[FindingView, ...]
    conclusion: str
    next: tuple[str, ...]


def view(result: AuditResult, *, verbose: bool = False) -> ReportView:
    """Word a result. ``verbose`` leaves nothing out: every epoch, pass, shard, and the findings others explain."""
    names = {split.name for split in result.splits}
    splits = tuple(_split(result, split, verbose) for split in result.splits)
    whole = tuple(
        view_findings.word(f, None, verbose)
        for f in sorted(result.findings, key=severity_rank)
        if f.split not in names and (verbose or view_findings.speaks(f))
    )
    conclusion = "" if splits else "nothing was recorded: no wrapped loader was read while this log was open"
    return ReportView(
        log=printable(result.run.log),
        verdict=result.verdict,
        splits=splits,
        findings=whole,
        conclusion=conclusion,
        next=_next(result),
    )


def _split(result: AuditResult, split: SplitResult, verbose: bool) -> SplitView:
    own = sorted((f for f in result.findings if f.split == split.name), key=severity_rank)
    gated = view_findings.explain_gates(split, own)
    spoken = gated + [f for f in own if f not in gated and (verbose or view_findings.speaks(f))]
    limit = len(spoken) if verbose else FINDINGS_SHOWN
    left = len(spoken) - min(limit, len(spoken))
    conclusion, remark = view_sentences.conclusion(result, split)
    telling = {Verdict.FAIL: Severity.ERROR, Verdict.INCOMPLETE: Severity.INCOMPLETE}.get(split.verdict)
    if not verbose and not gated and any(f.severity is telling for f in spoken[:limit]):
        conclusion, remark = "", ""
    return SplitView(
        name=printable(split.name),
        verdict=split.verdict,
        facts=view_sentences.facts(result, split),
        epochs=view_tables.epochs(split, verbose),
        notes=view_sentences.notes(result, split, verbose),
        details=tuple(view_tables.details(split, verbose)),
        findings=tuple(view_findings.word(f, split, verbose) for f in spoken[:limit]),
        hidden=f"{several(left, 'more finding')}: --verbose shows all" if left else "",
        conclusion=conclusion,
        remark=remark,
    )


def _next(result: AuditResult) -> tuple[str, ...]:
    """Commands that exist and help with what was found: the worst finding's page, then the figures."""
    worst = sorted((f for f in result.findings if f.severity is not Severity.INFO), key=severity_rank)
    if not worst or worst[0].severity is Severity.WARNING:
        gated = (
            view_findings.explain_gates(s, [f for f in result.findings if f.split == s.name]) for s in result.splits
        )
        worst = [*(f for each in gated for f in each), *worst]
    commands = [f"coverage-audit explain {f.code}" for f in worst[:1]]
    if worst and result.splits and not any(s.counts.planned for s in result.splits):
        commands.append(f"coverage-audit report {printable(shlex.quote(result.run.log))} --figures figures")
    return tuple(commands)
