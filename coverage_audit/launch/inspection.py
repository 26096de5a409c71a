"""What can be told of the declared data before the script starts, by names and plain headers: numpy is not imported.

A run that goes on for hours without knowing its data is worth little, so what cannot be meant is refused here. What
only numpy, h5py or zarr can tell is said when the data is opened.
"""

from __future__ import annotations

import ast
import glob
import os
import re
import shlex
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from coverage_audit.errors import UsageError
from coverage_audit.launch.options import Options
from coverage_audit.model.words import several
from coverage_audit.sources.mixture import find_mixture
from coverage_audit.sources.tracer_mark import find_marked_folder

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".zarr", ".parquet", ".arrow", ".tar", ".tar.gz", ".tgz")
"""Those of :mod:`coverage_audit.sources.files`, which imports numpy; a test compares them."""
STORES = ("zarr.json", ".zarray", ".zgroup")
"""What makes a folder a zarr store."""
_LONGEST_HEADER = 1 << 20


class Header(NamedTuple):
    """As :class:`coverage_audit.sources.npy.Header`."""

    rows: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class Named:
    """What one pattern of one option names. ``shown``: as seen from where the command was started."""

    option: str
    shown: str
    files: tuple[str, ...]
    member: str
    is_pattern: bool

    def refused(self, why: str, slug: str) -> UsageError:
        """The error for these files."""
        return UsageError(f"{self.option} {self.shown!r} {why}", slug=slug)


def inspect_data(options: Options) -> None:
    """Raise :class:`UsageError` for data that cannot be meant.

    Slugs: raw-needs-type, unsupported-format, no-files, no-member, same-shard-twice, mixed-files, unaligned-files,
    no-tracer. Patterns must match something, as those of a command line do; URLs are not looked at.
    """
    data = _all_named("--data", options.data, options.folder)
    aligned = _all_named("--aligned", options.aligned, options.folder)
    held_out = _all_named("--validation-data", options.validation_data, options.folder)
    for named in (*data, *aligned, *held_out):
        _check_formats(named)
    for group in (data, held_out):
        _check_twice(group)
        for named in group:
            _check_mixture(named, options.folder)
    if options.aligned and not options.data:
        raise UsageError(
            f"--aligned {_below(options.aligned[0], options.folder)!r} names partners of --data, which is not given: "
            "give it too",
            slug="unaligned-files",
        )
    if any("://" in pattern for pattern in (*options.data, *options.aligned)):
        return
    for named in _in_groups(aligned):
        _check_partners(data, named)
    if options.identify == "tracer" and data:
        _check_tracer(data)


def read_plain_header(path: str) -> Header | None:
    """The header of a .npy file without numpy; None for any other file, and where numpy is needed to tell.

    Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    try:
        with open(path, "rb") as stream:
            start = stream.read(8)
            if start[:6] != b"\x93NUMPY" or len(start) < 8:
                return None
            width = "<H" if start[6] == 1 else "<I"
            (length,) = struct.unpack(width, stream.read(struct.calcsize(width)))
            text = stream.read(min(length, _LONGEST_HEADER)).decode("latin-1" if start[6] < 3 else "utf-8")
        facts = ast.literal_eval(text.strip())
        shape = facts["shape"]
        return Header(int(shape[0]) if shape else None, f"{shape[1:]} {facts['descr']}")
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error):
        return None


def _all_named(option: str, patterns: Iterable[str], folder: str) -> list[Named]:
    return [_named(option, pattern, folder) for pattern in patterns if "://" not in pattern]


def _named(option: str, pattern: str, folder: str) -> Named:
    shown = _below(pattern, folder)
    path, member = (pattern, "") if os.path.exists(pattern) else _split(pattern)
    if os.path.isdir(path) and not _is_store(path):
        inside = [os.path.join(path, name) for name in sorted(os.listdir(path))]
        files = [name for name in inside if _suffix(name) in SUFFIXES]
        if not files:
            raise UsageError(
                f"{option} {shown!r} is a folder without {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} files: for files "
                f"further down give a pattern such as {os.path.join(shown, '**', '*.npy')!r}",
                slug="no-files",
            )
        return Named(option, shown, tuple(files), member, is_pattern=True)
    if os.path.exists(path):
        return Named(option, shown, (path,), member, is_pattern=False)
    found = [name for name in sorted(glob.glob(path, recursive=True)) if not os.path.isdir(name) or _is_store(name)]
    if not found:
        raise UsageError(f"{option} {shown!r} matches folders only: give a pattern of files", slug="no-files")
    return Named(option, shown, tuple(found), member, is_pattern=True)


def _check_formats(named: Named) -> None:
    for file in named.files:
        suffix = ".zarr" if _is_store(file) else _suffix(file)
        if suffix in SUFFIXES:
            if suffix == ".npy" and named.member:
                raise named.refused("is one array: leave out what follows '::'", "no-member")
        elif named.member == "TYPE":
            raise named.refused(f"has a place for a type: {_typed(named)}", "raw-needs-type")
        elif not named.member and suffix == ".bin":
            raise named.refused(f"does not say what numbers it holds: {_typed(named)}", "raw-needs-type")
        elif not named.member:
            what = f"names {os.path.basename(file)}, which" if named.is_pattern else "is of a format that"
            raise named.refused(
                f"{what} cannot be read: {', '.join(SUFFIXES)} can, and flat files of numbers if their type is named, "
                f"as in {os.path.basename(file) + '::uint16'!r}; name those",
                "unsupported-format",
            )


def _typed(named: Named) -> str:
    return f"name that of one row, as in {named.option} {shlex.quote(_split(named.shown)[0] + '::uint16')}"


def _check_twice(group: Sequence[Named]) -> None:
    seen: set[tuple[str, str]] = set()
    for named in group:
        for file in named.files:
            key = (os.path.realpath(file), named.member)
            if key in seen:
                raise named.refused(
                    f"names {os.path.basename(file)} once more: name each file once", "same-shard-twice"
                )
            seen.add(key)


def _check_mixture(named: Named, folder: str) -> None:
    """As Dataset.open refuses it: a pattern, no array named."""
    names = [_below(file, folder).replace(os.sep, "/") for file in named.files]
    if not named.is_pattern or named.member or len({re.sub(r"\d+", "#", name) for name in names}) < 2:
        return
    headers = [header for header in map(read_plain_header, named.files) if header is not None]
    found = find_mixture(names, headers) if len(headers) == len(names) else None
    if found is None:
        return
    first, second = map(shlex.quote, found)
    partner = f" --aligned {second}" if named.option == "--data" else ""
    raise named.refused(
        f"mixes files that describe the same rows: count one of them, {named.option} {first}{partner}; if each holds "
        f"rows of its own, name both: {named.option} {first} {named.option} {second}",
        "mixed-files",
    )


def _check_partners(data: Sequence[Named], aligned: Named) -> None:
    files = [file for named in data for file in named.files]
    if len(aligned.files) != len(files):
        raise aligned.refused(
            f"names {several(len(aligned.files), 'file')} for the {len(files):,} of --data: aligned files come one for "
            "each",
            "unaligned-files",
        )
    ours, theirs = (_rows(read_plain_header(file) for file in some) for some in (files, aligned.files))
    if len(ours) == len(theirs) == len(files) and ours != theirs:
        raise aligned.refused(
            f"has {sum(theirs):,} rows ({_some(theirs)}), --data has {sum(ours):,} ({_some(ours)}): aligned files hold "
            "the same rows, file by file",
            "unaligned-files",
        )


def _in_groups(aligned: Iterable[Named]) -> Iterator[Named]:
    """A pattern is a group of partners, and so are single files that follow each other."""
    for is_pattern, group in groupby(aligned, lambda named: named.is_pattern):
        if is_pattern:
            yield from group
        else:
            first, *others = group
            yield replace(first, files=(*first.files, *(file for other in others for file in other.files)))


def _check_tracer(data: Sequence[Named]) -> None:
    if not any(find_marked_folder(Path(os.path.realpath(file))) for named in data for file in named.files):
        raise data[0].refused(
            f"is no tracer dataset, which --identify tracer needs: coverage-audit tracer {shlex.quote(data[0].shown)} "
            "-o DIR makes one, for --data and the script to read",
            "no-tracer",
        )


def _rows(headers: Iterable[Header | None]) -> list[int]:
    """Those that are known, sorted."""
    return sorted(header.rows for header in headers if header is not None and header.rows is not None)


def _some(rows: Sequence[int]) -> str:
    return ", ".join(f"{n:,}" for n in rows[:3]) + (", …" if len(rows) > 3 else "")


def _split(pattern: str) -> tuple[str, str]:
    path, separator, member = pattern.rpartition("::")
    return (path, member) if separator else (pattern, "")


def _below(path: str, folder: str) -> str:
    return "." if path == folder else path.removeprefix(os.path.join(folder, ""))


def _suffix(path: str) -> str:
    return ".tar.gz" if path.lower().endswith(".tar.gz") else os.path.splitext(path)[1].lower()


def _is_store(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in STORES)
