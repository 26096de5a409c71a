"""Contents: the bytes of any rows of any shard, or a clear word why not."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.errors import DatasetError
from coverage_audit.sources import contents, stored
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.dataset import Dataset

Array = npt.NDArray[Any]
save: Any = zarr  # its types do not know numpy's arrays

X = np.random.default_rng(0).integers(0, 1 << 16, (40, 3, 2)).astype(np.uint16)


def as_npy(folder: Path, x: Array) -> str:
    np.save(folder / "x.npy", x)
    return str(folder / "x.npy")


def as_npz(folder: Path, x: Array) -> str:
    np.savez(folder / "x.npz", x=x, other=np.zeros(3))
    return f"{folder / 'x.npz'}::x"


def as_compressed_npz(folder: Path, x: Array) -> str:
    np.savez_compressed(folder / "x.npz", x=x)
    return str(folder / "x.npz")


def as_hdf5(folder: Path, x: Array) -> str:
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("group/x", data=x, chunks=True)
    return f"{folder / 'x.h5'}::group/x"


def as_zarr(folder: Path, x: Array) -> str:
    save.save_array(str(folder / "x.zarr"), x)
    return str(folder / "x.zarr")


def as_zarr_2(folder: Path, x: Array) -> str:
    save.create_array(str(folder / "x.zarr"), name="x", data=x, zarr_format=2)
    return f"{folder / 'x.zarr'}::x"


def as_raw(folder: Path, x: Array) -> str:
    (folder / "x.bin").write_bytes(b"header!!" + x.tobytes())
    shape = f"({','.join(map(str, x.shape[1:]))},)" if x.ndim > 1 else ""
    return f"{folder / 'x.bin'}::{shape}{x.dtype.str}+8"


WRITERS = [as_npy, as_npz, as_compressed_npz, as_hdf5, as_zarr, as_zarr_2, as_raw]
Writer = Callable[[Path, Array], str]


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(DatasetError) as caught:
        call()
    return caught.value.slug


@pytest.mark.parametrize("write", WRITERS)
class TestEveryFormat:
    def test_rows_in_the_order_asked(self, tmp_path: Path, write: Writer) -> None:
        read = Contents(Dataset.open(write(tmp_path, X)))

        assert read.row_dtype(0) == (np.dtype(np.uint16), (3, 2))
        for rows in ([7, 0, 7, 39], [3], [4, 5, 6], range(39, -1, -1)):
            got = read.read(0, np.array(rows))
            assert (got.dtype, got.flags.c_contiguous) == (X.dtype, True)
            np.testing.assert_array_equal(got, X[list(rows)])
        assert read.read(0, np.array([], np.int64)).shape == (0, 3, 2)

    def test_blocks_cover_the_shard(self, tmp_path: Path, write: Writer) -> None:
        blocks = list(Contents(Dataset.open(write(tmp_path, X))).blocks(0, 16))

        assert [(first, len(block)) for first, block in blocks] == [(0, 16), (16, 16), (32, 8)]
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), X)
        assert all(block.flags.c_contiguous for _, block in blocks)

    def test_numbers_outside_are_no_rows(self, tmp_path: Path, write: Writer) -> None:
        read = Contents(Dataset.open(write(tmp_path, X)))

        with pytest.raises(IndexError, match="has rows 0 to 39, not 40"):
            read.read(0, np.array([3, 40]))
        with pytest.raises(IndexError, match="not -1"):
            read.read(0, np.array([-1]))

    def test_rows_that_lie_far_apart(self, tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stored, "AT_ONCE", 0)

        got = Contents(Dataset.open(write(tmp_path, X))).read(0, np.array([9, 2, 3, 3, 20]))

        np.testing.assert_array_equal(got, X[[9, 2, 3, 3, 20]])

    def test_a_shard_of_no_rows(self, tmp_path: Path, write: Writer) -> None:
        read = Contents(Dataset.open(write(tmp_path, X[:0])))

        assert list(read.blocks(0, 8)) == []
        assert read.read(0, np.array([], np.int64)).shape == (0, 3, 2)

    def test_other_byte_orders_come_as_stored(self, tmp_path: Path, write: Writer) -> None:
        read = Contents(Dataset.open(write(tmp_path, X.astype(">u2"))))

        # To zarr 3 byte order is a way of storing, not part of the type.
        assert read.row_dtype(0)[0] == np.dtype("<u2" if write is as_zarr else ">u2")
        np.testing.assert_array_equal(read.read(0, np.array([1, 0])), X[[1, 0]])

    def test_a_file_that_changed(self, tmp_path: Path, write: Writer) -> None:
        """GIVEN an open shard WHEN its file is written anew, and WHEN it is gone THEN nothing is read from it."""
        data = Dataset.open(write(tmp_path, X))
        read = Contents(data)
        read.read(0, np.array([0]))
        assert data.paths[0] is not None
        watched = max((p for p in (data.paths[0], *data.paths[0].rglob("*")) if p.is_file()), key=is_metadata)
        os.utime(watched, ns=(1, 1))

        assert refusal(lambda: read.read(0, np.array([0]))) == "changed-file"
        watched.unlink()
        assert refusal(lambda: list(read.blocks(0, 4))) == "changed-file"


def is_metadata(path: Path) -> bool:
    return path.name in (".zarray", "zarr.json")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 39), max_size=60), st.sampled_from(["C", "F"]), st.sampled_from(["<u2", ">u2", "f8"]))
def test_reading_is_indexing(tmp_path_factory: pytest.TempPathFactory, rows: list[int], order: Any, kind: str) -> None:
    folder = tmp_path_factory.mktemp("contents")
    array = np.asarray(X, kind, order=order)
    read = Contents(Dataset.open(as_npy(folder, array)))

    np.testing.assert_array_equal(read.read(0, np.array(rows, np.int64)), array[rows])


class TestSeveralArrays:
    @pytest.mark.parametrize("kind", ["npz", "h5", "zarr"])
    def test_the_one_that_is_named(self, tmp_path: Path, kind: str) -> None:
        x, y = np.arange(8).reshape(4, 2), np.arange(4) * 10
        path = tmp_path / f"both.{kind}"
        if kind == "npz":
            np.savez(path, x=x, y=y)
        elif kind == "h5":
            with h5py.File(path, "w") as file:
                file["x"], file["y"] = x, y
        else:
            save.save_group(str(path), x=x, y=y)
        read = Contents(Dataset.open(path))

        assert read.members(0) == ("x", "y")
        assert read.read(0, np.array([2, 0]), "x").tolist() == [[4, 5], [0, 1]]
        assert read.read(0, np.array([2, 0]), "y").tolist() == [20, 0]
        assert refusal(lambda: read.read(0, np.array([0]))) == "several-arrays"

    def test_a_partner(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", X)
        np.save(tmp_path / "y.npy", np.arange(40))
        data = Dataset.open(tmp_path / "x.npy", aligned=tmp_path / "y.npy")

        assert Contents(data).of_file(data.partners[0][0]).read(np.array([5, 4])).tolist() == [5, 4]


class TestWhatCannotBeRead:
    def test_objects(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.array([[1], [2, 3]], dtype=object))
        np.savez(tmp_path / "x.npz", x=np.array([[1], [2, 3]], dtype=object))
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = ["some", "text"]
        for name in ("x.npy", "x.npz", "x.h5"):
            data = Dataset.open(tmp_path / name)
            assert data.rows == 2
            assert refusal(lambda data=data: Contents(data).row_dtype(0)) == "unreadable-rows"  # type: ignore[misc]

    def test_no_file(self) -> None:
        with pytest.raises(DatasetError) as caught:
            Contents(Dataset.of(5)).read(0, np.array([0]))
        assert str(caught.value) == (
            "the rows of data cannot be read back (it has no file on this machine): they stay unknown where only their "
            "values would tell [unreadable-rows]"
        )

    def test_a_dataset_of_hdf5_that_is_put_together(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "part.h5", "w") as file:
            file["x"] = np.arange(4)
        layout = h5py.VirtualLayout((4,), np.int64)
        layout[:] = h5py.VirtualSource(tmp_path / "part.h5", "x", (4,))
        with h5py.File(tmp_path / "all.h5", "w") as file:
            file.create_virtual_dataset("x", layout)

        assert refusal(lambda: Contents(Dataset.open(tmp_path / "all.h5")).row_dtype(0)) == "unreadable-rows"

    def test_another_file_than_was_declared(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.zeros(4))
        data = Dataset.open(tmp_path / "x.npy")
        np.save(tmp_path / "x.npy", np.zeros(5))

        assert refusal(lambda: Contents(data).row_dtype(0)) == "changed-file"


def test_few_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "KEPT", 2)
    for at in range(5):
        np.save(tmp_path / f"x_{at}.npy", np.full(3, at))
    read = Contents(Dataset.open(tmp_path / "x_*.npy"))

    assert [read.read(at, np.array([0]))[0] for at in (0, 1, 2, 3, 4, 0, 4)] == [0, 1, 2, 3, 4, 0, 4]
    assert [name for name, _ in read._open] == [str(tmp_path / "x_0.npy"), str(tmp_path / "x_4.npy")]


def test_structured_rows(tmp_path: Path) -> None:
    table = np.array([(1, 2.5), (3, 4.5)], dtype=[("id", "<i4"), ("v", "<f8")])
    np.save(tmp_path / "t.npy", table)

    assert Contents(Dataset.open(tmp_path / "t.npy")).read(0, np.array([1])).tolist() == [(3, 4.5)]


def test_the_program_under_recording_may_still_write_its_hdf5_file(tmp_path: Path) -> None:
    read = Contents(Dataset.open(as_hdf5(tmp_path, X)))
    read.read(0, np.array([1]))

    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["more"] = [1]


@pytest.mark.parametrize("write", WRITERS)
def test_a_forked_child_reads_too(tmp_path: Path, write: Writer) -> None:
    read = Contents(Dataset.open(write(tmp_path, X)))
    read.read(0, np.array([1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # zarr has threads
        child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(read.read(0, np.array([5, 2])), X[[5, 2]]) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
