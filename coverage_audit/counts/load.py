"""A run log -> what is to be counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from coverage_audit.counts.lineage import Declared
from coverage_audit.counts.past import look_back
from coverage_audit.counts.source import SplitSource
from coverage_audit.errors import LogError
from coverage_audit.model.rows import RowSet
from coverage_audit.model.run import RunInfo, SplitInfo
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.reader import Log

Describe = Callable[[Shards, Shards], list[str]]


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
    same = _one_of_peers([d for d in declared if d[2].fingerprint == info.fingerprint])
    recorded = shards_of(log, replace(info, selected=_selected([split for _, _, split in same])))
    shards = recorded
    changes: tuple[str, ...] = ()
    if recorded is None and dataset is not None:
        shards = dataset
    elif recorded is not None and dataset is not None:
        changes = tuple(describe(recorded, dataset))
    past = look_back(same, info, shards)
    return SplitSource(
        info=info,
        shards=shards,
        run=run,
        streams=past.streams,
        fingerprints=tuple(s.fingerprint or "no dataset" for _, _, s in declared),
        changes=changes,
        raw_ids=recorded is None,
        restarts_unplaced=past.untold,
        restart_problems=past.problems,
        history=past.history,
    )


def _one_of_peers(declared: Sequence[Declared]) -> list[Declared]:
    """Of the processes that share a rank because they read the same rows, the first; those of one process all stay."""
    first: dict[tuple[int, int], int] = {}
    for _, writer, _ in declared:
        if writer.member >= 0:
            key = (writer.attempt, writer.rank)
            first[key] = min(first.get(key, writer.member), writer.member)
    return [d for d in declared if d[1].member in (-1, first.get((d[1].attempt, d[1].rank), -1))]


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
