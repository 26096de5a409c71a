"""Real trainings that miss rows, and some that do not. Run by test_keras_failures.py.

    python keras_failures.py FOLDER            (KERAS_BACKEND chooses the backend)
    python keras_failures.py FOLDER RANK       (one of two ranks, which read by hand)

Per scenario: a run log ``<name>.parquet`` and ``<name>.json`` with the rows of every training and evaluation step, as
the model was given them.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

import coverage_audit as ca

TF = keras.backend.backend() == "tensorflow"
N, B = 100, 16


class Net(keras.Model):
    """Notes the rows it is given: each row of x is its own number."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.seen: dict[str, list[list[int]]] = {"trained": [], "evaluated": []}
        self.compile(keras.optimizers.SGD(1e-9), "mse", jit_compile=False)
        self(np.zeros((1, 1), "float32"))

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        self._note("trained", data[0])
        return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        self._note("evaluated", data[0])
        return super().test_step(data)

    def _note(self, kind: str, x: Any) -> None:
        def note(rows: Any) -> Any:
            self.seen[kind].append([int(i) for i in rows])
            return np.int64(0)

        if TF:
            import tensorflow as tf

            tf.numpy_function(note, [x[:, 0]], tf.int64)
        else:
            note(keras.ops.convert_to_numpy(x)[:, 0])


def batch(ids: Any) -> tuple[Any, Any, Any]:
    ids = np.array(ids)
    return ids[:, None].astype("float32"), np.zeros((len(ids), 1), "float32"), ids


def forever(n: int = N) -> Iterator[Any]:
    """A continuous generator that keeps its partial batch."""
    for first in itertools.cycle(range(0, n, B)):
        yield batch(np.arange(first, min(first + B, n)))


class Files(keras.utils.PyDataset):
    """``n`` rows; ``floor``: the partial batch is never asked for; ``shuffled``: rows are shuffled after each epoch."""

    def __init__(self, n: int = N, *, floor: bool = False, shuffled: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.ids, self.floor, self.shuffled = np.arange(n), floor, shuffled
        self.random = np.random.default_rng(7)
        if shuffled:
            self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.ids) // B if self.floor else -(-len(self.ids) // B)

    def __getitem__(self, k: int) -> Any:
        return batch(self.ids[k * B : (k + 1) * B])

    def on_epoch_end(self) -> None:
        if self.shuffled:
            self.random.shuffle(self.ids)


def tensors(n: int = N) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(batch(np.arange(n)))


def train(log: Path, data: Any, *, held_out: Any = None, fits: int = 1, n: int = N, **options: Any) -> Net:
    """Wrapped, and trained on with the callback."""
    net = Net()
    wrapped = ca.wrap(data, ca.Dataset.of(n), log, ids=2, batch_size=B)
    recorders = [wrapped.recorder]
    if held_out is not None:
        held_out = ca.wrap(held_out, ca.Dataset.of(40, name="held out"), log, ids=2, split="validation")
        recorders.append(held_out.recorder)
    for _ in range(fits):
        net.fit(wrapped, verbose=0, callbacks=[wrapped.callback()], validation_data=held_out, **options)
    for recorder in recorders:
        recorder.close()
    return net


SCENARIOS: dict[str, Any] = {
    "K1": lambda log: train(log, forever(), steps_per_epoch=N // B, epochs=4),
    "K2": lambda log: train(log, Files(floor=True), epochs=3),
    "K2 shuffled rows": lambda log: train(log, Files(floor=True, shuffled=True), epochs=3),
    "K5": lambda log: train(log, forever(96), steps_per_epoch=6, fits=3, n=96),
    "K5 of short epochs": lambda log: train(log, forever(), steps_per_epoch=4, fits=3),
    "K7": lambda log: train(log, Files(), steps_per_epoch=4, epochs=3),
    "K7 tf.data": lambda log: train(log, tensors().shuffle(N).batch(B), steps_per_epoch=4, epochs=3),
    "F1": lambda log: train(log, tensors().shuffle(N, seed=1).repeat().batch(B), steps_per_epoch=7, epochs=3),
    "F6": lambda log: train(log, tensors().batch(B, drop_remainder=True), epochs=3),
    "F6 shuffled rows": lambda log: train(log, tensors().shuffle(N).batch(B, drop_remainder=True), epochs=3),
    "right PyDataset": lambda log: train(log, Files(shuffled=True), epochs=3, held_out=Files(40)),
    "PyDataset by threads": lambda log: train(
        log, Files(shuffled=True, workers=2), epochs=3, held_out=Files(40, workers=2)
    ),
    "right tf.data": lambda log: train(
        log, tensors().shuffle(N).batch(B).prefetch(2), epochs=3, held_out=tensors(40).batch(B)
    ),
    "right tf.data, repeated": lambda log: train(
        log, tensors().shuffle(N).batch(B).repeat(), steps_per_epoch=7, epochs=3, held_out=tensors(40).batch(B)
    ),
}


def read_by_rank(folder: Path, rank: int) -> None:
    """Every rank shuffles for itself, or as the others do, and takes every second row."""
    import tensorflow as tf

    for name, seed in (("F3", rank), ("right shards", 7)):
        data = tf.data.Dataset.range(40).shuffle(40, seed=seed).shard(2, rank).batch(4)
        log = folder / f"{name}.parquet"
        loader = ca.wrap(data, ca.Dataset.of(40), log, ids=lambda batch: batch, run_id=name, data_parallel=(rank, 2))
        for _ in range(2):
            list(loader)
        loader.recorder.close()


def main(folder: Path) -> None:
    keras.utils.set_random_seed(11)
    for name, scenario in SCENARIOS.items():
        net = scenario(folder / f"{name}.parquet")
        (folder / f"{name}.json").write_text(json.dumps(net.seen))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        read_by_rank(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
