"""Those who take arrays take tracked ones, and get the same values."""

from __future__ import annotations

import ctypes
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows_by_element import origin_of

from coverage_audit.identity.provenance import plain, shadow_of, track, track_root
from coverage_audit.identity.shadows import Span

VALUES = np.arange(12, dtype=np.float32).reshape(6, 2)


@pytest.fixture(params=["loaded", "a memory map", "a view of one", "rows of one"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    origin = origin_of(6)
    if request.param == "loaded":
        return track(VALUES.copy(), Span(origin.base, 1, 6))
    np.save(tmp_path / "x.npy", VALUES)
    root = track_root(np.load(tmp_path / "x.npy", mmap_mode="c"), origin)
    if request.param == "a view of one":
        return root[:]
    return root[np.arange(6)] if request.param == "rows of one" else root


def test_plain_is_the_same_memory(array: Any) -> None:
    ordinary = plain(array)
    assert type(ordinary) is np.ndarray
    assert np.shares_memory(ordinary, array)
    assert plain(ordinary) is ordinary


def test_numpy_itself(array: Any) -> None:
    assert np.array_equal(array, VALUES)
    np.testing.assert_array_equal(array, VALUES)
    stream = io.BytesIO()
    np.save(stream, array)
    stream.seek(0)
    assert np.load(stream).tolist() == VALUES.tolist()
    assert json.dumps(array.tolist()) == json.dumps(VALUES.tolist())
    assert array.tobytes() == VALUES.tobytes()
    assert bytes(array.data) == VALUES.tobytes()
    assert np.from_dlpack(array).tolist() == VALUES.tolist()
    assert np.ma.masked_less(array, 5).sum() == np.ma.masked_less(VALUES, 5).sum()
    assert (array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))[3]) == 3.0
    assert np.linalg.norm(array) == np.linalg.norm(VALUES)
    assert np.frompyfunc(lambda x: x, 1, 1)(array).tolist() == VALUES.tolist()
    assert np.vectorize(lambda x: x + 1)(array).tolist() == (VALUES + 1).tolist()
    assert np.apply_along_axis(np.sum, 1, array).tolist() == VALUES.sum(1).tolist()
    assert np.nditer(array).itersize == 12
    assert list(np.ndenumerate(array)) == list(np.ndenumerate(VALUES))
    assert np.array2string(array) == np.array2string(VALUES)


def test_an_index_of_it(array: Any) -> None:
    """Labels that are loaded choose rows of something else."""
    others = np.arange(20) * 10
    index = array[:, 0].astype(int)
    assert others[index].tolist() == [0, 20, 40, 60, 80, 100]
    assert others[:6][array[:, 0] > 5].tolist() == [30, 40, 50]
    assert np.eye(11)[index].argmax(1).tolist() == [0, 2, 4, 6, 8, 10]
    assert [others[i] for i in index] == [0, 20, 40, 60, 80, 100]


def test_pandas(array: Any) -> None:
    import pandas as pd

    frame = pd.DataFrame(array, columns=["a", "b"])
    assert frame["b"].tolist() == [1, 3, 5, 7, 9, 11]
    assert (array[:, 0] + pd.Series(np.ones(6))).tolist() == [1, 3, 5, 7, 9, 11]
    assert (pd.Series(np.ones(6)) + array[:, 0]).tolist() == [1, 3, 5, 7, 9, 11]


def test_h5py(array: Any, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = array
        assert file["x"][:].tolist() == VALUES.tolist()


def test_torch(array: Any) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset, default_collate

    for make in (torch.from_numpy, torch.as_tensor, torch.tensor):
        assert make(array).tolist() == VALUES.tolist()
    assert torch.from_numpy(array).data_ptr() == array.ctypes.data
    collated = default_collate([array[0], array[1]])
    assert type(collated) is torch.Tensor
    assert collated.tolist() == VALUES[:2].tolist()
    assert (torch.ones(2) + torch.from_numpy(array)[0]).tolist() == [1, 2]
    loader: Any = DataLoader(TensorDataset(torch.from_numpy(array)), 3)
    assert [batch[0].tolist() for batch in loader] == [VALUES[:3].tolist(), VALUES[3:].tolist()]
    rows: Any = list(array)
    pairs: Any = DataLoader(rows, batch_size=6)
    assert next(iter(pairs)).tolist() == VALUES.tolist()


def test_tensorflow(array: Any) -> None:
    import tensorflow as tf

    assert tf.convert_to_tensor(array).numpy().tolist() == VALUES.tolist()
    assert tf.constant(array).shape == (6, 2)
    rows = tf.data.Dataset.from_tensor_slices(array)
    assert rows.element_spec == tf.TensorSpec((2,), tf.float32)
    assert [row.tolist() for row in rows.as_numpy_iterator()] == VALUES.tolist()
    spec = tf.TensorSpec((2,), tf.float32)
    generated = tf.data.Dataset.from_generator(lambda: iter(array), output_signature=spec)
    assert [row.tolist() for row in generated.as_numpy_iterator()] == VALUES.tolist()
    assert (tf.ones((6, 2)) + array).numpy().tolist() == (VALUES + 1).tolist()


def test_keras(array: Any) -> None:
    import keras

    model: Any = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    assert model.fit(array, array[:, :1], batch_size=3, verbose=0).history["loss"]
    assert model.predict(array, verbose=0).shape == (6, 1)
    assert model.train_on_batch(array, array[:, 0]) >= 0
    assert keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(array)).tolist() == VALUES.tolist()


BROKEN: dict[str, Callable[[Any], Any]] = {
    "indexing": lambda x: x[[3, 1]],
    "arithmetic": lambda x: x / 2,
    "in place": lambda x: x.__iadd__(1),
    "stack": lambda x: np.stack([x[1], x[0]]),
    "a write": lambda x: x.__setitem__(slice(0, 2), x[2:4].copy()),
    "a copy": lambda x: x.copy(),
    "a sort": lambda x: x.sort(axis=0),
    "out": lambda x: np.concatenate([x[:1], x[:1]], out=x[:2]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_our_own_failure_is_not_the_users(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN bookkeeping that fails WHEN a script goes on THEN it gets its values, and rows are not claimed."""
    from coverage_audit.identity import ledger, remembering

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    expected = VALUES.copy()
    array = track(VALUES.copy(), Span(origin_of(6).base, 1, 6))
    known = shadow_of(array)
    monkeypatch.setattr(ledger.Ledger, "look", fail)
    monkeypatch.setattr(ledger.Ledger, "write", fail)
    monkeypatch.setattr(ledger.Ledger, "write_row", fail)
    seen, wanted = BROKEN[name](array), BROKEN[name](expected)
    assert np.array_equal(np.asarray(seen), np.asarray(wanted)) or seen is wanted is None
    monkeypatch.undo()
    assert np.array_equal(array, expected)
    assert remembering.STUMBLES
    remembering.STUMBLES.clear()
    if name in {"in place", "a write", "a sort", "out"}:
        assert shadow_of(array) is None
    else:
        assert shadow_of(array) == known
        assert shadow_of(seen) is None
