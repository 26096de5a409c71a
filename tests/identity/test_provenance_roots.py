"""Memory maps of whole files: what they are to a script, what of their reading is told, when they are let go."""

from __future__ import annotations

import gc
import mmap
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows_by_element import origin_of

from coverage_audit.identity.origins import Origin
from coverage_audit.identity.provenance import altered, plain, shadow_of, track, track_root
from coverage_audit.identity.reads import READS
from coverage_audit.identity.remembering import STUMBLES
from coverage_audit.identity.shadows import Span, Windows, ids_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(24.0).reshape(12, 2))
    return path


def open_root(file: Path, mode: Any = "r", **options: Any) -> tuple[Any, Origin]:
    mapped = np.load(file, mmap_mode=mode, **options)
    origin = origin_of(len(mapped))
    return track_root(mapped, origin), origin


def test_a_root_is_the_memory_map_it_was(file: Path) -> None:
    mapped = np.load(file, mmap_mode="r")
    root = track_root(mapped, origin_of(12))
    assert root is mapped
    assert isinstance(root, np.memmap)
    base: object = root.base
    assert isinstance(base, mmap.mmap)
    assert str(root.filename) == str(file)
    assert root.mode == "r"
    assert repr(root[:1]) == "array([[0., 1.]])"
    assert repr(root).startswith("memmap([[ 0.,  1.],\n        [ 2.,  3.],")
    assert str(root[0]) == "[0. 1.]"
    assert f"{root[0, 0]:.1f}" == "0.0"
    assert (type(root).__module__, type(root).__name__) == ("numpy", "memmap")
    assert (type(root[:2]).__module__, type(root[:2]).__name__) == ("numpy", "ndarray")


def test_a_view_of_a_root_has_what_views_of_memory_maps_have(file: Path) -> None:
    root, _ = open_root(file, "r+")
    assert root[2:4].filename == file
    assert root[2:4].mode == "r+"
    assert root[2:4].offset == root.offset == 128
    root[2:4].flush()
    with pytest.raises(AttributeError, match=r"^'numpy.ndarray' object has no attribute 'filename'$"):
        _ = (root[2:4] + 1).filename
    assert not hasattr(root[2:4], "nonsense")


def test_views_lead_back_to_the_memory_map(file: Path) -> None:
    root, _ = open_root(file)
    for view in (root[2:4], root[2:4][1:], plain(root[2:4]), root[3], plain(root)):
        base = view
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert base is root


def test_a_file_is_let_go_with_its_last_view(file: Path) -> None:
    """GIVEN a root, a view, a copy WHEN root and view go THEN the map goes at once, without the collector."""
    root, _ = open_root(file)
    view, copied = root[2:4], root[[2, 3]]
    alive = weakref.ref(root)
    gc.disable()
    try:
        del root
        assert alive() is not None
        del view
        assert alive() is None
    finally:
        gc.enable()
    assert copied.tolist() == [[4.0, 5.0], [6.0, 7.0]]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (np.load, "no memory map"),
        (lambda path: np.load(path, mmap_mode="r")[:6], "another number of rows"),
        (lambda path: type("Mine", (np.memmap,), {})(path, np.uint8, "r", shape=(12,)), "a class of the user's"),
    ],
)
def test_what_is_no_root_is_left_alone(file: Path, made: Callable[[Path], Any], why: str) -> None:
    array = made(file)
    kind = type(array)
    assert track_root(array, origin_of(12)) is array, why
    assert type(array) is kind
    assert shadow_of(array) is None


@pytest.mark.parametrize("array", [np.array([None] * 3), np.ma.masked_array([1, 2, 3]), np.arange(4)])
def test_what_cannot_be_tracked_is_left_alone(array: Any) -> None:
    assert track(array, Span(0, 1, 3)) is array


READ: dict[str, tuple[Callable[[Any], Any], list[list[int]]]] = {
    "a slice": (lambda a: a[2:4], [[2, 3]]),
    "a row": (lambda a: a[-1], [[11]]),
    "rows": (lambda a: a[[3, 1]], [[3, 1]]),
    "an element": (lambda a: a[5, 0], [[5]]),
    "one by one": (lambda a: [row for row, _ in zip(a, range(3), strict=False)], [[0], [1], [2], [3]]),
    "part of a part": (lambda a: a[2:6][1:2], [[2, 3, 4, 5]]),
    "take": (lambda a: np.take(a, [1], axis=0), [[1]]),
    "all, by arithmetic": (lambda a: a + 1, [list(range(12))]),
    "all, by a copy": (lambda a: a.copy(), [list(range(12))]),
    "all, by astype": (lambda a: a.astype("f4"), [list(range(12))]),
    "all, by a sum": (lambda a: a.sum(), [list(range(12))]),
    "all, by a function": (np.median, [list(range(12))]),
    "all, joined": (lambda a: np.concatenate([a, a]), [list(range(12)), list(range(12))]),
    "no value": (lambda a: (a.shape, len(a), a.T, np.reshape(a, -1), np.shape(a), a.view()), []),
}


@pytest.fixture
def listening() -> Iterator[None]:
    READS.listeners += 1
    yield
    READS.listeners -= 1


@pytest.mark.parametrize("name", READ)
@pytest.mark.usefixtures("listening")
def test_reading_is_told(file: Path, name: str) -> None:
    read, told = READ[name]
    root, origin = open_root(file)
    before = READS.serial
    read(root)
    rows = [np.atleast_1d(ids_of(one.rows) - origin.base).tolist() for one in READS.since(before)]
    assert rows == told


@pytest.mark.parametrize("mode", ["c", "r+"])
def test_a_writable_map_is_followed(file: Path, mode: str) -> None:
    root, origin = open_root(file, mode)
    root[[0, 1]] = root[[1, 0]]
    root[5] = 0
    assert ids_of(shadow_of(root[:6])).tolist() == [origin.base + i for i in (1, 0, 2, 3, 4)] + [-1]  # type: ignore[arg-type]
    assert not altered(root)


def test_a_billion_rows_cost_nothing(tmp_path: Path) -> None:
    """GIVEN a file of 2^30 tokens WHEN windows are read THEN they are three numbers each; a write makes it unknown."""
    path = tmp_path / "train.bin"
    with path.open("wb") as stream:
        stream.truncate(2 << 30)
    root, origin = open_root_bin(path)
    assert shadow_of(root[1 << 29 :][5:9]) == Span(origin.base + (1 << 29) + 5, 1, 4)
    assert shadow_of(root[[-1]]) == np.array([origin.base + (1 << 30) - 1])
    batch = np.stack([root[i : i + 1024] for i in (5, 1 << 28)])
    known = shadow_of(batch)
    assert isinstance(known, Windows)
    assert (known.firsts.tolist(), known.length) == ([origin.base + 5, origin.base + (1 << 28)], 1024)
    root[7] = 1
    assert shadow_of(root[5:9]) is None
    assert list(STUMBLES) == []


def open_root_bin(path: Path) -> tuple[Any, Origin]:
    mapped = np.memmap(path, np.uint16, "c")
    origin = origin_of(len(mapped))
    return track_root(mapped, origin), origin
