"""The tables of a report as worded cells: epochs, attempts, passes, shards, ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from coverage_audit.model.contract import Contract
from coverage_audit.model.words import several
from coverage_audit.reporters.wording import UNKNOWN, number, printable
from coverage_audit.result import AttemptCount, EpochCount, PassCount, SplitCounts, SplitResult, shard_lines

HEAD, TAIL, FAILING, SHORT = 5, 5, 10, 24
SHARDS_SHOWN = 12

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """``drop``: 0 is always shown; where the page is too narrow the highest goes first."""

    title: str
    right: bool = True
    drop: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """Cells, one per column; ``alarms`` are the columns whose cell is what is wrong."""

    cells: tuple[str, ...]
    alarms: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines that were left out, and how many."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """``title`` may be empty."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line | Gap, ...]


def epochs(split: SplitResult, verbose: bool = False) -> Table:
    """Steps against needed, rows visited, missed, repeated, and where each epoch starts.

    Rows of batches that nobody could identify may be among the missed: these are bounds then, and marked as such.
    A long run shows its head, its tail and the first failing epochs between them; the rest is counted.
    """
    counts = split.counts
    contract = counts.info.contract
    ordinal = "eval" if counts.evaluation else "epoch"
    columns = [
        Column(ordinal), Column("steps"), Column("needed"), Column("visited", drop=2), Column("unique", drop=4),
        Column("missed"), Column("repeated", drop=1), Column("starts at", right=False, drop=3),
    ]  # fmt: skip
    so_far = any(not e.complete for e in counts.epochs)
    if so_far:
        columns.insert(1, Column("", right=False))

    def line(e: EpochCount) -> Line:
        cells = {
            ordinal: f"{e.epoch}", "steps": number(e.steps), "needed": number(e.needed),
            "visited": number(e.visits), "unique": _at_least(counts, e.unique, e.unidentified),
            "missed": _at_most(counts, len(e.missed), e.unidentified),
            "repeated": _at_least(counts, e.surplus, e.unidentified), "starts at": _starts_at(e),
            "": "" if e.complete else "so far",
        }  # fmt: skip
        return _line(columns, cells, _epoch_alarms(e, contract))

    lines = _chosen(counts.epochs, line, lambda e: bool(_epoch_alarms(e, contract)), f"{_unit(counts)}s", verbose)
    return Table("", tuple(columns), tuple(lines))


def details(split: SplitResult, verbose: bool) -> Iterator[Table]:
    """The further tables: passes where the contract is per pass, shards where rows were never seen; all if verbose."""
    counts = split.counts
    if len(counts.attempts) > 1:
        yield _attempts(counts)
    if counts.passes and (verbose or counts.info.contract.per == "pass"):
        yield _passes(counts, verbose)
    if counts.shards is not None and (verbose or split.totals.rows_never_seen > 0):
        yield _shards(counts, verbose)
    if verbose and split.counts.writers:
        yield _ranks(split)


def _passes(counts: SplitCounts, verbose: bool) -> Table:
    several = len({p.rank for p in counts.passes}) > 1
    columns = [
        Column("pass"), Column("", right=False), Column("known", right=False, drop=5), Column("batches"),
        Column("partial", drop=4), Column("visited", drop=2), Column("unique", drop=3), Column("missed"),
        Column("repeated", drop=1),
    ]  # fmt: skip
    if several:
        columns.insert(0, Column("rank"))
    if all(p.complete for p in counts.passes):
        columns = [c for c in columns if c.title]
    contract = counts.info.contract

    def alarms(p: PassCount) -> set[str]:
        return _row_alarms(contract, len(p.missed), p.repeated) if p.complete and contract.per == "pass" else set()

    def line(p: PassCount) -> Line:
        cells = {
            "rank": f"{p.rank}", "pass": number(p.pass_) if p.pass_ >= 0 else UNKNOWN, "": _pass_note(p),
            "known": p.pass_from, "batches": number(p.batches), "partial": number(p.partial_batches),
            "visited": number(p.visits), "unique": _at_least(counts, p.unique, counts.unidentified),
            "missed": _at_most(counts, len(p.missed), counts.unidentified),
            "repeated": _at_least(counts, p.repeated, counts.unidentified),
        }  # fmt: skip
        return _line(columns, cells, alarms(p))

    lines = _chosen(counts.passes, line, lambda p: bool(alarms(p)), "passes", verbose)
    return Table("passes of the loader", tuple(columns), tuple(lines))


def _shards(counts: SplitCounts, verbose: bool) -> Table:
    columns = [
        Column("shard", right=False), Column("rows"), Column("visited", drop=2), Column("never seen"),
        Column("visits per row", drop=1),
    ]  # fmt: skip
    lines: list[Line | Gap] = []
    left = hurt = 0
    for _, name, rows, visits, _, never, low, high in shard_lines(counts):
        if not verbose and never == 0:
            continue
        hurt += never > 0
        if not verbose and len(lines) == SHARDS_SHOWN:
            left += 1
            continue
        cells = {
            "shard": printable(name), "rows": number(rows), "visited": number(visits),
            "never seen": _at_most(counts, never, counts.unidentified),
            "visits per row": f"{low}" if low == high else f"{low}–{high}",
        }  # fmt: skip
        lines.append(_line(columns, cells, {"never seen"} if never > 0 else set()))
    if left:
        lines.append(Gap(f"… {several(left, 'more shard')} with rows never seen"))
    title = "shards" if verbose else f"shards with rows never seen: {hurt:,} of {len(counts.shards or ()):,}"
    return Table(title, tuple(columns), tuple(lines))


def _ranks(split: SplitResult) -> Table:
    names = ("attempt", "rank", "process", "steps", "batches", "visits", "unique")
    lines = [Line(tuple(number(getattr(w, n)) for n in names)) for w in split.counts.writers]
    return Table("ranks", tuple(Column(n) for n in names), tuple(lines))


def _attempts(counts: SplitCounts) -> Table:
    columns = (
        Column("attempt"), Column("from", right=False), Column("steps made"), Column("kept"), Column("visits", drop=1),
        Column("of them kept", drop=2),
    )  # fmt: skip
    lines = [
        Line(
            (
                f"{a.attempt}", _origin(a), number(a.steps), number(a.steps_kept), number(a.visits),
                number(a.visits_kept),
            )
        )
        for a in counts.attempts
    ]  # fmt: skip
    return Table("attempts", columns, tuple(lines))


def _origin(attempt: AttemptCount) -> str:
    origin = attempt.origin
    if origin is None:
        return "the beginning" if attempt.attempt == 0 else UNKNOWN
    if origin.tag is None:
        return "new weights"
    if origin.attempt is None:
        return f"{printable(str(origin.tag))}, not in this log"
    return f"attempt {origin.attempt}, step {origin.step:,}"


def _chosen(
    items: Sequence[T], line: Callable[[T], Line], fails: Callable[[T], bool], nouns: str, verbose: bool
) -> list[Line | Gap]:
    if verbose or len(items) <= SHORT:
        return [line(item) for item in items]
    middle = [i for i in range(HEAD, len(items) - TAIL) if fails(items[i])]
    keep = [*range(HEAD), *middle[:FAILING], *range(len(items) - TAIL, len(items))]
    shown = set(keep)
    out: list[Line | Gap] = []
    before = -1
    for at in keep:
        if at > before + 1:
            between = range(before + 1, at)
            failing = sum(1 for i in between if i not in shown and fails(items[i]))
            count = "none" if failing == 0 else "all" if failing == len(between) else f"{failing:,}"
            what = f"{count} of them failing"
            out.append(Gap(f"… {len(between):,} {nouns} left out, {what}"))
        out.append(line(items[at]))
        before = at
    return out


def _line(columns: Sequence[Column], cells: dict[str, str], alarms: set[str]) -> Line:
    return Line(
        tuple(cells[c.title] for c in columns), frozenset(i for i, c in enumerate(columns) if c.title in alarms)
    )


def _epoch_alarms(epoch: EpochCount, contract: Contract) -> set[str]:
    """The columns that are wrong in this epoch, under what the split promises per epoch."""
    if not epoch.complete or contract.per != "epoch":
        return set()
    alarms = _row_alarms(contract, max(len(epoch.missed) - epoch.unidentified, 0), epoch.surplus)
    if epoch.needed is not None and epoch.steps != epoch.needed and not contract.tolerates_missed:
        alarms.add("steps")
    return alarms


def _row_alarms(contract: Contract, missed: int, repeated: int) -> set[str]:
    alarms = set()
    if missed > 0 and not contract.tolerates_missed:
        alarms.add("missed")
    if repeated > 0 and not contract.tolerates_repeats:
        alarms.add("repeated")
    return alarms


def _at_most(counts: SplitCounts, value: int, unidentified: int) -> str:
    """Rows that are not known to have been visited; those that nobody could identify may be among them.

    Without a denominator nothing is missed or unique: it is unknown.
    """
    return UNKNOWN if counts.shards is None else f"≤ {number(value)}" if unidentified and value else number(value)


def _at_least(counts: SplitCounts, value: int, unidentified: int) -> str:
    """Rows (or visits) that are known; those that nobody could identify may come on top."""
    return UNKNOWN if counts.shards is None else f"≥ {number(value)}" if unidentified else number(value)


def _starts_at(epoch: EpochCount) -> str:
    at = epoch.starts_at
    if at is None:
        return UNKNOWN
    return f"batch {at.batch:,} of pass {at.pass_:,}" if at.pass_ >= 0 else f"batch {at.batch:,}, pass unknown"


def _pass_note(p: PassCount) -> str:
    if p.complete:
        return ""
    return "cut off" if p.ended_by == "trainer" else "so far"


def _unit(counts: SplitCounts) -> str:
    return "evaluation" if counts.evaluation else "epoch"
