"""Features and labels caught by one glob: x_0.npy beside y_0.npy would count every row twice."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from itertools import combinations

from coverage_audit.errors import DatasetError
from coverage_audit.sources.npy import Header

# Words that name a role in a sample rather than a part of the data; their files may look alike inside.
_ROLES = frozenset(
    {"x", "y", "z", "features", "feature", "labels", "label", "targets", "target", "images", "image", "img", "masks"}
    | {"mask", "inputs", "input", "outputs", "output", "data", "ids", "weights", "weight", "meta", "text", "texts"}
)
_WORDS = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d]+")

# The files that share one word at one place: the rest of their name -> header.
_Column = dict[tuple[str, ...], Header]


def refuse_mixture(pattern: str, names: Sequence[str], headers: Sequence[Header]) -> None:
    """Refuse files that are columns of one another: names that differ in one word, and equal row counts pairwise.

    Words that are not known roles (cats.npy, dogs.npy) must also hold rows of another kind. Raises
    :class:`DatasetError` (mixed-files) with the patterns to use.
    """
    words = [_WORDS.findall(posixpath.splitext(name)[0]) for name in names]
    for at in range(max(map(len, words))):
        columns: dict[str, _Column] = {}
        for name, pieces, header in zip(names, words, headers, strict=True):
            if at < len(pieces) and pieces[at].isalpha():
                rest = (*pieces[:at], "", *pieces[at + 1 :], posixpath.splitext(name)[1])
                columns.setdefault(pieces[at], {})[rest] = header
        for (word, column), (other, partner) in combinations(columns.items(), 2):
            if _agree(column, partner) and (_kinds(column) != _kinds(partner) or {word, other} <= _roles(word, other)):
                raise _error(pattern, _glob(word, column), _glob(other, partner))


def _roles(*words: str) -> set[str]:
    return {word for word in words if word.lower() in _ROLES}


def _agree(one: _Column, other: _Column) -> bool:
    return one.keys() == other.keys() and all(other[key].rows == header.rows for key, header in one.items())


def _kinds(column: _Column) -> set[str]:
    return {header.kind for header in column.values()}


def _glob(word: str, column: _Column) -> str:
    """What matches these files: every place where they differ becomes a star."""
    keys = list(column)
    places = zip(*keys, strict=True) if len({len(key) for key in keys}) == 1 else ((piece,) for piece in keys[0])
    pieces = [place[0] if len(set(place)) == 1 else "*" for place in places]
    pieces[keys[0].index("")] = word
    return "".join(pieces)


def _error(pattern: str, first: str, second: str) -> DatasetError:
    return DatasetError(
        f"{pattern!r} mixes files that describe the same rows: count one of them, "
        f"Dataset.open({first!r}, aligned={second!r}); if each holds rows of its own, list both: "
        f"Dataset.open([{first!r}, {second!r}])",
        slug="mixed-files",
    )
