"""Real loaders of Hugging Face datasets and WebDataset shards with workers, ranks and restarts, each recorded.

Run as a script with a folder: per scenario NAME.parquet is the log and NAME.json what the loop got: per batch its rows,
read off the samples themselves.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import webdataset as wds
from datasets.distributed import split_dataset_by_node
from tar_shards import write_shards
from torch.utils.data import DataLoader

import coverage_audit as ca

N = 240
BASE: Any = datasets.Dataset.from_dict({"row": list(range(N)), "x": [[float(n)] * 2 for n in range(N)]})

Loop = Iterable[tuple[Any, Any]]
"""(loader, batch) of everything a scenario iterates."""


def hf_rows(shards: int = 8) -> Any:
    return BASE.add_column("__row__", range(N)).to_iterable_dataset(num_shards=shards)


def tars(folder: Path, sizes: tuple[int, ...] = (30,) * 8) -> list[str]:
    target = folder / f"tars-{len(sizes)}-{sizes[0]}"
    if not target.exists():
        target.mkdir()
        write_shards(target, sizes)
    return sorted(map(str, target.glob("*.tar")))


def tuples(urls: list[str], **options: Any) -> Any:
    dataset = wds.WebDataset(urls, **{"shardshuffle": 8, "seed": 3, **options})
    return dataset.shuffle(40, seed=4).decode().to_tuple("x.npy", "cls")


def wds_data(urls: list[str]) -> ca.Dataset:
    return ca.Dataset.open(urls)


def epochs(loader: Any, n: int = 2) -> Loop:
    for _ in range(n):
        for batch in loader:
            yield loader, batch


def wds_in_torch(workers: int, **options: Any) -> Callable[[Path, Path], Loop]:
    def play(folder: Path, log: Path) -> Loop:
        urls = tars(folder)
        loader: Any = DataLoader(tuples(urls), batch_size=8, num_workers=workers, **options)
        return epochs(ca.wrap(loader, wds_data(urls), log))

    return play


def wds_loader(workers: int, *, mixed: bool = False, **pipeline: Any) -> Callable[[Path, Path], Loop]:
    def play(folder: Path, log: Path) -> Loop:
        urls = tars(folder)
        loader = wds.WebLoader(tuples(urls, **pipeline).batched(8), batch_size=None, num_workers=workers)
        if mixed:
            loader = loader.unbatched().shuffle(50).batched(10)
        return epochs(ca.wrap(loader, wds_data(urls), log))

    return play


def wds_ranks(nodesplitter: Callable[[Any], Any]) -> Callable[[Path, Path], Loop]:
    """Two ranks, one after the other, as a launcher's variables tell them."""

    def play(folder: Path, log: Path) -> Loop:
        urls = tars(folder)
        for rank in range(2):
            os.environ.update(RANK=str(rank), WORLD_SIZE="2")
            dataset = tuples(urls, nodesplitter=nodesplitter).batched(8)
            loader = ca.wrap(dataset, wds_data(urls), log, run_id="ranks", data_parallel=(rank, 2))
            yield from epochs(loader)
            loader.recorder.close()
        del os.environ["RANK"], os.environ["WORLD_SIZE"]

    return play


def everything(urls: Iterator[Any]) -> Iterator[Any]:
    """A nodesplitter that splits nothing."""
    return urls


def hf_map(workers: int, **options: Any) -> Callable[[Path, Path], Loop]:
    def play(folder: Path, log: Path) -> Loop:
        saved = folder / "saved"
        if not saved.exists():
            BASE.save_to_disk(saved, num_shards=3)
        dataset = datasets.load_from_disk(saved).with_format("torch").shuffle(seed=5)
        loader: Any = DataLoader(dataset, batch_size=8, shuffle=True, num_workers=workers, **options)
        return epochs(ca.wrap(loader, ca.Dataset.open(saved), log))

    return play


def hf_iterable(workers: int, ids: str | None = None, **options: Any) -> Callable[[Path, Path], Loop]:
    def play(_folder: Path, log: Path) -> Loop:
        dataset = hf_rows().shuffle(seed=6, buffer_size=30)
        loader: Any = DataLoader(dataset, batch_size=8, num_workers=workers, **options)
        loader = ca.wrap(loader, ca.Dataset.of(BASE), log, ids=ids)
        for epoch in range(2):
            dataset.set_epoch(epoch)
            yield from epochs(loader, 1)

    return play


def hf_ranks(_folder: Path, log: Path) -> Loop:
    for rank in range(2):
        dataset = split_dataset_by_node(hf_rows().shuffle(seed=6, buffer_size=N), rank, 2)
        loader = ca.wrap(dataset, ca.Dataset.of(BASE), log, run_id="ranks", data_parallel=(rank, 2))
        for epoch in range(2):
            loader.set_epoch(epoch)
            yield from ((loader, batch) for batch in loader.iter(batch_size=8))
        loader.recorder.close()


def hf_stream(buffer_size: int) -> Any:
    rows = hf_rows(1)
    return rows.shuffle(seed=7, buffer_size=buffer_size) if buffer_size else rows


def hf_resume(buffer_size: int, *, told: bool = True) -> Callable[[Path, Path], Loop]:
    """A run that stops in the middle of its first pass, and goes on from the state that the dataset gave.

    ``told``: the loop tells its checkpoint, too.
    """

    def play(_folder: Path, log: Path) -> Loop:
        first = ca.wrap(hf_stream(buffer_size), ca.Dataset.of(BASE), log, run_id="resumed", batch_size=8)
        for batch in itertools.islice(first.iter(batch_size=8), 10):
            yield first, batch
        state = json.dumps(first.state_dict())
        if told:
            first.recorder.checkpoint("ten")
        first.recorder.close()
        second = ca.wrap(hf_stream(buffer_size), ca.Dataset.of(BASE), log, run_id="resumed", resume=True, batch_size=8)
        second.load_state_dict(json.loads(state))
        if told:
            second.recorder.restored("ten")
        yield from ((second, batch) for batch in second.iter(batch_size=8))
        second.set_epoch(1)
        yield from ((second, batch) for batch in second.iter(batch_size=8))
        second.recorder.close()

    return play


def hf_resume_of_steps(_folder: Path, log: Path) -> Loop:
    """The same in a loop that tells its epochs and steps, and dies in the first epoch."""
    first = ca.wrap(hf_stream(60), ca.Dataset.of(BASE), log, run_id="resumed", batch_size=8)
    try:
        with first.recorder.epoch():
            for number, batch in enumerate(first.iter(batch_size=8)):
                yield first, batch
                if number == 10:
                    raise KeyboardInterrupt
                first.recorder.step()
                if number == 9:
                    state = json.dumps(first.state_dict())
    except KeyboardInterrupt:
        first.recorder.close()
    second = ca.wrap(hf_stream(60), ca.Dataset.of(BASE), log, run_id="resumed", resume=True, batch_size=8)
    second.load_state_dict(json.loads(state))
    for epoch in range(2):
        second.set_epoch(epoch)
        with second.recorder.epoch():
            for batch in second.iter(batch_size=8):
                yield second, batch
                second.recorder.step()
    second.recorder.close()


SCENARIOS: dict[str, Callable[[Path, Path], Loop]] = {
    "wds_alone": wds_in_torch(0),
    "wds_two_workers": wds_in_torch(2),
    "wds_four_workers": wds_in_torch(4),
    "wds_persistent": wds_in_torch(2, persistent_workers=True),
    "wds_spawned": wds_in_torch(2, multiprocessing_context="spawn", persistent_workers=True),
    "wds_loader": wds_loader(2),
    "wds_loader_mixed": wds_loader(2, mixed=True),
    "wds_replicated_workers": wds_loader(2, workersplitter=None),
    "wds_split_ranks": wds_ranks(wds.split_by_node),
    "wds_replicated_ranks": wds_ranks(everything),
    "hf_map_two_workers": hf_map(2),
    "hf_map_spawned": hf_map(2, multiprocessing_context="spawn", persistent_workers=True),
    "hf_alone": hf_iterable(0),
    "hf_two_workers": hf_iterable(2),
    "hf_four_workers": hf_iterable(4, persistent_workers=True),
    "hf_given": hf_iterable(2, ids="__row__"),
    "hf_split_ranks": hf_ranks,
    "hf_resumed": hf_resume(0),
    "hf_resumed_by_its_state": hf_resume(0, told=False),
    "hf_resumed_without_its_buffer": hf_resume(60),
    "hf_resumed_steps": hf_resume_of_steps,
}


def rows_in(batch: Any) -> list[int]:
    if isinstance(batch, dict):
        return [int(row) for row in batch["row"]]
    return [int(row) for row in np.asarray(batch[0]).reshape(-1, 2)[:, 0]]


def main(folder: Path) -> None:
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    torch.set_num_threads(1)
    chosen = sys.argv[2:] or list(SCENARIOS)
    for name in chosen:
        rows, loaders = [], []
        for loader, batch in SCENARIOS[name](folder, folder / f"{name}.parquet"):
            rows.append(rows_in(batch))
            loaders = [loader]
        for loader in loaders:
            loader.recorder.close()
        (folder / f"{name}.json").write_text(json.dumps({"rows": rows, "n": N}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
