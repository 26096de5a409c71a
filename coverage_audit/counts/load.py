"""A run log -> what is to be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from coverage_audit.counts.source import EpochFacts, SplitSource, Stream
from coverage_audit.errors import LogError
from coverage_audit.model.event import MarkKind
from coverage_audit.model.run import SplitInfo, Writer
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.reader import Log
from coverage_audit.runlog.visits import Visits

Describe = Callable[[Shards, Shards], list[str]]


def sources_of(log: Log, dataset: Shards | None, describe: Describe) -> list[SplitSource]:
    """One source per split, in the order the splits were declared.

    ``dataset`` is the data to measure against instead of the recorded one: where it differs, ``describe`` says how, and
    the recorded data stays the denominator. Where none was recorded, it is the denominator.
    """
    names = list(dict.fromkeys(split.name for writer in log.writers for split in writer.splits))
    return [_source(log, name, dataset, describe) for name in names]


def _source(log: Log, name: str, dataset: Shards | None, describe: Describe) -> SplitSource:
    declared = [(w, split) for w in log.writers for split in w.splits if split.name == name]
    info = declared[0][1]
    recorded = shards_of(log, info)
    shards = recorded
    changes: tuple[str, ...] = ()
    if recorded is None and dataset is not None:
        shards = dataset
    elif recorded is not None and dataset is not None:
        changes = tuple(describe(recorded, dataset))
    return SplitSource(
        info=info,
        shards=shards,
        run=log.run,
        streams=tuple(_stream(log, writer, name) for writer, _ in declared),
        fingerprints=tuple(s.fingerprint for _, s in declared if s.fingerprint is not None),
        changes=changes,
        raw_ids=recorded is None,
        restarts_unplaced=_restarts_unplaced(log),
    )


def shards_of(log: Log, info: SplitInfo) -> Shards | None:
    """The split's recorded data with its selection; None where none was declared."""
    if info.fingerprint is None:
        return None
    if info.fingerprint not in log.datasets:
        raise LogError(
            f"{log.path}: dataset {info.fingerprint} of split {info.name!r} is not in the log: restore "
            f"dataset-{info.fingerprint}.json beside it from a copy",
            slug="missing-dataset",
        )
    return Shards(log.datasets[info.fingerprint].items, info.selected)


def _stream(log: Log, writer: Writer, name: str) -> Stream:
    epochs = [m for m in log.epoch_marks(writer) if m.split == name]
    segments = [s for s in log.segments(writer) if s.split == name]
    begun = (MarkKind.FIT_BEGIN, MarkKind.EVALUATION_BEGIN)
    return Stream(
        writer=writer,
        visits=partial(_visits, log, writer),
        epochs=tuple(EpochFacts(m.epoch, m.fit, m.number, m.complete) for m in epochs),
        trained=any(m.kind in begun and m.split == name for m in log.marks(writer)),
        exhausted=any(s.ended == "exhausted" for s in segments),
        exhausted_from=frozenset(s.first_batch for s in segments if s.ended == "exhausted"),
        evaluation=any(m.evaluation for m in epochs),
        errors=tuple(s.error for s in segments if s.ended == "failed"),
    )


def _visits(log: Log, writer: Writer) -> Iterator[Visits]:
    return log.visits(writer)


def _restarts_unplaced(log: Log) -> int:
    """Later attempts of which no writer says what it restored."""
    attempts = sorted({w.attempt for w in log.writers})[1:]
    placed = {w.attempt for w in log.writers if any(m.kind is MarkKind.RESTORED for m in log.marks(w))}
    return sum(a not in placed for a in attempts)
