"""The batch says which rows it holds: by a key, a tuple position, or a callable that knows.

The ids are taken out before the batch goes on; the user's own object is never changed.
"""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

import numpy as np

from coverage_audit.errors import UsageError
from coverage_audit.identity.batches import NO_IDS, Answer, Identified, Unknown, count_rows, leaves, possible_lengths
from coverage_audit.identity.names import Names
from coverage_audit.model.event import BatchRows, Found

_INT64 = np.dtype(np.int64)
_ONE_ROW = np.empty(1)


class Explicit:
    """``ids=``: a key (str), a tuple position (int), or a callable.

    - key: of a batch that is a mapping, or of the mapping that is its first part;
    - position: of a batch that is a tuple or a list;
    - callable: ``batch -> ids``, or ``batch -> (ids, batch to hand on)``; two plain integers are two ids.

    Ids are one whole number per row, or (B, 2) of (shard, row); or text, which ``names`` looks up: the key of a sample,
    or (B, 2) of (url, key). A single id is one of a batch of one row: ``one_row`` says that every batch is declared to
    be one, and then two numbers may be its (shard, row). Anything else leaves the rows unknown and, where the ids can
    be found at all, still takes them out.
    """

    found = Found.EXPLICIT
    alters = True

    def __init__(
        self, ids: str | int | Callable[[Any], Any], names: Names | None = None, *, one_row: bool = False
    ) -> None:
        self._names = names
        self._one_row = one_row
        self.given = ids
        self._take: Callable[[Any], tuple[Any, Any]]
        if isinstance(ids, bool) or not (isinstance(ids, str | int) or callable(ids)):
            raise UsageError(
                f"ids={ids!r} is a {type(ids).__name__}: give a key (str), a tuple position (int), or a callable",
                slug="bad-ids",
            )
        if isinstance(ids, str):
            self._take = _Key(ids)
        elif isinstance(ids, int):
            self._take = _Position(ids)
        else:
            self._take = _Call(ids)

    @property
    def is_callable(self) -> bool:
        """Whether a function of the user's takes them out."""
        return isinstance(self._take, _Call)

    def rows_of(self, given: Any, batch: Any) -> Answer | Identified:
        """What ids that :meth:`take_out` gave say of ``batch``, which is without them."""
        return rows_given(given, batch, self._names, one_row=self._one_row)

    def take_out(self, batch: Any) -> tuple[Any, Any]:
        """(ids, the rest) of a batch, or of the description of one; unchecked. Raises LookupError where it has none,
        and whatever a foreign container raises."""
        return self._take(batch)

    def identify(self, batch: Any) -> tuple[Any, Answer | Identified]:
        return self._identify(batch, self.rows_of)

    def identify_one(self, batch: Any) -> tuple[Any, Answer | Identified]:
        """As :meth:`identify`, of what a dataset gave for a single index: one row, unless several ids came with it."""
        return self._identify(batch, lambda given, rest: rows_given(given, rest, self._names, one_row=True))

    def identify_example(self, example: Any) -> tuple[Any, Answer | Identified]:
        """As :meth:`identify`, of what is one row and no batch: a single id, whatever the example holds beside it."""
        return self._identify(example, lambda given, _: _row_given(given, self._names))

    def _identify(self, batch: Any, check: Callable[[Any, Any], Answer | Identified]) -> tuple[Any, Any]:
        try:
            given, rest = self._take(batch)
        except _NotThereError as absent:
            return batch, Unknown(count_rows(batch), absent.reason, absent.detail)
        except Exception as error:  # noqa: BLE001 - a foreign mapping or list may raise anything; the batch must go on
            return batch, Unknown(-1, "the ids cannot be taken out of the batch", f"{type(error).__name__}: {error}")
        try:
            return rest, check(given, rest)
        except Exception as error:  # noqa: BLE001 - so may what it holds; its ids are out and must stay out
            return rest, Unknown(-1, "the ids cannot be held against their batch", f"{type(error).__name__}: {error}")


def _row_given(given: Any, names: Names | None) -> Answer | Identified:
    is_pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)
    ids = np.asarray([given] if is_pair else given)
    return rows_given(ids if is_pair else ids.reshape(1) if ids.ndim == 0 else ids, None, names)


def rows_given(given: Any, batch: Any, names: Names | None = None, *, one_row: bool = False) -> Answer | Identified:
    """Check ids that came with ``batch`` (already without them); ``names`` looks up those that are text.

    ``one_row``: somebody says that the batch is one row. Never guesses.
    """
    if type(given) is np.ndarray and given.dtype == _INT64 and given.ndim == 1 and not one_row:
        ids = given
    else:
        try:
            ids = np.asarray(given)
        except Exception as error:  # noqa: BLE001 - whatever a foreign object's conversion raises, the ids are unreadable
            return Unknown(count_rows(batch), "the ids cannot be read as an array", f"{type(error).__name__}: {error}")
        is_text = names is not None and ids.dtype.kind == "U"
        if is_text or ids.dtype.kind in "iu":
            shape = _shape_of_one(ids, batch) if one_row else (1,) if ids.ndim == 0 and _is_one_row(batch) else None
            if shape is not None:
                ids, batch = ids.reshape(shape), _ONE_ROW
            elif ids.ndim == 0:
                return Unknown(count_rows(batch), "a single id was given, and nothing says that the batch is one row")
        if names is not None and is_text and ids.size and ids.ndim in (1, 2):
            wrong_count = _miscounted(len(ids), batch)
            return names.rows(ids) if wrong_count is None else wrong_count
        wrong = _fault(ids)
        if wrong is not None:
            return Unknown(count_rows(batch), *wrong)
        ids = ids.astype(_INT64, copy=False) if ids.size else NO_IDS
    n = ids.shape[0]
    wrong_count = _miscounted(n, batch)
    if wrong_count is not None:
        return wrong_count
    if ids.ndim == 2:
        return BatchRows(n, shard=ids[:, 0].astype(np.int32), row=np.ascontiguousarray(ids[:, 1]))
    return ids if ids.flags.c_contiguous else np.ascontiguousarray(ids)


def _shape_of_one(ids: np.ndarray[Any, Any], batch: Any) -> tuple[int, ...] | None:
    """The shape that ids have as those of one row; None where they are of several. ``batch``: what came with them.

    Two are a pair where no array of the batch can have two rows.
    """
    if ids.size == 1 and ids.ndim < 2:
        return (1,)
    if ids.shape == (1, 2):
        return (1, 2)
    lengths = possible_lengths(batch) if ids.shape == (2,) else frozenset()
    return (1, 2) if lengths and 2 not in lengths else None


def _is_one_row(batch: Any) -> bool:
    """Whether a batch is one row by its structure: all its arrays have one, or there are nothing but single values."""
    lengths = possible_lengths(batch)
    parts = list(leaves(batch))
    if not lengths:
        return all(map(_is_single, parts))
    return lengths == {1} and all(possible_lengths(part) <= {1} for part in parts)


def _is_single(value: Any) -> bool:
    if value is None or isinstance(value, str | bytes | Number):
        return True
    try:
        return len(value.shape) == 0
    except Exception:  # noqa: BLE001 - objects of any kind, and tensors of unknown rank
        return False


def _miscounted(n: int, batch: Any) -> Unknown | None:
    first = batch[0] if type(batch) is tuple and batch else batch
    if isinstance(first, np.ndarray) and first.ndim and first.shape[0] == n:
        return None
    lengths = possible_lengths(batch)
    if not lengths or n in lengths:
        return None
    rows = " or ".join(map(str, sorted(lengths)))
    return Unknown(count_rows(batch), "the number of ids is not the number of rows", f"{n} ids, {rows} rows")


def _fault(ids: np.ndarray[Any, Any]) -> tuple[str, str] | None:
    """Why these are no ids: (reason, detail)."""
    if ids.ndim != 1 and not (ids.ndim == 2 and ids.shape[1] == 2):
        return "the ids are neither a list nor (shard, row) pairs", f"their shape is {ids.shape}"
    if ids.size and ids.dtype.kind not in "iu":
        return "the ids are not whole numbers", f"they are {ids.dtype}"
    if ids.dtype == np.uint64 and ids.size and int(ids.max()) > np.iinfo(np.int64).max:
        return "the ids do not fit into 64 bits with a sign", f"the largest is {int(ids.max())}"
    if ids.ndim == 2 and ids.size and not -(2**31) <= int(ids[:, 0].min()) <= int(ids[:, 0].max()) < 2**31:
        return "the shard numbers do not fit into 32 bits", f"they go up to {int(ids[:, 0].max())}"
    return None


class _NotThereError(LookupError):
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class _Key:
    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, batch: Any) -> tuple[Any, Any]:
        key = self._key
        if isinstance(batch, Mapping) and key in batch:
            return batch[key], _without(batch, key)
        if isinstance(batch, tuple | list) and batch and isinstance(batch[0], Mapping) and key in batch[0]:
            rest = _without(batch[0], key)
            parts = [rest, *batch[1:]]
            return batch[0][key], parts if isinstance(batch, list) else tuple(parts)
        raise _NotThereError(f"the batch has no key {key!r}", f"it is a {type(batch).__name__}")


class _Position:
    def __init__(self, at: int) -> None:
        self._at = at

    def __call__(self, batch: Any) -> tuple[Any, Any]:
        at = self._at
        if type(batch) is tuple and 0 <= at < len(batch):
            return batch[at], batch[:at] + batch[at + 1 :]
        if not isinstance(batch, tuple | list):
            raise _NotThereError(f"the batch has no position {at}", f"it is a {type(batch).__name__}")
        if not -len(batch) <= at < len(batch):
            raise _NotThereError(f"the batch has no position {at}", f"it has {len(batch)} parts")
        parts = list(batch)
        given = parts.pop(at)
        return given, parts if isinstance(batch, list) else tuple(parts)


class _Call:
    def __init__(self, ids: Callable[[Any], Any]) -> None:
        self._ids = ids

    def __call__(self, batch: Any) -> tuple[Any, Any]:
        try:
            answer = self._ids(batch)
        except Exception as error:  # a user's callable may raise anything; the batch still has to go on
            raise _NotThereError("the callable of ids= raised", f"{type(error).__name__}: {error}") from error
        if type(answer) is tuple and len(answer) == 2 and not all(isinstance(i, int | np.integer) for i in answer):
            return answer
        return answer, batch


def _without(batch: Mapping[Any, Any], key: str) -> Any:
    if isinstance(batch, dict | UserDict) and type(batch) is not dict:
        rest = copy.copy(batch)  # these two copy what they hold, others may share it with their copy
        del rest[key]
        return rest
    return {k: batch[k] for k in batch if k != key}
