"""Trains for real, in many ways, and writes down what the model itself saw. Run by test_keras_training.py.

    python keras_scenarios.py FOLDER            (KERAS_BACKEND chooses the backend)

Per scenario: a run log ``<name>.parquet`` and ``<name>.json`` with the rows of every yield, every training step (from
``train_step``) and every evaluation step (from ``test_step``), in order.
"""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras_net import TF, B, Net, Truth, model, play

import coverage_audit as ca
from coverage_audit.runlog.reader import read_log


def batches(truth: Truth, n: int | None = None, split: str = "train", *, pause: Callable[[int], float] | None = None,
            fail_at: int | None = None) -> Iterator[Any]:  # fmt: skip
    """``n`` batches (None: for ever) of B fresh rows each: (x, y, ids)."""
    for k in itertools.count() if n is None else range(n):
        if truth.over:
            return
        if k == fail_at:
            raise RuntimeError("the disk is on fire")
        if pause is not None:
            time.sleep(pause(k))
        ids = np.arange(B * k, B * k + B)[::-1].copy()
        truth.yielded[split].append(ids.tolist())
        yield np.repeat(ids[:, None], 3, 1).astype("float32"), np.zeros((B, 1), "float32"), ids


class Bench:
    """One scenario: its log, its truth, its wrapped generators."""

    def __init__(self, folder: Path, name: str) -> None:
        self.log = folder / f"{name}.parquet"
        self.truth = Truth()

    def train(self, n: int | None = None, **options: Any) -> Any:
        return ca.wrap(batches(self.truth, n, **options), ca.Dataset.of(10_000), self.log, ids=2, batch_size=B)

    def validation(self, n: int | None = None) -> Any:
        data = ca.Dataset.of(5_000, name="held out")
        return ca.wrap(batches(self.truth, n, "validation"), data, self.log, ids=2, split="validation")

    def slices(self, sizes: tuple[int, ...]) -> Any:
        """Slices of memory-mapped shards in random order, for ever; row r of shard s holds 1000 s + r."""
        folder = self.log.with_suffix(".data")
        folder.mkdir()
        for s, n in enumerate(sizes):
            np.save(folder / f"x_{s}.npy", np.repeat(1000 * s + np.arange(n)[:, None], 3, 1).astype("float32"))
            np.save(folder / f"y_{s}.npy", np.zeros((n, 1), "float32"))

        def cycle() -> Iterator[Any]:
            random = np.random.default_rng(0)
            while not self.truth.over:
                for s in random.permutation(len(sizes)):
                    x, y = (np.load(folder / f"{name}_{s}.npy", mmap_mode="r") for name in "xy")
                    for i in range(0, len(x), B):
                        self.truth.yielded["train"].append([int(row) for row in x[i : i + B, 0]])
                        yield x[i : i + B], y[i : i + B]

        data = ca.Dataset.open(str(folder / "x_*.npy"), aligned=str(folder / "y_*.npy"))
        return ca.wrap(cycle(), data, self.log, batch_size=B)

    def model(self, **options: Any) -> Net:
        return model(self.truth, **options)

    def save(self) -> None:
        (end,) = read_log(self.log).run.writers
        self.truth.over = True  # prefetch threads may still pull, and what they do then must be in both records
        time.sleep(0.2 if TF else 0)
        facts = {"trained": self.truth.trained, "evaluated": self.truth.evaluated, "state": end.state}
        self.log.with_suffix(".json").write_text(json.dumps(facts | {"yielded": self.truth.yielded}))


def fit(net: Net, gen: Any, **options: Any) -> None:
    net.fit(gen, **({"verbose": 0, "callbacks": [gen.callback()]} | options))


def infinite(b: Bench) -> None:
    fit(b.model(), b.train(), steps_per_epoch=7, epochs=3)


def slices(b: Bench) -> None:
    fit(b.model(), b.slices((10, 7, 13)), steps_per_epoch=8, epochs=3)


def unbuilt(b: Bench) -> None:
    fit(b.model(built=False), b.train(), steps_per_epoch=5, epochs=2)


def bursty(b: Bench) -> None:
    fit(b.model(), b.train(pause=lambda k: 0.3 if k == 60 else 0.0), steps_per_epoch=21, epochs=2)


def finite_without_steps(b: Bench) -> None:
    fit(b.model(), b.train(10), epochs=3)


def finite_with_steps(b: Bench) -> None:
    fit(b.model(), b.train(10), steps_per_epoch=4, epochs=4)


def finite_exact(b: Bench) -> None:
    fit(b.model(), b.train(10), steps_per_epoch=5, epochs=2)


def one_batch(b: Bench) -> None:
    fit(b.model(), b.train(1), epochs=2)


def one_step_epochs(b: Bench) -> None:
    net, gen = b.model(), b.train()
    for _ in range(4):
        fit(net, gen, steps_per_epoch=1)


def two_fits(b: Bench) -> None:
    net, gen = b.model(), b.train()
    callback = gen.callback()
    fit(net, gen, steps_per_epoch=5, callbacks=[callback])
    fit(net, gen, steps_per_epoch=5, callbacks=[callback])


def eager(b: Bench) -> None:
    fit(b.model(run_eagerly=True), b.train(), steps_per_epoch=5, epochs=2)


def steps_per_execution(b: Bench) -> None:
    fit(b.model(steps_per_execution=4), b.train(), steps_per_epoch=10, epochs=2)


def steps_per_execution_finite(b: Bench) -> None:
    fit(b.model(steps_per_execution=4), b.train(10), epochs=3)


def validation_infinite(b: Bench) -> None:
    fit(b.model(), b.train(), steps_per_epoch=5, epochs=4, validation_data=b.validation(), validation_steps=3)


def validation_finite(b: Bench) -> None:
    fit(b.model(), b.train(), steps_per_epoch=5, epochs=4, validation_data=b.validation(6))


def validation_now_and_then(b: Bench) -> None:
    fit(b.model(), b.train(), steps_per_epoch=5, epochs=5, validation_data=b.validation(20), validation_steps=3,
        validation_freq=2)  # fmt: skip


def validation_executions(b: Bench) -> None:
    fit(b.model(steps_per_execution=4), b.train(), steps_per_epoch=8, epochs=2, validation_data=b.validation(6))


def both_callbacks(b: Bench) -> None:
    gen, val = b.train(), b.validation()
    fit(b.model(), gen, steps_per_epoch=5, epochs=2, validation_data=val, validation_steps=3,
        callbacks=[val.callback(), gen.callback(), copy.deepcopy(gen.callback())])  # fmt: skip


def validation_elsewhere(b: Bench) -> None:
    """The validation data is not wrapped: only training is recorded."""
    other = b.validation
    other()
    plain = ((x, y) for x, y, _ in batches(b.truth, 3, "validation"))
    fit(b.model(), b.train(), steps_per_epoch=5, epochs=2, validation_data=plain)
    b.truth.evaluated.clear()
    b.truth.yielded["validation"].clear()


def two_fits_validated(b: Bench) -> None:
    net, gen, val = b.model(), b.train(), b.validation()
    for _ in range(2):
        fit(net, gen, steps_per_epoch=3, epochs=2, validation_data=val, validation_steps=3)


def stopped(b: Bench) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 2

    gen = b.train()
    fit(b.model(), gen, steps_per_epoch=10, epochs=3, callbacks=[gen.callback(), Stop()])


def failing(b: Bench) -> None:
    gen = b.train(fail_at=6)
    with pytest.raises(Exception, match="the disk is on fire"):
        fit(b.model(), gen, steps_per_epoch=10)


def failing_then_fit(b: Bench) -> None:
    failing(b)
    more = ca.wrap(batches(b.truth), ca.Dataset.of(10_000), b.log, ids=2)
    fit(b.model(), more, steps_per_epoch=3, epochs=2)


def evaluated_alone(b: Bench) -> None:
    net, val = b.model(), b.validation()
    for steps in (3, 5, 1, 2):
        net.evaluate(val, steps=steps, verbose=0, callbacks=[val.callback()])


def fit_then_evaluate(b: Bench) -> None:
    net, gen, val = b.model(), b.train(), b.validation()
    fit(net, gen, steps_per_epoch=4, epochs=2)
    net.evaluate(val, steps=3, verbose=0, callbacks=[gen.callback()])
    fit(net, gen, steps_per_epoch=4)


def predicted_between(b: Bench) -> None:
    net, gen = b.model(), b.train()
    fit(net, gen, steps_per_epoch=4)
    net.predict(gen, steps=3, verbose=0, callbacks=[gen.callback()])
    fit(net, gen, steps_per_epoch=4)


def arrays(rows: int = 3 * B) -> dict[str, Any]:
    return {"x": np.zeros((rows, 3), "float32"), "y": np.zeros((rows, 1), "float32"), "batch_size": B, "verbose": 0}


def evaluated_before_arrays(b: Bench) -> None:
    """What was peeked at and never told of is not what the next fit, of arrays, trains on."""
    net, val = b.model(), b.validation()
    net.evaluate(val, steps=3, verbose=0)
    b.train()
    net.fit(**arrays(), epochs=2, validation_data=val, validation_steps=2, callbacks=[val.callback()])
    b.truth.trained.clear()
    del b.truth.evaluated[:3]


def predicted_before_others(b: Bench) -> None:
    """Fits of arrays, and of a generator that is not wrapped, after predictions on a wrapped one."""
    net, gen = b.model(), b.train()
    callback = gen.callback()
    fit(net, gen, steps_per_epoch=3, callbacks=[callback])
    net.predict(gen, steps=3, verbose=0)
    net.fit(**arrays(), callbacks=[callback])
    net.predict(gen, steps=2, verbose=0)
    net.fit(((x, y) for x, y, _ in batches(Truth())), steps_per_epoch=3, verbose=0, callbacks=[callback])
    del b.truth.trained[3:]
    fit(net, gen, steps_per_epoch=3, callbacks=[callback])


def baseline_at_train_begin(b: Bench) -> None:
    """Another callback evaluates before ours hears of the fit."""
    net, gen, val = b.model(), b.train(), b.validation()
    baseline = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: net.evaluate(val, steps=2, verbose=0))
    fit(net, gen, steps_per_epoch=3, epochs=2, callbacks=[baseline, gen.callback()])
    b.truth.evaluated.clear()


def nested_in_a_fit(b: Bench) -> None:
    """Callbacks of the user predict and evaluate, on the very generators, in the middle of a fit."""
    net, gen, val = b.model(), b.train(), b.validation()
    told = val.callback()
    nested = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: net.predict(gen, steps=2, verbose=0),
        on_epoch_end=lambda epoch, logs: net.evaluate(val, steps=2, verbose=0, callbacks=[told]),
    )
    fit(net, gen, steps_per_epoch=3, epochs=3, callbacks=[nested, gen.callback()])


def interrupted(b: Bench) -> None:
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 3:
                raise KeyboardInterrupt

    net, gen, val = b.model(), b.train(), b.validation()
    callback = gen.callback()
    with pytest.raises(KeyboardInterrupt):
        fit(net, gen, steps_per_epoch=10, callbacks=[callback, Interrupt()])
    net.evaluate(val, steps=3, verbose=0, callbacks=[callback])
    fit(net, gen, steps_per_epoch=3, epochs=2, callbacks=[callback])


def many_fits(b: Bench) -> None:
    net, gen = b.model(), b.train()
    for _ in range(50):
        fit(net, gen, steps_per_epoch=2)


def looked_at_first(b: Bench) -> None:
    gen = b.train()
    next(gen)
    fit(b.model(), gen, steps_per_epoch=4)


def handed_on_as_iterator(b: Bench) -> None:
    gen = b.train(10)
    fit(b.model(), iter(gen), epochs=2)


def without_callback(b: Bench) -> None:
    fit(b.model(), b.train(), steps_per_epoch=4, callbacks=[])
    b.truth.trained.clear()


ONLY_TF = (steps_per_execution, steps_per_execution_finite, validation_executions)
SCENARIOS = (
    infinite, slices, unbuilt, bursty, finite_without_steps, finite_with_steps, finite_exact, one_batch,
    one_step_epochs, two_fits, eager, validation_infinite, validation_finite, validation_now_and_then, both_callbacks,
    validation_elsewhere, two_fits_validated, stopped, failing, failing_then_fit, evaluated_alone, fit_then_evaluate,
    predicted_between, evaluated_before_arrays, predicted_before_others, baseline_at_train_begin, nested_in_a_fit,
    interrupted, many_fits, looked_at_first, handed_on_as_iterator, without_callback, *(ONLY_TF if TF else ()),
)  # fmt: skip


if __name__ == "__main__":
    play(SCENARIOS, Bench)
