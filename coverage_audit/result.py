"""AuditResult: the verdict, the findings, and the tables as pandas frames, made when asked for."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from coverage_audit.counts.attempts import AttemptCount, WriterCount
from coverage_audit.counts.tables import EpochCount, PassCount, SplitCounts
from coverage_audit.errors import UsageError
from coverage_audit.model.finding import Finding, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.run import RunInfo
from coverage_audit.model.words import listed

if TYPE_CHECKING:
    import pandas as pd

# With the counts a result is made of: reporters import nothing nearer to the log than the result.
__all__ = [
    "AttemptCount", "AuditResult", "EpochCount", "PassCount", "SplitCounts", "SplitResult", "Totals", "Verdict",
    "WriterCount", "severity_rank",
    "shard_lines",
]  # fmt: skip


class Verdict(enum.Enum):
    """PASS, FAIL, or INCOMPLETE: the evidence does not support a number."""

    PASS = "pass"
    FAIL = "fail"
    INCOMPLETE = "incomplete"

    @property
    def exit_status(self) -> int:
        return {"pass": 0, "fail": 2, "incomplete": 3}[self.value]


@dataclass(frozen=True, slots=True)
class Totals:
    """One split's sums.

    ``missed`` and ``repeated`` count row-epochs of complete epochs; ``explained`` + ``unexplained`` is their sum.
    ``rows_*`` count rows over the run. ``epochs``, ``steps`` and ``visits`` count what the final weights saw.
    """

    epochs: int
    steps: int
    visits: int
    rows_seen: int
    rows_never_seen: int
    rows_repeated: int
    missed: int
    repeated: int
    explained: int
    unexplained: int
    unidentified: int
    untrained_batches: int


@dataclass(frozen=True, slots=True)
class SplitResult:
    """One split judged. ``gates`` are the gates that failed, one sentence each."""

    counts: SplitCounts
    verdict: Verdict
    totals: Totals
    gates: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.counts.split


@dataclass(frozen=True)
class AuditResult:
    """What `audit()` and `plan()` return.

    Frames (all have a RangeIndex and a ``split`` column):

    - ``epochs``: split, epoch, fit, number, complete, steps, needed, needed_from, batch_size, visits, unique, missed,
      repeated, unidentified, starts_at_pass, starts_at_batch
    - ``passes``: split, rank, pass, pass_from, complete, batches, visits, unique, missed, repeated, partial_batches
    - ``samples``: split, id, shard, row, visits: one line per expected row, visits over the run
    - ``shards``: split, shard, rows, visits, rows_seen, rows_never_seen, min_visits, max_visits
    - ``ranks``: split, attempt, rank, process, steps, batches, visits, unique: one line per writer
    - ``steps``: split, attempt, rank, process, worker, fit, epoch, batch, step, stage, found, rows, first_shard,
      first_row: one line per consumption and per yield that was never consumed; reads the log again
    """

    run: RunInfo
    splits: tuple[SplitResult, ...]
    findings: tuple[Finding, ...]
    steps_of: Callable[[], pd.DataFrame] | None = field(default=None, repr=False, compare=False)

    @property
    def verdict(self) -> Verdict:
        """The worst of the splits; INCOMPLETE before FAIL, as the exit statuses do. No split is INCOMPLETE."""
        verdicts = {s.verdict for s in self.splits}
        if Verdict.INCOMPLETE in verdicts or not verdicts:
            return Verdict.INCOMPLETE
        return Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.PASS

    @property
    def exit_status(self) -> int:
        return self.verdict.exit_status

    def split(self, name: str | None = None) -> SplitResult:
        """The split of that name; without a name the only one, or train. Raises UsageError if there is none."""
        names = [s.name for s in self.splits]
        if name is None and names:
            name = names[0] if len(names) == 1 or "train" not in names else "train"
        for split in self.splits:
            if split.name == name:
                return split
        raise UsageError(f"split {name!r} is not in this log; it has {', '.join(names) or 'none'}", slug="no-split")

    def missed(self, epoch: int | None = None, split: str | None = None) -> pd.DataFrame:
        """Missed rows as half-open ranges: columns shard, start, stop. Without ``epoch``: never seen in the run."""
        chosen = self.split(split)
        rows = chosen.counts.never_seen if epoch is None else _epoch(chosen, epoch).missed
        return _ranges(chosen, rows)

    def repeated(self, epoch: int | None = None, split: str | None = None) -> pd.DataFrame:
        """Rows visited more than once in that epoch (in any epoch without one): columns shard, start, stop."""
        chosen = self.split(split)
        rows = chosen.counts.rows_repeated if epoch is None else _epoch(chosen, epoch).repeated.rows
        return _ranges(chosen, rows)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        return _frame(_EPOCH_COLUMNS, self._epoch_lines())

    @cached_property
    def passes(self) -> pd.DataFrame:
        return _frame(_PASS_COLUMNS, self._pass_lines())

    @cached_property
    def samples(self) -> pd.DataFrame:
        import pandas as pd

        frames = [_samples_of(s) for s in self.splits if s.counts.shards is not None]
        if not frames:
            return _frame(("split", "id", "shard", "row", "visits"), iter(()))
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def shards(self) -> pd.DataFrame:
        return _frame(_SHARD_COLUMNS, (line for s in self.splits for line in shard_lines(s.counts)))

    @cached_property
    def steps(self) -> pd.DataFrame:
        if self.steps_of is None:
            raise UsageError("there is no run log behind this result: a plan has no recorded steps", slug="no-steps")
        return self.steps_of()

    @cached_property
    def ranks(self) -> pd.DataFrame:
        lines = (
            (s.name, w.attempt, w.rank, w.process, w.steps, w.batches, w.visits, w.unique)
            for s in self.splits
            for w in s.counts.writers
        )
        return _frame(("split", "attempt", "rank", "process", "steps", "batches", "visits", "unique"), lines)

    def _epoch_lines(self) -> Iterator[tuple[Any, ...]]:
        for s in self.splits:
            for e in s.counts.epochs:
                at = e.starts_at
                yield (
                    s.name, e.epoch, e.fit, e.number, e.complete, e.steps, e.needed, e.needed_from, e.batch_size,
                    e.visits, e.unique, len(e.missed), e.surplus, e.unidentified,
                    None if at is None else at.pass_, None if at is None else at.batch,
                )  # fmt: skip

    def _pass_lines(self) -> Iterator[tuple[Any, ...]]:
        for s in self.splits:
            for p in s.counts.passes:
                yield (
                    s.name, p.rank, p.pass_, p.pass_from, p.complete, p.batches, p.visits, p.unique, len(p.missed),
                    p.repeated, p.partial_batches,
                )  # fmt: skip


_EPOCH_COLUMNS = (
    "split", "epoch", "fit", "number", "complete", "steps", "needed", "needed_from", "batch_size", "visits", "unique",
    "missed", "repeated", "unidentified", "starts_at_pass", "starts_at_batch",
)  # fmt: skip
_PASS_COLUMNS = (
    "split", "rank", "pass", "pass_from", "complete", "batches", "visits", "unique", "missed", "repeated",
    "partial_batches",
)  # fmt: skip
_SHARD_COLUMNS = ("split", "shard", "rows", "visits", "rows_seen", "rows_never_seen", "min_visits", "max_visits")


def shard_lines(counts: SplitCounts) -> Iterator[tuple[Any, ...]]:
    """One tuple per shard, the columns of ``AuditResult.shards``; only expected rows count."""
    if counts.shards is None:
        return
    expected = None if counts.shards.selected is None else counts.shards.selected.mask(counts.shards.n_ids)
    for index, shard in enumerate(counts.shards):
        low, high = int(counts.shards.offsets[index]), int(counts.shards.offsets[index + 1])
        visits = counts.run_visits[low:high]
        if expected is not None:
            visits = visits[expected[low:high]]
        seen = int(np.count_nonzero(visits))
        yield (
            counts.split, shard.name, len(visits), int(visits.sum(dtype=np.int64)), seen, len(visits) - seen,
            int(visits.min(initial=2**32 - 1)) if len(visits) else 0, int(visits.max(initial=0)),
        )  # fmt: skip


def severity_rank(finding: Finding) -> int:
    """Sort key: worst first."""
    order = (Severity.INCOMPLETE, Severity.ERROR, Severity.WARNING, Severity.INFO)
    return order.index(finding.severity)


def _epoch(split: SplitResult, epoch: int) -> EpochCount:
    for e in split.counts.epochs:
        if e.epoch == epoch:
            return e
    known = listed([e.epoch for e in split.counts.epochs]) or "none"
    raise UsageError(f"epoch {epoch} of {split.name} was not recorded; recorded: {known}", slug="no-epoch")


def _ranges(split: SplitResult, rows: RowSet) -> pd.DataFrame:
    shards = split.counts.shards
    pieces = [] if shards is None else shards.pieces(rows)
    return _frame(("shard", "start", "stop"), iter(pieces))


def _frame(columns: tuple[str, ...], lines: Iterator[tuple[Any, ...]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(lines), columns=list(columns))


def _samples_of(split: SplitResult) -> pd.DataFrame:
    import pandas as pd

    shards = split.counts.shards
    assert shards is not None
    ids = shards.expected.ids()
    shard, row = shards.locate(ids)
    names = pd.Categorical.from_codes(shard, categories=pd.Index([s.name for s in shards]))
    return pd.DataFrame(
        {"split": split.name, "id": ids, "shard": names, "row": row, "visits": split.counts.run_visits[ids]}
    )
