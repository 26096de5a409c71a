"""Runs from a few literal lists: what a loader yielded and a trainer consumed, as Visits and as counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from coverage_audit.counts.local import count_split
from coverage_audit.counts.remarks import NO_REMARKS, Remarks
from coverage_audit.counts.shares import SharedRows
from coverage_audit.counts.source import EpochFacts, History, Origin, SplitSource, Stream
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.contract import Contract
from coverage_audit.model.event import Found, Stage
from coverage_audit.model.rows import RowSet
from coverage_audit.model.run import RunInfo, SplitInfo, Writer, WriterEnd
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.rules._rule import Again, By, Example, Lost, Resumed, Unknown
from coverage_audit.runlog.visits import Visits


def shards_of(*rows: int, selected: RowSet | None = None) -> Shards:
    """Shards named x_0.npy, x_1.npy, ... of these row counts."""
    return Shards(tuple(Shard(f"x_{i}.npy", n) for i, n in enumerate(rows)), selected)


@dataclass(frozen=True, slots=True)
class Step:
    """One batch of a made-up run: its sample ids (None: unknown, ``count`` rows), who consumed it and when.

    ``batch`` defaults to the ordinal of the step; name an earlier one for a replay. ``trained=False`` makes a hole.
    """

    ids: Sequence[int] | None
    epoch: int = -1
    trained: bool = True
    batch: int | None = None
    pass_: int = -1
    count: int = 0
    fit: int = 0
    worker: int = -1


@dataclass(frozen=True, slots=True)
class Run:
    """A made-up run of one split and one writer, counted together with those of ``others``."""

    shards: Shards | None
    steps: Sequence[Step]
    trained: bool = True
    batch_size: int | None = None
    steps_per_epoch: int | None = None
    contract: Contract = field(default_factory=Contract)
    split: str = "train"
    exhausted: bool = False
    exhausted_passes: frozenset[int] = frozenset()
    open_epochs: frozenset[int] = frozenset()
    """Epochs the trainer never ended."""
    evaluation: bool = False
    rank: int = 0
    process: int = 1
    writer: str = "closed"
    other_fingerprints: tuple[str, ...] = ()
    declared: int | None = None
    """Steps the trainer meant an epoch to have."""
    without_epochs: bool = False
    """Steps are told and epochs are not."""
    errors: tuple[str, ...] = ()
    """What the loader raised."""
    remarks: Remarks = NO_REMARKS
    pieces: int = 1
    """Into how many pieces the visits are cut."""
    joins: tuple[tuple[int, bool], ...] = ()
    """How many steps lie before each restore, and whether it was cut inside an epoch."""
    world_size: int = 1
    others: tuple[Run, ...] = ()
    """What other ranks or processes of the same run recorded."""
    shared: tuple[SharedRows, ...] = ()
    """Rows that other splits visited too."""

    def visits(self) -> Visits:
        """The run's visits, as a reader would give them."""
        return visits_of(self.shards, self.steps, split=self.split, trained=self.trained, rank=self.rank)

    def stream(self) -> Stream:
        visits = self.visits()
        epochs = sorted({s.epoch for s in self.steps if s.epoch >= 0 and s.trained})
        facts = tuple(
            EpochFacts(e, next(s.fit for s in self.steps if s.epoch == e), e, e not in self.open_epochs, self.declared)
            for e in epochs
        )
        cuts = np.linspace(0, len(visits), self.pieces + 1).astype(int)
        return Stream(
            writer=Writer(0, self.rank, self.process, self.world_size, splits=(SplitInfo(self.split),)),
            visits=lambda: (visits.take(slice(int(a), int(b))) for a, b in itertools.pairwise(cuts)),
            epochs=facts if self.trained and not self.without_epochs else (),
            trained=self.trained,
            exhausted=self.exhausted,
            exhausted_from=frozenset(
                next(i for i, s in enumerate(self.steps) if s.pass_ == p) for p in self.exhausted_passes
            ),
            evaluation=self.evaluation,
            errors=self.errors,
            remarks=self.remarks,
        )

    def count(self) -> SplitCounts:
        """Count it with the real engine."""
        counts = count_runs(self, *self.others)
        return replace(counts, others=self.shared) if self.shared else counts


def count_runs(*runs: Run) -> SplitCounts:
    """Count several writers' runs of one split together; the first one's declarations count."""
    return count_split(source_of(*runs))


def source_of(*runs: Run) -> SplitSource:
    """Several writers' runs of one split, ready to be counted."""
    first = runs[0]
    info = SplitInfo(
        first.split,
        fingerprint=None if first.shards is None else first.shards.fingerprint,
        contract=first.contract,
        batch_size=first.batch_size,
        steps_per_epoch=first.steps_per_epoch,
    )
    streams = tuple(r.stream() for r in runs)
    ends = tuple(WriterEnd(s.writer, r.writer) for s, r in zip(streams, runs, strict=True))
    fingerprints = () if info.fingerprint is None else (info.fingerprint, *first.other_fingerprints)
    history = None if not first.joins else _history(first, streams[0])
    return SplitSource(info, first.shards, RunInfo("run.parquet", "test", ends), streams, fingerprints, history=history)


def _history(run: Run, stream: Stream) -> History:
    """A history of one writer: an attempt per part, each restored from the end of the one before."""
    ends = [at for at, _ in run.joins]
    parts = []
    for attempt, (low, high) in enumerate(itertools.pairwise([0, *ends, len(run.steps)])):
        numbers = {at if s.batch is None else s.batch for at, s in enumerate(run.steps) if low <= at < high}
        visits = run.visits()
        own = visits.take(np.isin(visits.batch, sorted(numbers)))
        writer = Writer(attempt, run.rank, run.process)
        parts.append(replace(stream, writer=writer, visits=lambda own=own: iter((own,))))  # type: ignore[misc]
    origins = {attempt + 1: Origin("checkpoint", attempt, at) for attempt, at in enumerate(ends)}
    return History(tuple(parts), (tuple(parts),), ((*(cut for _, cut in run.joins), False),), origins)


def run_of(example: Example) -> Run:
    """The run a rule's example describes; the lowest rank's, with those of the others."""
    by_rank: dict[int, list[Step]] = {}
    joins: list[tuple[int, bool]] = []
    for epoch, batches in enumerate(example.epochs):
        for batch in batches:
            if isinstance(batch, Resumed):
                steps = by_rank.setdefault(0, [])
                joins.append((len(steps), batch.cut))
                continue
            steps = by_rank.setdefault(batch.rank if isinstance(batch, By) else 0, [])
            number = 1 + max((s.batch for s in steps if s.batch is not None), default=-1)
            if isinstance(batch, Again):
                again = next(s for s in steps if s.batch == batch.batch)
                steps.append(Step(again.ids, epoch, batch=batch.batch))
            elif isinstance(batch, Unknown):
                steps.append(Step(None, epoch, count=batch.rows, batch=number))
            elif isinstance(batch, Lost):
                steps.append(Step(batch.ids, epoch, trained=False, batch=number))
            elif isinstance(batch, By):
                steps.append(Step(batch.ids, epoch, batch=number, worker=batch.worker))
            else:
                steps.append(Step(batch, epoch, batch=number))
    size = len(by_rank) if example.world_size is None else example.world_size
    first, *others = (
        Run(
            shards_of(*example.shards) if example.dataset else None,
            steps,
            trained=example.trained,
            batch_size=example.batch_size,
            steps_per_epoch=example.steps_per_epoch,
            contract=example.contract,
            exhausted=example.exhausted,
            evaluation=example.evaluation,
            writer=example.writer,
            other_fingerprints=("another",) if example.other_data else (),
            remarks=example.remarks,
            rank=rank,
            world_size=max(size, 1),
            joins=tuple(joins),
        )
        for rank, steps in sorted(by_rank.items() if by_rank else {0: []}.items())
    )
    return replace(first, others=tuple(others), shared=example.shared)


def visits_of(
    shards: Shards | None, steps: Sequence[Step], *, split: str = "train", trained: bool = True, rank: int = 0
) -> Visits:
    """The visits of these steps, one record per row (unknown batches: one record)."""
    columns: dict[str, list[int]] = {name: [] for name in Visits.ARRAYS}
    consumed = 0
    for ordinal, step in enumerate(steps):
        batch = ordinal if step.batch is None else step.batch
        told = trained and step.trained
        if step.ids is None:
            rows = [(-1, -1, step.count, int(Found.UNKNOWN))]
        else:
            ids = np.asarray(step.ids, np.int64)
            shard, row = (np.full(len(ids), -1, np.int32), ids) if shards is None else shards.locate(ids)
            rows = [(int(s), int(r), 1, int(Found.EXPLICIT)) for s, r in zip(shard, row, strict=True)]
        for s, r, n, found in rows:
            values = (
                0, step.worker, step.fit if trained else -1, step.epoch if told else -1, step.pass_, batch,
                consumed if told else -1, int(Stage.TRAINED if told else Stage.YIELDED), found, s, r, n,
            )  # fmt: skip
            for name, value in zip(Visits.ARRAYS, values, strict=True):
                columns[name].append(value)
        consumed += told
    types = {"batch": np.int64, "step": np.int64, "row": np.int64, "stage": np.int8, "found": np.int8}
    arrays = {name: np.array(values, types.get(name, np.int32)) for name, values in columns.items()}
    return Visits((split,), 0, rank, 1, **arrays)
