"""Whatever numpy reads from a file of the data remembers its rows, and has the values it would have had anyway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format
from reading_files import Array, X, recording, rows_of, rows_told, serial

from coverage_audit.identity.declared import Declared
from coverage_audit.identity.provenance import plain, shadow_of
from coverage_audit.recorder import reading
from coverage_audit.sources.dataset import Dataset

ALL = list(range(40))


def from_open_file(path: Path) -> Any:
    with open(path, "rb") as stream:
        return np.load(stream)


def through_read_array(path: Path) -> Any:
    with open(path, "rb") as stream:
        return npy_format.read_array(stream)


WHOLE: list[Callable[[Path], Any]] = [
    np.load,
    lambda path: np.load(str(path)),
    from_open_file,
    through_read_array,
]
MAPPED: list[Callable[[Path], Any]] = [
    lambda path: np.load(path, mmap_mode="r"),
    lambda path: np.load(str(path), "c"),
    lambda path: np.load(path, mmap_mode="r+"),
    lambda path: npy_format.open_memmap(path, "r"),
    lambda path: np.lib.format.open_memmap(str(path), mode="c"),
    lambda path: np.memmap(path, np.float32, "r", offset=128, shape=(40, 3, 2)),
]


def same(array: Array, expected: Array) -> bool:
    return array.dtype == expected.dtype and array.shape == expected.shape and array.tobytes() == expected.tobytes()


@pytest.fixture
def x_npy(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


@pytest.mark.parametrize("load", WHOLE)
def test_a_whole_load_is_told_once(x_npy: Path, load: Callable[[Path], Any]) -> None:
    with recording(x_npy):
        before = serial()
        x = load(x_npy)
        batch = x[[7, 3]]

        assert rows_told(before) == [ALL]
    assert same(plain(x), X)
    assert x.flags.writeable
    assert (rows_of(x), rows_of(batch), rows_of(x[5:9])) == (ALL, [7, 3], [5, 6, 7, 8])


@pytest.mark.parametrize("load", MAPPED)
def test_a_memory_map_tells_what_is_read_of_it(x_npy: Path, load: Callable[[Path], Any]) -> None:
    with recording(x_npy):
        x = load(x_npy)
        before = serial()
        batch = x[5:9]

        assert rows_told(before) == [[5, 6, 7, 8]]
    assert isinstance(x, np.memmap)
    assert (same(plain(batch), X[5:9]), rows_of(batch)) == (True, [5, 6, 7, 8])
    assert Path(str(x.filename)) == x_npy


class TestParts:
    def test_a_map_of_some_rows(self, x_npy: Path) -> None:
        with recording(x_npy):
            part = np.memmap(x_npy, np.float32, "r", offset=128 + 10 * 24, shape=(5, 3, 2))
            assert rows_of(part[1:3]) == [11, 12]
            assert same(plain(part[1:3]), X[11:13])

    @pytest.mark.parametrize(
        ("offset", "shape"), [(128 + 4, (5, 3, 2)), (0, (5, 3, 2)), (128, (240,)), (128, (20, 12)), (104, (2, 3, 2))]
    )
    def test_a_map_of_anything_else(self, x_npy: Path, offset: int, shape: tuple[int, ...]) -> None:
        with recording(x_npy):
            part = np.memmap(x_npy, np.float32, "r", offset=offset, shape=shape)
        assert (type(part), rows_of(part)) == (np.memmap, None)

    def test_a_second_array_in_the_same_file(self, tmp_path: Path) -> None:
        with open(tmp_path / "two.npy", "wb") as stream:
            np.save(stream, X)
            np.save(stream, X + 1)
        with recording(tmp_path / "two.npy"), open(tmp_path / "two.npy", "rb") as stream:
            first, second = np.load(stream), np.load(stream)

        assert (rows_of(first), rows_of(second)) == (ALL, None)
        assert same(second, X + 1)


class TestArchives:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_members_by_either_name(self, tmp_path: Path, save: Callable[..., None]) -> None:
        save(tmp_path / "x.npz", x=X, y=np.arange(40), scale=3.0)
        data = Dataset.open(f"{tmp_path / 'x.npz'}::x")
        declared = Declared(data.paths, data.members, data.partners, [40])
        with recording(tmp_path / "x.npz"):
            before = serial()
            with np.load(tmp_path / "x.npz") as archive:
                arrays = [archive["x"], archive["x.npy"], archive.f.x, dict(archive)["x"]]
                y, scale = archive["y"], archive["scale"]

            assert rows_told(before) == [ALL] * 6  # dict() reads all members
        assert [(rows_of(x), same(plain(x), X)) for x in arrays] == [(ALL, True)] * 4
        assert all(declared.tell(shadow_of(x)) == (0, (0, 0, 40)) for x in arrays)  # type: ignore[arg-type]
        assert (rows_of(y), type(scale)) == (ALL, np.ndarray)
        assert declared.tell(shadow_of(y)) is None  # type: ignore[arg-type]

    def test_an_open_file(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", X)
        with recording(tmp_path / "x.npz"), open(tmp_path / "x.npz", "rb") as stream, np.load(stream) as archive:
            assert rows_of(archive["arr_0"]) == ALL


TOKENS = np.arange(1000, dtype=np.uint16)


class TestFlatFiles:
    @pytest.fixture
    def declared(self, tmp_path: Path) -> Declared:
        (tmp_path / "train.bin").write_bytes(bytes(64) + TOKENS.tobytes())
        data = Dataset.open(f"{tmp_path / 'train.bin'}::uint16+64")
        reading.watch(data)
        return Declared(data.paths, data.members, data.partners, [1000])

    def test_maps(self, tmp_path: Path, declared: Declared) -> None:
        path = tmp_path / "train.bin"
        with recording():
            whole = np.memmap(path, dtype=np.uint16, mode="r", offset=64)
            part = np.memmap(path, np.uint16, "r", 64 + 200, (50,))
            others = [
                np.memmap(path, np.uint16, "r"),  # its header, too
                np.memmap(path, np.uint16, "r", offset=65, shape=(10,)),
                np.memmap(path, np.uint8, "r", offset=64),
                np.memmap(path, np.uint16, "r", 64, (500, 2)),
            ]
            told = [declared.tell(shadow_of(x)) for x in (whole[30:40], part[30:40])]  # type: ignore[arg-type]

        assert told == [(0, (0, 30, 10)), (0, (0, 130, 10))]
        assert [rows_of(other) for other in others] == [None] * 4
        assert same(plain(part[30:40]), TOKENS[130:140])

    def test_fromfile(self, tmp_path: Path, declared: Declared) -> None:
        path = tmp_path / "train.bin"
        with recording():
            before = serial()
            arrays = [
                np.fromfile(path, np.uint16, offset=64),
                np.fromfile(str(path), dtype=np.uint16, count=7, offset=64 + 20),
                np.fromfile(path, np.uint16, 7, "", 64 + 20),
            ]
            with open(path, "rb") as stream:
                header = np.fromfile(stream, np.int32, 16)
                arrays += [np.fromfile(stream, np.uint16, 5), np.fromfile(stream, np.uint16, -1, offset=10)]
            assert [len(rows) for rows in rows_told(before)] == [1000, 7, 7, 5, 990]

        told = [declared.tell(shadow_of(x)) for x in arrays]  # type: ignore[arg-type]
        assert told == [(0, (0, a, n)) for a, n in ((0, 1000), (10, 7), (10, 7), (0, 5), (10, 990))]
        assert same(plain(arrays[1]), TOKENS[10:17])
        assert (rows_of(header), header.tolist()) == (None, [0] * 16)

    def test_text_files_are_no_rows(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_text("1 2 3")
        with recording(tmp_path / "x.txt"):
            assert rows_of(np.fromfile(tmp_path / "x.txt", sep=" ")) is None

    def test_rows_of_several_numbers(self, tmp_path: Path) -> None:
        X.tofile(tmp_path / "x.bin")
        data = Dataset.open(f"{tmp_path / 'x.bin'}::(3,2)f4")
        reading.watch(data)
        with recording():
            assert rows_of(np.memmap(tmp_path / "x.bin", np.float32, "r", shape=(40, 3, 2))[5:7]) == [5, 6]
            assert rows_of(np.fromfile(tmp_path / "x.bin", np.dtype((np.float32, (3, 2))), 3, offset=24)) == [1, 2, 3]
            assert rows_of(np.memmap(tmp_path / "x.bin", np.float32, "r")) is None

    def test_undeclared_files_are_arrays_from_their_beginning(self, tmp_path: Path) -> None:
        TOKENS.tofile(tmp_path / "other.bin")
        with recording(tmp_path / "other.bin"):
            assert rows_of(np.memmap(tmp_path / "other.bin", np.uint16, "r", offset=200)[:3]) == [100, 101, 102]

    def test_the_bytes_of_a_container_are_no_rows(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", x=X)
        with recording(tmp_path / "x.npz"):
            assert rows_of(np.fromfile(tmp_path / "x.npz", np.uint8)) is None


class TestWrittenMaps:
    def test_a_map_made_for_writing_is_nobodys_rows(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", X)
        with recording(tmp_path / "x.npy"):
            new = np.memmap(tmp_path / "x.npy", np.float32, "w+", shape=(40, 3, 2))
            assert (type(new), rows_of(new)) == (np.memmap, None)

    def test_writing_through_a_map_reaches_the_file(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", X)
        with recording(tmp_path / "x.npy"):
            x = np.load(tmp_path / "x.npy", mmap_mode="r+")
            x[3] = -1
            x.flush()
        assert (np.load(tmp_path / "x.npy")[3] == -1).all()


BAD: list[tuple[str, Array, bool, bool]] = [
    # name, array, whether a whole load is tracked, whether a memory map is
    ("objects", np.array([[1], [2, 3]], dtype=object), False, False),
    ("no rows", np.zeros((0, 3)), True, True),
    ("0-d", np.array(3.0), False, False),
    ("big-endian", X.astype(">f4"), True, True),
    ("Fortran order", np.asfortranarray(X), True, True),
    ("Fortran order, one axis", np.asfortranarray(X[:, 0, 0]), True, True),
    ("structured", np.array([(1, 2.0), (3, 4.0)], dtype=[("id", "i4"), ("v", "f8")]), True, True),
    ("rows without items", np.zeros((4, 0)), True, True),
    ("text", np.array(["a", "bcd"]), True, True),
    ("dates", np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"), True, True),
    ("booleans", X[:, 0, 0] > 3, True, True),
]


@pytest.mark.parametrize(("array", "is_tracked", "is_mapped"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
class TestUnusualArrays:
    @pytest.mark.parametrize("load", WHOLE[:3])
    def test_whole(
        self, tmp_path: Path, array: Array, is_tracked: bool, is_mapped: bool, load: Callable[[Path], Any]
    ) -> None:
        np.save(tmp_path / "x.npy", array)
        if array.dtype.hasobject:
            load = lambda path: np.load(path, allow_pickle=True)  # noqa: E731
        with recording(tmp_path / "x.npy"):
            x = load(tmp_path / "x.npy")
        without = load(tmp_path / "x.npy")

        assert (x.dtype, x.shape, x.strides, x.flags.writeable) == (
            without.dtype,
            without.shape,
            without.strides,
            without.flags.writeable,
        )
        assert plain(x).tolist() == array.tolist()
        assert rows_of(x) == (list(range(len(array))) if is_tracked else None)

    def test_in_an_archive(self, tmp_path: Path, array: Array, is_tracked: bool, is_mapped: bool) -> None:
        np.savez(tmp_path / "x.npz", x=array)
        with recording(tmp_path / "x.npz"), np.load(tmp_path / "x.npz", allow_pickle=True) as archive:
            x = archive["x"]

        assert (x.dtype, x.shape, plain(x).tolist()) == (array.dtype, array.shape, array.tolist())
        assert rows_of(x) == (list(range(len(array))) if is_tracked else None)

    @pytest.mark.parametrize("mode", ["r", "c"])
    def test_mapped(self, tmp_path: Path, array: Array, is_tracked: bool, is_mapped: bool, mode: Any) -> None:
        np.save(tmp_path / "x.npy", array)

        def load() -> Any:
            try:
                return np.load(tmp_path / "x.npy", mmap_mode=mode)
            except ValueError as error:  # objects; before numpy 2, nothing to map
                return str(error)

        without = load()
        with recording(tmp_path / "x.npy"):
            x = load()
        if isinstance(without, str):
            assert x == without
            return
        assert (x.dtype, x.shape, x.strides, x.flags.writeable) == (
            without.dtype,
            without.shape,
            without.strides,
            without.flags.writeable,
        )
        assert x.tolist() == array.tolist()
        assert rows_of(x) == (list(range(len(array))) if is_mapped else None)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 500), st.integers(0, 12), st.lists(st.integers(1, 4), max_size=2), st.sampled_from("uifF"))
def test_a_stretch_of_a_file_is_its_rows_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, offset: int, count: int, shape: list[int], kind: str
) -> None:
    """The slow definition: the rows whose own bytes are the bytes that were read."""
    dtype = {"u": "u1", "i": "<i2", "f": "<f4", "F": ">f4"}[kind]
    path = tmp_path_factory.mktemp("flat") / "x.bin"
    path.write_bytes(bytes(12) + np.arange(240, dtype="<u2").tobytes())
    data = Dataset.open(f"{path}::(2,)<u2+12")
    reading.watch(data)
    try:
        with recording():
            piece = np.memmap(path, dtype, "r", offset, (count, *shape))
    except ValueError:  # beyond the end
        return
    said = rows_of(piece)

    if said is not None:
        stored = np.arange(240, dtype="<u2").reshape(120, 2)
        assert [piece[k : k + 1].tobytes() for k in range(count)] == [stored[r].tobytes() for r in said]  # type: ignore[union-attr]
    elif count:
        assert (offset - 12) % 4 != 0 or offset < 12 or np.prod(shape) * np.dtype(dtype).itemsize != 4
