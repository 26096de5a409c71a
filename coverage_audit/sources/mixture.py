"""Features and labels caught by one glob: x_0.npy beside y_0.npy would count every row twice."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from itertools import combinations
from typing import Protocol

from coverage_audit.errors import DatasetError

# Words that name a role in a sample rather than a part of the data; their files may look alike inside.
_ROLES = frozenset(
    {"x", "y", "z", "features", "feature", "labels", "label", "targets", "target", "images", "image", "img", "masks"}
    | {"mask", "inputs", "input", "outputs", "output", "data", "ids", "weights", "weight", "meta", "text", "texts"}
)
_WORDS = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d]+")


class Described(Protocol):
    """What a header says: see :class:`~coverage_audit.sources.npy.Header`. Nothing here needs numpy."""

    @property
    def rows(self) -> int | None: ...

    @property
    def kind(self) -> str: ...


# The files that share one word at one place: the rest of their name -> header.
_Column = dict[tuple[str, ...], Described]


def refuse_mixture(pattern: str, names: Sequence[str], headers: Sequence[Described]) -> None:
    """Refuse what :func:`find_mixture` finds. Raises :class:`DatasetError` (mixed-files) with the patterns to use."""
    found = find_mixture(names, headers)
    if found is not None:
        raise _error(pattern, *found)


def find_mixture(names: Sequence[str], headers: Sequence[Described]) -> tuple[str, str] | None:
    """Patterns of two sets of files that are columns of one another; None if there are none.

    Their names differ in one word, and their row counts are equal pairwise; if the words are not known roles (cats.npy,
    dogs.npy) they also hold rows of another kind.
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
                return _glob(word, column), _glob(other, partner)
    return None


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
