"""What a recorder noticed about batches beside their rows, summed up over the writers of a split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coverage_audit.model.event import Found, Mark, MarkKind


@dataclass(frozen=True, slots=True)
class Demotion:
    """A way of knowing rows that was caught wrong.

    ``first_doubtful`` to ``caught``: the batches of one loader since the last one that was found right, as that loader
    counted them; ``caught`` itself was not recorded in this way.
    """

    found: str
    first_doubtful: int
    caught: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the rows of batches are unknown. ``detail``: of the first such batch, "" for none."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class Remarks:
    """Sums over a split; ``misaligned`` is a lower bound (it is marked with the 1st, 2nd, 4th ... such batch).

    ``misaligned_batch``: the first one, -1 if none. ``twins``: groups of identical rows, ``twin_rows``: the rows in
    them, of ``twins_of`` rows that were looked at. ``changes``: files that were no longer what they had been.
    ``unidentified``: why rows are unknown, each reason once. ``workers``: the most loader workers of one writer.
    """

    demotions: tuple[Demotion, ...] = ()
    misaligned: int = 0
    misaligned_batch: int = -1
    misaligned_detail: str = ""
    twins: int = 0
    twin_rows: int = 0
    twins_of: int = 0
    changes: tuple[str, ...] = ()
    unidentified: tuple[Reason, ...] = ()
    workers: int = 0


NO_REMARKS = Remarks()


def read_remarks(marks: Iterable[Mark], split: str) -> Remarks:
    """What the marks of one writer say about a split."""
    demotions: list[Demotion] = []
    changes: list[str] = []
    reasons: dict[str, Reason] = {}
    misaligned, batch, detail = 0, -1, ""
    twins = (0, 0, 0)
    workers = 0
    for mark in marks:
        if mark.split != split:
            continue
        data = mark.data
        if mark.kind is MarkKind.DEMOTED:
            how = Found(int(data["found"])).name.lower().replace("_", " ")
            demotions.append(Demotion(how, int(data["verified"]) + 1, int(data["asked"])))
        elif mark.kind is MarkKind.MISALIGNED:
            if batch < 0:
                batch, detail = int(data["batch"]), str(data["detail"])
            misaligned = max(misaligned, int(data["batches"]))
        elif mark.kind is MarkKind.TWINS:
            twins = max(twins, (int(data["groups"]), int(data["rows"]), int(data["of"])))
        elif mark.kind is MarkKind.CHANGED and str(data["reason"]) not in changes:
            changes.append(str(data["reason"]))
        elif mark.kind is MarkKind.WORKERS:
            workers = max(workers, int(data["count"]))
        elif mark.kind is MarkKind.UNIDENTIFIED:
            reason = Reason(str(data.get("reason", "")), str(data.get("detail", "")))
            reasons.setdefault(reason.reason, reason)
    return Remarks(
        tuple(demotions), misaligned, batch, detail, *twins, tuple(changes), tuple(reasons.values()), workers
    )


def sum_remarks(remarks: Iterable[Remarks]) -> Remarks:
    """Several writers' remarks as one: batches add up, the same identical rows seen by several count once."""
    all_of = list(remarks)
    first = next((r for r in all_of if r.misaligned_batch >= 0), Remarks())
    reasons: dict[str, Reason] = {}
    for told in (u for r in all_of for u in r.unidentified):
        reasons.setdefault(told.reason, told)
    twins = max(((r.twins, r.twin_rows, r.twins_of) for r in all_of), default=(0, 0, 0))
    return Remarks(
        tuple(d for r in all_of for d in r.demotions),
        sum(r.misaligned for r in all_of),
        first.misaligned_batch,
        first.misaligned_detail,
        *twins,
        tuple(dict.fromkeys(c for r in all_of for c in r.changes)),
        tuple(reasons.values()),
        max((r.workers for r in all_of), default=0),
    )
