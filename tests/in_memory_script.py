"""Trains a Keras model on x in memory, shuffled in the ways people do it. Run by test_in_memory.py.

    python in_memory_script.py FOLDER            (KERAS_BACKEND chooses the backend)

Per way a run log ``<way>.parquet`` and ``<way>.json``: the rows that each training step was given, read off its x. For
TensorFlow also ``tensor.parquet``: one pass over a tensor, in order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

import coverage_audit as ca

N, B, EPOCHS = 250, 32, 3
STEPS = -(-N // B)
TF = keras.backend.backend() == "tensorflow"


def rows() -> tuple[Any, Any]:
    """x whose first column is the number of the row, and y."""
    random = np.random.default_rng(0)
    x = random.normal(size=(N, 8)).astype("float32")
    x[:, 0] = np.arange(N)
    return x, random.normal(size=(N, 1)).astype("float32")


class Slices(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches are slices; nothing is shuffled."""

    def __init__(self, x: Any, y: Any, **options: Any) -> None:
        super().__init__(**options)
        self.x, self.y, self.random = x, y, np.random.default_rng(1)

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, k: int) -> Any:
        return self.x[k * B : (k + 1) * B], self.y[k * B : (k + 1) * B]


class InPlace(Slices):
    """The arrays themselves are shuffled."""

    def on_epoch_end(self) -> None:
        state = self.random.bit_generator.state
        self.random.shuffle(self.x)
        self.random.bit_generator.state = state
        self.random.shuffle(self.y)


class Anew(Slices):
    """New arrays for each epoch."""

    def on_epoch_end(self) -> None:
        p = self.random.permutation(N)
        self.x, self.y = self.x[p], self.y[p]


class Order(Slices):
    """An index array is shuffled."""

    def __init__(self, x: Any, y: Any, **options: Any) -> None:
        super().__init__(x, y, **options)
        self.order = np.arange(N)

    def __getitem__(self, k: int) -> Any:
        chosen = self.order[k * B : (k + 1) * B]
        return self.x[chosen], self.y[chosen]

    def on_epoch_end(self) -> None:
        self.random.shuffle(self.order)


def generate(x: Any, y: Any, *, in_place: bool) -> Iterator[Any]:
    random = np.random.default_rng(2)
    while True:
        for at in range(0, N, B):
            yield x[at : at + B], y[at : at + B]
        p = random.permutation(N)
        if in_place:
            x[:], y[:] = x[p], y[p]
        else:
            x, y = x[p], y[p]


class Net(keras.Model):  # type: ignore[misc]
    """Notes the rows it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.trained: list[list[int]] = []

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        first = data[0][:, 0]
        if TF:
            import tensorflow as tf

            tf.py_function(self._note, [first], [])
        else:
            self._note(first)
        return super().train_step(data)

    def _note(self, first: Any) -> None:
        self.trained.append([int(row) for row in keras.ops.convert_to_numpy(first)])


def loader(way: str, x: Any, y: Any) -> Any:
    if way.startswith("generator"):
        return generate(x, y, in_place=way.endswith("in_place"))
    kind = {"slices": Slices, "anew": Anew, "order": Order, "processes": Order}.get(way, InPlace)
    options = {"threads_in_place": {"workers": 2}, "processes": {"workers": 2, "use_multiprocessing": True}}
    return kind(x, y, **options.get(way, {}))


WAYS = ("slices", "in_place", "anew", "order", "generator", "generator_in_place", "threads_in_place", "processes")


def iterate_tensor(folder: Path) -> None:
    import tensorflow as tf

    x = tf.constant(rows()[0])
    batches = [x[at : at + B] for at in range(0, N, B)]
    for _ in ca.wrap(batches, ca.Dataset.of(x), folder / "tensor.parquet", batch_size=B):
        continue


def main(folder: Path) -> None:
    if TF:
        iterate_tensor(folder)
    for way in WAYS:
        if way == "processes" and not TF:
            continue
        x, y = rows()
        data = ca.Dataset.of(x)
        net = Net()
        net.compile(keras.optimizers.SGD(1e-4), "mse", jit_compile=False)
        net(np.zeros((1, 8), "float32"))
        wrapped = ca.wrap(loader(way, x, y), data, folder / f"{way}.parquet", batch_size=B)
        net.fit(wrapped, epochs=EPOCHS, steps_per_epoch=STEPS, verbose=0, callbacks=[wrapped.callback()])
        wrapped.recorder.close()
        (folder / f"{way}.json").write_text(json.dumps(net.trained))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
