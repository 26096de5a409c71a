"""Everything that was recorded of a split, whether the final weights saw it or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.attempts import AttemptCount, WriterCount
from coverage_audit.counts.blocks import Status, read_blocks
from coverage_audit.counts.source import SplitSource, Stream
from coverage_audit.counts.tally import Tally
from coverage_audit.counts.unfinished import Lane
from coverage_audit.model.run import WriterEnd


def count_writers(
    source: SplitSource, lanes: Sequence[Lane], run_visits: npt.NDArray[np.uint32]
) -> tuple[WriterCount, ...]:
    """Everything each writer recorded, whether it counts or not. ``run_visits``: of all writers, per row."""
    if source.history is None:
        return tuple(
            _as_count(
                stream,
                lane.steps,
                lane.batches,
                lane.visits,
                int(np.count_nonzero(run_visits if len(lanes) == 1 else lane.seen)),
            )
            for lane, stream in zip(lanes, source.streams, strict=True)
        )
    return tuple(_count(source, stream) for stream in source.history.writers)


def count_attempts(
    source: SplitSource, lanes: Sequence[Lane], writers: Sequence[WriterCount]
) -> tuple[AttemptCount, ...]:
    """One entry per attempt of the split; ``lanes`` are the streams that count, ``writers`` as :func:`count_writers`
    gives them."""
    out = []
    for attempt in sorted({w.attempt for w in writers}):
        ends = [e for e in source.run.writers if e.writer.attempt == attempt]
        out.append(
            AttemptCount(
                attempt,
                None if source.history is None else source.history.origins.get(attempt),
                _most((w.rank, w.steps) for w in writers if w.attempt == attempt),
                _most((lane.rank, lane.steps_by_attempt[attempt]) for lane in lanes),
                sum(w.visits for w in writers if w.attempt == attempt),
                sum(lane.visits_by_attempt[attempt] for lane in lanes),
                _state(ends),
            )
        )
    return tuple(out)


def _count(source: SplitSource, stream: Stream) -> WriterCount:
    steps = batches = visits = 0
    seen = np.zeros(0 if source.shards is None else source.shards.n_ids, np.bool_)
    for block in read_blocks(source, stream, Tally()):
        if block.status is not Status.HOLE:
            steps += len(block.number)
            visits += len(block.ids)
            seen[block.ids] = True
        if block.status.yielded:
            batches += len(block.number)
    return _as_count(stream, steps, batches, visits, int(np.count_nonzero(seen)))


def _as_count(stream: Stream, steps: int, batches: int, visits: int, unique: int) -> WriterCount:
    writer = stream.writer
    return WriterCount(writer.attempt, writer.rank, writer.process, steps, batches, visits, unique)


def _most(steps_of_ranks: Iterable[tuple[int, int]]) -> int:
    """Steps of the rank that made the most, given (rank, steps) of each of its processes."""
    steps: Counter[int] = Counter()
    for rank, n in steps_of_ranks:
        steps[rank] += n
    return max(steps.values(), default=0)


def _state(ends: Sequence[WriterEnd]) -> str:
    states = {end.state for end in ends}
    return next((s for s in ("open", "idle") if s in states), "closed")
