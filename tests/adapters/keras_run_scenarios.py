"""Trains for real in unchanged ways, with Keras patched as `coverage-audit run` does it. Run by test_keras_run.py.

    python keras_run_scenarios.py FOLDER [NAMES]            (KERAS_BACKEND chooses the backend)

Per scenario: a run log ``<name>.parquet`` and ``<name>.json`` with the rows of every training and evaluation step as
``train_step`` and ``test_step`` were given them, what the session was told, and what went wrong.
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras_net import TF, B, Net, Truth, model, play
from run_session import Session

from coverage_audit.adapters import keras_run, torch_run


def rows_of(batch: Any) -> Any:
    """The rows say themselves which they are, in the first column of the first part."""
    while isinstance(batch, tuple | list | dict):
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return np.asarray(batch)[:, 0].astype(np.int64)


def rows(ids: Any) -> tuple[Any, Any]:
    ids = np.asarray(ids)
    return np.repeat(ids[:, None], 3, 1).astype("float32"), np.zeros((len(ids), 1), "float32")


def batches(n: int | None = None, first: int = 0, fail_at: int | None = None) -> Iterator[Any]:
    for k in itertools.count() if n is None else range(n):
        if k == fail_at:
            raise RuntimeError("the disk is on fire")
        yield rows(first + np.arange(B * k, B * k + B)[::-1])


class Files(keras.utils.PyDataset):
    """``n`` batches (None: for ever), the last one short if ``short``; a new order of rows in each epoch."""

    def __init__(self, n: int | None = 10, *, first: int = 0, short: bool = False, fail_at: int = -1, **options: Any):
        super().__init__(**options)
        self.n, self.first, self.short, self.fail_at = n, first, short, fail_at
        self.epoch = 0

    @property
    def num_batches(self) -> int | None:
        return self.n

    def __getitem__(self, k: int) -> Any:
        if k == self.fail_at:
            raise RuntimeError("the disk is on fire")
        time.sleep(0.002 * (k % 3))  # workers overtake each other
        ids = self.first + np.roll(np.arange(B * k, B * k + B), self.epoch)
        return rows(ids[:-1] if self.short and k == self.n - 1 else ids)

    def on_epoch_end(self) -> None:
        self.epoch += 1


class Bench:
    """One scenario: its log, its session, its truth."""

    def __init__(self, folder: Path, name: str) -> None:
        CURRENT.append(self)
        self.log = folder / f"{name}.parquet"
        self.truth = Truth()
        self.session = Session(self.log, rows_of)
        keras_run.install(self.session)
        if "torch" in sys.modules:
            torch_run.install(self.session)

    def model(self, **options: Any) -> Net:
        return model(self.truth, **options)

    def save(self) -> None:
        keras_run.uninstall()
        torch_run.uninstall()
        time.sleep(0.1 if TF else 0)
        facts = {"trained": self.truth.trained, "evaluated": self.truth.evaluated, "facts": self.session.facts}
        facts |= {"failures": self.session.failures, "notes": self.session.notes}
        for recorder in self.session.recorders.values():
            recorder.close()
        self.log.with_suffix(".json").write_text(json.dumps(facts))


def fit(net: Any, x: Any, **options: Any) -> Any:
    return net.fit(x, **({"verbose": 0} | options))


# --- generators


def generator(b: Bench) -> None:
    history = fit(b.model(), batches(), steps_per_epoch=7, epochs=3)
    assert len(history.history["loss"]) == 3


def generator_by_name(b: Bench) -> None:
    b.model().fit(epochs=2, steps_per_epoch=4, x=batches(), verbose=0)


def generator_finite(b: Bench) -> None:
    fit(b.model(), batches(10), epochs=3)


def generator_twice(b: Bench) -> None:
    net, gen = b.model(), batches()
    for _ in range(2):
        fit(net, gen, steps_per_epoch=5)


def generator_of_a_dropped_model(b: Bench) -> None:
    gen = batches()
    for _ in range(2):
        fit(b.model(), gen, steps_per_epoch=3)
        gc.collect()


def generator_validated(b: Bench) -> None:
    fit(b.model(), batches(), steps_per_epoch=5, epochs=3, validation_data=batches(None, 5000), validation_steps=3)


def generator_evaluated(b: Bench) -> None:
    net, held_out = b.model(), batches(None, 5000)
    for _ in range(2):
        fit(net, batches(), steps_per_epoch=4)
        net.evaluate(held_out, steps=3, verbose=0)


def generator_predicted(b: Bench) -> None:
    net, gen = b.model(), batches()
    fit(net, gen, steps_per_epoch=4)
    net.predict(((x,) for x, _ in gen), steps=3, verbose=0)
    fit(net, gen, steps_per_epoch=4)


def generator_fails(b: Bench) -> None:
    with pytest.raises(Exception, match="the disk is on fire"):
        fit(b.model(), batches(fail_at=6), steps_per_epoch=10)
    fit(b.model(), batches(), steps_per_epoch=3)


def generator_interrupted(b: Bench) -> None:
    """The callback that interrupts comes after ours, so the step it saw is on record."""
    with pytest.raises(KeyboardInterrupt):
        fit(b.model(), batches(), steps_per_epoch=10, callbacks=[Interrupt()])
    fit(b.model(), batches(), steps_per_epoch=3)


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 3:
            raise KeyboardInterrupt


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_training = batch == 2


def callbacks_in_many_forms(b: Bench) -> None:
    seen: list[int] = []
    told = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    net, given = b.model(), [told]
    fit(net, batches(), steps_per_epoch=2, callbacks=given)
    fit(net, batches(), steps_per_epoch=2, callbacks=(told,))
    fit(net, batches(), steps_per_epoch=2, callbacks=told)
    fit(net, batches(), steps_per_epoch=2, callbacks=[])
    assert given == [told]
    quiet = keras.callbacks.CallbackList([], model=net, epochs=1, steps=2)  # on torch it calls back from threads
    if TF:
        fit(net, batches(), steps_per_epoch=2, callbacks=quiet)
    listed = keras.callbacks.CallbackList([told], add_history=True, model=net, epochs=1, steps=2)
    had = list(listed.callbacks)
    fit(net, batches(), steps_per_epoch=2, callbacks=listed)
    assert listed.callbacks == had
    assert seen == [0, 1] * 4


def fit_overridden(b: Bench) -> None:
    class Own(Net):
        def fit(self, *args: Any, **kwargs: Any) -> Any:
            return super().fit(*args, **(kwargs | {"epochs": 2}))

    net = Own(b.truth)
    net.compile("sgd", "mse", jit_compile=False)
    fit(net, batches(), steps_per_epoch=3)


def evaluated_in_a_fit(b: Bench) -> None:
    """A callback of the script's evaluates by itself, on a generator and on a PyDataset."""
    net, held_out, files = b.model(), batches(None, 5000), Files(4, first=6000)
    nested = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (net.evaluate(held_out, steps=2, verbose=0), net.evaluate(files, verbose=0))
    )
    fit(net, batches(), steps_per_epoch=3, epochs=2, callbacks=[nested])


def wrong_arguments(b: Bench) -> None:
    with pytest.raises(TypeError, match="no_such_thing"):
        b.model().fit(batches(), no_such_thing=1)
    with pytest.raises(ValueError, match="Unrecognized data type"):
        fit(b.model(), iter([1, 2]))
    fit(b.model(), batches(), steps_per_epoch=2)


def arrays(b: Bench) -> None:
    net = b.model()
    net.fit(*rows(range(8)), epochs=2, verbose=0)
    fit(net, batches(), steps_per_epoch=2, validation_data=rows(range(4)))
    del b.truth.trained[:2]
    b.truth.evaluated.clear()


def on_batches(b: Bench) -> None:
    net = b.model()
    for epoch in range(2):
        for x, y in batches(3):
            assert isinstance(net.train_on_batch(x, y, return_dict=True)["loss"], float)
        net.test_on_batch(*rows(5000 + np.arange(epoch, epoch + B)))
    fit(net, batches(), steps_per_epoch=2)
    net.train_on_batch(*rows(range(100, 104)))


# --- PyDatasets


def files(b: Bench) -> None:
    fit(b.model(), Files(short=True), epochs=3)


def files_unbuilt(b: Bench) -> None:
    fit(b.model(built=False), Files(), epochs=2)


def files_by_threads(b: Bench) -> None:
    fit(b.model(), Files(workers=3), epochs=3)


def files_by_threads_unbuilt(b: Bench) -> None:
    """On torch, Keras consumes one batch to build the model, and drains the queue into the next epoch."""
    fit(b.model(built=False), Files(workers=3), epochs=3)


def files_by_processes(b: Bench) -> None:
    fit(b.model(), Files(workers=2, use_multiprocessing=True), epochs=2)


def files_in_part(b: Bench) -> None:
    fit(b.model(), Files(), steps_per_epoch=4, epochs=5)


def files_in_part_by_threads(b: Bench) -> None:
    fit(b.model(), Files(workers=3), steps_per_epoch=4, epochs=4)


def files_for_ever(b: Bench) -> None:
    fit(b.model(), Files(None), steps_per_epoch=4, epochs=3)


def files_validated(b: Bench) -> None:
    fit(b.model(), Files(), epochs=3, validation_data=Files(4, first=5000))


def files_validated_in_part(b: Bench) -> None:
    fit(b.model(), Files(workers=2), epochs=3, validation_data=Files(6, first=5000, workers=2), validation_steps=4,
        validation_freq=2)  # fmt: skip


def files_validate_a_generator(b: Bench) -> None:
    fit(b.model(), batches(), steps_per_epoch=3, epochs=2, validation_data=Files(4, first=5000))


def files_twice(b: Bench) -> None:
    net, data = b.model(), Files()
    for _ in range(2):
        fit(net, data, epochs=2)


def files_stopped(b: Bench) -> None:
    net, data = b.model(), Files(workers=2)
    fit(net, data, callbacks=[Stop()], epochs=3)
    fit(net, data)


def files_fail(b: Bench) -> None:
    net = b.model()
    with pytest.raises(Exception, match="the disk is on fire"):
        fit(net, Files(fail_at=6), epochs=2)
    fit(net, Files(3))


def files_weighted(b: Bench) -> None:
    fit(b.model(), Files(), epochs=2, class_weight={0: 1.0, 1: 2.0})


def files_in_both_places(b: Bench) -> None:
    data = Files(4)
    fit(b.model(), data, epochs=2, validation_data=data)
    b.truth.evaluated.clear()


def files_evaluated(b: Bench) -> None:
    net, data = b.model(), Files(4, first=5000)
    for _ in range(2):
        net.evaluate(data, verbose=0)
    net.evaluate(data, steps=2, verbose=0)


def files_in_executions(b: Bench) -> None:
    fit(b.model(steps_per_execution=4), Files(), epochs=3)


# --- tf.data


def tensors(n: int = 10, first: int = 0) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(rows(first + np.arange(n * B))).shuffle(20, seed=1).batch(B)


def pipeline(b: Bench) -> None:
    fit(b.model(), tensors(), epochs=3)


def pipeline_prefetched(b: Bench) -> None:
    fit(b.model(built=False), tensors().prefetch(4), epochs=2)


def pipeline_repeated(b: Bench) -> None:
    fit(b.model(), tensors(5).repeat(), steps_per_epoch=7, epochs=3)


def pipeline_in_part(b: Bench) -> None:
    fit(b.model(), tensors(), steps_per_epoch=4, epochs=4)


def pipeline_of_a_generator(b: Bench) -> None:
    """Nobody knows how long it is."""
    import tensorflow as tf

    spec = (tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((None, 1), tf.float32))
    fit(b.model(), tf.data.Dataset.from_generator(lambda: batches(5), output_signature=spec), epochs=3)


def pipeline_validated(b: Bench) -> None:
    fit(b.model(), tensors(), epochs=3, validation_data=tensors(4, 5000))


def pipeline_validated_in_part(b: Bench) -> None:
    fit(b.model(), tensors(), epochs=3, validation_data=tensors(4, 5000), validation_steps=3)


def pipeline_stopped(b: Bench) -> None:
    net, data = b.model(), tensors()
    fit(net, data, callbacks=[Stop()], epochs=3)
    fit(net, data)


def pipeline_weighted(b: Bench) -> None:
    fit(b.model(), tensors(), epochs=2, class_weight={0: 1.0, 1: 2.0})


def pipeline_of_ragged(b: Bench) -> None:
    import tensorflow as tf

    ragged = tf.ragged.constant([[1.0], [2.0, 3.0]], ragged_rank=1)
    net = keras.Sequential([keras.layers.Lambda(lambda x: x.to_tensor()[:, :1]), keras.layers.Dense(1)])
    net.compile("sgd", "mse", run_eagerly=True)
    fit(net, tf.data.Dataset.from_tensors((ragged, tf.zeros((2, 1)))))


def pipeline_in_executions(b: Bench) -> None:
    import tensorflow as tf

    fit(b.model(steps_per_execution=4), tensors(), epochs=2)
    spec = (tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((None, 1), tf.float32))
    data = tf.data.Dataset.from_generator(lambda: batches(6), output_signature=spec)
    fit(b.model(steps_per_execution=4), data, epochs=2)


def pipeline_distributed(b: Bench) -> None:
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        net = b.model()
    fit(net, tensors(3))
    b.truth.trained.clear()


# --- DataLoaders of torch, given to Keras


def torch_loader(n: int = 40, first: int = 0, **options: Any) -> Any:
    import torch

    torch_run.install(CURRENT[-1].session)
    x, y = (torch.from_numpy(part) for part in rows(first + np.arange(n)))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=B, shuffle=True, **options)


def data_loader(b: Bench) -> None:
    fit(b.model(), torch_loader(), epochs=2, shuffle=False, validation_data=torch_loader(12, 5000))


def data_loader_unbuilt(b: Bench) -> None:
    fit(b.model(built=False), torch_loader(num_workers=2), epochs=2, shuffle=False)


# --- patching itself


def broken(b: Bench) -> None:
    """Recording fails in every way it is asked, and training goes on as ever."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no recording today")

    net, session = b.model(), b.session
    session.recorder = session.wrap = fail  # type: ignore[method-assign]
    fit(net, batches(), steps_per_epoch=3)
    fit(net, Files(3), validation_data=Files(2))
    fit(net, tensors(3))
    net.evaluate(batches(None, 5000), steps=2, verbose=0)
    net.train_on_batch(*rows(range(4)))
    fit(net, torch_loader(8), shuffle=False)
    assert (len(b.truth.trained), len(b.truth.evaluated)) == (12, 4)
    assert set(session.failures) == {"RuntimeError: no recording today"}
    del session.recorder, session.wrap
    session.failures.clear()
    b.truth.trained.clear()
    b.truth.evaluated.clear()
    fit(net, batches(), steps_per_epoch=2)


def given_back(b: Bench) -> None:
    patched = keras.Model.fit, keras.Model.evaluate, keras.Model.train_on_batch, keras.Model.test_on_batch
    keras_run.install(b.session)
    assert patched[0] is keras.Model.fit
    assert keras.Model.fit.__name__ == "fit"
    keras_run.uninstall()
    for method in patched:
        assert getattr(keras.Model, method.__name__) is method.__wrapped__
    fit(b.model(), Files(3))
    b.truth.trained.clear()
    keras_run.install(b.session)
    fit(b.model(), Files(3))


CURRENT: list[Bench] = []
ONLY_TF = (files_in_executions, pipeline_in_executions, pipeline_distributed, pipeline_of_ragged)
SCENARIOS = (
    generator, generator_by_name, generator_finite, generator_twice, generator_of_a_dropped_model, generator_validated,
    generator_evaluated, generator_predicted, generator_fails, generator_interrupted, callbacks_in_many_forms,
    fit_overridden, evaluated_in_a_fit, wrong_arguments, arrays, on_batches, files, files_unbuilt, files_by_threads,
    files_by_threads_unbuilt, files_by_processes, files_in_part, files_in_part_by_threads, files_for_ever,
    files_validated, files_validated_in_part, files_validate_a_generator, files_twice, files_stopped, files_fail,
    files_weighted, files_in_both_places, files_evaluated, pipeline, pipeline_prefetched, pipeline_repeated,
    pipeline_in_part, pipeline_of_a_generator, pipeline_validated, pipeline_validated_in_part, pipeline_stopped,
    pipeline_weighted, data_loader, data_loader_unbuilt, broken, given_back, *(ONLY_TF if TF else ()),
)  # fmt: skip


if __name__ == "__main__":
    play(SCENARIOS, Bench)
