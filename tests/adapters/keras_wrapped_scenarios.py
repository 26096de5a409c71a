"""Trains for real on wrapped PyDatasets, tf.data datasets and DataLoaders. Run by test_keras_wrapped.py.

    python keras_wrapped_scenarios.py FOLDER [NAMES]            (KERAS_BACKEND chooses the backend)

Per scenario: a run log ``<name>.parquet`` and ``<name>.json`` with the rows of every training and evaluation step as
``train_step`` and ``test_step`` were given them, and the warnings of recording.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras_net import TF, B, Net, Truth, model, play
from keras_run_scenarios import Files, Interrupt, Stop, fit, rows, rows_of

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning


class Told(Files):
    """As its base; each batch says its rows in a third part."""

    def __getitem__(self, k: int) -> Any:
        x, y = super().__getitem__(k)
        return x, y, rows_of(x)


class Ragged(Told):
    """17 rows in batches of 4, a new order in each epoch; with ``floor`` the last row is never asked for."""

    floor = False

    def __init__(self, **options: Any) -> None:
        super().__init__(4 if self.floor else 5, **options)
        self.order = np.arange(17)

    def __getitem__(self, k: int) -> Any:
        ids = self.order[B * k : B * k + B]
        return *rows(ids), ids

    def on_epoch_end(self) -> None:
        self.order = np.random.default_rng(self.epoch).permutation(17)
        self.epoch += 1


class Bench:
    """One scenario: its log, its truth, its wrapped loaders."""

    def __init__(self, folder: Path, name: str) -> None:
        self.log = folder / f"{name}.parquet"
        self.truth = Truth()
        self.recorders: list[ca.Recorder] = []
        self.warned: list[str] = []

    def wrap(self, data: Any, split: str = "train", **options: Any) -> Any:
        given: dict[str, Any] = {"ids": 2, "split": split} | options
        wrapped = ca.wrap(data, ca.Dataset.of(10_000, name=split), self.log, **given)
        self.recorders.append(wrapped.recorder)
        return wrapped

    def model(self, **options: Any) -> Net:
        return model(self.truth, **options)

    def fit(self, data: Any, net: Any = None, split: str = "train", wrap: Any = None, **options: Any) -> Any:
        """Wrapped, and trained on with its callback."""
        wrapped = self.wrap(data, split, **(wrap or {}))
        fit(net or self.model(), wrapped, callbacks=[wrapped.callback()], **options)
        return wrapped

    def save(self) -> None:
        time.sleep(0.1 if TF else 0)
        for recorder in self.recorders:
            recorder.close()
        facts = {"trained": self.truth.trained, "evaluated": self.truth.evaluated, "warned": self.warned}
        self.log.with_suffix(".json").write_text(json.dumps(facts))


# --- PyDatasets


def files(b: Bench) -> None:
    bare = Files(short=True)
    fit(model(Truth()), bare, epochs=3)
    data = b.fit(Told(short=True), epochs=3)
    assert isinstance(data, Told)
    assert (data.num_batches, data.n, data.workers, data.epoch) == (10, 10, 1, bare.epoch)


def files_unbuilt(b: Bench) -> None:
    b.fit(Told(), b.model(built=False), epochs=2)


def files_by_threads(b: Bench) -> None:
    b.fit(Told(workers=3, max_queue_size=4), epochs=3)


def files_by_threads_unbuilt(b: Bench) -> None:
    b.fit(Told(workers=3), b.model(built=False), epochs=3)


def files_by_processes(b: Bench) -> None:
    b.fit(Told(workers=2, use_multiprocessing=True), epochs=2)


def files_unshuffled(b: Bench) -> None:
    b.fit(Told(), epochs=2, shuffle=False)


def files_told_by_a_callable(b: Bench) -> None:
    b.fit(Files(), epochs=2, wrap={"ids": rows_of})


def files_weighted(b: Bench) -> None:
    """The ids are out before Keras puts its weights in their place."""
    b.fit(Told(), epochs=2, class_weight={0: 1.0, 1: 2.0})


def files_with_weights(b: Bench) -> None:
    class Weighted(Told):
        def __getitem__(self, k: int) -> Any:
            x, y, ids = super().__getitem__(k)
            return x, y, ids, np.ones(len(ids), "float32")

    b.fit(Weighted(), epochs=2)


def files_in_part(b: Bench) -> None:
    b.fit(Told(), epochs=5, steps_per_epoch=4)


def files_in_part_by_threads(b: Bench) -> None:
    b.fit(Told(workers=3), epochs=4, steps_per_epoch=4)


def files_for_ever(b: Bench) -> None:
    b.fit(Told(None), steps_per_epoch=4, epochs=3)


def files_validated(b: Bench) -> None:
    held_out = b.wrap(Told(4, first=5000), "validation")
    b.fit(Told(), epochs=3, validation_data=held_out)


def files_validated_in_part(b: Bench) -> None:
    held_out = b.wrap(Told(6, first=5000, workers=2), "validation")
    b.fit(Told(workers=2), epochs=3, validation_data=held_out, validation_steps=4, validation_freq=2)


def files_validate_only(b: Bench) -> None:
    """What is trained on is not wrapped."""
    held_out = b.wrap(Told(4, first=5000), "validation")
    fit(b.model(), Files(3), epochs=2, validation_data=held_out, callbacks=[held_out.callback()])
    b.truth.trained.clear()


def files_in_both_places(b: Bench) -> None:
    data = b.wrap(Told(4))
    for _ in range(2):
        fit(b.model(), data, epochs=2, validation_data=data, callbacks=[data.callback()])
    b.truth.evaluated.clear()


def files_with_two_callbacks(b: Bench) -> None:
    data, held_out = b.wrap(Told(5)), b.wrap(Told(4, first=5000), "validation")
    both = [held_out.callback(), data.callback()]
    fit(b.model(), data, epochs=2, validation_data=held_out, callbacks=both)


def files_twice(b: Bench) -> None:
    net, data = b.model(), b.wrap(Told())
    for _ in range(2):
        fit(net, data, epochs=2, callbacks=[data.callback()])


def files_stopped(b: Bench) -> None:
    net, data = b.model(), b.wrap(Told(workers=2))
    fit(net, data, callbacks=[data.callback(), Stop()], epochs=3)
    fit(net, data, callbacks=[data.callback()])


def files_interrupted(b: Bench) -> None:
    net, data = b.model(), b.wrap(Told())
    with pytest.raises(KeyboardInterrupt):
        fit(net, data, callbacks=[data.callback(), Interrupt()])
    fit(net, data, callbacks=[data.callback()])


def files_fail(b: Bench) -> None:
    net, data = b.model(), b.wrap(Told(fail_at=6))
    with pytest.raises(Exception, match="the disk is on fire"):
        fit(net, data, epochs=2, callbacks=[data.callback()], shuffle=False)
    data.fail_at = -1
    fit(net, data, callbacks=[data.callback()])


def files_evaluated(b: Bench) -> None:
    net, data = b.model(), b.wrap(Told(4, first=5000), "validation")
    for _ in range(2):
        net.evaluate(data, verbose=0, callbacks=[data.callback()])
    net.evaluate(data, steps=2, verbose=0, callbacks=[data.callback()])


def files_predicted(b: Bench) -> None:
    """Predictions are no steps, and what they take is not lost to training."""
    net, data = b.model(), b.wrap(Told(4))
    fit(net, data, callbacks=[data.callback()])
    net.predict(data, verbose=0, callbacks=[data.callback()])
    fit(net, data, callbacks=[data.callback()])


def files_in_executions(b: Bench) -> None:
    b.fit(Told(), b.model(steps_per_execution=4), epochs=3)


def files_by_hand(b: Bench) -> None:
    """Every index is a yield, and so is every batch of an iteration; copies and pickles record nothing."""
    data = b.wrap(Told(4))
    for k in range(data.num_batches):
        b.truth.yielded["train"].append(rows_of(data[k]).tolist())
    assert len(data[1]) == 2
    b.truth.yielded["train"].append(rows_of(data._audit_inner[1]).tolist())
    for batch in data:
        b.truth.yielded["train"].append(rows_of(batch).tolist())
    assert type(copy.deepcopy(data)) is Told
    assert len(copy.deepcopy(data)[0]) == 3
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_parts, (data,)) == ("Told", 3)
    b.truth.trained = b.truth.yielded["train"]


def _parts(data: Any) -> tuple[str, int]:
    return type(data).__name__, len(data[0])


def files_without_callback(b: Bench) -> None:
    """Yields are counted, without Keras's looks at shapes, and without what builds the model."""
    data = b.wrap(Told(4))
    fit(b.model(built=False), data, epochs=2)


def files_of_17_rows(b: Bench) -> None:
    b.fit(Ragged(), epochs=3)


# --- tf.data


def tensors(n: int = 10, first: int = 0, size: int = B) -> Any:
    """(x, y, ids), the ids attached at the source."""
    import tensorflow as tf

    ids = first + np.arange(n * B)
    return tf.data.Dataset.from_tensor_slices((*rows(ids), ids)).shuffle(20, seed=1).batch(size)


def pipeline(b: Bench) -> None:
    import tensorflow as tf

    bare = tensors()
    data = b.fit(bare, epochs=3)
    assert isinstance(data, tf.data.Dataset)
    assert (int(data.cardinality()), data.element_spec) == (10, bare.element_spec[:2])


def pipeline_enumerated(b: Bench) -> None:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(rows(np.arange(40))).enumerate().shuffle(40).batch(B)
    b.fit(data, epochs=2, wrap={"ids": 0})


def pipeline_with_keys(b: Bench) -> None:
    import tensorflow as tf

    x, y = rows(np.arange(40))
    data = tf.data.Dataset.from_tensor_slices(({"x": x, "row": np.arange(40)}, y)).shuffle(40).batch(B)

    class Named(Net):
        def call(self, x: Any) -> Any:
            return super().call(x["x"])

        def _note(self, into: list[list[int]], x: Any) -> None:
            super()._note(into, x["x"])

    net = Named(b.truth)
    net.compile("sgd", "mse", jit_compile=False)
    b.fit(data, net, epochs=2, wrap={"ids": "row"})


def pipeline_unbuilt(b: Bench) -> None:
    b.fit(tensors().prefetch(4), b.model(built=False), epochs=2)


def pipeline_repeated(b: Bench) -> None:
    b.fit(tensors(5).repeat(), steps_per_epoch=7, epochs=3)


def pipeline_in_part(b: Bench) -> None:
    b.fit(tensors(), steps_per_epoch=4, epochs=4)


def pipeline_of_unknown_length(b: Bench) -> None:
    b.fit(tensors(5).filter(lambda *batch: True), epochs=3)


def pipeline_without_ids(b: Bench) -> None:
    b.fit(tensors().map(lambda x, y, ids: (x, y)), epochs=2, wrap={"ids": rows_of})


def pipeline_interleaved(b: Bench) -> None:
    import tensorflow as tf

    whole = tf.data.Dataset.from_tensor_slices((*rows(np.arange(40)), np.arange(40)))
    parts = tf.data.Dataset.range(4).interleave(
        lambda k: whole.shard(4, k), cycle_length=3, num_parallel_calls=2, deterministic=False
    )
    b.fit(parts.shuffle(16).batch(B), epochs=3)


def pipeline_validated(b: Bench) -> None:
    held_out = b.wrap(tensors(4, 5000), "validation")
    b.fit(tensors(), epochs=3, validation_data=held_out)


def pipeline_validated_in_part(b: Bench) -> None:
    held_out = b.wrap(tensors(4, 5000), "validation")
    b.fit(tensors(), epochs=3, validation_data=held_out, validation_steps=3)


def pipeline_in_both_places(b: Bench) -> None:
    data = b.wrap(tensors(4))
    fit(b.model(), data, epochs=3, validation_data=data, callbacks=[data.callback()])
    b.truth.evaluated.clear()


def pipeline_twice(b: Bench) -> None:
    net, data = b.model(), b.wrap(tensors())
    for _ in range(2):
        fit(net, data, epochs=2, callbacks=[data.callback()])


def pipeline_stopped(b: Bench) -> None:
    net, data = b.model(), b.wrap(tensors())
    fit(net, data, callbacks=[data.callback(), Stop()], epochs=3)
    fit(net, data, callbacks=[data.callback()])


def pipeline_weighted(b: Bench) -> None:
    b.fit(tensors(), epochs=2, class_weight={0: 1.0, 1: 2.0})


def pipeline_evaluated(b: Bench) -> None:
    net, data = b.model(), b.wrap(tensors(4, 5000), "validation")
    for _ in range(2):
        net.evaluate(data, verbose=0, callbacks=[data.callback()])


def pipeline_predicted(b: Bench) -> None:
    net, data = b.model(), b.wrap(tensors(4))
    fit(net, data, callbacks=[data.callback()])
    net.predict(data, verbose=0, callbacks=[data.callback()])
    fit(net, data, callbacks=[data.callback()])


def pipeline_goes_on(b: Bench) -> None:
    """What may follow wrap()."""
    net, data = b.model(), b.wrap(tensors(4))
    for further in (data.take(3), data.repeat(2), data.prefetch(2), data.take(2).prefetch(1)):
        fit(net, further, epochs=2, callbacks=[data.callback()])


def pipeline_goes_wrong(b: Bench) -> None:
    """What may not: it is said, and nothing is recorded of it."""
    net, data = b.model(), b.wrap(tensors(4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RecordingWarning)
        fit(net, data.skip(1), epochs=2, callbacks=[data.callback()])
        fit(net, data.unbatch().batch(3), callbacks=[data.callback()])
    b.warned = [str(w.message) for w in caught if issubclass(w.category, RecordingWarning)]
    b.truth.trained.clear()
    fit(net, data, callbacks=[data.callback()])


def pipeline_without_callback(b: Bench) -> None:
    data = b.wrap(tensors(4))
    fit(b.model(built=False), data, epochs=2)


def pipeline_by_hand(b: Bench) -> None:
    """Two iterators at once, one of them left early, and one by one."""
    data = b.wrap(tensors(4))
    one, other = iter(data), iter(data)
    for iterator in (one, other, other, one, other, other):
        b.truth.trained.append(rows_of(next(iterator)).tolist())
    assert next(other, None) is None
    for batch in data:
        b.truth.trained.append(rows_of(batch).tolist())


def pipeline_from_threads(b: Bench) -> None:
    data = b.wrap(tensors(40))
    seen: list[list[int]] = []
    threads = [threading.Thread(target=lambda: seen.extend(rows_of(x).tolist() for x in data)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    b.truth.trained = sorted(seen)


def pipeline_distributed(b: Bench) -> None:
    import tensorflow as tf

    data = b.wrap(tensors(3))
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        net = b.model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RecordingWarning)
        fit(net, data, callbacks=[data.callback()])
    b.warned = [str(w.message) for w in caught if issubclass(w.category, RecordingWarning)]
    b.truth.trained.clear()


def pipeline_compiled(b: Bench) -> None:
    """XLA takes no notes in a training step; the order is the same in each iteration."""
    import tensorflow as tf

    net = keras.Sequential([keras.layers.Dense(1)])
    net.compile("sgd", "mse", jit_compile=True)
    whole = tf.data.Dataset.from_tensor_slices((*rows(np.arange(40)), np.arange(40)))
    bare = whole.shuffle(20, seed=1, reshuffle_each_iteration=False).batch(B)
    b.truth.trained = [rows_of(batch).tolist() for _ in range(2) for batch in bare]
    wrapped = b.wrap(bare)
    fit(net, wrapped, epochs=2, callbacks=[wrapped.callback()])


def pipeline_in_executions(b: Bench) -> None:
    b.fit(tensors(), b.model(steps_per_execution=4), epochs=2)
    b.fit(tensors(6).filter(lambda *batch: True), b.model(steps_per_execution=4), epochs=2)


# --- DataLoaders of torch


def loader(n: int = 40, first: int = 0, **options: Any) -> Any:
    """Rows from ``first`` on in batches of B, in a new order each time; each batch says its rows in a third part."""
    import torch

    ids = first + np.arange(n)
    parts = [torch.from_numpy(part) for part in (*rows(ids), ids)]
    data = torch.utils.data.TensorDataset(*parts)
    return torch.utils.data.DataLoader(data, **({"batch_size": B, "shuffle": True} | options))


def loader_trained(b: Bench) -> None:
    b.fit(loader(), epochs=3, shuffle=False)


def loader_unbuilt(b: Bench) -> None:
    b.fit(loader(), b.model(built=False), epochs=2, shuffle=False)


def loader_with_workers(b: Bench) -> None:
    b.fit(loader(num_workers=2), b.model(built=False), epochs=2, shuffle=False)


def loader_with_workers_that_stay(b: Bench) -> None:
    b.fit(loader(num_workers=2, persistent_workers=True), b.model(built=False), epochs=3, shuffle=False)


def loader_in_part(b: Bench) -> None:
    b.fit(loader(), epochs=5, steps_per_epoch=4, shuffle=False)


def loader_with_a_partial_batch(b: Bench) -> None:
    b.fit(loader(17), epochs=2, shuffle=False)


def loader_validated(b: Bench) -> None:
    held_out = b.wrap(loader(16, 5000, shuffle=False), "validation")
    b.fit(loader(), epochs=3, shuffle=False, validation_data=held_out)


def loader_in_both_places(b: Bench) -> None:
    data = b.wrap(loader(16))
    fit(b.model(), data, epochs=3, shuffle=False, validation_data=data, callbacks=[data.callback()])
    b.truth.evaluated.clear()


def loader_twice(b: Bench) -> None:
    net, data = b.model(), b.wrap(loader())
    for _ in range(2):
        fit(net, data, epochs=2, shuffle=False, callbacks=[data.callback()])


def loader_stopped(b: Bench) -> None:
    net, data = b.model(), b.wrap(loader())
    fit(net, data, epochs=3, shuffle=False, callbacks=[data.callback(), Stop()])
    fit(net, data, shuffle=False, callbacks=[data.callback()])


def loader_evaluated(b: Bench) -> None:
    net, data = b.model(), b.wrap(loader(16, 5000), "validation")
    for _ in range(2):
        net.evaluate(data, verbose=0, callbacks=[data.callback()])


def loader_predicted(b: Bench) -> None:
    net, data = b.model(), b.wrap(loader(16))
    fit(net, data, shuffle=False, callbacks=[data.callback()])
    net.predict(data, verbose=0, callbacks=[data.callback()])
    fit(net, data, shuffle=False, callbacks=[data.callback()])


def loader_without_callback(b: Bench) -> None:
    data = b.wrap(loader(16))
    fit(b.model(built=False), data, epochs=2, shuffle=False)


def loader_of_its_own_kind(b: Bench) -> None:
    """Nobody knows which of torch's batches reach the model."""
    import torch

    class Own(torch.utils.data.DataLoader):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter(list(super().__iter__())[::-1])

    bare = loader(16)
    data = b.wrap(Own(bare.dataset, batch_size=B))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RecordingWarning)
        fit(b.model(), data, epochs=2, shuffle=False, callbacks=[data.callback()])
    b.warned = [str(w.message) for w in caught if issubclass(w.category, RecordingWarning)]
    b.truth.trained.clear()


ONLY_TF = (files_in_executions, pipeline_distributed, pipeline_compiled, pipeline_in_executions)
SCENARIOS = (
    files, files_unbuilt, files_by_threads, files_by_threads_unbuilt, files_by_processes, files_unshuffled,
    files_told_by_a_callable, files_weighted, files_with_weights, files_in_part, files_in_part_by_threads,
    files_for_ever, files_validated, files_validated_in_part, files_validate_only, files_in_both_places,
    files_with_two_callbacks, files_twice, files_stopped, files_interrupted, files_fail, files_evaluated,
    files_predicted, files_by_hand, files_without_callback, files_of_17_rows, pipeline, pipeline_enumerated,
    pipeline_with_keys, pipeline_unbuilt, pipeline_repeated, pipeline_in_part, pipeline_of_unknown_length,
    pipeline_without_ids, pipeline_interleaved, pipeline_validated, pipeline_validated_in_part,
    pipeline_in_both_places, pipeline_twice, pipeline_stopped, pipeline_weighted, pipeline_evaluated,
    pipeline_predicted, pipeline_goes_on, pipeline_goes_wrong, pipeline_without_callback, pipeline_by_hand,
    pipeline_from_threads, loader_trained, loader_unbuilt, loader_with_workers, loader_with_workers_that_stay,
    loader_in_part, loader_with_a_partial_batch, loader_validated, loader_in_both_places, loader_twice,
    loader_stopped, loader_evaluated, loader_predicted, loader_without_callback, loader_of_its_own_kind,
    *(ONLY_TF if TF else ()),
)  # fmt: skip


if __name__ == "__main__":
    play(SCENARIOS, Bench)
