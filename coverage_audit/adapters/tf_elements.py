"""One element of a tf.data dataset: which of its tensors tell the rows, and what is left when the ids are taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverage_audit.adapters.feed import Rows
from coverage_audit.errors import UsageError
from coverage_audit.identity.batches import Way
from coverage_audit.identity.explicit import Explicit

Split = Callable[[Any], tuple[list[Any], Any]]


@dataclass(frozen=True, slots=True)
class Element:
    """``split``: of a symbolic element, (the tensors to be shown, what is handed on). ``rows``: what the shown ones
    say, None if the stream's way is to be asked about ``packed``, a batch made of them. ``takes_out``: what is handed
    on has less than the element. ``hidden``: why nothing can be shown, None where it can."""

    split: Split
    rows: Callable[[tuple[Any, ...]], Rows] | None = None
    packed: Callable[[tuple[Any, ...]], Any] = tuple
    takes_out: bool = False
    hidden: str | None = None


def element_of(spec: Any, way: Way) -> Element:
    """How elements of this ``element_spec`` are looked at, in this way from batches to rows.

    Raises :class:`UsageError` (bad-ids) where ``ids=`` names nothing in them.
    """
    import tensorflow as tf

    if not isinstance(way, Explicit):
        return _searched(spec)
    if way.is_callable:
        return _called(spec, way)
    try:
        ids, rest = way.take_out(spec)
    except Exception as error:
        raise UsageError(
            f"ids={way.given!r} names no part of the elements {str(spec)[:120]}: {error}; give the key or the position "
            "of the ids that were attached at the source, as by enumerate()",
            slug="bad-ids",
        ) from error
    if not _is_dense(ids):
        raise UsageError(
            f"ids={way.given!r} names {str(ids)[:80]}: give a part that is one dense tensor of whole numbers",
            slug="bad-ids",
        )
    if not tf.nest.flatten(rest):
        raise UsageError(
            f"ids={way.given!r} names all there is in the elements {str(spec)[:120]}, and nothing would be left of "
            "them; give a callable, as it leaves the batch as it is",
            slug="bad-ids",
        )
    return Element(_splitting(way), _reading(way, scalar=ids.shape.rank == 0), takes_out=True)


def _searched(spec: Any) -> Element:
    """All numbers are shown, for what can be recognised in them."""
    import tensorflow as tf

    specs = tf.nest.flatten(spec)
    shown = [at for at, part in enumerate(specs) if _is_dense(part) and _is_numeric(part)]

    def split(element: Any) -> tuple[list[Any], Any]:
        flat = tf.nest.flatten(element)
        return [flat[at] for at in shown], element

    if not all(map(_is_dense, specs)):
        kinds = sorted({type(part).__name__.removesuffix("Spec") for part in specs if not _is_dense(part)})
        return Element(
            lambda element: ([], element), hidden=f"its batches hold {' and '.join(kinds)}, not only tensors"
        )
    if not shown:
        return Element(lambda element: ([], element), hidden="its batches hold no numbers")
    return Element(split)


def _splitting(way: Explicit) -> Split:
    """Ids first, then the numbers beside which they are counted."""
    import tensorflow as tf

    def split(element: Any) -> tuple[list[Any], Any]:
        ids, rest = way.take_out(element)
        if type(element) is tuple and len(element) == 2 and type(rest) is tuple and len(rest) == 1:
            rest = rest[0]
        beside = [part for part in tf.nest.flatten(rest) if isinstance(part, tf.Tensor) and _is_numeric(part)]
        return [ids, *(part for part in beside if part.shape.rank != 0)], rest

    return split


def _reading(way: Explicit, *, scalar: bool) -> Callable[[tuple[Any, ...]], Rows]:
    def rows(tensors: tuple[Any, ...]) -> Rows:
        # Kept in the log's buffers, while TensorFlow may use the tensor's memory again.
        ids = np.array(tensors[0])
        if ids.dtype.kind == "O":
            ids = np.array([part.decode() for part in ids.ravel()]).reshape(ids.shape)
        return way.rows_of(ids.reshape(1), ()) if scalar else way.rows_of(ids, tensors[1:])

    return rows


def _called(spec: Any, way: Explicit) -> Element:
    """Traced where the callable works on symbolic tensors; else called with eager ones, of whole batches."""
    import tensorflow as tf

    traced: dict[str, Any] = {}

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def trace(element: Any) -> Any:
        ids, rest = way.take_out(element)
        if not isinstance(ids, tf.Tensor):
            raise TypeError("the ids are no tensor")
        traced.update(rank=ids.shape.rank, out=rest is not element)
        return ids

    try:
        tf.function(trace, autograph=False).get_concrete_function(spec)
    except Exception:  # noqa: BLE001 - whatever it raises: it was not written for symbolic tensors
        return _eager(spec)
    return Element(_splitting(way), _reading(way, scalar=traced["rank"] == 0), takes_out=traced["out"])


def _eager(spec: Any) -> Element:
    import tensorflow as tf

    specs = tf.nest.flatten(spec)
    if not all(map(_is_dense, specs)):
        raise UsageError(
            f"the callable of ids= does not work on symbolic tensors, and elements {str(spec)[:120]} cannot be shown "
            "to it otherwise: give the key or the position of the ids",
            slug="bad-ids",
        )

    def packed(tensors: tuple[Any, ...]) -> Any:
        return tf.nest.pack_sequence_as(spec, [tf.constant(part) for part in tensors])

    return Element(lambda element: (tf.nest.flatten(element), element), packed=packed)


def _is_dense(spec: Any) -> bool:
    import tensorflow as tf

    return isinstance(spec, tf.TensorSpec)


def _is_numeric(tensor: Any) -> bool:
    return bool(tensor.dtype.is_numpy_compatible) and tensor.dtype.name not in ("string", "variant", "resource")
