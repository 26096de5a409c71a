"""Which rows an array remembers after what scripts do to it: exact or unknown, and which of the two."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows_by_element import origin_of

from coverage_audit.identity.provenance import plain, shadow_of, track, track_root
from coverage_audit.identity.remembering import STUMBLES
from coverage_audit.identity.shadows import Span, ids_of

N = 100
IDX: Any = np.array([3, 50, 7, 7, 0, 99, 12, 61])
MASK: Any = np.isin(np.arange(N), (2, 40, 99))
W: Any = np.arange(8.0).reshape(8, 1)


class Script:
    """What a script has: two files of (100, 4, 2) float32 as memory maps, and the first loaded whole."""

    def __init__(self, folder: Path) -> None:
        values = np.arange(2 * N * 8, dtype=np.float32).reshape(2, N, 4, 2)
        self.first, self.second = origin_of(N), origin_of(N)
        self.maps = []
        for name, part, origin in zip("ab", values, (self.first, self.second), strict=True):
            np.save(folder / name, part)
            mapped = np.load(folder / f"{name}.npy", mmap_mode="r")
            self.maps.append(track_root(mapped, origin))
        self.a, self.b = self.maps
        self.w = track(values[0].copy(), Span(self.first.base, 1, N))

    def rows(self, array: Any) -> list[Any] | str:
        """Row numbers of the first file, 1000 + those of the second, -1 where unknown; "unknown" altogether."""
        shadow = shadow_of(array)
        if shadow is None:
            return "unknown"
        return [self.row(i) for i in np.atleast_1d(ids_of(shadow)).tolist()]

    def row(self, row_id: int) -> int:
        if row_id < 0:
            return -1
        first = self.first.base
        return row_id - first if row_id < first + N else 1000 + row_id - self.second.base


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    STUMBLES.clear()
    yield Script(tmp_path)
    assert list(STUMBLES) == []


def shuffled(seed: int, n: int = N) -> list[int]:
    order = np.arange(n)
    np.random.RandomState(seed).shuffle(order)
    return order.tolist()


def after(array: Any, change: Callable[[Any], Any]) -> Any:
    """The array after a change in place."""
    change(array)
    return array


def shuffled_view(script: Script) -> Any:
    np.random.RandomState(3).shuffle(script.w[:50])
    return script.w[:50]


def filled(script: Script) -> Any:
    out = np.zeros_like(script.a[IDX])
    out[:4] = script.a[10:14]
    return out


def preallocated(script: Script) -> Any:
    out = np.empty((8, 4, 2), np.float32)
    for at, row in enumerate(IDX):
        out[at] = script.a[row]
    return out


def same_seed(script: Script) -> Any:
    other = labels(script)
    np.random.RandomState(5).shuffle(script.w)
    np.random.RandomState(5).shuffle(other)
    assert script.rows(other) == shuffled(5)
    return script.w


TEN, EIGHT, ALL = list(range(10, 20)), IDX.tolist(), list(range(N))

EXACT: dict[str, tuple[Callable[[Script], Any], list[int]]] = {
    "a[10:20]": (lambda s: s.a[10:20], TEN),
    "a[50:10:-3]": (lambda s: s.a[50:10:-3], list(range(50, 10, -3))),
    "a[idx]": (lambda s: s.a[IDX], EIGHT),
    "a[list]": (lambda s: s.a[IDX.tolist()], EIGHT),
    "a[mask]": (lambda s: s.a[MASK], [2, 40, 99]),
    "a[idx, :, 0]": (lambda s: s.a[IDX, :, 0], EIGHT),
    "a[idx, ...]": (lambda s: s.a[IDX, ...], EIGHT),
    "a[...][5:9]": (lambda s: s.a[...][5:9], [5, 6, 7, 8]),
    "a[-5:]": (lambda s: s.a[-5:], [95, 96, 97, 98, 99]),
    "a[[-1, 0]]": (lambda s: s.a[np.array([-1, 0])], [99, 0]),
    "a[5]": (lambda s: s.a[5], [5]),
    "a[0]": (lambda s: s.a[0], [0]),
    "a[-1]": (lambda s: s.a[-1], [99]),
    "a[np.uint8(5)]": (lambda s: s.a[np.uint8(5)], [5]),
    "a[5, :, 0]": (lambda s: s.a[5, :, 0], [5]),
    "a[ix_(idx, [0, 1])]": (lambda s: s.a[np.ix_(IDX, [0, 1])], EIGHT),
    "a[10:20][[3, 1]]": (lambda s: s.a[10:20][[3, 1]], [13, 11]),
    "a[:, 0, 0][idx]": (lambda s: s.a[:, 0, 0][IDX], EIGHT),
    "take": (lambda s: np.take(s.a, IDX, axis=0), EIGHT),
    "take, method": (lambda s: s.a.take(IDX, axis=0), EIGHT),
    "compress": (lambda s: np.compress(MASK, s.a, axis=0), [2, 40, 99]),
    "compress, method": (lambda s: s.a.compress(MASK, axis=0), [2, 40, 99]),
    "stack of rows": (lambda s: np.stack([s.a[i] for i in IDX]), EIGHT),
    "stack of rows, python numbers": (lambda s: np.stack([s.a[i] for i in IDX.tolist()]), EIGHT),
    "concatenate of two files": (lambda s: np.concatenate([s.a[5:8], s.b[2:4]]), [5, 6, 7, 1002, 1003]),
    "concatenate with one of the user's": (lambda s: np.concatenate([s.a[5:8], np.zeros((1, 4, 2))]), [5, 6, 7, -1]),
    "vstack": (lambda s: np.vstack([s.a[5:8], s.b[2:4]]), [5, 6, 7, 1002, 1003]),
    "vstack of single rows": (lambda s: np.vstack([s.a[5, 0], s.a[7, 0]]), [5, 7]),
    "append": (lambda s: np.append(s.a[5:7], s.a[:1], axis=0), [5, 6, 0]),
    "r_": (lambda s: np.r_[s.a[5:7], s.a[:1]], [5, 6, 0]),
    "/ 255": (lambda s: s.a[IDX] / 255.0, EIGHT),
    "2 * x + 0": (lambda s: 2 * s.a[IDX] + 0, EIGHT),
    "astype": (lambda s: s.a[IDX].astype("f2"), EIGHT),
    **({"np.astype": (lambda s: np.astype(s.a[IDX], np.float64), EIGHT)} if hasattr(np, "astype") else {}),
    "clip": (lambda s: np.clip(s.a[IDX], 0, 9), EIGHT),
    "clip, method": (lambda s: s.a[IDX].clip(0, 9), EIGHT),
    "round, method": (lambda s: s.a[IDX].round(1), EIGHT),
    "reshape(8, -1)": (lambda s: s.a[IDX].reshape(8, -1), EIGHT),
    "reshape into groups": (lambda s: s.a[IDX].reshape(2, 4, 4, 2)[1], EIGHT[4:]),
    "copy": (lambda s: s.a[IDX].copy(), EIGHT),
    "np.copy": (lambda s: np.copy(s.a[IDX]), EIGHT),
    "copy.copy": (lambda s: copy.copy(s.a[IDX]), EIGHT),
    "copy.deepcopy": (lambda s: copy.deepcopy(s.a[IDX]), EIGHT),
    "[..., None]": (lambda s: s.a[IDX][..., None], EIGHT),
    "expand_dims": (lambda s: np.expand_dims(s.a[IDX], -1), EIGHT),
    "squeeze": (lambda s: s.a[IDX][:, None].squeeze(), EIGHT),
    "transpose(0, 2, 1)": (lambda s: s.a[IDX].transpose(0, 2, 1), EIGHT),
    "moveaxis": (lambda s: np.moveaxis(s.a[IDX], -1, 1), EIGHT),
    "swapaxes": (lambda s: s.a[IDX].swapaxes(1, 2), EIGHT),
    "there and back": (lambda s: s.a[IDX].T.T, EIGHT),
    "channels last, flat": (lambda s: s.w.transpose(0, 2, 1).reshape(N, -1)[IDX], EIGHT),
    "flip": (lambda s: np.flip(s.a[IDX], 0), EIGHT[::-1]),
    "[::-1]": (lambda s: s.a[IDX][::-1], EIGHT[::-1]),
    "fliplr": (lambda s: np.fliplr(s.a[IDX]), EIGHT),
    "roll": (lambda s: np.roll(s.a[IDX], 2, axis=0), EIGHT[-2:] + EIGHT[:-2]),
    "repeat": (lambda s: np.repeat(s.a[IDX], 2, axis=0), np.repeat(IDX, 2).tolist()),
    "repeat, method": (lambda s: s.a[IDX].repeat(2, axis=0), np.repeat(IDX, 2).tolist()),
    "tile": (lambda s: np.tile(s.a[:2], (2, 1, 1)), [0, 1, 0, 1]),
    "delete": (lambda s: np.delete(s.a[:4], [1], axis=0), [0, 2, 3]),
    "insert": (lambda s: np.insert(s.a[:2], 1, 0, axis=0), [0, -1, 1]),
    "split": (lambda s: np.split(s.a, 10)[3], list(range(30, 40))),
    "array_split": (lambda s: np.array_split(s.a, 3)[2], list(range(67, 100))),
    "iteration": (lambda s: list(s.a)[7], [7]),
    "next(iter)": (lambda s: next(iter(s.a)), [0]),
    "broadcast_to": (lambda s: np.broadcast_to(s.a[5], (3, 4, 2)), [5, 5, 5]),
    "pad, rows kept": (lambda s: np.pad(s.a[IDX], ((0, 0), (1, 1), (0, 0))), EIGHT),
    "pad, more rows": (lambda s: np.pad(s.a[:2], ((1, 0), (0, 0), (0, 0))), [-1, 0, 1]),
    "hstack": (lambda s: np.hstack([s.a[IDX], s.a[IDX]]), EIGHT),
    "dstack": (lambda s: np.dstack([s.a[IDX], s.a[IDX]]), EIGHT),
    "where": (lambda s: np.where(s.a[IDX] > 50, s.a[IDX], 0), EIGHT),
    "mean over pixels": (lambda s: s.a[IDX].mean(axis=(1, 2)), EIGHT),
    "np.mean over pixels": (lambda s: np.mean(s.a[IDX], axis=(1, 2), keepdims=True), EIGHT),
    "x @ w": (lambda s: s.a[IDX].reshape(8, -1) @ W, EIGHT),
    "np.dot(x, w)": (lambda s: np.dot(s.a[IDX].reshape(8, -1), W), EIGHT),
    "(a + 0)[idx]": (lambda s: (s.a + 0)[IDX], EIGHT),
    "standardised": (lambda s: ((s.w - s.w.mean()) / s.w.std())[IDX], EIGHT),
    "less the mean image": (lambda s: (s.w - s.w.mean(axis=0))[IDX], EIGHT),
    "less one row, broadcast": (lambda s: s.w - s.w[0], ALL),
    "plus noise": (lambda s: s.w[IDX] + np.ones((8, 4, 2)), EIGHT),
    "float32(x)": (lambda s: np.float32(s.a[IDX]), EIGHT),
    "whole in memory": (lambda s: s.w[IDX], EIGHT),
    "shuffle, generator": (lambda s: after(s.w, np.random.default_rng(3).shuffle)[:8], [84, 45, 22, 1, 34, 23, 87, 42]),
    "shuffle, legacy": (lambda s: after(s.w, np.random.RandomState(3).shuffle), shuffled(3)),
    "shuffle of labels": (lambda s: after(labels(s), np.random.default_rng(3).shuffle)[:3], [84, 45, 22]),
    "shuffle of labels, legacy": (lambda s: after(labels(s), np.random.RandomState(3).shuffle), shuffled(3)),
    "shuffle of a view": (shuffled_view, shuffled(3, 50)),
    "shuffle of x and y": (same_seed, shuffled(5)),
    "a permutation, then slices": (lambda s: s.a[np.random.RandomState(3).permutation(N)][8:16], shuffled(3)[8:16]),
    "rows swapped": (lambda s: after(s.w, lambda w: w.__setitem__([0, 1], w[[1, 0]]))[:3], [1, 0, 2]),
    "rows swapped as views, as numpy does": (lambda s: swapped(s.w)[:3], [1, 1, 2]),
    "x /= 255": (lambda s: after(s.w, lambda w: w.__itruediv__(255.0))[IDX], EIGHT),
    "np.add(x, 1, out=x)": (lambda s: np.add(s.w, 1, out=s.w)[IDX], EIGHT),
    "clip in place": (lambda s: np.clip(s.w, 0, 5, out=s.w)[IDX], EIGHT),
    "x.shape = ...": (lambda s: after(s.w, lambda w: setattr(w, "shape", (N, 8)))[5:7], [5, 6]),
    "augmented in part": (lambda s: after(s.a[IDX], lambda x: x.__setitem__((slice(2, 4), 0), 0)), EIGHT),
    "zeros_like, filled": (filled, [10, 11, 12, 13, -1, -1, -1, -1]),
    "copyto": (lambda s: after(np.empty_like(s.a[IDX]), lambda out: np.copyto(out, s.a[IDX])), EIGHT),
    "mixup": (lambda s: 0.3 * s.w[:2] + 0.7 * s.w[[1, 1]], [-1, 1]),
    "where of two rows": (lambda s: np.where([[[True], [False]] * 2], s.w[:2], s.w[[0, 0]]), [0, -1]),
    "two indices": (lambda s: s.a[[4, 5], [1, 2]], [4, 5]),
    "two indices apart": (lambda s: s.a[[4, 5], :, [1, 0]], [4, 5]),
    "a number and an index": (lambda s: s.a[5, :, [1, 0]], [5, 5]),
    "sorted within rows": (lambda s: np.sort(s.w[IDX], axis=-1), EIGHT),
    "transposed square": (lambda s: s.a[IDX].reshape(8, 8).T[:, 2], [7]),
    "windows of an axis within": (lambda s: np.lib.stride_tricks.sliding_window_view(s.w, 2, axis=1)[IDX], EIGHT),
    "a field": (lambda s: s.w.view("f4,f4")["f1"][IDX], EIGHT),
    "the bytes": (lambda s: s.w.view(np.uint8)[IDX], EIGHT),
}  # fmt: skip


def swapped(w: Any) -> Any:
    w[0], w[1] = w[1], w[0]
    return w


def labels(script: Script) -> Any:
    return track(np.arange(N), Span(script.first.base, 1, N))


UNKNOWN: dict[str, Callable[[Script], Any]] = {
    "scalar": lambda s: s.a[5, 0, 0],
    "np.array of rows": lambda s: np.array([s.a[i] for i in IDX]),
    "np.asarray": lambda s: np.asarray(s.a)[IDX],
    "np.array": lambda s: np.array(s.a[IDX]),
    "ascontiguousarray": lambda s: np.ascontiguousarray(s.a[IDX]),
    "memoryview": lambda s: np.asarray(s.a.data[5:8]),
    "frombuffer": lambda s: np.frombuffer(s.a[5:8], np.float32),
    "flat": lambda s: s.a.flat[5:8],
    "tolist": lambda s: s.a.tolist()[5],
    "einsum": lambda s: np.einsum("nij->n", s.a[IDX]),
    "permutation": lambda s: np.random.default_rng(1).permutation(s.w)[:8],
    "permuted": lambda s: np.random.default_rng(1).permuted(s.w, axis=0)[:8],
    "choice": lambda s: np.random.default_rng(1).choice(s.w, 8, axis=0),
    "sort along rows": lambda s: np.sort(s.w, 0),
    "unique": lambda s: np.unique(s.a[IDX], axis=0),
    "preallocated": preallocated,
    "pickled": lambda s: pickle.loads(pickle.dumps(s.a[IDX])),
    "P @ x": lambda s: np.eye(8) @ s.a[IDX].reshape(8, 8),
    "x.T": lambda s: s.a[IDX].reshape(8, 8).T,
    "transpose(1, 0, 2)": lambda s: s.a[:4].transpose(1, 0, 2),
    "rot90": lambda s: np.rot90(s.a[IDX].reshape(8, 8)),
    "argsort along rows": lambda s: s.w.argsort(0),
    "argpartition": lambda s: s.w.argpartition(3, axis=0),
    "cumsum": lambda s: s.w.cumsum(0),
    "ravel": lambda s: s.w.ravel()[:9],
    "reshape across rows": lambda s: s.w[:7].reshape(8, 7),
    "resize": lambda s: np.resize(s.w[:4], (4, 4, 2)),
    "view of another width": lambda s: s.w[:, 0, 0].copy().view(np.float16),
    "after x.flat": lambda s: after(s.w, lambda w: w.flat.__setitem__(0, 7.0)),
    "misaligned labels": lambda s: s.w[:4, 0] + s.w[:2, 0, 0],
    "mean of rows": lambda s: s.w.mean(axis=0),
    "choose": lambda s: np.choose([0, 1], [s.w[:2, 0], s.w[2:4, 0]]),
    "objects": lambda s: s.w[IDX].astype(object),
    "written to across rows": lambda s: after(s.w, lambda w: w.T.__setitem__(0, 0)),
    "mixed with what was lost": lambda s: s.w[:2, :2, 0] + s.w[:2, :2, 0].T,
}  # fmt: skip

WRITTEN: dict[str, tuple[Callable[[Any], Any], list[int]]] = {
    "fill": (lambda w: w[:2].fill(0), [-1, -1, 2, 3]),
    "rows of nobody": (lambda w: w.__setitem__(slice(1, 3), 0), [0, -1, -1, 3]),
    "a list of rows": (lambda w: w.__setitem__(slice(0, 2), [w[2], w[3]]), [-1, -1, 2, 3]),
    "sort along rows": (lambda w: w.sort(0), [-1] * 4),
    "sort within rows": (lambda w: w.sort(), [0, 1, 2, 3]),
    "put": (lambda w: np.put(w[:1], [0], 1), [-1, 1, 2, 3]),
    "place": (lambda w: np.place(w[:2], w[:2] > 1, [0]), [-1, -1, 2, 3]),
    "putmask": (lambda w: np.putmask(w[:2], w[:2] > 1, 0), [-1, -1, 2, 3]),
    "in part, from another row": (lambda w: w[0].__setitem__(0, w[1, 0]), [-1, 1, 2, 3]),
    "in part, from the same row": (lambda w: w[0].__setitem__(0, w[0, 1]), [0, 1, 2, 3]),
    "a whole row, through its transpose": (lambda w: w.transpose(0, 2, 1).__setitem__(1, 0), [0, -1, 2, 3]),
    "every element above": (lambda w: w.__setitem__(plain(w) > 9, 0), [0, 1, 2, 3]),
    "out= of nobody's": (lambda w: np.add(np.ones((2, 4, 2)), 1, out=w[1:3]), [0, -1, -1, 3]),
    "another row's arithmetic": (lambda w: np.multiply(w[3], 2, out=w[0]), [3, 1, 2, 3]),
    "+= another row": (lambda w: w[0].__iadd__(w[1]), [-1, 1, 2, 3]),
    "random.shuffle, which duplicates rows": (lambda w: random.Random(1).shuffle(w[:2]), [0, 0, 2, 3]),
    "byteswap": (lambda w: w[:1].byteswap(inplace=True), [-1, 1, 2, 3]),
    "real": (lambda w: setattr(w[:1], "real", 0), [-1, 1, 2, 3]),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_rows_are_known_after(script: Script, name: str) -> None:
    made, rows = EXACT[name]
    assert script.rows(made(script)) == rows


@pytest.mark.parametrize("name", UNKNOWN)
def test_rows_are_unknown_after(script: Script, name: str) -> None:
    assert script.rows(UNKNOWN[name](script)) == "unknown"


@pytest.mark.parametrize("name", WRITTEN)
def test_rows_of_an_array_written_to(script: Script, name: str) -> None:
    write, rows = WRITTEN[name]
    write(script.w)
    assert script.rows(script.w[:4]) == rows
