"""A Grain loader with worker processes, recorded by a script of its own: see test_grain_workers.py.

``grain_scenarios.py SCENARIO LOG`` prints what was delivered, as JSON: a list of batches.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import grain
import numpy as np

import coverage_audit as ca

ROWS = 41


class Numbers:
    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> Any:
        return {"row": np.int64(index)}

    def __repr__(self) -> str:
        return "Numbers()"


def data_loader() -> Any:
    return grain.DataLoader(
        data_source=Numbers(),
        sampler=grain.samplers.IndexSampler(ROWS, shuffle=True, num_epochs=1, seed=5),
        operations=[grain.transforms.Batch(6)],
        worker_count=2,
    )


def two_passes() -> Any:
    loader = recorded(data_loader())
    return [rows_of(batch) for _ in range(2) for batch in loader]


def restart() -> Any:
    """Three batches, and the rest in another iterator from the state after the second."""
    loader = recorded(data_loader())
    iterator = iter(loader)
    batches = [rows_of(next(iterator)) for _ in range(2)]
    state = iterator.get_state()
    batches.append(rows_of(next(iterator)))
    again = iter(loader)
    again.set_state(state)
    return batches + [rows_of(batch) for batch in again]


def prefetched() -> Any:
    """A pipeline whose batches are made in three processes, and repeated."""
    pipeline = grain.MapDataset.source(Numbers()).shuffle(seed=3).to_iter_dataset().batch(4)
    pipeline = pipeline.mp_prefetch(grain.MultiprocessingOptions(num_workers=3))
    return [rows_of(batch) for batch in recorded(grain.experimental.RepeatIterDataset(pipeline, 2))]


def batched_after() -> Any:
    """Elements are made in two processes, batches in this one."""
    pipeline = grain.MapDataset.source(Numbers()).shuffle(seed=3).repeat(2).to_iter_dataset()
    pipeline = pipeline.mp_prefetch(grain.MultiprocessingOptions(num_workers=2)).batch(5)
    return [rows_of(batch) for batch in recorded(pipeline)]


def recorded(loader: Any) -> Any:
    return ca.wrap(loader, ca.Dataset.of(ROWS, name="rows"), sys.argv[2])


def rows_of(batch: Any) -> list[int]:
    return [int(row) for row in batch["row"]]


if __name__ == "__main__":
    scenarios = {each.__name__: each for each in (two_passes, restart, prefetched, batched_after)}
    print("delivered " + json.dumps(scenarios[sys.argv[1]]()))
