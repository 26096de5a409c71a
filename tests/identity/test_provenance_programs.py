"""Random numpy programs: the same values as without tracking, and rows right or unknown, never wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows_by_element import File, check_rows, make_files, outcome

from coverage_audit.identity.provenance import shadow_of
from coverage_audit.identity.remembering import STUMBLES

FILES = make_files((9, 3, 2), (9,), (24,), (6, 4))
TRUTH, PLAIN, TRACKED = range(3)

Draw = Callable[[Any], Any]


class World(list[Any]):
    """The arrays of one world. ``lost``: which of them know no row any more, in the world of truth."""

    lost: frozenset[int] = frozenset()

    def at(self, number: int) -> Any:
        return self[number % len(self)]

    def operand(self, number: int) -> Any:
        """An array that only gives values: one that knows no row is a constant, like any array of the user's own."""
        at = number % len(self)
        return np.zeros_like(self[at]) if at in self.lost else self[at]


Step = Callable[[int, World], Any]
"""(which world, its arrays) -> a new array, or None. Everything random has been drawn before."""


def either(world: int, truth: Callable[[], Any], values: Callable[[], Any]) -> Any:
    return truth() if world == TRUTH else values()


def integer(draw: Draw, low: int, high: int) -> int:
    return int(draw(st.integers(low, high)))


def any_slice(draw: Draw) -> slice:
    bound = st.none() | st.integers(-9, 9)
    return slice(draw(bound), draw(bound), draw(st.sampled_from((None, None, 1, 2, -1, 3))))


def view_step(draw: Draw) -> Step:
    a, k, n = integer(draw, 0, 7), integer(draw, -4, 8), integer(draw, 1, 5)
    cut, axis = any_slice(draw), integer(draw, -2, 2)
    window = np.lib.stride_tricks.sliding_window_view
    views: tuple[Callable[[Any], Any], ...] = (
        lambda x: x[cut],
        lambda x: x[k],
        lambda x: x[k, ...],
        lambda x: x[np.int32(k)],
        lambda x: x[cut, ..., 0],
        lambda x: x[..., cut],
        lambda x: x[:, cut],
        lambda x: x[None],
        lambda x: x[:, None],
        lambda x: x[cut, None, ...],
        lambda x: x.T,
        lambda x: x.swapaxes(0, axis),
        lambda x: np.swapaxes(x, 1, axis),
        lambda x: np.moveaxis(x, axis, -1),
        lambda x: np.rollaxis(x, axis),
        lambda x: x.reshape(n, -1),
        lambda x: x.reshape(len(x), -1),
        lambda x: x.reshape(-1),
        lambda x: x.reshape(-1, n, 2),
        lambda x: np.reshape(x, (-1, n)),
        lambda x: np.reshape(x, (n, -1), order="F"),
        lambda x: x.ravel(),
        lambda x: np.ravel(x, "F"),
        lambda x: x.squeeze(),
        np.squeeze,
        lambda x: np.expand_dims(x, axis),
        lambda x: np.flip(x, axis),
        np.flip,
        np.rot90,
        np.atleast_2d,
        lambda x: np.broadcast_to(x, (n, *x.shape)),
        lambda x: np.broadcast_to(x[:, None], (len(x), n, *x.shape[1:])),
        lambda x: np.array_split(x, 3)[n % 3],
        lambda x: np.split(x, 3, axis)[1],
        np.diagonal,
        lambda x: x.view(),
        lambda x: window(x, n, axis=0),
        lambda x: window(x, n, axis=-1),
        np.real,
        lambda x: x.astype(x.dtype, copy=False),
        np.asanyarray,
        lambda x: next(iter(x)),
    )
    chosen = draw(st.sampled_from(views))
    return lambda _, world: chosen(world.at(a))


def copy_step(draw: Draw) -> Step:
    a, n, axis = integer(draw, 0, 7), integer(draw, 0, 4), draw(st.none() | st.integers(-2, 2))
    cut = any_slice(draw)
    index = np.array(draw(st.lists(st.integers(-4, 8), min_size=1, max_size=6)))
    other = np.array([integer(draw, 0, 1) for _ in range(draw(st.sampled_from((1, len(index)))))])
    bits = integer(draw, 0, (1 << 12) - 1)

    def mask(length: int) -> Any:
        return np.array([bool(bits >> i & 1) for i in range(length)], bool)

    def wide_mask(x: Any) -> Any:
        return (np.arange(x.size).reshape(x.shape) * (bits | 1)) % 3 == 0

    copies: tuple[Callable[[Any], Any], ...] = (
        lambda x: x[index],
        lambda x: x[index.tolist()],
        lambda x: x[index, ...],
        lambda x: x[index, :, 0],
        lambda x: x[index, 0],
        lambda x: x[index, cut],
        lambda x: x[cut, index],
        lambda x: x[:, other],
        lambda x: x[..., other],
        lambda x: x[cut, :, other],
        lambda x: x[n, :, other],
        lambda x: x[n, other],
        lambda x: x[index, other],
        lambda x: x[index, :, other],
        lambda x: x[other, :, index],
        lambda x: x[np.ix_(index, other)],
        lambda x: x[index[:, None], other],
        lambda x: x[None, index],
        lambda x: x[index[:, None]],
        lambda x: x[index[:, None] + np.arange(3)],
        lambda x: x[np.stack([index, index])],
        lambda x: x[mask(len(x))],
        lambda x: x[mask(len(x)), 0],
        lambda x: x[wide_mask(x)],
        lambda x: x[np.array(n)],
        lambda x: x[[]],
        lambda x: np.take(x, index, axis=axis),
        lambda x: x.take(index, axis=0),
        lambda x: np.take(x, index, 0, mode="wrap"),
        lambda x: np.take(x, index, 0, None, "clip"),
        lambda x: np.compress(mask(len(x)), x, axis=0),
        lambda x: x.compress([True, False, True], axis=axis),
        lambda x: np.repeat(x, n, axis=axis),
        lambda x: x.repeat(2, axis=0),
        lambda x: np.repeat(x, np.arange(len(x)) % 3, axis=0),
        lambda x: np.roll(x, n, axis=axis),
        lambda x: np.roll(x, (n, 1), axis=(0, 1)),
        lambda x: np.delete(x, n, axis=axis),
        lambda x: np.delete(x, cut, 0),
        lambda x: np.insert(x, n, 0, axis=axis),
        lambda x: np.tile(x, n),
        lambda x: np.tile(x, (2, *(1,) * (x.ndim - 1))),
        lambda x: np.pad(x, [(0, 0)] + [(1, 0)] * (x.ndim - 1)),
        lambda x: np.pad(x, 1),
        lambda x: x.copy(),
        np.copy,
        lambda x: x.copy("F"),
        lambda x: x.__deepcopy__({}),
        lambda x: x.flatten(),
        lambda x: x.flatten("F"),
        lambda x: np.resize(x, (3, 4)),
        np.tril,
        lambda x: np.choose(other, [x[0], x[1]]),
        lambda x: np.take_along_axis(x, np.zeros((1,) * x.ndim, int), axis=0),
        lambda x: np.stack([x[i] for i in index]),
        lambda x: np.stack([x[i : i + 3] for i in np.abs(index)]),
        lambda x: np.stack([x[i : i + 2] for i in np.abs(index)], axis=-1),
        lambda x: np.array([x[i] for i in index]),
        lambda x: np.concatenate([x[index], x[:2]]),
        lambda x: np.random.default_rng(n).permutation(x),
        lambda x: np.random.default_rng(n).permuted(x, axis=0),
        lambda x: np.random.default_rng(n).choice(x, 3),
    )
    chosen = draw(st.sampled_from(copies))
    return lambda _, world: chosen(world.at(a))


def join_step(draw: Draw) -> Step:
    a, b, axis = integer(draw, 0, 7), integer(draw, 0, 7), integer(draw, -2, 2)
    joins: tuple[Callable[[Any, Any], Any], ...] = (
        lambda x, y: np.concatenate([x, y]),
        lambda x, y: np.concatenate((x, y), axis),
        lambda x, y: np.concatenate((x, np.zeros_like(y)), axis),
        lambda x, y: np.concatenate((x, np.zeros(np.shape(y), x.dtype)), axis=axis),
        lambda x, y: np.concatenate((x, y), axis=None),
        lambda x, y: np.stack([x, y], axis=axis),
        lambda x, y: np.stack([x, np.zeros(y.shape, x.dtype), y]),
        lambda x, y: np.vstack([x, y]),
        lambda x, y: np.hstack([x, y]),
        lambda x, y: np.dstack([x, y]),
        lambda x, y: np.column_stack([x, y]),
        np.append,
        lambda x, y: np.append(x, y, axis=0),
        lambda x, y: np.block([[x], [y]]),
        lambda x, y: np.r_[x, y],
        lambda x, y: np.c_[x, y],
        lambda x, y: np.where(np.arange(x.shape[-1]) % 2 == 0, x, y),
    )
    chosen = draw(st.sampled_from(joins))
    return lambda _, world: chosen(world.operand(a), world.operand(b))


def arithmetic_step(draw: Draw) -> Step:
    """Elements of two arrays make one that comes from the rows of both."""
    a, b, axis = integer(draw, 0, 7), integer(draw, 0, 7), integer(draw, -3, 2)
    kind = draw(st.sampled_from(("scale", "add", "same", "clip", "sum", "centre", "cumsum", "sort", "product", "out")))

    def spread(x: Any) -> Any:
        return np.broadcast_to(np.bitwise_or.reduce(x, axis=axis, keepdims=True), x.shape).copy()

    def step(world: int, arrays: World) -> Any:
        x, y = arrays.operand(a), arrays.operand(b)
        if x.ndim != y.ndim:
            y = x[::-1]  # a single row that is broadcast is a constant, too: see test_provenance.py
        if kind == "scale":
            return either(world, lambda: x | 0, lambda: x * 2.0 + 1)
        if kind == "add":
            return either(world, lambda: x | y, lambda: x + y)
        if kind == "same":
            return either(world, lambda: x | x[::-1], lambda: np.maximum(x, x[::-1]))
        if kind == "clip":
            return either(world, lambda: x | 0, lambda: np.clip(x, 3, None))
        if kind == "sum":
            return either(world, lambda: np.bitwise_or.reduce(x, axis=axis), lambda: x.sum(axis=axis))
        if kind == "centre":
            # A statistic of many rows is a constant to each of them.
            return either(world, lambda: x | 0, lambda: x - x.sum(axis=axis, keepdims=True))
        if kind == "cumsum":
            return either(world, lambda: spread(x), lambda: np.cumsum(x, axis=axis))
        if kind == "sort":
            return either(world, lambda: spread(x), lambda: np.sort(x, axis=axis))
        if kind == "product":
            return either(
                world,
                lambda: np.repeat(np.bitwise_or.reduce(x, axis=-1, keepdims=True), 3, axis=-1),
                lambda: x @ np.ones((x.shape[-1], 3)),
            )
        return either(world, lambda: np.bitwise_or(x, y, out=arrays.at(a)), lambda: np.add(x, y, out=x))

    return step


def write_step(draw: Draw) -> Step:
    a, b, n, m = integer(draw, 0, 7), integer(draw, 0, 7), integer(draw, 0, 5), integer(draw, 0, 5)
    cut, seed, axis = any_slice(draw), integer(draw, 0, 9), integer(draw, -2, 1)
    index = np.array(draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))

    def swap(x: Any) -> None:
        x[[n, m]] = x[[m, n]]

    def swap_views(x: Any) -> None:
        x[n], x[m] = x[m], x[n]

    def put(x: Any, key: Any, y: Any) -> None:
        x[key] = y

    def through_flat(x: Any) -> None:
        x.flat[n] = x.flat[m]

    def reshaped(x: Any) -> None:
        x.shape = (len(x), -1)

    def partner_shuffle(x: Any, y: Any) -> None:
        np.random.RandomState(seed).shuffle(x)
        np.random.RandomState(seed).shuffle(y)

    writes: tuple[Callable[[Any, Any], Any], ...] = (
        lambda x, y: np.random.default_rng(seed).shuffle(x),
        lambda x, y: np.random.default_rng(seed).shuffle(x, axis=axis),
        lambda x, y: np.random.default_rng(seed).shuffle(x[1:6]),
        lambda x, y: np.random.RandomState(seed).shuffle(x),
        partner_shuffle,
        lambda x, y: swap(x),
        lambda x, y: swap_views(x),
        lambda x, y: put(x, n, y[m]),
        lambda x, y: put(x, (n, Ellipsis), y[m]),
        lambda x, y: put(x, (n, 0), y[m, 1, ...]),
        lambda x, y: put(x, cut, y[cut]),
        lambda x, y: put(x, cut, y[n]),
        lambda x, y: put(x, cut, y[cut][::-1].copy()),
        lambda x, y: put(x, (slice(None), 0), y[:, 1]),
        lambda x, y: put(x, (slice(None), slice(0, 1)), y[:, 1:2]),
        lambda x, y: put(x, (cut, 0), 0),
        lambda x, y: put(x, (Ellipsis, 0), y[..., 1]),
        lambda x, y: put(x, index, y[: len(index)]),
        lambda x, y: put(x, index, y[n]),
        lambda x, y: put(x, index, 0),
        lambda x, y: put(x, (index, 0), y[: len(index), 0]),
        lambda x, y: put(x, (index, slice(None)), y[: len(index)]),
        lambda x, y: put(x, (slice(None), [0, 1]), y[:, [1, 0]]),
        lambda x, y: put(x, np.arange(len(x)) % 2 == 0, y[n]),
        lambda x, y: put(x, np.arange(x.size).reshape(x.shape) % 3 == 0, 0),
        lambda x, y: put(x, np.arange(x.size).reshape(x.shape) % 3 == 0, y[n, ...].T[:1]),
        lambda x, y: put(x, [n, m], [y[m], y[n]]),
        lambda x, y: put(x, Ellipsis, y),
        lambda x, y: put(x.T, n, y.T[m, ...]),
        lambda x, y: put(x.reshape(-1), n, y[(m, *(0,) * (y.ndim - 1), Ellipsis)]),
        np.copyto,
        lambda x, y: np.copyto(x, y, where=np.arange(x.shape[-1]) % 2 == 0),
        lambda x, y: np.put(x, index, y),
        lambda x, y: x.put(index, y.ravel()[: len(index)]),
        lambda x, y: np.place(x, np.arange(x.size).reshape(x.shape) % 2 == 0, y.ravel()),
        lambda x, y: np.putmask(x, np.arange(x.size).reshape(x.shape) % 2 == 0, y),
        lambda x, y: np.put_along_axis(x, np.zeros((1,) * x.ndim, int), y.ravel()[0], axis=0),
        lambda x, y: np.fill_diagonal(x, y.ravel()[0]),
        lambda x, y: np.take(y, index, 0, x[: len(index)], "clip"),
        lambda x, y: np.concatenate([y[:1], y[1:2]], out=x[:2]),
        lambda x, y: np.stack([y[n], y[m]], out=x[:2]),
        lambda x, y: np.compress([True, True], y, axis=0, out=x[:2]),
        lambda x, y: x.fill(0),
        lambda x, y: through_flat(x),
        lambda x, y: setattr(x, "flat", y),
        lambda x, y: setattr(x, "real", y),
        lambda x, y: reshaped(x),
    )
    chosen = draw(st.sampled_from(writes))

    def step(_: int, world: World) -> Any:
        chosen(world.at(a), world.at(b) if chosen is partner_shuffle else world.operand(b))

    return step


def blank_step(draw: Draw) -> Step:
    a, b = integer(draw, 0, 7), integer(draw, 0, 7)
    index = draw(st.lists(st.integers(0, 5), min_size=2, max_size=4))

    def step(_: int, world: World) -> Any:
        x, y = world.operand(a), world.operand(b)
        out = np.zeros_like(x[: len(index)])
        for at, row in enumerate(index):
            out[at] = y[row]
        return out

    return step


STEPS = (view_step, copy_step, join_step, arithmetic_step, write_step, blank_step)


def steps_of(draw: Draw) -> list[Step]:
    kinds = draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8))
    return [kind(draw) for kind in kinds]


def worlds(files: tuple[File, ...], order: Any) -> tuple[World, World, World]:
    return (
        World(file.truth(order) for file in files),
        World(file.values.copy(order) for file in files),
        World(file.tracked(order) for file in files),
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_program_of_numpy_operations(data: Any) -> None:
    """GIVEN files, a random program WHEN run with ordinary and with tracked arrays THEN values and errors are equal,
    AND what is said of rows is so."""
    order = data.draw(st.sampled_from(("C", "C", "F")))
    truths, plains, trackeds = worlds(FILES, order)
    program = steps_of(data.draw)
    STUMBLES.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's own, the same in all worlds
        for step in program:
            truths.lost = frozenset(at for at, array in enumerate(trackeds) if shadow_of(array) is None)
            expected, fault = outcome(lambda step=step: step(PLAIN, plains))  # type: ignore[misc]
            seen, seen_fault = outcome(lambda step=step: step(TRACKED, trackeds))  # type: ignore[misc]
            assert seen_fault == fault
            if fault is not None:
                outcome(lambda step=step: step(TRUTH, truths))  # type: ignore[misc]
            else:
                true = step(TRUTH, truths)
                if isinstance(expected, np.ndarray) and expected.size < 5000 and 0 < expected.ndim < 6:
                    assert isinstance(seen, np.ndarray)
                    plains.append(expected)
                    trackeds.append(seen)
                    truths.append(true)
                else:
                    assert type(seen) is type(expected) or isinstance(seen, np.ndarray)
            for plain, tracked, truth in zip(plains, trackeds, truths, strict=True):
                assert tracked.dtype == plain.dtype
                assert tracked.shape == plain.shape == truth.shape
                assert tracked.strides == plain.strides
                assert np.array_equal(np.asarray(tracked), plain)
                check_rows(FILES, tracked, truth)
    assert list(STUMBLES) == []
