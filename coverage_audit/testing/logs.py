"""Real run logs out of lists of events, for tests of whatever reads a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from coverage_audit.model.event import Batch, Consumed, Event
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.identity import OpenLog, open_log
from coverage_audit.runlog.journal import Journal


def write_log(
    path: str | Path,
    shards: Shards | Mapping[str, Shards] | None,
    events: Iterable[Event],
    *,
    split: str = "train",
    splits: Sequence[SplitInfo] = (),
    run_id: str = "test-run",
    rank: int = 0,
    world_size: int = 1,
    restart: int | None = None,
    finish: bool = True,
    roll_bytes: int = 256 << 20,
) -> OpenLog:
    """One writer with these events, as if a recorder had made it; call it again to add a writer (a new attempt, or
    another rank, of the same run).

    ``shards``: the dataset of all splits, or one per split name. ``splits``: what is declared; by default each split
    of the mapping or of the events, or ``split``, without further promises. ``finish``: make the parts as well.
    Returns the writer's place in the log, closed.
    """
    told = list(events)
    names = list(shards) if isinstance(shards, Mapping) else [split]
    names += [e.split for e in told if e.split != ""]
    of_split: dict[str, Shards | None] = {
        name: shards.get(name) if isinstance(shards, Mapping) else shards for name in dict.fromkeys(names)
    }
    infos = list(splits) or [
        SplitInfo(name, None if data is None else data.fingerprint, None if data is None else data.selected)
        for name, data in of_split.items()
    ]
    log = open_log(
        path,
        run_id=run_id,
        resume=False,
        if_exists="archive",
        rank=rank,
        world_size=world_size,
        launcher_id=None,
        restart=restart,
    )
    try:
        log.declare(infos, {data.fingerprint: data for data in of_split.values() if data is not None})
        journal = Journal(log.state, log.stem, roll_bytes=roll_bytes)
        write_events(journal, told, [info.name for info in infos])
        journal.close()
        if finish:
            from coverage_audit.runlog.parts import finish_writer

            finish_writer(log.state, log.stem)
    finally:
        log.close()
    return log


def write_events(journal: Journal, events: Iterable[Event], splits: Sequence[str]) -> None:
    """Append events to a journal; ``splits`` are the declared names, in order."""
    for event in events:
        if isinstance(event, Batch):
            journal.write_batch(
                splits.index(event.split),
                event.number,
                event.segment,
                event.pass_,
                event.worker,
                event.found,
                event.time_ns,
                event.rows,
            )
        elif isinstance(event, Consumed):
            journal.write_consumed(splits.index(event.split), event.steps, event.time_ns)
        else:
            journal.write_mark(event)
