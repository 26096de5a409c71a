"""The rows of something in memory: an array, a length, anything with len()."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from coverage_audit.errors import DatasetError

# Their len() is a number of batches: (top-level package, class).
_COUNT_BATCHES = {
    ("keras", "PyDataset"),
    ("keras", "Sequence"),
    ("tensorflow", "Sequence"),
    ("torch", "DataLoader"),
}


def count_rows(thing: Any) -> int:
    """How many rows ``thing`` has: itself if it is an integer, else its first axis, else ``len()``.

    Raises :class:`DatasetError`: negative-rows, no-rows-axis, no-length, counts-batches, not-rows.
    """
    _refuse_lookalikes(thing)
    shape = getattr(thing, "shape", None)
    if isinstance(shape, tuple) and not isinstance(thing, np.integer):
        if not shape:
            raise DatasetError(
                f"a 0-d {type(thing).__name__} has no rows: give an array with at least one axis", slug="no-rows-axis"
            )
        return _checked(shape[0], f"the first axis of {type(thing).__name__}")
    if isinstance(thing, (int, np.integer)):
        return _checked(thing, "rows")
    try:
        return _checked(len(thing), f"len({type(thing).__name__})")
    except (TypeError, NotImplementedError) as error:
        raise DatasetError(
            f"{type(thing).__name__} has no length ({error}): give the number of rows instead", slug="no-length"
        ) from error


def refuse_features(things: Mapping[str, Any]) -> None:
    """Several named arrays are shards of one dataset only if their rows are of one kind.

    Raises :class:`DatasetError` (mixed-arrays) for the columns of one table.
    """
    kinds = {(tuple(t.shape[1:]), str(t.dtype)) for t in things.values() if hasattr(t, "shape") and hasattr(t, "dtype")}
    if len(kinds) > 1:
        raise DatasetError(
            f"the arrays {', '.join(map(repr, things))} hold rows of different kinds, as the columns of one table do: "
            "give one of them (a mapping is a list of shards)",
            slug="mixed-arrays",
        )


def _checked(rows: Any, what: str) -> int:
    if rows is None:
        raise DatasetError(f"{what} is unknown: give the number of rows instead", slug="no-length")
    count = operator.index(rows)
    if count < 0:
        raise DatasetError(f"{what} is {count}: a number of rows is 0 or more", slug="negative-rows")
    return count


def _refuse_lookalikes(thing: Any) -> None:
    if isinstance(thing, (str, bytes)) or hasattr(thing, "__fspath__"):
        raise DatasetError(f"{thing!r} is a path or text, not data: use Dataset.open for files", slug="not-rows")
    if isinstance(thing, (bool, float)):
        raise DatasetError(f"{thing!r} is not a number of rows: give a whole number", slug="not-rows")
    if isinstance(thing, tuple) and thing and all(hasattr(item, "shape") for item in thing):
        raise DatasetError(
            f"a tuple of {len(thing)} arrays is taken for (x, y): give the one whose rows are counted", slug="not-rows"
        )
    for base in type(thing).__mro__:
        if (base.__module__.partition(".")[0], base.__name__) in _COUNT_BATCHES:
            raise DatasetError(
                f"len() of a {type(thing).__name__} counts batches: give the number of rows, or the arrays behind it",
                slug="counts-batches",
            )
