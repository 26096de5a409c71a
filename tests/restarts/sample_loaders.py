"""Hugging Face datasets, WebDataset, Grain and LitData in loops of one's own, stopped and gone on with."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import grain
import litdata
import numpy as np
import torch
import webdataset as wds
from lives import TWICE, B, Case, E, Life, N, play

import coverage_audit as ca

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
from tar_shards import write_shards

Epoch = Callable[[int, Any], Iterator[tuple[list[int], Callable[[], Any]]]]
"""The batches of an epoch from a saved state on (None: its begin): rows, and what gives the state behind them."""


def train(life: Life, recorder: ca.Recorder, epoch_of: Epoch, *, told: bool = True, steps: bool = True) -> None:
    """``told``: the loop tells its checkpoints; ``steps``: it tells its epochs and steps, else yields are counted."""
    first, state = 0, None
    before = life.saved_state
    if before is not None:
        first, state = before["epoch"], before["loader"]
        life.restored(before["tag"])
        if told:
            recorder.restored(before["tag"])
    for epoch in range(first, E):
        marked = recorder.epoch() if steps else None
        if marked is not None:
            marked.__enter__()
        for rows, state_now in epoch_of(epoch, state):
            life.step(epoch, rows)
            if steps:
                recorder.step()
            if life.is_due():
                tag = f"{life.number}-{life.steps}"
                saved = {"tag": tag, "epoch": epoch, "loader": state_now()}
                if told:
                    recorder.checkpoint(tag)
                life.saved(tag, saved)
            life.end_if_due()
        if marked is not None:
            marked.__exit__(None, None, None)
        state = None
    recorder.close()


def huggingface(life: Life, buffer: int = 0, **how: bool) -> None:
    """The state of the dataset itself; a shuffle buffer is no part of it."""
    rows: Any = datasets.Dataset.from_dict({"row": list(range(N))}).to_iterable_dataset(num_shards=1 if buffer else 3)
    if buffer:
        rows = rows.shuffle(seed=7, buffer_size=buffer)
    stream = ca.wrap(rows, ca.Dataset.of(N, name="x"), life.log, ids=_column, batch_size=B, run_id="lives")

    def epoch_of(epoch: int, state: Any) -> Iterator[Any]:
        stream.set_epoch(epoch)
        if state is not None:
            stream.load_state_dict(state)
        for batch in stream.iter(batch_size=B):
            yield batch["row"], stream.state_dict

    train(life, stream.recorder, epoch_of, **how)


def _column(batch: Any) -> Any:
    return batch["row"], batch


def webdataset(life: Life, *, skip: bool = True) -> None:
    """Shuffled by the epoch; of a resumed one as many samples are skipped as were trained on, below the wrapper."""
    tars = life.folder.parent / "tars"
    if not tars.exists():
        tars.mkdir()
        write_shards(tars, (15,) * 4)
    urls = sorted(map(str, tars.glob("*.tar")))
    done = {"samples": 0}

    def behind(samples: Iterator[Any]) -> Iterator[Any]:
        return itertools.islice(samples, done["samples"] if skip else 0, None)

    pipeline = wds.WebDataset(urls, shardshuffle=4, seed=3).shuffle(20, seed=4).decode().to_tuple("x.npy", "cls")
    pipeline = pipeline.compose(behind).batched(B)
    loader = ca.wrap(pipeline, ca.Dataset.open(urls), life.log, batch_size=B, run_id="lives")

    def epoch_of(epoch: int, state: Any) -> Iterator[Any]:
        done["samples"] = 0 if state is None else state
        seed_of(pipeline, epoch)
        for at, batch in enumerate(loader, 1 + done["samples"] // B):
            yield np.asarray(batch[0]).reshape(B, -1)[:, 0], partial(int, at * B)

    train(life, loader.recorder, epoch_of)


def seed_of(pipeline: Any, epoch: int) -> None:
    """The order of an epoch is drawn from its number, wherever the process began."""
    for stage in pipeline.pipeline:
        if hasattr(stage, "epoch"):
            stage.epoch = epoch - 1


class Numbers:
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Any:
        return {"row": np.int64(index)}

    def __repr__(self) -> str:
        return "Numbers()"


def grain_loader(life: Life, workers: int) -> None:
    loader = grain.DataLoader(
        data_source=Numbers(),
        sampler=grain.samplers.IndexSampler(N, shuffle=True, num_epochs=1, seed=5),
        operations=[grain.transforms.Batch(B)],
        worker_count=workers,
    )
    recorded = ca.wrap(loader, ca.Dataset.of(N, name="rows"), life.log, batch_size=B, run_id="lives")

    def epoch_of(_: int, state: Any) -> Iterator[Any]:
        iterator = iter(recorded)
        if state is not None:
            iterator.set_state(state.encode())
        for batch in iterator:
            yield batch["row"], lambda: iterator.get_state().decode()

    train(life, recorded.recorder, epoch_of)


def grain_dataset(life: Life, *, steps: bool = True) -> None:
    pipeline = grain.MapDataset.source(Numbers()).shuffle(seed=3).to_iter_dataset().batch(B)
    recorded = ca.wrap(pipeline, ca.Dataset.of(N, name="rows"), life.log, batch_size=B, run_id="lives")

    def epoch_of(_: int, state: Any) -> Iterator[Any]:
        iterator = iter(recorded)
        if state is not None:
            iterator.set_state(state)
        for batch in iterator:
            yield batch["row"], iterator.get_state

    train(life, recorded.recorder, epoch_of, steps=steps)


def number(index: int) -> dict[str, int]:
    return {"row": index}


def litdata_loader(life: Life, workers: int, *, told: bool = True) -> None:
    optimized = life.folder.parent / "optimized"
    if not optimized.exists():
        litdata.optimize(number, list(range(N)), str(optimized), chunk_size=7, num_workers=1, start_method="fork")
    dataset = litdata.StreamingDataset(str(optimized), shuffle=True, seed=3)
    plain = litdata.StreamingDataLoader(dataset, batch_size=B, num_workers=workers)
    loader = ca.wrap(plain, ca.Dataset.of(N, name="rows"), life.log, batch_size=B, run_id="lives")

    def epoch_of(_: int, state: Any) -> Iterator[Any]:
        if state is not None:
            loader.load_state_dict(state)
        for batch in loader:
            yield batch["row"], loader.state_dict

    train(life, loader.recorder, epoch_of, told=told)


if __name__ == "__main__":
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    torch.set_num_threads(1)
    play({
        "huggingface": Case(partial(huggingface), TWICE),
        "huggingface_by_itself": Case(partial(huggingface, told=False)),
        "huggingface_yields": Case(partial(huggingface, steps=False), TWICE),
        "huggingface_buffer": Case(partial(huggingface, buffer=20), (9, 0)),
        "huggingface_buffer_yields": Case(partial(huggingface, buffer=20, steps=False), (9, 0)),
        "webdataset": Case(webdataset, TWICE),
        "webdataset_begin": Case(partial(webdataset, skip=False)),
        "grain_loader": Case(partial(grain_loader, workers=0), TWICE),
        "grain_loader_two_workers": Case(partial(grain_loader, workers=2)),
        "grain_dataset": Case(grain_dataset),
        "grain_dataset_yields": Case(partial(grain_dataset, steps=False)),
        "litdata": Case(partial(litdata_loader, workers=0)),
        "litdata_two_workers": Case(partial(litdata_loader, workers=2)),
        "litdata_by_itself": Case(partial(litdata_loader, workers=2, told=False)),
    })  # fmt: skip
