"""Loops over loaders that accelerate prepared, bare and wrapped. Run by test_accelerate.py.

    python accelerate_scenarios.py FOLDER           all of SCENARIOS, in this one process
    python accelerate_scenarios.py FOLDER two           all of TWO, in one of two processes, as a launcher starts them
    python accelerate_scenarios.py FOLDER first|second  one of two lifetimes of all of LIVES

Per scenario: a run log ``<name>.parquet``, and ``<name>[-rank].json`` with the rows of each batch that the loop got, of
the wrapped and of the bare loader.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration, skip_first_batches
from numbered_rows import B, N, Rows
from torch.utils.data import DataLoader, IterableDataset
from torchdata.stateful_dataloader import StatefulDataLoader

import coverage_audit as ca


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        for i in range(N):
            yield {"row": torch.tensor(i)}


Wrap = Callable[[Any], Any]


def shuffled(**options: Any) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(3)
    return DataLoader(Rows(), batch_size=B, shuffle=True, generator=generator, **options)


def row_of(batch: Any) -> Any:
    return batch["row"].numpy()


def loop(loader: Any, passes: int = 2, leave_at: int | None = None) -> list[list[int]]:
    got = []
    for number in range(passes):
        for index, batch in enumerate(loader):
            got.append(batch["row"].tolist())
            if number == passes - 1 and index == leave_at:
                break
    return got


def wrapped_then_prepared(wrap: Wrap, **options: Any) -> Any:
    return Accelerator(cpu=True).prepare(wrap(shuffled(**options)))


def left_early(wrap: Wrap) -> list[list[int]]:
    return loop(wrapped_then_prepared(wrap), leave_at=2)


def two_workers(wrap: Wrap) -> list[list[int]]:
    return loop(wrapped_then_prepared(wrap, num_workers=2), leave_at=2)


def prepared_then_wrapped(wrap: Wrap) -> list[list[int]]:
    return loop(wrap(Accelerator(cpu=True).prepare(shuffled())), leave_at=0)


def stream(wrap: Wrap) -> list[list[int]]:
    """Of an IterableDataset accelerate makes another kind of loader."""
    return loop(Accelerator(cpu=True).prepare(wrap(DataLoader(Stream(), batch_size=B))), leave_at=1)


def skipping(wrap: Wrap) -> list[list[int]]:
    loader = wrapped_then_prepared(wrap)
    return [*loop(loader, 1), *loop(skip_first_batches(loader, 3), 1)]


def skipping_in_a_stream(wrap: Wrap) -> list[list[int]]:
    """What is skipped is pulled."""
    loader = Accelerator(cpu=True).prepare(wrap(DataLoader(Stream(), batch_size=B)))
    return [*loop(loader, 1), *loop(skip_first_batches(loader, 3), 1, leave_at=1)]


def skipping_unprepared(wrap: Wrap) -> list[list[int]]:
    return loop(skip_first_batches(wrap(shuffled()), 4), 1)


def stateful(wrap: Wrap) -> list[list[int]]:
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_stateful_dataloader=True))
    return loop(accelerator.prepare(wrap(StatefulDataLoader(Rows(), batch_size=B))), leave_at=2)


SCENARIOS: dict[str, Callable[[Wrap], list[list[int]]]] = {
    "left_early": left_early,
    "two_workers": two_workers,
    "prepared_then_wrapped": prepared_then_wrapped,
    "stream": stream,
    "skipping": skipping,
    "skipping_in_a_stream": skipping_in_a_stream,
    "skipping_unprepared": skipping_unprepared,
    "stateful": stateful,
}


def run(folder: Path, name: str) -> None:
    def bare(loader: Any) -> Any:
        return loader

    recorders = []

    def wrap(loader: Any) -> Any:
        log, ids = folder / f"{name}.parquet", row_of if "stream" in name else None
        made = ca.wrap(loader, ca.Dataset.of(N, name="rows"), log, run_id=name, ids=ids)
        assert made is loader
        recorders.append(made.recorder)
        return made

    truth = {}
    for key, how in (("bare", bare), ("wrapped", wrap)):
        torch.manual_seed(5)
        truth[key] = SCENARIOS[name](how)
    recorders[0].close()
    (folder / f"{name}.json").write_text(json.dumps(truth))


TWO: dict[str, tuple[int, dict[str, Any]]] = {
    "padded": (10, {}),
    "split": (10, {"split_batches": True}),
    "uneven": (10, {"even_batches": False}),
    "even": (16, {}),
    "dispatched": (16, {"dispatch_batches": True}),
}
"""Rows, and how accelerate divides batches of four."""


def run_two(folder: Path, name: str) -> None:
    n, options = TWO[name]
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(**options))
    log = folder / f"{name}.parquet"
    loader = accelerator.prepare(ca.wrap(DataLoader(Rows(n), batch_size=4), ca.Dataset.of(n, name="rows"), log))
    recorder = loader.recorder
    got = loop(loader)
    recorder.close()
    (folder / f"{name}-{accelerator.process_index}.json").write_text(json.dumps(got))


LIVES = ("right", "again")


def run_life(folder: Path, name: str, life: str) -> None:
    """Ends after four batches of the second pass; the second life goes on from the state saved after two of them."""
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True))
    data = ca.Dataset.of(N, name="rows")
    order = DataLoader(Rows(), batch_size=B, shuffle=True, generator=torch.Generator().manual_seed(3))
    loader = ca.wrap(order, data, folder / f"{name}.parquet", run_id=name, resume=life == "second")
    _, loader = accelerator.prepare(torch.nn.Linear(1, 1), loader)
    place = str(folder / f"{name}-state")
    if life == "first":
        for number in range(2):
            for index, _ in enumerate(loader):
                if (number, index) == (1, 1):
                    accelerator.save_state(place)
                if (number, index) == (1, 3):
                    return
    accelerator.load_state(place)
    loader.set_epoch(1)
    for _ in skip_first_batches(loader, 2) if name == "right" else loader:
        continue
    loader.set_epoch(2)
    for _ in loader:
        continue
    loader.recorder.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(3)
    target, mode = Path(sys.argv[1]), sys.argv[2:3]
    if mode == ["two"]:
        for chosen in TWO:
            run_two(target, chosen)
    elif mode:
        for chosen in LIVES:
            run_life(target, chosen, mode[0])
    else:
        for chosen in SCENARIOS:
            run(target, chosen)
