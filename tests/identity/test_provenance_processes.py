"""Tracked arrays on their way through pickles, copies and other processes."""

from __future__ import annotations

import concurrent.futures
import io
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coverage_audit.identity.origins import ORIGINS, Key, Origins
from coverage_audit.identity.provenance import altered, shadow_of, track, track_root
from coverage_audit.identity.shadows import Span, Windows, ids_of

KEY = Key("/nowhere/processes.npy", "", 7, 7)


def tracked() -> Any:
    base = ORIGINS.register(KEY, 10).base
    return track(np.arange(20.0).reshape(10, 2), Span(base, 1, 10))


def rows_of(array: Any) -> tuple[list[int], bool]:
    """Rows of the one file, by the ids of this process; whether they are altered."""
    base = ORIGINS.register(KEY, 10).base
    shadow = shadow_of(array)
    return (
        [] if shadow is None else [i - base if i >= 0 else -1 for i in np.atleast_1d(ids_of(shadow)).tolist()]
    ), altered(array)


def answer(array: Any) -> tuple[Any, list[int], bool]:
    """In the other process: rows 1 and 0 of what came, and what was known of it all."""
    return array[[1, 0]], *rows_of(array)


CASES: dict[str, tuple[Any, list[int], bool]] = {
    "a span": (lambda x: x[2:6], [2, 3, 4, 5], False),
    "every other": (lambda x: x[::-2], [9, 7, 5, 3, 1], False),
    "rows": (lambda x: x[[3, 0, 3]], [3, 0, 3], False),
    "some unknown": (lambda x: np.concatenate([x[:2], np.zeros((1, 2))]), [0, 1, -1], False),
    "altered": (lambda x: x[:2] * 2, [0, 1], True),
    "windows": (lambda x: np.stack([x[i : i + 2] for i in (4, 7)]), [4, 5, 7, 8], False),
    "groups": (lambda x: x[[5, 3, 2, 1]].reshape(2, 2, 2)[1:].reshape(2, 2), [2, 1], False),
}


@pytest.fixture(scope="module", params=["fork", "spawn"])
def pool(request: pytest.FixtureRequest) -> Iterator[Any]:
    context = multiprocessing.get_context(request.param)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        yield pool


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("name", CASES)
def test_rows_go_to_a_pool_and_come_back(pool: Any, name: str) -> None:
    """GIVEN a pool, forked or spawned WHEN an array goes there THEN its rows are known there, and again here."""
    make, rows, changed = CASES[name]
    ORIGINS.register(Key(f"/nowhere/{name}", "", 1, 1), 3)  # so that ids differ between the processes
    array = make(tracked())
    came_back, there, changed_there = pool.submit(answer, array).result(60)
    assert (there, changed_there) == (rows, changed)
    first = 2 if name == "windows" else 1
    assert rows_of(came_back) == ([*rows[first : 2 * first], *rows[:first]], changed)
    assert came_back.tolist() == np.asarray(array)[[1, 0]].tolist()


def test_a_queue_carries_rows() -> None:
    queue: Any = multiprocessing.get_context("spawn").SimpleQueue()
    queue.put(tracked()[[3, 1]])
    assert rows_of(queue.get()) == ([3, 1], False)


def test_a_memory_map_crosses_as_its_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(20.0).reshape(10, 2))
    root = track_root(np.load(tmp_path / "x.npy", mmap_mode="r"), ORIGINS.register(KEY, 10))
    queue: Any = multiprocessing.get_context("spawn").SimpleQueue()
    queue.put(root)
    assert rows_of(queue.get()) == (list(range(10)), False)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_needs_nothing_of_ours(protocol: int) -> None:
    """GIVEN a pickled array WHEN it is read without the package THEN it is an ordinary array."""
    text = pickle.dumps([tracked()[[3, 1]], tracked()[2]], protocol)
    assert b"coverage" not in text
    for array, values in zip(pickle.loads(text), ([[6, 7], [2, 3]], [4, 5]), strict=True):
        assert type(array) is np.ndarray
        assert array.tolist() == values


def test_buffers_out_of_band() -> None:
    buffers: list[Any] = []
    text = pickle.dumps(tracked()[:4].copy(), 5, buffer_callback=buffers.append)
    assert len(buffers) == 1
    assert pickle.loads(text, buffers=buffers).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_pickled_memory_map_is_what_numpy_makes_of_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(20.0).reshape(10, 2))
    plain = np.load(tmp_path / "x.npy", mmap_mode="r")
    root = track_root(np.load(tmp_path / "x.npy", mmap_mode="r"), ORIGINS.register(KEY, 10))
    assert pickle.dumps(root) == pickle.dumps(plain)


def test_a_saved_array_is_an_ordinary_one() -> None:
    stream = io.BytesIO()
    np.savez(stream, x=tracked(), y=tracked()[[3]])
    stream.seek(0)
    with np.load(stream) as archive:
        assert type(archive["x"]) is np.ndarray
        assert archive["y"].tolist() == [[6, 7]]
    array = tracked()
    np.save(io.BytesIO(), array)
    assert rows_of(array) == (list(range(10)), False)


def test_a_process_that_opened_other_files_first() -> None:
    """GIVEN windows of another process WHEN its ids mean other files here THEN they are translated, or unknown."""
    other = Origins()
    ids = np.array([2, 3, -1, 14], np.int64)
    described = ((KEY, 10, 0), (Key("/nowhere/else.npy", "", 1, 1), 8, 10))
    other.register(Key("/nowhere/first.npy", "", 1, 1), 100)
    assert other.adopt(ids, described).tolist() == [102, 103, -1, 114]
    assert isinstance(shadow_of(np.stack([tracked()[1:3], tracked()[4:6]])), Windows)


def test_nothing_heavy_is_imported() -> None:
    """Recording must not bring in what a script has no use for."""
    script = """if True:
        import sys
        import numpy
        before = set(sys.modules)
        import coverage_audit.identity.provenance
        for name in sorted({module.split(".")[0] for module in set(sys.modules) - before}):
            print(name)
    """
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"multiprocessing", "pandas", "pyarrow", "h5py", "zarr", "tensorflow", "torch", "keras"} & set(seen)
