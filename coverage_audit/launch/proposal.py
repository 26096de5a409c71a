"""Which data a run without --data seems to have had: patterns made of the files that were opened."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Opened(NamedTuple):
    """An array that the script opened: the real path of its file, its rows.

    ``member``: its name in the file, or the type of the rows of a flat file; "" for the file itself.
    """

    path: str
    member: str
    rows: int


@dataclass(slots=True)
class _Group:
    """Files whose names differ in numbers only."""

    pattern: str
    member: str
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def propose(opened: Iterable[Opened], folder: str) -> list[str]:
    """Options for the next run, such as ``["--data", "shards/x_*.npy", "--aligned", "shards/y_*.npy"]``; maybe none.

    ``opened``: in the order in which the script opened them. ``folder``: what relative patterns start from. The data
    is the pattern with the most rows, the first opened of several such; other patterns of as many files and rows are
    proposed as aligned with it.
    """
    groups: dict[tuple[str, str], _Group] = {}
    for path, member, rows in opened:
        pattern = _pattern(path)
        groups.setdefault((pattern, member), _Group(pattern, member)).rows[path] = rows
    if not groups:
        return []
    features = max(groups.values(), key=lambda group: group.total)  # the first one of equals
    words = ["--data", _shown(features, folder)]
    for group in groups.values():
        if group.pattern != features.pattern and sorted(group.rows.values()) == sorted(features.rows.values()):
            words += ["--aligned", _shown(group, folder)]
    return words


def _pattern(path: str) -> str:
    """The path with the numbers of the file's name generalised, if that matches more than this file."""
    base, name = os.path.split(path)
    pattern = os.path.join(glob.escape(base), re.sub(r"\d+", "*", glob.escape(name)))
    return pattern if len(glob.glob(pattern)) > 1 else path


def _shown(group: _Group, folder: str) -> str:
    below = os.path.join(os.path.realpath(folder), "")
    shown = group.pattern.removeprefix(below)
    if group.member:
        return f"{shown}::{group.member}"
    return f"{shown}::TYPE" if shown.endswith(".bin") else shown  # the type of its rows, which only the user knows
