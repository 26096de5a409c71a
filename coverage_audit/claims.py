"""Diagnoses claim the row-epochs they explain, the more specific first; none is claimed twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence
from coverage_audit.model.rows import RowSet
from coverage_audit.rules._rule import Rule


@dataclass(frozen=True, slots=True)
class Settled:
    """One piece of evidence after claiming.

    ``explained``: row-epochs it got. ``got_missed``, ``got_repeated``: whether any of either kind. ``claimed_by``: the
    codes that took what it is about. ``spent``: it is about something, and nothing of that is left to it.
    """

    rule: Rule
    evidence: Evidence
    explained: int = 0
    got_missed: bool = False
    got_repeated: bool = False
    claimed_by: tuple[str, ...] = ()
    spent: bool = False


@dataclass(slots=True)
class _Ledger:
    """What is left of each complete epoch, and who took what."""

    counts: SplitCounts
    missed: dict[int, RowSet] = field(default_factory=dict)
    repeated: dict[int, RowSet] = field(default_factory=dict)
    taken: list[tuple[str, Claim]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for epoch in self.counts.complete_epochs:
            self.missed[epoch.epoch] = epoch.missed
            self.repeated[epoch.epoch] = epoch.repeated.rows

    def take(self, code: str, claim: Claim) -> Claim:
        """The part of the claim that nobody took before."""
        if claim.epoch not in self.missed:
            return Claim(claim.epoch)
        got = Claim(claim.epoch, claim.missed & self.missed[claim.epoch], claim.repeated & self.repeated[claim.epoch])
        self.missed[claim.epoch] = self.missed[claim.epoch] - got.missed
        self.repeated[claim.epoch] = self.repeated[claim.epoch] - got.repeated
        if got.missed or got.repeated:
            self.taken.append((code, got))
        return got

    def takers(self, claims: Iterable[Claim], but: str = "") -> tuple[str, ...]:
        """Codes that took anything of these claims, in the order they did."""
        about = {c.epoch: c for c in claims}
        codes: dict[str, None] = {}
        for code, got in self.taken:
            mine = about.get(got.epoch)
            if mine is not None and code != but and (mine.missed & got.missed or mine.repeated & got.repeated):
                codes[code] = None
        return tuple(codes)

    def left(self, claims: Iterable[Claim]) -> bool:
        return any(
            c.missed & self.missed.get(c.epoch, RowSet.empty())
            or c.repeated & self.repeated.get(c.epoch, RowSet.empty())
            for c in claims
        )


def settle(counts: SplitCounts, found: Sequence[tuple[Rule, Evidence]]) -> list[Settled]:
    """Let every diagnosis claim in order of rank (late ones last), then see what is left of the symptoms."""
    ledger = _Ledger(counts)
    surplus = {e.epoch: e.repeated for e in counts.complete_epochs}
    out: list[Settled] = []
    claiming = sorted(
        ((r, e) for r, e in found if r.role == "diagnosis"), key=lambda item: (item[1].late, item[0].rank, item[0].code)
    )
    for rule, evidence in claiming:
        got = [ledger.take(rule.code, claim) for claim in evidence.claims]
        missed = sum(c.missed.size for c in got)
        repeated = sum(surplus[c.epoch].among(c.repeated) for c in got if c.repeated)
        about = any(c.missed or c.repeated for c in evidence.claims)
        out.append(
            Settled(
                rule,
                evidence,
                explained=missed + repeated,
                got_missed=missed > 0,
                got_repeated=repeated > 0,
                claimed_by=ledger.takers(evidence.claims, but=rule.code),
                spent=about and not missed and not repeated,
            )
        )
    for rule, evidence in found:
        if rule.role == "symptom":
            about = any(c.missed or c.repeated for c in evidence.claims)
            out.append(
                Settled(
                    rule,
                    evidence,
                    claimed_by=ledger.takers(evidence.claims),
                    spent=about and not ledger.left(evidence.claims),
                )
            )
        elif rule.role == "evidence":
            out.append(Settled(rule, evidence))
    return out
