"""torch's DataLoader and torchdata's StatefulDataLoader in loops of one's own, stopped and gone on with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from lives import TWICE, B, Case, E, Life, N, S, play
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

import coverage_audit as ca


class Numbers(torch.utils.data.Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(index)])


class Batches(torch.utils.data.Sampler[list[int]]):
    """An order per epoch, from batch ``first`` on."""

    def __init__(self) -> None:
        self.seed, self.first = 0, 0

    def __len__(self) -> int:
        return S - self.first

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(N, generator=torch.Generator().manual_seed(self.seed)).tolist()
        return (order[at : at + B] for at in range(self.first * B, N, B))


def loop(life: Life, how: str, workers: int) -> None:
    """``how`` it goes on: "pulled" (batches that were trained on are pulled and thrown away, then the restore is told),
    "sampled" (the sampler begins behind them), "silent" (the same, and the recorder is told nothing), "begin" (the
    number of steps is restored, the position is not), "reshuffled" (as "pulled", of another order)."""
    batches = Batches()
    plain: Any = DataLoader(Numbers(), batch_sampler=batches, num_workers=workers)
    loader = ca.wrap(plain, ca.Dataset.of(N, name="x"), life.log, batch_size=B, run_id="lives")
    rec = loader.recorder
    first = done = 0
    state = life.saved_state
    if state is not None:
        first, done = state["epoch"], state["done"]
        life.restored(state["tag"])
        if how not in ("silent", "pulled", "reshuffled"):
            rec.restored(state["tag"])
    for epoch in range(first, E):
        skip = done if epoch == first else 0
        batches.seed = epoch + (100 if skip and how == "reshuffled" else 0)
        batches.first = skip if how in ("sampled", "silent") else 0
        thrown = skip if how in ("pulled", "reshuffled") else 0
        running = iter(loader)
        for _ in range(thrown):
            next(running)
        if thrown and state is not None:
            rec.restored(state["tag"])
        with rec.epoch():
            for at, batch in enumerate(itertools.islice(running, S - skip if how == "begin" else None), skip + 1):
                life.step(epoch, batch[:, 0])
                rec.step()
                if life.is_due():
                    tag = f"{life.number}-{life.steps}"
                    rec.checkpoint(tag)
                    life.saved(tag, {"tag": tag, "epoch": epoch, "done": at})
                life.end_if_due()
    rec.close()


def stateful(life: Life, workers: int, *, stale: bool = False, told: bool = True) -> None:
    """The loader's own state says where it goes on. ``stale``: it is the one from before the last two steps, which the
    weights hold. ``told``: the loop tells its checkpoints, too; else they are the loader's states."""
    torch.manual_seed(7)
    plain: Any = StatefulDataLoader(Numbers(), B, shuffle=True, num_workers=workers)
    loader = ca.wrap(plain, ca.Dataset.of(N, name="x"), life.log, batch_size=B, run_id="lives")
    rec = loader.recorder
    first = 0
    path = life.folder / "loader.pt"
    state = life.saved_state
    if state is not None:
        first = state["epoch"]
        life.restored(state["tag"])
        if told:
            rec.restored(state["tag"])
        loader.load_state_dict(torch.load(path, weights_only=False))
    for epoch in range(first, E):
        with rec.epoch():
            for batch in loader:
                life.step(epoch, batch[:, 0])
                rec.step()
                if stale and (life.steps + 2) % 6 == 0:
                    torch.save(loader.state_dict(), path)
                if life.is_due():
                    tag = f"{life.number}-{life.steps}"
                    if not stale:
                        torch.save(loader.state_dict(), path)
                    if told:
                        rec.checkpoint(tag)
                    life.saved(tag, {"tag": tag, "epoch": epoch})
                life.end_if_due()
    rec.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    play({
        "pulled": Case(partial(loop, how="pulled", workers=0)),
        "pulled_two_workers": Case(partial(loop, how="pulled", workers=2), TWICE),
        "sampled": Case(partial(loop, how="sampled", workers=0), TWICE),
        "silent": Case(partial(loop, how="silent", workers=0)),
        "begin": Case(partial(loop, how="begin", workers=0)),
        "reshuffled": Case(partial(loop, how="reshuffled", workers=2)),
        "stateful": Case(partial(stateful, workers=0), TWICE),
        "stateful_two_workers": Case(partial(stateful, workers=2)),
        "stateful_by_itself": Case(partial(stateful, workers=2, told=False)),
        "stateful_stale": Case(partial(stateful, workers=0, stale=True)),
    })  # fmt: skip
