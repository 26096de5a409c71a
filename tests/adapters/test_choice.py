"""Which loaders can be wrapped, told without importing their frameworks; and what a callback needs."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import coverage_audit as ca
from coverage_audit.adapters.choice import adapter_for
from coverage_audit.adapters.plain import wrap_plain
from coverage_audit.errors import UsageError


class BySequence:
    """The old protocol: __getitem__ from 0 until IndexError."""

    def __getitem__(self, k: int) -> int:
        return [1, 2][k]


class NextOnly:
    def __next__(self) -> int:
        return 1


def make_batches() -> Any:
    yield 1


def test_the_signature_is_the_contract() -> None:
    assert str(inspect.signature(ca.wrap)).replace("'", "") == (
        "(loader: Any, dataset: Dataset | None = None, log: str | Path | None = None, *, "
        "batch_size: int | None = None, "
        "steps_per_epoch: int | None = None, epochs: int | None = None, split: str = train, "
        "contract: Contract | str | Mapping[str, Any] | None = None, ids: Any = None, identify: str | None = auto, "
        "run_id: str | None = None, resume: bool = False, if_exists: str = archive, "
        "data_parallel: tuple[int, int] | None = None, sync_every: float | None = None) -> Any"
    )


@pytest.mark.parametrize("loader", [make_batches(), iter([1]), [1], (1,), {1: 2}, range(3), BySequence(), map(abs, [])])
def test_what_can_be_iterated_can_be_wrapped(loader: Any) -> None:
    assert adapter_for(loader) is wrap_plain


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (3, "3 of type int cannot be iterated: wrap what yields the batches"),
        (None, "None of type NoneType cannot be iterated"),
        (make_batches, r"of type function cannot be iterated: call it: wrap\(make_batches\(\.\.\.\), \.\.\.\)"),
        (NextOnly(), "of type NextOnly cannot be iterated: give its class an __iter__ that returns self"),
        ("shards/*.npy", r"'shards/\*\.npy' is text, not a loader"),
    ],
)
def test_what_cannot_be_iterated(loader: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        adapter_for(loader)
    assert caught.value.slug == "not-iterable"


def test_wrapped_once_is_enough(tmp_path: Path) -> None:
    gen = ca.wrap(make_batches(), None, tmp_path / "run.parquet", identify="off")
    with pytest.raises(UsageError, match="wrapped already"):
        ca.wrap(gen, None, tmp_path / "run.parquet")
    gen.recorder.close()


def test_a_callback_needs_a_generator(tmp_path: Path) -> None:
    loader = ca.wrap([1, 2], None, tmp_path / "run.parquet", identify="off")
    with pytest.raises(
        UsageError, match=r"callback\(\) of a list: Keras trains on generators, PyDatasets and tf.data datasets"
    ) as caught:
        loader.callback()
    assert caught.value.slug == "not-a-generator"
    loader.recorder.close()


FRAMEWORKS = """
import copy, pickle, sys
from pathlib import Path
import keras, torch
import coverage_audit as ca
from coverage_audit.adapters.choice import adapter_for
from coverage_audit.errors import UsageError

class Data(keras.utils.PyDataset):
    def __getitem__(self, k):
        return k
    def __len__(self):
        return 3

data = ca.wrap(Data(), ca.Dataset.of(6), sys.argv[1], split="files", ids=lambda batch: [batch])
print(isinstance(data, keras.utils.PyDataset), len(data), data[1], type(pickle.loads(pickle.dumps(data))) is Data)
try:
    adapter_for(data)
except UsageError as error:
    print(error.slug)
loader = torch.utils.data.DataLoader(range(6), batch_size=2)
wrapped = ca.wrap(loader, ca.Dataset.of(6), sys.argv[1], ids=lambda batch: batch)
print(isinstance(wrapped, torch.utils.data.DataLoader), len(wrapped), [b.tolist() for b in wrapped])

gen = ca.wrap((k for k in range(2)), ca.Dataset.of(6), sys.argv[1], split="other", identify="off")
callback = gen.callback()
idle = pickle.loads(pickle.dumps(callback))
for c in (callback, copy.deepcopy(callback), idle):
    print(isinstance(c, keras.callbacks.Callback))
idle.on_train_begin()
idle.on_train_batch_end(0)
idle.on_train_end()
print("tensorflow" in sys.modules)
"""


def test_frameworks_that_are_loaded(tmp_path: Path) -> None:
    """
    GIVEN Keras (torch backend) and torch
    THEN a PyDataset stays one and is not wrapped twice, a DataLoader is an iterable, callbacks can be copied and
         pickled, and nothing imports TensorFlow
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FRAMEWORKS), str(tmp_path / "run.parquet")],
        env={"PATH": "", "KERAS_BACKEND": "torch"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "True 3 1 True",
        "wrapped-twice",
        "True 3 [[0, 1], [2, 3], [4, 5]]",
        "True",
        "True",
        "True",
        "False",
    ], done.stderr


UNKNOWN_KERAS = """
import sys, warnings
import keras
import coverage_audit as ca
from coverage_audit.adapters import keras as adapter

adapter._ADAPTER = "keras.src.somewhere_else"
gen = ca.wrap((k for k in range(2)), ca.Dataset.of(6), sys.argv[1], identify="off")
with warnings.catch_warnings(record=True) as caught:
    gen.callback()
    gen.callback()
print([str(w.message)[:70] for w in caught])
"""


def test_a_keras_that_peeks_elsewhere_is_said_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(UNKNOWN_KERAS), str(tmp_path / "run.parquet")],
        env={"PATH": "", "KERAS_BACKEND": "torch"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["['this version of Keras does not peek at generators where coverage-audit']"], (
        done.stderr
    )
