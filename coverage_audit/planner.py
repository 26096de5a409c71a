"""plan(): the run that would happen, as Counts made by arithmetic; judged by the same rules as a recorded one."""

from __future__ import annotations

import itertools
import operator
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt

from coverage_audit.auditor import judge
from coverage_audit.config import Gates
from coverage_audit.counts.tables import Counts, EpochCount, PassCount, Position, Span, SplitCounts
from coverage_audit.counts.traversal import Traversal
from coverage_audit.errors import UsageError
from coverage_audit.model.contract import Contract
from coverage_audit.model.rows import Repeats, RowSet
from coverage_audit.model.run import RunInfo, SplitInfo, Writer, WriterEnd
from coverage_audit.model.shards import Shards
from coverage_audit.result import AuditResult

Generator = Literal["continuous", "restarting"]
Remainder = Literal["global", "per-shard"]

MAX_ROWS = 100_000_000
"""Reports show visits per row, 4 bytes each and as much again while adding them up."""
MAX_PARTS = 200_000
"""Of passes, as the epochs cut them: each is listed."""
MAX_REPEATED = 1 << 28
"""Row-epochs whose surplus differs from row to row: 4 bytes each."""


class HasShards(Protocol):
    """A Dataset, as far as a plan is concerned."""

    @property
    def shards(self) -> Shards: ...


def plan(
    dataset: HasShards,
    *,
    batch_size: int,
    steps_per_epoch: int | None = None,
    epochs: int = 1,
    generator: Generator = "continuous",
    drop_remainder: bool = False,
    remainder: Remainder = "global",
    contract: Contract | str | Mapping[str, Any] | None = None,
    gates: Gates | None = None,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> AuditResult:
    """The verdict before training, for a loader that reads the shards in their order.

    ``steps_per_epoch``: None for what one pass takes. ``generator``: "continuous" goes on where the epoch before
    stopped, "restarting" begins every epoch with its first batch; both begin again after their last one.
    ``remainder``: "global" fills batches across shards, "per-shard" ends every shard with its own partial batch.
    ``drop_remainder`` leaves partial batches out. ``gates`` and ``thresholds`` (per rule code) are as in the
    configuration.

    Raises :class:`UsageError`: bad-plan for values that cannot be meant, plan-too-large above 100,000,000 rows or
    200,000 pieces of passes.
    """
    counts = count_plan(
        _shards(dataset),
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        generator=generator,
        drop_remainder=drop_remainder,
        remainder=remainder,
        contract=contract,
    )
    return judge(counts, gates, thresholds)


def steps_of_pass(
    shards: Shards, batch_size: int, *, drop_remainder: bool = False, remainder: Remainder = "global"
) -> int:
    """How many steps one pass takes: the value to set. Any number of rows. Raises :class:`UsageError` (bad-plan)."""
    return _traversal(shards, batch_size, drop_remainder, remainder).n_batches


def count_plan(
    shards: Shards,
    *,
    batch_size: int,
    steps_per_epoch: int | None = None,
    epochs: int = 1,
    generator: Generator = "continuous",
    drop_remainder: bool = False,
    remainder: Remainder = "global",
    contract: Contract | str | Mapping[str, Any] | None = None,
) -> Counts:
    """The counts that :func:`plan` judges; the same arguments and errors."""
    traversal = _traversal(shards, batch_size, drop_remainder, remainder)
    per_pass = traversal.n_batches
    steps = per_pass if steps_per_epoch is None else _positive("steps_per_epoch", steps_per_epoch)
    n_epochs = _positive("epochs", epochs)
    _one_of("generator", generator, get_args(Generator))
    _check_size(shards.n_ids, per_pass, steps, n_epochs)
    info = SplitInfo(
        "train", shards.fingerprint, shards.selected, Contract.of(contract), traversal.batch_size, steps, n_epochs
    )
    run = RunInfo("plan", "plan", (WriterEnd(Writer(0, 0, 1, splits=(info,)), "closed"),), {shards.fingerprint: shards})
    schedule = _Schedule(traversal, steps, n_epochs, generator)
    return Counts(run, (_split(schedule, run, info),))


@dataclass(frozen=True, slots=True)
class _Part:
    """Batches ``[start, stop)`` of one pass."""

    pass_: int
    start: int
    stop: int


@dataclass
class _Schedule:
    """Which batches of which passes each epoch takes. What an epoch holds depends only on where it starts."""

    traversal: Traversal
    steps: int
    n_epochs: int
    generator: Generator
    _known: dict[int, EpochCount] = field(default_factory=dict)
    _rows: dict[tuple[int, int], RowSet] = field(default_factory=dict)
    _uneven: int = 0

    def parts(self, epoch: int) -> Iterator[_Part]:
        per_pass = self.traversal.n_batches
        if self.generator == "restarting":
            first, begin = epoch * -(-self.steps // per_pass), 0
        else:
            first, begin = divmod(epoch * self.steps, per_pass)
        end = begin + self.steps
        for at in range(-(-end // per_pass)):
            yield _Part(first + at, begin if at == 0 else 0, min(end - at * per_pass, per_pass))

    def rows(self, part: _Part) -> RowSet:
        key = (part.start, part.stop)
        if key not in self._rows:
            self._rows[key] = self.traversal.ids(*self.span(part))
        return self._rows[key]

    def span(self, part: _Part) -> tuple[int, int]:
        """The places from a part's first row to its last, dropped ones between them included."""
        return self.traversal.place_at(part.start), self.traversal.place_at(part.stop)

    def epoch(self, number: int) -> EpochCount:
        parts = list(self.parts(number))
        at = parts[0].start
        if at not in self._known:
            self._known[at] = self._count(parts)
        alike = self._known[at]
        return EpochCount(
            epoch=number,
            fit=0,
            complete=True,
            steps=self.steps,
            visits=alike.visits,
            unique=alike.unique,
            missed=alike.missed,
            repeated=alike.repeated,
            number=number,
            needed=self.traversal.n_batches,
            needed_from="computed",
            batch_size=self.traversal.batch_size,
            starts_at=Position(parts[0].pass_, at),
            spans=tuple(Span(0, p.pass_, p.stop - p.start, self.rows(p)) for p in parts),
            steps_by_rank={0: self.steps},
        )

    def _count(self, parts: list[_Part]) -> EpochCount:
        """Sweep over the places: between two ends of parts all rows are visited equally often."""
        traversal = self.traversal
        bounds = Counter(self.span(part) for part in parts)
        cuts = sorted({0, traversal.shards.rows}.union(*bounds))
        pieces = [
            (low, high, sum(n for (a, b), n in bounds.items() if a <= low and high <= b))
            for low, high in itertools.pairwise(cuts)
        ]
        counts = [traversal.count(low, high) for low, high, _ in pieces]
        visits = sum(count * times for count, (_, _, times) in zip(counts, pieces, strict=True))
        unique = sum(count for count, (_, _, times) in zip(counts, pieces, strict=True) if times)
        seen = RowSet.of_ranges((low, high) for low, high, times in pieces if times) - traversal.dropped
        again = [(count, *piece) for count, piece in zip(counts, pieces, strict=True) if piece[2] > 1]
        twice = RowSet.of_ranges((low, high) for _, low, high, _ in again) - traversal.dropped
        return EpochCount(
            epoch=-1,
            fit=0,
            complete=True,
            steps=self.steps,
            visits=visits,
            unique=unique,
            missed=traversal.to_ids(RowSet.span(0, traversal.shards.rows) - seen),
            repeated=Repeats(
                traversal.to_ids(twice), self._extra([(count, times - 1) for count, _, _, times in again])
            ),
        )

    def _extra(self, runs: list[tuple[int, int]]) -> npt.NDArray[np.uint32]:
        """(rows, surplus) end to end; rows of one surplus cost no memory."""
        total = sum(count for count, _ in runs)
        if len({extra for _, extra in runs}) <= 1:
            return np.broadcast_to(np.uint32(runs[0][1] if runs else 0), (total,))
        self._uneven += total
        if self._uneven > MAX_REPEATED:
            raise UsageError(
                f"epochs={self.n_epochs:,} of {self.steps:,} steps repeat more rows than can be listed: plan fewer "
                f"epochs, or set steps_per_epoch to {self.traversal.n_batches:,}, one pass",
                slug="plan-too-large",
            )
        return np.repeat(
            np.array([extra for _, extra in runs], np.uint32), np.array([count for count, _ in runs], np.int64)
        )


def _split(schedule: _Schedule, run: RunInfo, info: SplitInfo) -> SplitCounts:
    shards, size = schedule.traversal.shards, schedule.traversal.batch_size
    epochs = tuple(schedule.epoch(number) for number in range(schedule.n_epochs))
    passes, sizes = _passes(schedule)
    visits = sum(epoch.visits for epoch in epochs)
    twice = {id(e.repeated): e.repeated.rows for e in epochs if e.repeated.rows}
    return SplitCounts(
        split=info.name,
        run=run,
        info=info,
        shards=shards,
        counts="trained",
        epochs_from="steps_per_epoch",
        epochs=epochs,
        passes=passes,
        holes=(),
        steps=schedule.steps * schedule.n_epochs,
        visits=visits,
        yields=schedule.steps * schedule.n_epochs,
        run_visits=_run_visits(schedule),
        rows_repeated=RowSet.of_ranges(r for rows in twice.values() for r in rows.ranges()),
        batch_sizes=dict(sorted(sizes.items())),
        batch_size=size,
        found={"inferred": visits},
        unidentified=0,
        unidentified_batches=0,
        outside=0,
        fingerprints=(shards.fingerprint,),
        planned=True,
    )


def _joined(schedule: _Schedule) -> Iterator[_Part]:
    """One part per pass: epochs that share a pass take it up where the one before stopped."""
    held: _Part | None = None
    for number in range(schedule.n_epochs):
        for part in schedule.parts(number):
            if held is not None and part.pass_ == held.pass_:
                held = _Part(held.pass_, held.start, part.stop)
                continue
            if held is not None:
                yield held
            held = part
    if held is not None:
        yield held


def _passes(schedule: _Schedule) -> tuple[tuple[PassCount, ...], Counter[int]]:
    """Every pass, and how many batches of each size they yield together."""
    traversal, per_pass = schedule.traversal, schedule.traversal.n_batches
    expected, size = traversal.shards.expected, traversal.batch_size
    passes: list[PassCount] = []
    sizes: Counter[int] = Counter()
    alike: dict[int, tuple[RowSet, Counter[int], int, bool]] = {}
    parts = list(_joined(schedule))
    for index, part in enumerate(parts):
        stop = part.stop
        if stop not in alike:
            own = traversal.sizes(0, stop)
            ends, spans = traversal.shard_end_partials(0, stop), traversal.spans_shards(0, stop)
            alike[stop] = (expected - schedule.rows(part), own, ends, spans)
        missed, own, ends, spans = alike[stop]
        sizes.update(own)
        whole = stop == per_pass
        visits = traversal.shards.rows - len(missed)
        passes.append(
            PassCount(
                rank=0,
                pass_=part.pass_,
                pass_from="told",
                complete=whole,
                ended_by="loader" if whole else "trainer" if index < len(parts) - 1 else "",
                first_batch=0 if not passes else passes[-1].first_batch + passes[-1].batches,
                batches=stop,
                visits=visits,
                unique=visits,
                missed=missed,
                repeated=0,
                partial_batches=sum(n for rows, n in own.items() if rows < size),
                shard_end_partials=ends,
                batches_span_shards=spans,
            )
        )
    return tuple(passes), sizes


def _run_visits(schedule: _Schedule) -> npt.NDArray[np.uint32]:
    """Visits per sample id over the run; ids that are not expected stay 0."""
    shards = schedule.traversal.shards
    change = np.zeros(shards.rows + 1, np.int32)
    for part, times in Counter((p.start, p.stop) for p in _joined(schedule)).items():
        low, high = schedule.span(_Part(0, *part))
        change[low] += times
        change[high] -= times
    visits = np.cumsum(change[:-1], dtype=np.uint32)
    for low, high in schedule.traversal.dropped.ranges():
        visits[low:high] = 0
    if shards.selected is None:
        return visits
    placed = np.zeros(shards.n_ids, np.uint32)
    placed[shards.selected.ids()] = visits
    return placed


def _traversal(shards: Shards, batch_size: int, drop_remainder: bool, remainder: Remainder) -> Traversal:
    _one_of("remainder", remainder, get_args(Remainder))
    traversal = Traversal(shards, _positive("batch_size", batch_size), drop_remainder, remainder == "per-shard")
    if traversal.n_batches == 0:
        why = "the data is empty" if shards.rows == 0 else f"no {remainder} batch of {batch_size:,} is ever full"
        raise UsageError(
            f"{shards.rows:,} rows give no batch at all, {why}: check the data, batch_size and drop_remainder",
            slug="bad-plan",
        )
    return traversal


def _check_size(n_ids: int, per_pass: int, steps: int, epochs: int) -> None:
    value = f"one pass takes {per_pass:,} steps, so steps_per_epoch = {per_pass} is right"
    if n_ids > MAX_ROWS:
        raise UsageError(
            f"{n_ids:,} rows are more than a plan lists one by one ({MAX_ROWS:,}): {value}; to see the whole report "
            "divide rows and batch_size by the same number",
            slug="plan-too-large",
        )
    if epochs * (steps // per_pass + 1) > MAX_PARTS:
        raise UsageError(
            f"epochs={epochs:,} of {steps:,} steps cut the passes into more than {MAX_PARTS:,} pieces: {value}; "
            "plan fewer epochs",
            slug="plan-too-large",
        )


def _shards(dataset: object) -> Shards:
    shards = dataset if isinstance(dataset, Shards) else getattr(dataset, "shards", None)
    if not isinstance(shards, Shards):
        raise UsageError(f"{dataset!r} is not a Dataset: use Dataset.of({dataset!r}) or Dataset.open", slug="bad-plan")
    return shards


def _positive(name: str, value: object) -> int:
    try:
        number = operator.index(cast(Any, value))
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise UsageError(f"{name}={value!r} is impossible: give a whole number, 1 or more", slug="bad-plan")
    return number


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name}={value!r} is unknown: give {' or '.join(map(repr, known))}", slug="bad-plan")
