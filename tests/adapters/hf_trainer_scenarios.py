"""Trainings with transformers' Trainer on wrapped loaders. Run by test_hf_trainer.py.

    python hf_trainer_scenarios.py FOLDER                 all of SCENARIOS, in this one process
    python hf_trainer_scenarios.py FOLDER first|second    one of two lifetimes of all of RESUMED

Per scenario: a run log ``<name>.parquet``, and ``<name>.json`` with the rows of each batch that the model got in
training.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from numbered_rows import B, N, Rows
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

import coverage_audit as ca


class Model(torch.nn.Module):
    """Keeps the rows of every batch it is trained on and evaluated with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.trained: list[list[int]] = []

    def forward(self, row: Any) -> Any:
        if self.training:
            self.trained.append(row.tolist())
        out = self.layer(row.float()[:, None])
        return {"loss": out.sum(), "logits": row}


class StopInAccumulation(TrainerCallback):
    """Stops after four batches, between two steps of the optimizer."""

    seen = 0

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seen += 1
        control.should_training_stop = self.seen == 3


def wrap(loader: Any, log: Path, **options: Any) -> Any:
    return ca.wrap(loader, ca.Dataset.of(N, name="rows"), log, run_id=log.stem, **options)


class Wrapping(Trainer):
    """Makes its own loader."""

    record_into: Path

    def get_train_dataloader(self) -> Any:
        return self.accelerator.prepare(wrap(DataLoader(Rows(), batch_size=B, shuffle=True), self.record_into))


SCENARIOS: dict[str, dict[str, Any]] = {
    "epochs": {"num_train_epochs": 2},
    "max_steps": {"max_steps": 9},
    "accumulation": {"num_train_epochs": 2, "gradient_accumulation_steps": 3},
    "stopped": {"num_train_epochs": 2, "gradient_accumulation_steps": 3},
    "workers": {"max_steps": 9, "dataloader_num_workers": 2},
    "evaluated": {"num_train_epochs": 2, "eval_strategy": "epoch"},
    "own_loader": {"num_train_epochs": 2},
}


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "logging_strategy": "no", "save_strategy": "no"}
    return TrainingArguments(str(folder), per_device_train_batch_size=B, **{**quiet, **options})


def run(folder: Path, name: str) -> None:
    model, log = Model(), folder / f"{name}.parquet"
    given: Any = {"args": arguments(folder / name, **SCENARIOS[name]), "train_dataset": Rows()}
    if name == "own_loader":
        trainer: Trainer = Wrapping(model, **given)
        trainer.record_into = log  # type: ignore[attr-defined]
    else:
        trainer = Trainer(model, **given, eval_dataset=Rows(10))
        loader = wrap(trainer.get_train_dataloader(), log)
        trainer.get_train_dataloader = lambda: loader  # type: ignore[method-assign]
    if name == "stopped":
        trainer.add_callback(StopInAccumulation())
    held_out = None
    if name == "evaluated":
        data = ca.Dataset.of(10, name="held out")
        held_out = ca.wrap(trainer.get_eval_dataloader(), data, log, run_id=name, split="validation")
        trainer.get_eval_dataloader = lambda *_: held_out  # type: ignore[method-assign]
    trainer.train()
    trainer.callback_handler.train_dataloader.recorder.close()
    if held_out is not None:
        held_out.recorder.close()
    (folder / f"{name}.json").write_text(json.dumps(model.trained))


RESUMED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "right": ({"max_steps": 5, "save_steps": 4}, {}),
    "data_not_skipped": ({"max_steps": 5, "save_steps": 4}, {"ignore_data_skip": True}),
    "at_an_end": ({"max_steps": 9, "save_steps": 7}, {}),
}
"""What the first life is told, and the second beside it."""


def live(folder: Path, life: str, name: str) -> None:
    first, second = RESUMED[name]
    options = first if life == "first" else {**second, "save_steps": first["save_steps"]}
    model = Model()
    args = arguments(folder / name, **{"num_train_epochs": 2, "save_strategy": "steps", **options})
    trainer = Trainer(model, args, train_dataset=Rows())
    loader = wrap(trainer.get_train_dataloader(), folder / f"{name}.parquet", resume=life == "second")
    trainer.get_train_dataloader = lambda: loader  # type: ignore[method-assign]
    os.chdir(folder)
    trainer.train(resume_from_checkpoint=f"{name}/checkpoint-{first['save_steps']}" if life == "second" else None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[2:]:
        for chosen in RESUMED:
            live(Path(sys.argv[1]), sys.argv[2], chosen)
    else:
        for chosen in SCENARIOS:
            run(Path(sys.argv[1]), chosen)
