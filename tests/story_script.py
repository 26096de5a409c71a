"""The story of the README as a user runs it: real Keras, real shards; the model's own train_step writes the truth.

Usage: story_script.py FOLDER SCENARIO...   (KERAS_BACKEND chooses the backend)
A scenario is KIND:STEPS[:EPOCHS[:PER]]; its log is FOLDER/KIND-STEPS.parquet, its truth FOLDER/KIND-STEPS.json: per
epoch the list of sample ids of each step. KIND `killed` dies by SIGKILL in mid-epoch.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import coverage_audit as ca

SIZES = (1000, 937, 1003, 250)
OFFSETS = (0, 1000, 1937, 2940)
TENSORFLOW = keras.backend.backend() == "tensorflow"


def make_shards(folder: Path) -> None:
    """Column 0 of x is the sample id: float32 holds it exactly."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, n in enumerate(SIZES):
        x = np.zeros((n, 3), np.float32)
        x[:, 0] = OFFSETS[i] + np.arange(n)
        np.save(folder / f"x_{i}.npy", x)
        np.save(folder / f"y_{i}.npy", np.zeros((n, 1), np.float32))


def slices(folder: Path) -> Iterator[tuple[Any, ...]]:
    order, shuffle = list(range(4)), random.Random(0)
    while True:
        shuffle.shuffle(order)
        for f in order:
            x = np.load(folder / f"x_{f}.npy", mmap_mode="r")
            y = np.load(folder / f"y_{f}.npy", mmap_mode="r")
            for i in range(0, len(x), 64):
                yield x[i : i + 64], y[i : i + 64]


def carry(folder: Path) -> Iterator[tuple[Any, ...]]:
    order, shuffle = list(range(4)), random.Random(0)
    while True:
        shuffle.shuffle(order)
        rest: tuple[Any, ...] | None = None
        for f in order:
            x = np.load(folder / f"x_{f}.npy", mmap_mode="r")
            y = np.load(folder / f"y_{f}.npy", mmap_mode="r")
            new = (np.array(x), np.array(y), OFFSETS[f] + np.arange(len(x)))
            have = new if rest is None else tuple(np.concatenate(pair) for pair in zip(rest, new, strict=True))
            full = len(have[2]) // 64 * 64
            for i in range(0, full, 64):
                yield tuple(part[i : i + 64] for part in have)
            rest = tuple(part[full:] for part in have)
        assert rest is not None
        yield rest


class Model(keras.Model):
    """Writes down which rows each training step is given."""

    def __init__(self, truth: list[list[int]]) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        # A list as an attribute would be tracked, and copied, by Keras.
        self.write_down = truth.append

    def call(self, x: Any) -> Any:
        return self.dense(x[:, 1:])

    def train_step(self, data: Any) -> Any:
        if TENSORFLOW:
            import tensorflow as tf

            tf.numpy_function(self.note, [data[0]], tf.float32)
        else:
            self.note(data[0].detach().cpu().numpy())
        return super().train_step(data)

    def note(self, x: Any) -> Any:
        self.write_down(x[:, 0].astype(int).tolist())
        return np.float32(0)


class Kill(keras.callbacks.Callback):
    """After batch 30 of epoch 1: the process is gone, with nothing closed."""

    def __init__(self, save: Any) -> None:
        super().__init__()
        self.save, self.epoch = save, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.epoch == 1 and batch == 30:
            self.save()
            os.kill(os.getpid(), signal.SIGKILL)


def play(folder: Path, scenario: str) -> None:
    kind, steps, *more = scenario.split(":")
    spe, epochs = int(steps), int(more[0]) if more else 3
    log = folder / f"{kind}-{spe}.parquet"
    truth: list[list[int]] = []
    model = Model(truth)
    model.compile("sgd", "mse")
    shards = folder / "shards"
    gen = ca.wrap(
        carry(shards) if kind == "carry" else slices(shards),
        ca.Dataset.open(str(shards / "x_*.npy")),
        log=str(log),
        batch_size=64,
        steps_per_epoch=spe,
        ids=2 if kind == "carry" else None,
        contract={"kind": "exactly-once", "per": more[1]} if len(more) > 1 else None,
    )

    def save() -> None:
        log.with_suffix(".json").write_text(json.dumps([truth[i : i + spe] for i in range(0, len(truth), spe)]))

    callbacks = [gen.callback()] + ([Kill(save)] if kind == "killed" else [])
    model.fit(gen, steps_per_epoch=spe, epochs=epochs, callbacks=callbacks, verbose=0)
    save()
    # Right after fit, in the same process, nothing closed by hand.
    verdict = ca.audit(str(log)).verdict.value
    log.with_suffix(".verdict").write_text(verdict)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    make_shards(folder / "shards")
    for scenario in sys.argv[2:]:
        play(folder, scenario)
