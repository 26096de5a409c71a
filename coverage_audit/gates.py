"""The gates: integers against what the contract and the caller allow."""

from __future__ import annotations

from dataclasses import dataclass

from coverage_audit.config import Gates
from coverage_audit.counts.processes import joint_passes
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import find_rule
from coverage_audit.rules.ca103_dropped_remainder import remainder_of

# What people say for the two counting symptoms.
SHORT = {"missed": "CA101", "repeated": "CA201"}


@dataclass(frozen=True, slots=True)
class Gated:
    """``failed``: a sentence per failed gate. ``missed_ok``: misses exist and are allowed, so they cannot be errors."""

    failed: tuple[str, ...]
    missed_ok: bool
    tolerated: bool
    """The contract itself, not the caller, allows every miss."""


def codes_of(names: tuple[str, ...]) -> frozenset[str]:
    """Rule codes of codes, names, `missed` and `repeated`. Raises UsageError for an unknown one."""
    return frozenset(find_rule(SHORT.get(name.strip().lower(), name)).code for name in names)


def apply_gates(counts: SplitCounts, gates: Gates) -> Gated:
    """Missed rows always; repeats where exactly-once was declared by hand, or the caller asks."""
    failed: list[str] = []
    fail_on, warn_on = codes_of(gates.fail_on), codes_of(gates.warn_on)
    missed, unit = missed_beyond_contract(counts)
    if missed > gates.max_missed and "CA101" not in warn_on:
        allowed = f" ({number(gates.max_missed)} allowed)" if gates.max_missed else ""
        bound = "at most " if counts.unidentified else ""
        failed.append(f"missed: {bound}{several(missed, unit)}{allowed}")
    contract = counts.info.contract
    promised = contract.explicit and contract.kind == "exactly-once"
    if (promised or gates.max_repeated is not None or "CA201" in fail_on) and "CA201" not in warn_on:
        repeated = repeats(counts)
        limit = gates.max_repeated or 0
        if repeated > limit:
            allowed = f" ({number(limit)} allowed)" if limit else ""
            failed.append(f"repeated: {several(repeated, 'surplus visit')}{allowed}")
    over = missed > gates.max_missed and "CA101" not in warn_on
    return Gated(tuple(failed), missed_ok=not over, tolerated=not missed)


def missed_beyond_contract(counts: SplitCounts) -> tuple[int, str]:
    """(how many misses the contract does not cover, the unit they are counted in)."""
    contract = counts.info.contract
    unit = {"epoch": "row-epoch", "pass": "complete-pass row", "run": "row"}[contract.per]
    if contract.tolerates_missed:
        return 0, unit
    if contract.per == "run":
        return counts.never_seen.size if counts.steps else 0, unit
    missed = (
        [e.missed.size for e in counts.complete_epochs]
        if contract.per == "epoch"
        else [p.missed.size for p in joint_passes(counts) if p.complete]
    )
    allowance = remainder_of(counts) if contract.kind == "drop-remainder" else 0
    return sum(max(n - allowance, 0) for n in missed), unit


def repeats(counts: SplitCounts) -> int:
    """Surplus visits in the unit of the contract; per run, visits beyond what the rarest row plus one would have."""
    per = counts.info.contract.per
    if per == "epoch":
        return sum(e.surplus for e in counts.complete_epochs)
    if per == "pass":
        return sum(p.repeated for p in joint_passes(counts) if p.pass_from != "unknown")
    visits = counts.run_visits[counts.expected.ids()] if counts.expected else counts.run_visits[:0]
    if not len(visits):
        return 0
    ceiling = int(visits.min()) + 1
    return int((visits[visits > ceiling].astype("int64") - ceiling).sum())
