"""Which file of ``aligned=`` goes with which shard."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coverage_audit.errors import DatasetError
from coverage_audit.sources.files import File, Group


def pair_files(groups: Sequence[Group], aligned: Sequence[Group]) -> list[tuple[File, ...]]:
    """Per shard its partners, one from each aligned group, by place.

    Where both sides come from patterns, the numbers in their names must agree too. Raises :class:`DatasetError`
    (unaligned-files).
    """
    files = [file for group in groups for file in group.files]
    for other in aligned:
        if len(other.files) != len(files):
            raise DatasetError(
                f"{_named(other)} has {len(other.files)} files for {len(files)} shards: aligned files come one per "
                "shard",
                slug="unaligned-files",
            )
        if other.pattern is not None and all(group.pattern is not None for group in groups):
            _check_numbers(files, other.files)
    return [tuple(other.files[at] for other in aligned) for at in range(len(files))]


def _check_numbers(files: Sequence[File], others: Sequence[File]) -> None:
    """x_3.npy beside y_2.npy is a hole in one of the two lists. Names without distinct numbers say nothing."""
    ours, theirs = [_numbers(f) for f in files], [_numbers(f) for f in others]
    if len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs):
        return
    for file, other, a, b in zip(files, others, ours, theirs, strict=True):
        if a != b:
            raise DatasetError(
                f"{other} would be the partner of {file}, and their numbers differ: a file is missing on one side, or "
                "give both lists in the right order",
                slug="unaligned-files",
            )


def _numbers(file: File) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", file.locator.rpartition("/")[2]))


def _named(group: Group) -> str:
    return repr(group.pattern) if group.pattern is not None else "the list of aligned paths"
