"""LitData's loaders, recorded by a script of its own: see test_litdata.py.

``litdata_scenarios.py make FOLDER`` writes the data. ``litdata_scenarios.py SCENARIO FOLDER LOG`` prints what was
delivered, as JSON: a list of batches.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import litdata
import torch

import coverage_audit as ca

ROWS = 37


def number(index: int) -> dict[str, int]:
    return {"x": 1000 + index}


def make(folder: str) -> None:
    """Chunks of two workers, so that positions are not the numbers in the samples."""
    litdata.optimize(number, list(range(ROWS)), folder, chunk_size=7, num_workers=2, start_method="fork")


def dataset(**options: Any) -> litdata.StreamingDataset:
    return litdata.StreamingDataset(sys.argv[2], **{"shuffle": True, "seed": 3, **options})


def two_passes(workers: int) -> Any:
    loader = recorded(litdata.StreamingDataLoader(dataset(), batch_size=4, num_workers=workers))
    return [rows_of(batch) for _ in range(2) for batch in loader]


def by_torch(workers: int) -> Any:
    loader = recorded(torch.utils.data.DataLoader(dataset(), batch_size=4, num_workers=workers))
    return [rows_of(batch) for _ in range(2) for batch in loader]


def resumed(workers: int) -> Any:
    """Three batches, and in another loader what its state says comes next."""
    loader = recorded(litdata.StreamingDataLoader(dataset(), batch_size=4, num_workers=workers))
    batches = []
    for batch in loader:
        batches.append(rows_of(batch))
        if len(batches) == 3:
            state = loader.state_dict()
            break
    again = litdata.StreamingDataLoader(dataset(), batch_size=4, num_workers=workers)
    again.load_state_dict(state)
    return batches + [rows_of(batch) for batch in recorded(again)]


def subsampled(workers: int) -> Any:
    part = dataset(subsample=0.6)
    samples = len(part)
    loader = recorded(litdata.StreamingDataLoader(part, batch_size=4, num_workers=workers), samples)
    where = {int(part[i]["x"]): i for i in range(samples)}
    return [[where[int(x)] for x in batch["x"]] for batch in loader]


class Doubled(litdata.StreamingDataset):
    """Asks for items of its own while it is asked for one."""

    def __getitem__(self, index: Any) -> Any:
        return {"x": super().__getitem__(index)["x"]}


class Paired(litdata.StreamingDataset):
    """Gives two samples at a time: nobody can say which."""

    def __next__(self) -> Any:
        return {"x": super().__next__()["x"], "y": super().__next__()["x"]}


def overridden(workers: int) -> Any:
    mine = Doubled(sys.argv[2], shuffle=True, seed=3)
    loader = recorded(litdata.StreamingDataLoader(mine, batch_size=4, num_workers=workers))
    return [rows_of(batch) for batch in loader]


def paired(workers: int) -> Any:
    mine = Paired(sys.argv[2], shuffle=True, seed=3)
    loader = recorded(litdata.StreamingDataLoader(mine, batch_size=4, num_workers=workers))
    return [None for _ in loader]


def recorded(loader: Any, rows: int = ROWS) -> Any:
    return ca.wrap(loader, ca.Dataset.of(rows, name="rows"), sys.argv[3])


def rows_of(batch: Any) -> list[int]:
    """By what the data is, read on its own: the position of each sample."""
    if not _where:
        plain = litdata.StreamingDataset(sys.argv[2])
        _where.update({int(plain[i]["x"]): i for i in range(ROWS)})
        assert list(_where.values()) == list(range(ROWS))
    return [_where[int(x)] for x in batch["x"]]


_where: dict[int, int] = {}

if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        scenario, _, workers = sys.argv[1].partition("-")
        print("delivered " + json.dumps(globals()[scenario](int(workers))))
        assert Path(sys.argv[3]).parent.exists()
