"""What was in each step: a frame made by reading the log once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from coverage_audit.model.event import VERIFIED, Found, Stage
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.visits import Visits

STEP_COLUMNS = (
    "split", "attempt", "rank", "process", "worker", "fit", "epoch", "batch", "step", "stage", "found", "rows",
    "first_shard", "first_row",
)  # fmt: skip


def steps_frame(pieces: Iterable[Visits], shards: dict[str, Shards | None]) -> pd.DataFrame:
    """One line per consumption, and per yield that was never consumed.

    Batches that two pieces of the log share are put together; the pieces come in recorded order, writer by writer.
    """
    frames = [_steps(piece, shards) for piece in pieces if len(piece)]
    if not frames:
        return pd.DataFrame(columns=list(STEP_COLUMNS))
    whole = pd.concat(frames, ignore_index=True)
    keys = ["split", "attempt", "rank", "process", "batch", "step"]
    firsts = {name: "first" for name in STEP_COLUMNS if name not in (*keys, "rows")}
    grouped = whole.groupby(keys, sort=False, observed=True, as_index=False).agg({**firsts, "rows": "sum"})
    return grouped[list(STEP_COLUMNS)]


def _steps(visits: Visits, shards: dict[str, Shards | None]) -> pd.DataFrame:
    new = np.ones(len(visits), np.bool_)
    new[1:] = (
        (visits.batch[1:] != visits.batch[:-1])
        | (visits.step[1:] != visits.step[:-1])
        | (visits.split[1:] != visits.split[:-1])
    )
    at = np.flatnonzero(new)
    splits = visits.split[at]
    how = visits.found[at] & ~VERIFIED
    return pd.DataFrame(
        {
            "split": np.array(visits.splits, object)[splits],
            "attempt": visits.attempt,
            "rank": visits.rank,
            "process": visits.process,
            "worker": visits.worker[at],
            "fit": visits.fit[at],
            "epoch": visits.epoch[at],
            "batch": visits.batch[at],
            "step": visits.step[at],
            "stage": [Stage(int(s)).name.lower() for s in visits.stage[at]],
            "found": [Found(int(f)).name.lower().replace("_", " ") for f in how],
            "rows": np.add.reduceat(visits.count.astype(np.int64), at),
            "first_shard": _names(visits.splits, splits, visits.shard[at], shards),
            "first_row": visits.row[at],
        }
    )


def _names(
    splits: Sequence[str],
    split: np.ndarray[tuple[int], np.dtype[np.int32]],
    shard: np.ndarray[tuple[int], np.dtype[np.int32]],
    shards: dict[str, Shards | None],
) -> list[str | None]:
    known = [shards.get(name) for name in splits]
    out: list[str | None] = []
    for s, index in zip(split, shard, strict=True):
        of = known[int(s)]
        out.append(None if of is None or index < 0 else of[int(index)].name)
    return out
