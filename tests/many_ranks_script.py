"""What one rank does in tests/test_many_ranks.py: `many_ranks_script.py SCENARIO LOG`, placed by its environment."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage_audit as ca

RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
N, B = 96, 4


def train(log: str, parts: int, part: int, *, kill_at: int = -1, wait: bool = False, **options: Any) -> None:
    """Two epochs over every ``parts``-th row, by hand."""
    recorder = ca.Recorder(log, ca.Dataset.of(N), batch_size=B, **options)
    rows = list(range(part, N, parts))
    for epoch in range(2):
        with recorder.epoch():
            for step in range(0, len(rows), B):
                if epoch == 1 and step == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                recorder.step(rows[step : step + B])
        if wait and epoch == 0:
            wait_for(Path(log).with_name("go"))
    recorder.close()


def wait_for(path: Path) -> None:
    Path(f"{path}-{RANK}-waits").touch()
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)


def gloo(log: str) -> None:
    """Real process groups, torch's sampler and loaders, one log per rank."""
    import torch
    import torch.distributed as dist
    from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, TensorDataset

    class Copies(IterableDataset[Any]):
        """Every worker of every rank reads everything."""

        def __iter__(self) -> Iterator[Any]:
            for i in range(12):
                yield {"id": i, "x": float(i)}

    class Files(IterableDataset[Any]):
        """Two files per rank, whole ones to each worker."""

        def __iter__(self) -> Iterator[Any]:
            worker = torch.utils.data.get_worker_info()
            for file in range(2)[worker.id :: worker.num_workers] if worker is not None else range(2):
                for i in range(6):
                    yield {"id": 12 * RANK + 6 * file + i, "x": float(i)}

    def loop(loader: Any, sampler: Any, epochs: int = 2) -> None:
        for epoch in range(epochs):
            if sampler is not None:
                sampler.set_epoch(epoch)
            for _ in loader:
                dist.barrier()

    dist.init_process_group("gloo", init_method=f"file://{log}.store", rank=RANK, world_size=WORLD)
    for name, n, drop in (("even", 64, False), ("padded", 67, False), ("dropped", 67, True)):
        data = TensorDataset(torch.arange(n))
        sampler: Any = DistributedSampler(data, WORLD, RANK, drop_last=drop)
        loader = DataLoader(data, batch_size=4, sampler=sampler, num_workers=2 if name == "even" else 0)
        wrapped = ca.wrap(loader, ca.Dataset.of(n), log=f"{log}-{name}-{RANK}.parquet", batch_size=4)
        loop(wrapped, sampler)
    copies = DataLoader(Copies(), batch_size=4, num_workers=2)
    loop(ca.wrap(copies, ca.Dataset.of(12), log=f"{log}-copies-{RANK}.parquet", batch_size=4, ids="id"), None)
    few = DataLoader(Files(), batch_size=4, num_workers=3)
    loop(ca.wrap(few, ca.Dataset.of(24), log=f"{log}-few-{RANK}.parquet", batch_size=4, ids="id"), None)
    dist.destroy_process_group()


if __name__ == "__main__":
    scenario, where = sys.argv[1:]
    if scenario == "divided":
        train(where, WORLD, RANK)
    elif scenario == "waiting":
        train(where, WORLD, RANK, wait=True)
    elif scenario == "killed":
        train(where, WORLD, RANK, kill_at=12 if RANK == 2 else -1)
    elif scenario == "peers":
        train(where, WORLD // 2, RANK // 2, data_parallel=(RANK // 2, WORLD // 2))
    elif scenario == "everything":
        train(where, 1, 0)
    elif scenario == "own log":
        train(f"{where}-{RANK}.parquet", WORLD, RANK)
    elif scenario == "gloo":
        gloo(where)
