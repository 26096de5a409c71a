"""What wrap() of a tf.data dataset and of a PyDataset promises. Run by test_tf_data.py in a process of its own."""

from __future__ import annotations

import gc
import itertools
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

import coverage_audit as ca
from coverage_audit.adapters import keras_pydataset
from coverage_audit.errors import RecordingWarning, UsageError
from coverage_audit.testing.adapter_contract import AdapterContract
from coverage_audit.testing.recorded import recorded_batches

ROWS = 20


def _as_it_is(data: Any) -> Any:
    """The outermost class of what wrap() gives, for what is asked about classes."""
    return data.with_options(tf.data.Options())


class TestDataset(AdapterContract):
    """Ids attached by enumerate() at the source."""

    options: ClassVar[Any] = {"ids": lambda batch: batch[0]}

    def make_loader(self) -> Any:
        x = tf.range(self.rows)
        return _as_it_is(tf.data.Dataset.from_tensor_slices({"x": x}).enumerate().shuffle(40, seed=1).batch(8))

    def rows_in(self, batch: Any) -> list[int]:
        return [int(row) for row in batch[1]["x"]]


class TestDatasetOfUnknownLength(TestDataset):
    def make_loader(self) -> Any:
        return _as_it_is(super().make_loader().filter(lambda *batch: True))


class TestDatasetInInterleavedShards(TestDataset):
    def make_loader(self) -> Any:
        whole = tf.data.Dataset.from_tensor_slices({"x": tf.range(self.rows)}).enumerate()
        parts = tf.data.Dataset.range(4).interleave(lambda k: whole.shard(4, k), num_parallel_calls=2)
        return _as_it_is(parts.shuffle(10, seed=1).batch(8).prefetch(2))


class Files(keras.utils.PyDataset):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.order = np.random.default_rng(1).permutation(40)

    def __len__(self) -> int:
        return 5

    def __getitem__(self, k: int) -> Any:
        if not 0 <= k < 5:
            raise IndexError(k)
        return {"x": self.order[8 * k : 8 * k + 8]}


class TestPyDataset(AdapterContract):
    options: ClassVar[Any] = {"ids": lambda batch: batch["x"]}

    def make_loader(self) -> Any:
        return Files()

    def rows_in(self, batch: Any) -> list[int]:
        return [int(row) for row in batch["x"]]


class TestPyDatasetByIndex(TestPyDataset):
    restarts = False

    def iterate(self, loader: Any) -> Iterator[Any]:
        return (loader[k] for k in range(len(loader)))


# --- ids=


def source() -> Any:
    return tf.data.Dataset.from_tensor_slices({"x": np.arange(ROWS) * 2.0, "row": np.arange(ROWS)})


PAIRS = source().map(lambda d: (d["row"], d["x"]))
TRIPLES = source().map(lambda d: (d["x"], d["x"], d["row"]))
RAGGED = tf.data.Dataset.zip(
    (
        tf.data.Dataset.range(4),
        tf.data.Dataset.from_tensor_slices(
            (tf.ragged.constant([[1], [2, 3], [4], [1]]), tf.constant(["a", "b", "c", "d"]), tf.sparse.eye(4))
        ),
    )
)


def both(batch: Any) -> Any:
    return batch["row"], {"x": batch["x"]}


def eagerly(batch: Any) -> Any:
    return batch["row"].numpy()


@pytest.mark.parametrize(
    ("data", "ids", "spec"),
    [
        (source().batch(8), "row", {"x": ((None,), "float64")}),
        (source().batch(8, drop_remainder=True), "row", {"x": ((8,), "float64")}),
        (source().batch(8), both, {"x": ((None,), "float64")}),
        (source().batch(8), lambda batch: batch["row"], {"x": ((None,), "float64"), "row": ((None,), "int64")}),
        (source().batch(8), eagerly, {"x": ((None,), "float64"), "row": ((None,), "int64")}),
        (PAIRS.batch(8), 0, ((None,), "float64")),
        (TRIPLES.batch(8), 2, (((None,), "float64"), ((None,), "float64"))),
        (TRIPLES.batch(8), -1, (((None,), "float64"), ((None,), "float64"))),
        (source().enumerate().batch(8), 0, {"x": ((None,), "float64"), "row": ((None,), "int64")}),
        (tf.data.Dataset.range(ROWS).batch(8), lambda batch: batch, ((None,), "int64")),
        (PAIRS, 0, ((), "float64")),
    ],
)
def test_ids_are_taken_out_and_all_else_stays(tmp_path: Path, data: Any, ids: Any, spec: Any) -> None:
    """GIVEN ids attached at the source THEN elements go on without what ``ids=`` names, their rows on record."""
    wrapped = ca.wrap(data, ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids=ids)
    assert tf.nest.map_structure(lambda s: (tuple(s.shape), s.dtype.name), wrapped.element_spec) == spec
    assert int(wrapped.cardinality()) == int(data.cardinality())
    n = sum(1 for _ in wrapped)
    wrapped.recorder.close()
    recorded = recorded_batches(tmp_path / "run.parquet")
    assert len(recorded) == n == int(data.cardinality())
    delivered = list(range(ROWS))[: 16 if spec == {"x": ((8,), "float64")} else ROWS]
    assert [row for batch in recorded for row in (batch.rows or ())] == delivered


def test_what_is_no_tensor_passes_through(tmp_path: Path) -> None:
    """GIVEN ragged, sparse and text parts THEN they arrive as they are; their rows are known by ids, else unknown."""
    for ids, rows in ((0, [[0, 1], [2, 3]]), (None, [None, None])):
        log = tmp_path / f"{ids}.parquet"
        wrapped = ca.wrap(RAGGED.batch(2), ca.Dataset.of(4), log, ids=ids)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RecordingWarning)
            first, *_ = list(wrapped)
        said = [str(w.message) for w in caught if issubclass(w.category, RecordingWarning)]
        assert len(said) == (ids is None)
        assert all("its batches hold RaggedTensor and SparseTensor, not only tensors" in message for message in said)
        ragged, text, sparse = first[1] if ids is None else first
        assert (ragged.to_list(), text.numpy().tolist()) == ([[1], [2, 3]], [b"a", b"b"])
        assert tf.sparse.to_dense(sparse).numpy().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
        wrapped.recorder.close()
        told = [None if b.rows is None else list(b.rows) for b in recorded_batches(log)]
        assert told == rows


@pytest.mark.parametrize(
    ("data", "ids", "message"),
    [
        (PAIRS.batch(8), 3, "ids=3 names no part"),
        (PAIRS.batch(8), "row", "ids='row' names no part"),
        (RAGGED.batch(2).map(lambda i, rest: (rest[0], i)), 0, "ids=0 names RaggedTensorSpec"),
        (tf.data.Dataset.range(ROWS).map(lambda i: {"row": i}), "row", "ids='row' names all there is"),
        (RAGGED.batch(2), lambda batch: batch[0].numpy(), "does not work on symbolic tensors"),
    ],
)
def test_ids_that_cannot_be_meant_are_refused(tmp_path: Path, data: Any, ids: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        ca.wrap(data, ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids=ids)
    assert refused.value.slug == "bad-ids"


# --- passes


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        (source().batch(10), [0, 0, 1, 1]),
        (source().batch(10).filter(lambda batch: True), [0, 0, 1, 1]),
        (source().batch(10).repeat(2), [-1] * 8),
        (source().repeat().batch(10).take(2), [-1] * 4),
        (source().shuffle(20).batch(10).skip(1), [0, 1]),
    ],
)
def test_an_iteration_is_a_pass_unless_the_data_is_repeated_in_it(tmp_path: Path, data: Any, passes: list[int]) -> None:
    wrapped = ca.wrap(data, ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids="row")
    for _ in range(2):
        list(wrapped)
    wrapped.recorder.close()
    assert [batch.pass_ for batch in recorded_batches(tmp_path / "run.parquet")] == passes


@pytest.mark.parametrize("known", [True, False])
def test_epochs_of_a_loop_by_hand_are_its_iterations(tmp_path: Path, known: bool) -> None:
    """GIVEN loops to the end THEN each is a complete epoch, also where nobody knew how long it was going to be."""
    data = source().shuffle(ROWS).batch(8)
    wrapped = ca.wrap(data if known else data.filter(lambda batch: True), ca.Dataset.of(ROWS), tmp_path / "run.parquet",
                      ids="row")  # fmt: skip
    for _ in range(3):
        list(wrapped)
    wrapped.recorder.close()
    result = ca.audit(tmp_path / "run.parquet")
    assert (result.verdict.value, result.findings) == ("pass", ())
    assert result.epochs["visits"].tolist() == [ROWS] * 3


@pytest.mark.parametrize(
    ("behind", "what"),
    [
        (lambda data: data.shuffle(3), "shuffle"),
        (lambda data: data.skip(1), "skip"),
        (lambda data: data.filter(lambda rows: rows[0] > 0), "filter"),
        (lambda data: data.cache(), "cache"),
        (lambda data: data.take(4).unbatch().batch(2), "batch"),
        (lambda data: data.map(lambda rows: rows, num_parallel_calls=2, deterministic=False), "parallelmap"),
        (lambda data: tf.data.Dataset.zip((data, data)), "zip"),
    ],
)
def test_what_is_changed_behind_wrap_is_not_guessed_at(tmp_path: Path, behind: Any, what: str) -> None:
    """GIVEN loops over what was made of the recorded dataset THEN rows are known where batches come as they are."""
    ids = tf.data.Dataset.range(8)
    data = ca.wrap(tf.data.Dataset.zip((ids, ids)).batch(2), ca.Dataset.of(8), tmp_path / "run.parquet", ids=0)

    with pytest.warns(RecordingWarning, match=f"{what}\\(\\) behind wrap\\(\\) changes which batches reach the loop"):
        shown = len(list(behind(data.map(lambda rows: rows))))
    assert shown > 0
    list(data.take(2).repeat(2))
    data.recorder.close()

    rows = [batch.rows for batch in recorded_batches(tmp_path / "run.parquet")]
    assert set(rows[:-4]) == {None}
    assert rows[-4:] == [(0, 1), (2, 3)] * 2


def test_two_iterators_of_unknown_length_at_once(tmp_path: Path) -> None:
    """GIVEN iterators side by side THEN each has its pass, and none is said to have ended where nobody knows which."""
    wrapped = ca.wrap(source().batch(10).filter(lambda batch: True), ca.Dataset.of(ROWS), tmp_path / "run.parquet",
                      ids="row")  # fmt: skip
    pairs = list(zip(wrapped, wrapped, strict=True))
    wrapped.recorder.close()
    assert len(pairs) == 2
    assert [batch.pass_ for batch in recorded_batches(tmp_path / "run.parquet")] == [0, 1, 0, 1]


def test_a_shuffle_by_seed_stays_the_same(tmp_path: Path) -> None:
    def order(data: Any) -> list[Any]:
        return [batch["x"].numpy().tolist() for _ in range(3) for batch in data]

    def make() -> Any:
        return source().shuffle(ROWS, seed=5).batch(8)

    wrapped = ca.wrap(make(), ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids="row")
    assert order(wrapped) == order(make())
    wrapped.recorder.close()


@pytest.mark.parametrize("known", [True, False])
def test_an_iterator_is_checkpointed_and_restored_as_before(tmp_path: Path, known: bool) -> None:
    """
    GIVEN a loop that saves its iterator with the weights, at the second of three batches
    WHEN another iterator is restored from it, as after a restart
    THEN both go on as they would without recording, and what the restored one gives begins no pass
    """
    data = source().batch(8)
    if not known:
        data = data.filter(lambda _: True)
    wrapped = ca.wrap(data, ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids="row")
    first = iter(wrapped)
    truth = [_rows_of(next(first)) for _ in range(2)]
    saved = tf.train.Checkpoint(iterator=first).write(str(tmp_path / "checkpoint"))
    truth += map(_rows_of, first)
    again = iter(wrapped)
    tf.train.Checkpoint(iterator=again).read(saved).assert_consumed()
    truth += map(_rows_of, again)
    wrapped.recorder.close()
    recorded = recorded_batches(tmp_path / "run.parquet")
    assert truth == [[*range(8)], [*range(8, 16)], [16, 17, 18, 19], [16, 17, 18, 19]]
    assert [list(b.rows or ()) for b in recorded] == truth
    assert [b.pass_ for b in recorded] == [0, 0, 0, -1]


def test_batches_are_made_ahead_as_before(tmp_path: Path) -> None:
    """GIVEN data that ends in no prefetch, which tf.data then adds THEN it is read while the loop is busy."""
    read: list[int] = []

    def slow() -> Iterator[int]:
        for row in range(ROWS):
            read.append(row)
            yield row

    data = tf.data.Dataset.from_generator(slow, output_signature=tf.TensorSpec((), tf.int64)).batch(2)
    wrapped = ca.wrap(data, ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids=lambda rows: rows)
    for _ in wrapped.take(1):
        until = time.monotonic() + 10
        while len(read) <= 2 and time.monotonic() < until:
            time.sleep(0.01)
    wrapped.recorder.close()
    assert len(read) > 2
    assert len(recorded_batches(tmp_path / "run.parquet")) == 1


def _rows_of(batch: Any) -> list[int]:
    return (batch["x"].numpy() // 2).astype(int).tolist()  # type: ignore[no-any-return]


def test_a_distributed_dataset_is_refused(tmp_path: Path) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:0"][:1])
    distributed = strategy.distribute_datasets_from_function(lambda context: source().batch(8))
    with pytest.raises(UsageError) as refused:
        ca.wrap(distributed, ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids="row")
    assert refused.value.slug == "unsupported-loader"
    assert not (tmp_path / "run.parquet").exists()


def test_the_data_service_carries_ids_to_its_client(tmp_path: Path) -> None:
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    worker = tf.data.experimental.service.WorkerServer(
        tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
    )
    served = source().shuffle(ROWS).batch(8).apply(
        tf.data.experimental.service.distribute(processing_mode="parallel_epochs", service=dispatcher.target)
    )  # fmt: skip
    wrapped = ca.wrap(served, ca.Dataset.of(ROWS), tmp_path / "run.parquet", ids="row")
    truth = [(batch["x"].numpy() // 2).astype(int).tolist() for batch in wrapped]
    wrapped.recorder.close()
    assert [list(b.rows or ()) for b in recorded_batches(tmp_path / "run.parquet")] == truth
    assert sorted(itertools.chain(*truth)) == list(range(ROWS))
    del worker


# --- PyDatasets


def test_a_keras_that_iterates_otherwise_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a Keras whose private hook has moved THEN one warning, batches by hand are recorded, and fit goes on."""
    monkeypatch.setattr(keras_pydataset, "_ADAPTER", "keras.src.somewhere_else")
    with pytest.warns(RecordingWarning, match="iterates PyDatasets in a way that is not known"):
        data = ca.wrap(Files(), ca.Dataset.of(40), tmp_path / "run.parquet", ids=lambda batch: batch["x"])
    assert len(data[0]["x"]) == 8
    data.recorder.close()
    assert len(recorded_batches(tmp_path / "run.parquet")) == 1


def test_keras_is_given_back_when_nothing_is_wrapped_any_more(tmp_path: Path) -> None:
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    gc.collect()
    data = ca.wrap(Files(), ca.Dataset.of(40), tmp_path / "run.parquet", ids=lambda batch: batch["x"])
    assert hasattr(PyDatasetAdapter._get_iterator, "__wrapped__")
    data.recorder.close()
    del data
    gc.collect()
    assert not hasattr(PyDatasetAdapter._get_iterator, "__wrapped__")
    assert not hasattr(PyDatasetAdapter._standardize_batch, "__wrapped__")
