"""A run log -> what is to be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from coverage_audit.counts.remarks import read_remarks
from coverage_audit.counts.source import EpochFacts, SplitSource, Stream
from coverage_audit.errors import LogError
from coverage_audit.model.event import MarkKind
from coverage_audit.model.rows import RowSet
from coverage_audit.model.run import RunInfo, SplitInfo, Writer
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.reader import Log
from coverage_audit.runlog.visits import Visits

Describe = Callable[[Shards, Shards], list[str]]


Declared = tuple[Log, Writer, SplitInfo]


def sources_of(logs: Sequence[Log], dataset: Shards | None, describe: Describe) -> list[SplitSource]:
    """One source per split, in the order the splits were declared; several logs are counted as one run.

    ``dataset`` is the data to measure against instead of the recorded one: where it differs, ``describe`` says how, and
    the recorded data stays the denominator. Where none was recorded, it is the denominator.
    """
    declared: dict[str, list[Declared]] = {}
    for log in logs:
        for writer in log.writers:
            for split in writer.splits:
                declared.setdefault(split.name, []).append((log, writer, split))
    run = run_of(logs)
    return [_source(run, of_split, dataset, describe) for of_split in declared.values()]


def run_of(logs: Sequence[Log]) -> RunInfo:
    """The run of one log, or of several taken together."""
    if len(logs) == 1:
        return logs[0].run
    return RunInfo(
        log=", ".join(str(log.path) for log in logs),
        run_id=", ".join(dict.fromkeys(log.run_id for log in logs)),
        writers=tuple(end for log in logs for end in log.run.writers),
        datasets={key: shards for log in logs for key, shards in log.datasets.items()},
    )


def _source(run: RunInfo, declared: Sequence[Declared], dataset: Shards | None, describe: Describe) -> SplitSource:
    log, _, info = declared[0]
    # Rows of other data have other places: they cannot be counted together (CA907 says so).
    same = [d for d in declared if d[2].fingerprint == info.fingerprint]
    recorded = shards_of(log, replace(info, selected=_selected([split for _, _, split in same])))
    shards = recorded
    changes: tuple[str, ...] = ()
    if recorded is None and dataset is not None:
        shards = dataset
    elif recorded is not None and dataset is not None:
        changes = tuple(describe(recorded, dataset))
    return SplitSource(
        info=info,
        shards=shards,
        run=run,
        streams=tuple(_stream(of, writer, info, _offset(same, writer.attempt)) for of, writer, _ in same),
        fingerprints=tuple(s.fingerprint or "no dataset" for _, _, s in declared),
        changes=changes,
        raw_ids=recorded is None,
        restarts_unplaced=_restarts_unplaced([of for of, _, _ in declared]),
    )


def _selected(splits: Sequence[SplitInfo]) -> RowSet | None:
    """What several writers expect together; all rows as soon as one of them expects all."""
    chosen = [split.selected for split in splits]
    return None if any(rows is None for rows in chosen) else RowSet.union([rows for rows in chosen if rows is not None])


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


def _offset(declared: Sequence[Declared], attempt: int) -> int:
    """How many epochs came before an attempt that does not say where it goes on: its own are further ones."""
    known = _placed([log for log, _, _ in declared])
    offset = 0
    for number in range(attempt):
        offset += max((_n_epochs(*d) for d in declared if d[1].attempt == number), default=0)
    return 0 if attempt in known else offset


def _n_epochs(log: Log, writer: Writer, split: SplitInfo) -> int:
    told = [m.epoch + 1 for m in log.epoch_marks(writer) if m.split == split.name]
    if told or split.steps_per_epoch is None:
        return max(told, default=0)
    yields = sum(s.batches for s in log.segments(writer) if s.split == split.name)
    return -(-yields // split.steps_per_epoch)


def _stream(log: Log, writer: Writer, info: SplitInfo, offset: int) -> Stream:
    name = info.name
    epochs = [m for m in log.epoch_marks(writer) if m.split == name]
    segments = [s for s in log.segments(writer) if s.split == name]
    begun = (MarkKind.FIT_BEGIN, MarkKind.EVALUATION_BEGIN)
    return Stream(
        writer=writer,
        visits=partial(_visits, log, writer),
        epochs=tuple(EpochFacts(m.epoch + offset, m.fit, m.number, m.complete, m.steps_declared) for m in epochs),
        trained=any(m.kind in begun and m.split == name for m in log.marks(writer)),
        exhausted=any(s.ended == "exhausted" for s in segments),
        exhausted_from=frozenset(s.first_batch for s in segments if s.ended == "exhausted"),
        evaluation=any(m.evaluation for m in epochs),
        epoch_offset=offset,
        errors=tuple(s.error for s in segments if s.ended == "failed"),
        remarks=read_remarks(log.marks(writer), name),
    )


def _visits(log: Log, writer: Writer) -> Iterator[Visits]:
    return log.visits(writer)


def _restarts_unplaced(logs: Sequence[Log]) -> int:
    """Later attempts of which no writer says what it restored."""
    placed = _placed(logs)
    return sum(a not in placed for a in sorted({w.attempt for log in logs for w in log.writers})[1:])


def _placed(logs: Sequence[Log]) -> set[int]:
    """Attempts of which a writer says what it restored."""
    return {w.attempt for log in logs for w in log.writers if any(m.kind is MarkKind.RESTORED for m in log.marks(w))}
