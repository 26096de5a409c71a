"""Which batches of which passes every epoch would take, and the counts of such a run, without running it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.tables import EpochCount, PassCount, Position, Span, SplitCounts
from coverage_audit.counts.traversal import Traversal
from coverage_audit.errors import UsageError
from coverage_audit.model.rows import Repeats, RowSet
from coverage_audit.model.run import RunInfo, SplitInfo

MAX_REPEATED = 1 << 28
"""Row-epochs whose surplus differs from row to row: 4 bytes each."""


@dataclass(frozen=True, slots=True)
class Part:
    """Batches ``[start, stop)`` of one pass."""

    pass_: int
    start: int
    stop: int


@dataclass
class Schedule:
    """Which batches of which passes each epoch takes. What an epoch holds depends only on where it starts."""

    traversal: Traversal
    steps: int
    n_epochs: int
    restarting: bool = False
    _known: dict[int, EpochCount] = field(default_factory=dict)
    _rows: dict[tuple[int, int], RowSet] = field(default_factory=dict)
    _uneven: int = 0

    def parts(self, epoch: int) -> Iterator[Part]:
        """The batches of one epoch, cut where passes end."""
        per_pass = self.traversal.n_batches
        if self.restarting:
            first, begin = epoch * -(-self.steps // per_pass), 0
        else:
            first, begin = divmod(epoch * self.steps, per_pass)
        end = begin + self.steps
        for at in range(-(-end // per_pass)):
            yield Part(first + at, begin if at == 0 else 0, min(end - at * per_pass, per_pass))

    def rows(self, part: Part) -> RowSet:
        """Sample ids of one part."""
        key = (part.start, part.stop)
        if key not in self._rows:
            self._rows[key] = self.traversal.ids(*self.span(part))
        return self._rows[key]

    def span(self, part: Part) -> tuple[int, int]:
        """The places from a part's first row to its last, dropped ones between them included."""
        return self.traversal.place_at(part.start), self.traversal.place_at(part.stop)

    def epoch(self, number: int) -> EpochCount:
        """What counting this epoch would give."""
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

    def _count(self, parts: list[Part]) -> EpochCount:
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


def count_schedule(schedule: Schedule, run: RunInfo, info: SplitInfo) -> SplitCounts:
    """Everything a counted split has. Raises :class:`UsageError` (plan-too-large), see :data:`MAX_REPEATED`."""
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


def _joined(schedule: Schedule) -> Iterator[Part]:
    """One part per pass: epochs that share a pass take it up where the one before stopped."""
    held: Part | None = None
    for number in range(schedule.n_epochs):
        for part in schedule.parts(number):
            if held is not None and part.pass_ == held.pass_:
                held = Part(held.pass_, held.start, part.stop)
                continue
            if held is not None:
                yield held
            held = part
    if held is not None:
        yield held


def _passes(schedule: Schedule) -> tuple[tuple[PassCount, ...], Counter[int]]:
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


def _run_visits(schedule: Schedule) -> npt.NDArray[np.uint32]:
    """Visits per sample id over the run; ids that are not expected stay 0."""
    shards = schedule.traversal.shards
    change = np.zeros(shards.rows + 1, np.int32)
    for part, times in Counter((p.start, p.stop) for p in _joined(schedule)).items():
        low, high = schedule.span(Part(0, *part))
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
