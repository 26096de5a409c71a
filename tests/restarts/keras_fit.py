"""Keras's fit over a PyDataset and over tf.data, killed and begun again with BackupAndRestore."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from lives import EVERY, TWICE, B, Case, E, Life, N, S, play

import coverage_audit as ca


class Numbers(keras.utils.PyDataset):  # type: ignore[misc]
    """Rows in an order that is drawn anew after each epoch, in place."""

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self.order = np.arange(N)
        self.rng = np.random.default_rng(seed)
        self.rng.shuffle(self.order)

    def __len__(self) -> int:
        return S

    def __getitem__(self, index: int) -> Any:
        rows = self.order[index * B : (index + 1) * B]
        x = rows.astype("float32")[:, None]
        return {"rows": rows, "x": x}, x

    def on_epoch_end(self) -> None:
        self.rng.shuffle(self.order)


class Hasty(Numbers):
    """Draws its next order while batches of the one before wait in the queue, their ids views of it."""

    def __getitem__(self, index: int) -> Any:
        if index == 0:
            time.sleep(0.05)  # the other worker has filled the queue, and waits
            self.rng.shuffle(self.order)
        return super().__getitem__(index)

    def on_epoch_end(self) -> None: ...


def take_rows(batch: Any) -> Any:
    inputs, y = batch
    return inputs["rows"], (inputs["x"], y)


class Net(keras.Model):  # type: ignore[misc]
    """Tells the truth: which rows its steps are given, which weights it saves and loads."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.life, self.epoch = life, 0

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        def note(rows: Any) -> Any:
            self.life.step(self.epoch, rows)
            return np.int64(0)

        tf.numpy_function(note, [data[0][:, 0]], tf.int64)
        return super().train_step(data)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        super().save_weights(filepath, *args, **kwargs)
        self.life.saved(str(filepath))

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        super().load_weights(filepath, *args, **kwargs)
        self.life.restored(str(filepath))


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Says which epoch it is, and kills."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.life.end_if_due()


def fit(
    life: Life,
    kind: str,
    save_freq: str | int = "epoch",
    *,
    silent: bool = False,
    workers: int = 1,
    numbers: type[Numbers] = Numbers,
) -> None:
    """``silent``: the weights are loaded before fit() by a loop of one's own, which the recorder is not told."""
    data = ca.Dataset.of(N, name="x")
    options: dict[str, Any] = {"batch_size": B, "run_id": "lives"}
    if kind == "pydataset":
        loader = ca.wrap(
            numbers(life.number, workers=workers, max_queue_size=6), data, life.log, ids=take_rows, **options
        )
    else:
        rows, x = np.arange(N), np.arange(N, dtype="float32")[:, None]
        dataset = tf.data.Dataset.from_tensor_slices(({"rows": rows, "x": x}, x)).shuffle(N, seed=5 + life.number)
        loader = ca.wrap(dataset.batch(B).prefetch(2), data, life.log, ids=take_rows, **options)
    model = Net(life)
    model.compile("sgd", "mse")
    path, first = life.folder / "mine.weights.h5", 0
    model(np.zeros((1, 1), "float32"))
    if silent and path.exists():
        model.load_weights(path)
        first = 1
    saving = (
        keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
        if silent
        else keras.callbacks.BackupAndRestore(life.folder / "backup", save_freq=save_freq)
    )
    model.fit(loader, epochs=E, initial_epoch=first, verbose=0, callbacks=[loader.callback(), saving, Watch()])


if __name__ == "__main__":
    random.seed(1)
    play({
        "pydataset": Case(partial(fit, kind="pydataset")),
        "pydataset_two_workers": Case(partial(fit, kind="pydataset", workers=2)),
        "pydataset_hasty": Case(partial(fit, kind="pydataset", workers=2, numbers=Hasty), (0,)),
        "pydataset_begins_again": Case(partial(fit, kind="pydataset", save_freq=EVERY)),
        "pydataset_silent": Case(partial(fit, kind="pydataset", silent=True)),
        "tf_data": Case(partial(fit, kind="tf_data"), TWICE),
        "tf_data_begins_again": Case(partial(fit, kind="tf_data", save_freq=EVERY)),
    })  # fmt: skip
