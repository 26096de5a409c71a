"""A model of Keras that says which rows it is given, for scripts of scenarios, and how these are run."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from coverage_audit.errors import RecordingWarning

B = 4
TF = keras.backend.backend() == "tensorflow"
keras.config.disable_traceback_filtering()

if TF:
    import tensorflow as tf


class Truth:
    """What really happened, as lists of row ids per batch."""

    def __init__(self) -> None:
        self.trained: list[list[int]] = []
        self.evaluated: list[list[int]] = []
        self.over = False
        self.yielded: dict[str, list[list[int]]] = {"train": [], "validation": []}


class Net(keras.Model):
    """Tells the truth about the rows it is given: each row of x holds its own number."""

    def __init__(self, truth: Truth) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.truth = truth

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        self._note(self.truth.trained, data[0])
        return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        self._note(self.truth.evaluated, data[0])
        return super().test_step(data)

    def _note(self, into: list[list[int]], x: Any) -> None:
        def note(rows: Any) -> Any:
            into.append([int(i) for i in rows])
            return np.int64(0)

        if TF:
            tf.numpy_function(note, [x[:, 0]], tf.int64)
        else:
            note(keras.ops.convert_to_numpy(x)[:, 0])


def model(truth: Truth, *, built: bool = True, **compiled: Any) -> Net:
    net = Net(truth)
    net.compile(keras.optimizers.SGD(1e-9), "mse", **({"jit_compile": False} | compiled))
    if built:
        net(np.zeros((1, 3), "float32"))
    return net


def play(scenarios: Iterable[Callable[[Any], None]], bench_of: Callable[[Path, str], Any]) -> None:
    """Run the scenarios that the command line names after its folder, or all, each at a bench of its own."""
    # Keras itself warns of data that runs out, which is the point of some scenarios.
    warnings.filterwarnings("error", category=RecordingWarning)
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    for scenario in scenarios:
        if names and scenario.__name__ not in names:
            continue
        began = time.time()
        print(scenario.__name__, end=": ", flush=True)
        bench = bench_of(folder, scenario.__name__)
        scenario(bench)
        bench.save()
        print(f"{time.time() - began:.1f} s, {threading.active_count()} threads", flush=True)
