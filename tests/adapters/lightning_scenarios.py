"""Trainings with Lightning's Trainer on wrapped loaders. Run by test_lightning.py.

    python lightning_scenarios.py FOLDER                 all of SCENARIOS, in this one process
    python lightning_scenarios.py FOLDER two             one of two processes, as a launcher starts them
    python lightning_scenarios.py FOLDER first|second    one of two lifetimes of all of LIVES

Per scenario: a run log ``<name>.parquet``, and ``<name>[-rank].json`` with the rows of each batch that the steps got.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset, IterableDataset

import coverage_audit as ca

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

N, B, HELD_OUT = 40, 6, 10


class Rows(Dataset[Any]):
    def __init__(self, n: int = N) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return torch.tensor(i)


class Stream(IterableDataset[Any]):
    """Of no known length: Lightning pulls one batch ahead."""

    def __init__(self, n: int = N) -> None:
        self.n = n

    def __iter__(self) -> Iterator[Any]:
        for i in range(self.n):
            yield torch.tensor(i)


class Model(pl.LightningModule):
    """Keeps the rows of every batch it is trained on and evaluated with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.trained: list[list[int]] = []
        self.evaluated: list[list[int]] = []

    def training_step(self, batch: Any, _: int) -> Any:
        self.trained.append(batch.tolist())
        return self.layer(batch.float()[:, None]).sum()

    def validation_step(self, batch: Any, _: int) -> None:
        if not self.trainer.sanity_checking:
            self.evaluated.append(batch.tolist())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 1e-3)


class Making(Model):
    """Makes its loader itself, again for each epoch."""

    log_at: Path

    def train_dataloader(self) -> Any:
        return wrap(DataLoader(Rows(), batch_size=B, shuffle=True), self.log_at)


SCENARIOS: dict[str, dict[str, Any]] = {
    "epochs": {"max_epochs": 2},
    "max_steps": {"max_steps": 10},
    "limited": {"max_epochs": 2, "limit_train_batches": 4},
    "accumulation": {"max_epochs": 2, "accumulate_grad_batches": 3},
    "evaluated_often": {"max_epochs": 2, "val_check_interval": 3},
    "overfitted": {"max_epochs": 2, "overfit_batches": 2},
    "stream": {"max_steps": 10},
    "workers": {"max_steps": 10},
    "making": {"max_epochs": 2, "reload_dataloaders_every_n_epochs": 1},
}


def itself(batch: Any) -> Any:
    return batch.numpy()


def wrap(loader: Any, log: Path, **options: Any) -> Any:
    return ca.wrap(loader, ca.Dataset.of(N, name="rows"), log, run_id=log.stem, **options)


def trainer(**options: Any) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    return pl.Trainer(**{**quiet, "enable_checkpointing": False, **options})


def run(folder: Path, name: str) -> None:
    log = folder / f"{name}.parquet"
    model, loader = Model(), None
    held_out: Any = DataLoader(Rows(HELD_OUT), batch_size=4)
    if name == "making":
        model = Making()
        model.log_at = log
    elif name == "stream":
        loader = wrap(DataLoader(Stream(), batch_size=B), log, ids=itself)
        held_out = DataLoader(Stream(HELD_OUT), batch_size=4)
    else:
        workers = 2 if name == "workers" else 0
        loader = wrap(DataLoader(Rows(), batch_size=B, shuffle=True, num_workers=workers), log)
    data = ca.Dataset.of(HELD_OUT, name="held out")
    held_out = ca.wrap(held_out, data, log, run_id=name, split="validation", ids=itself)
    trainer(**SCENARIOS[name]).fit(model, loader, held_out)
    (loader if loader is not None else model.trainer.train_dataloader).recorder.close()
    held_out.recorder.close()
    (folder / f"{name}.json").write_text(json.dumps([model.trained, model.evaluated]))


def run_two(folder: Path) -> None:
    model = Model()
    loader = wrap(DataLoader(Rows(), batch_size=5, shuffle=True), folder / "two.parquet")
    trainer(max_epochs=2, devices=2, strategy="ddp").fit(model, loader)
    loader.recorder.close()
    (folder / f"two-{os.environ['RANK']}.json").write_text(json.dumps(model.trained))


LIVES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "in_an_epoch": ({"max_steps": 5}, {"every_n_train_steps": 3, "save_top_k": -1}),
    "at_its_end": ({"max_steps": 9}, {"every_n_epochs": 1, "save_top_k": -1}),
}
"""What ends the first life, and when weights are saved."""


def live(folder: Path, life: str, name: str) -> None:
    os.chdir(folder)
    ends, saves = LIVES[name]
    generator = torch.Generator()
    generator.manual_seed(1 if name == "in_an_epoch" or life == "first" else 2)
    loader = DataLoader(Rows(), batch_size=B, shuffle=True, generator=generator)
    loader = wrap(loader, folder / f"{name}.parquet", resume=life == "second")
    saver = ModelCheckpoint(dirpath=name, filename="saved-{step}", **saves)
    made = trainer(**(ends if life == "first" else {"max_epochs": 3}), callbacks=[saver], enable_checkpointing=True)
    step = 3 if name == "in_an_epoch" else 7
    made.fit(Model(), loader, ckpt_path=f"{name}/saved-step={step}.ckpt" if life == "second" else None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    if sys.argv[2:] == ["two"]:
        run_two(target)
    elif sys.argv[2:]:
        for chosen in LIVES:
            live(target, sys.argv[2], chosen)
    else:
        for chosen in SCENARIOS:
            run(target, chosen)
