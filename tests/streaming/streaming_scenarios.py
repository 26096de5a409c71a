"""MosaicML Streaming, recorded by a script of its own: see test_mosaic_streaming.py.

``streaming_scenarios.py make FOLDER`` writes the data. ``streaming_scenarios.py SCENARIO-WORKERS FOLDER LOG`` prints
what was delivered, as JSON: a list of batches.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import streaming
import torch

import coverage_audit as ca

ROWS = 61


def make(folder: str) -> None:
    """Samples hold their number and a thousand, so that nothing but the sample ids can be taken for rows."""
    for part, rows in (("a", range(40)), ("b", range(40, ROWS))):
        with streaming.MDSWriter(out=f"{folder}/{part}", columns={"x": "int"}, size_limit=200) as writer:
            for row in rows:
                writer.write({"x": 1000 + row})


def dataset(kind: Any = streaming.StreamingDataset, **options: Any) -> Any:
    streams = [streaming.Stream(local=f"{sys.argv[2]}/{part}") for part in ("a", "b")]
    return kind(streams=streams, **{"shuffle": True, "shuffle_seed": 5, "batch_size": 4, **options})


def two_passes(workers: int) -> Any:
    loader = recorded(torch.utils.data.DataLoader(dataset(), batch_size=4, num_workers=workers))
    return [rows_of(batch) for _ in range(2) for batch in loader]


def own_loader(workers: int) -> Any:
    loader = streaming.StreamingDataLoader(dataset(), batch_size=4, num_workers=workers, persistent_workers=workers > 0)
    loader = recorded(loader)
    return [rows_of(batch) for _ in range(2) for batch in loader]


def in_order(workers: int) -> Any:
    data = dataset(shuffle=False)
    return [rows_of(batch) for batch in recorded(torch.utils.data.DataLoader(data, batch_size=4, num_workers=workers))]


def resumed(workers: int) -> Any:
    """Three batches, and in another loader what its state says comes next, and the pass after that."""
    loader = recorded(streaming.StreamingDataLoader(dataset(), batch_size=4, num_workers=workers))
    batches = []
    for batch in loader:
        batches.append(rows_of(batch))
        if len(batches) == 3:
            state = loader.state_dict()
            break
    again = streaming.StreamingDataLoader(dataset(), batch_size=4, num_workers=workers)
    again.load_state_dict(state)
    again = recorded(again)
    return batches + [rows_of(batch) for _ in range(2) for batch in again]


class Mine(streaming.StreamingDataset):
    """As people subclass it."""

    def __getitem__(self, at: Any) -> Any:
        return {"x": super().__getitem__(at)["x"]}


class Packed(streaming.StreamingDataset):
    """Gives something else than its samples: nobody can say what."""

    def __iter__(self) -> Any:
        for sample in super().__iter__():
            yield {"x": sample["x"]}


def overridden(workers: int) -> Any:
    loader = recorded(torch.utils.data.DataLoader(dataset(Mine), batch_size=4, num_workers=workers))
    return [rows_of(batch) for batch in loader]


def packed(workers: int) -> Any:
    loader = recorded(torch.utils.data.DataLoader(dataset(Packed), batch_size=4, num_workers=workers))
    return [None for _ in loader]


def recorded(loader: Any) -> Any:
    return ca.wrap(loader, ca.Dataset.of(ROWS, name="rows"), sys.argv[3])


def rows_of(batch: Any) -> list[int]:
    return [int(x) - 1000 for x in batch["x"]]


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        scenario, _, workers = sys.argv[1].partition("-")
        print("delivered " + json.dumps(globals()[scenario](int(workers))))
