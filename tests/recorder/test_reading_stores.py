"""What h5py and zarr read from the data remembers its rows; what they return is otherwise the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_files import X, recording, rows_of, rows_told, serial

from coverage_audit.identity.declared import Declared
from coverage_audit.identity.provenance import plain, shadow_of, track
from coverage_audit.identity.shadows import Span
from coverage_audit.recorder import reading
from coverage_audit.sources.dataset import Dataset

ALL = list(range(40))
MASK = np.arange(40) % 7 == 3
save: Any = zarr  # its types do not know numpy's arrays


@pytest.fixture
def h5(tmp_path: Path) -> Iterator[Any]:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["group/x"] = X
        file["flat"] = X[:, 0, 0]
        file["text"] = ["a", "b"]
        file["scalar"] = 3.0
        file["table"] = np.array([(1, 2.0), (3, 4.0)], dtype=[("id", "i4"), ("v", "f8")])
    with h5py.File(tmp_path / "x.h5") as file, recording(tmp_path / "x.h5"):
        yield file


@pytest.fixture
def z(tmp_path: Path) -> Iterator[Any]:
    save.save_array(str(tmp_path / "x.zarr"), X)
    with recording(tmp_path / "x.zarr"):
        yield zarr.open_array(str(tmp_path / "x.zarr"), mode="r")


Case = tuple[str, Callable[[Any], Any], Any]
BOTH: list[Case] = [
    ("slice", lambda d: d[5:9], [5, 6, 7, 8]),
    ("step", lambda d: d[5:20:6], [5, 11, 17]),
    ("beyond the end", lambda d: d[38:99], [38, 39]),
    ("from the end", lambda d: d[-3:], [37, 38, 39]),
    ("nothing", lambda d: d[7:7], []),
    ("one row", lambda d: d[7], 7),
    ("the last row", lambda d: d[-1], 39),
    ("numpy's numbers", lambda d: d[np.int64(7)], 7),
    ("everything", lambda d: d[...], ALL),
    ("everything again", lambda d: d[:], ALL),
    ("list", lambda d: d[[3, 8, 9]], [3, 8, 9]),
    ("array", lambda d: d[np.array([3, 8, 9])], [3, 8, 9]),
    ("columns", lambda d: d[5:7, :, 0], [5, 6]),
    ("columns of one row", lambda d: d[5, :, 0], 5),
    ("dots and columns", lambda d: d[..., 0], ALL),
    ("dots for nothing", lambda d: d[3:5, ..., 0, 0], [3, 4]),
    ("dots before all", lambda d: d[..., 3:5, 0, 0], [3, 4]),
    ("list of columns", lambda d: d[3:5, [0, 2]], [3, 4]),
    ("iteration", lambda d: next(iter(d)), 0),
    ("__array__", lambda d: d.__array__(), ALL),
]


def check(dataset: Any, read: Callable[[Any], Any], expected: Any) -> None:
    """Rows as expected, and told once; values, type of a scalar, shape and order as without hooks."""
    before = serial()
    got = read(dataset)
    told = rows_told(before)
    reading.uninstall()
    without = read(dataset)
    reading.install()

    assert rows_of(got) == expected
    assert told == ([] if expected == [] else [[expected] if isinstance(expected, int) else expected])
    assert isinstance(got, np.ndarray) == isinstance(without, np.ndarray)
    assert (got.dtype, got.shape, np.asarray(got).tobytes()) == (without.dtype, without.shape, without.tobytes())


@pytest.mark.parametrize(("read", "expected"), [c[1:] for c in BOTH], ids=[c[0] for c in BOTH])
class TestSelections:
    def test_hdf5(self, h5: Any, read: Callable[[Any], Any], expected: Any) -> None:
        check(h5["group/x"], read, expected)

    def test_zarr(self, z: Any, read: Callable[[Any], Any], expected: Any) -> None:
        check(z, read, expected)


H5: list[Case] = [
    ("mask", lambda f: f["group/x"][MASK], [3, 10, 17, 24, 31, 38]),
    ("astype", lambda f: f["group/x"].astype("f8")[3:5], [3, 4]),
    ("astype whole", lambda f: f["group/x"].astype("f8").__array__(), ALL),
    ("flat", lambda f: f["flat"][[1, 2]], [1, 2]),
    ("field", lambda f: f["table"]["id"], [0, 1]),
    ("rows and field", lambda f: f["table"][1:2, "v"], [1]),
    ("fields", lambda f: f["table"].fields(["id"])[:1], [0]),
]


@pytest.mark.parametrize(("read", "expected"), [c[1:] for c in H5], ids=[c[0] for c in H5])
def test_what_only_h5py_has(h5: Any, read: Callable[[Any], Any], expected: Any) -> None:
    check(h5, read, expected)


ZARR: list[Case] = [
    ("oindex", lambda d: d.oindex[[9, 2], :, [0]], [9, 2]),
    ("oindex mask", lambda d: d.oindex[MASK], [3, 10, 17, 24, 31, 38]),
    ("vindex", lambda d: d.vindex[[9, 2], [0, 1], [0, 1]], [9, 2]),
    ("vindex mask", lambda d: d.vindex[X % 100 == 0], [0, 16, 33]),
    ("values", lambda d: d[[9, 2], [0, 1], [0, 1]], [9, 2]),
    ("get_basic_selection", lambda d: d.get_basic_selection(slice(2, 4)), [2, 3]),
    ("get_basic_selection()", lambda d: d.get_basic_selection(), ALL),
    ("get_orthogonal_selection", lambda d: d.get_orthogonal_selection(([9, 2],)), [9, 2]),
    ("get_mask_selection", lambda d: d.get_mask_selection(X % 100 == 0), [0, 16, 33]),
    ("get_coordinate_selection", lambda d: d.get_coordinate_selection(([9, -1], [0, 1], [0, 1])), [9, 39]),
]


@pytest.mark.parametrize(("read", "expected"), [c[1:] for c in ZARR], ids=[c[0] for c in ZARR])
def test_what_only_zarr_has(z: Any, read: Callable[[Any], Any], expected: Any) -> None:
    check(z, read, expected)


class TestUntouched:
    def test_hdf5(self, h5: Any) -> None:
        mask = X % 100 == 0
        assert rows_of(h5["group/x"][mask]) is None
        assert h5["group/x"][mask].tolist() == X[mask].tolist()
        assert (type(h5["flat"][3]), h5["flat"][3]) == (np.float32, 18.0)
        assert h5["text"].asstr()[:].tolist() == ["a", "b"]
        assert (h5["text"][1], rows_of(h5["text"][:])) == (b"b", None)
        assert (h5["scalar"][()], np.asarray(h5["scalar"]).shape) == (3.0, ())

    def test_blocks_of_zarr(self, z: Any) -> None:
        assert rows_of(z.blocks[0]) is None

    def test_files_nobody_wants(self, h5: Any, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["x"] = X
            assert type(file["x"][3:5]) is np.ndarray
        assert type(save.array(X)[3:5]) is np.ndarray  # in memory

    def test_another_file_of_the_same_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """GIVEN an open file WHEN the working directory changes and its name means another file THEN unknown."""
        for place in ("here", "there"):
            (tmp_path / place).mkdir()
            with h5py.File(tmp_path / place / "x.h5", "w") as file:
                file["x"] = X
        monkeypatch.chdir(tmp_path / "here")
        with h5py.File("x.h5") as file, recording(tmp_path / "there" / "x.h5"):
            monkeypatch.chdir(tmp_path / "there")
            assert rows_of(file["x"][:2]) is None

    def test_a_dataset_without_a_name_or_file(self, h5: Any, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "new.h5", "w", driver="core", backing_store=False) as file:
            assert type(file.create_dataset(None, data=X)[:2]) is np.ndarray


def test_a_cast_that_hdf5_does_its_own_way(h5: Any) -> None:
    """Float to int: what does not fit is clipped by HDF5, wrapped by numpy."""
    before = serial()
    read = h5["group/x"].astype("i1")[3:5]

    assert (rows_of(read), rows_told(before)) == (None, [[3, 4]])
    assert rows_of(h5["group/x"].astype("f2")[3:5]) == [3, 4]


class TestReadDirect:
    def test_it_is_told(self, h5: Any) -> None:
        into = np.empty((3, 3, 2), np.float32)
        before = serial()
        h5["group/x"].read_direct(into, np.s_[4:7])
        h5["group/x"].read_direct(np.empty_like(X))

        assert rows_told(before) == [[4, 5, 6], ALL]
        assert into.tolist() == X[4:7].tolist()

    def test_what_the_array_remembered_is_over(self, h5: Any) -> None:
        into = track(np.zeros((3, 3, 2), np.float32), Span(0, 1, 3))
        h5["group/x"].read_direct(into, np.s_[4:7])

        assert plain(into).tolist() == X[4:7].tolist()
        shadow = shadow_of(into)
        assert shadow is None or set(np.atleast_1d(np.asarray(shadow)).tolist()) == {-1}


def test_asarray_is_told(h5: Any, z: Any) -> None:
    """What it returns has lost its rows on the way through numpy; that they were read is known."""
    before = serial()
    for array in (np.asarray(h5["group/x"]), np.array(z)):
        assert array.tolist() == X.tolist()
    assert rows_told(before) == [ALL, ALL]


def test_a_dataset_of_hdf5_by_its_declared_name(tmp_path: Path, h5: Any) -> None:
    data = Dataset.open(f"{tmp_path / 'x.h5'}::group/x")
    declared = Declared(data.paths, data.members, data.partners, [40])
    alias = h5["group"]["x"]

    assert declared.tell(shadow_of(alias[3:5])) == (0, (0, 3, 2))  # type: ignore[arg-type]
    assert declared.tell(shadow_of(h5["flat"][3:5])) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("declared_as", ["g.zarr::sub.zarr/x", "g.zarr/sub.zarr::x", "g.zarr/sub.zarr/x"])
@pytest.mark.parametrize("opened_as", ["g.zarr sub.zarr/x", "g.zarr/sub.zarr x", "g.zarr/sub.zarr/x "])
def test_one_array_of_zarr_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared_as: str, opened_as: str
) -> None:
    monkeypatch.chdir(tmp_path)
    group = zarr.create_group("g.zarr").create_group("sub.zarr")
    save.create_array(group.store, name="sub.zarr/x", data=X)
    data = Dataset.open(declared_as)
    declared = Declared(data.paths, data.members, data.partners, [40])
    reading.watch(data)
    folder, path = opened_as.split(" ")
    with recording():
        x = save.open_array(folder, path=path or None, mode="r")
        assert declared.tell(shadow_of(x[3:5])) == (0, (0, 3, 2))  # type: ignore[arg-type]


def test_files_wanted_later_are_looked_up_anew(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = X
    with h5py.File(tmp_path / "x.h5") as file:
        x = file["x"]
        with recording():
            assert rows_of(x[:2]) is None
            with recording(tmp_path / "x.h5"):
                assert rows_of(x[:2]) == [0, 1]


def test_a_dataset_that_grew(tmp_path: Path) -> None:
    """Its new rows are no rows of the origin it had when it was opened."""
    with h5py.File(tmp_path / "x.h5", "w") as file, recording(tmp_path / "x.h5"):
        x = file.create_dataset("x", data=X, maxshape=(None, 3, 2))
        assert rows_of(x[:2]) == [0, 1]
        x.resize(50, axis=0)
        assert (rows_of(x[38:]), rows_of(x[:])) == (None, None)


SELECTORS = st.one_of(
    st.integers(-40, 39),
    st.slices(40),
    st.lists(st.integers(0, 39), unique=True, min_size=1, max_size=6).map(sorted),
    st.lists(st.booleans(), min_size=40, max_size=40).map(np.array),
)
INNER = st.lists(st.one_of(st.integers(0, 1), st.slices(2), st.just(Ellipsis)), max_size=2)


@settings(max_examples=80, deadline=None)
@given(SELECTORS, INNER)
def test_any_selection_is_right_or_unknown(
    tmp_path_factory: pytest.TempPathFactory, first: Any, inner: list[Any]
) -> None:
    """The slow definition: each row begins with six times its number."""
    folder = tmp_path_factory.mktemp("stores")
    with h5py.File(folder / "x.h5", "w") as file:
        file["x"] = X
    save.save_array(str(folder / "x.zarr"), X)
    with h5py.File(folder / "x.h5") as file, recording(folder / "x.h5", folder / "x.zarr"):
        for dataset in (file["x"], save.open_array(str(folder / "x.zarr"), mode="r")):
            try:
                got = dataset[(first, *inner)]
            except (TypeError, ValueError, IndexError):  # what it does not take
                continue
            rows = rows_of(got)
            if rows is None or not got.size:
                continue
            seen = np.asarray(got) // 6
            per_entry = seen.reshape(1, -1) if isinstance(rows, int) else seen.reshape(len(seen), -1)
            assert [set(entry.tolist()) for entry in per_entry] == [{row} for row in np.atleast_1d(rows).tolist()]
            assert isinstance(rows, int) == isinstance(first, int)
