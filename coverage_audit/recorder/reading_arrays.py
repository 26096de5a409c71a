"""What numpy reads from files, followed: memory maps, whole arrays, archives, flat files."""

from __future__ import annotations

import io
import os
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.lib.npyio import NpzFile

from coverage_audit.identity.origins import ORIGINS
from coverage_audit.identity.provenance import track, track_root
from coverage_audit.identity.reads import READS
from coverage_audit.identity.shadows import Span
from coverage_audit.recorder.flat_places import FlatPlaces, Piece
from coverage_audit.recorder.follow import FOLLOW, path_of, tell
from coverage_audit.recorder.patches import Function, Patches
from coverage_audit.sources.files import SUFFIXES

PLACES = FlatPlaces()
"""The layouts of flat files that were declared in this process."""

_FILES = (io.BufferedReader, io.BufferedRandom, io.FileIO)


def patch(patches: Patches) -> None:
    """Hook numpy.

    ``np.load`` looks ``read_array`` up in ``numpy.lib.format`` when it is called, so that hooking this one serves also
    a ``load`` that was imported by name long ago; where numpy does it otherwise, ``np.load`` itself is hooked.
    """
    patches.replace(np.memmap, "__new__", _memmap)
    patches.replace(NpzFile, "__getitem__", _archive_item)
    patches.replace(np, "fromfile", _from_file)
    if getattr(np.load, "__globals__", {}).get("format") is npy_format:
        patches.replace(npy_format, "read_array", _read_array)
    else:
        patches.replace(np, "load", _load)


def is_flat(path: Path) -> bool:
    """Whether a file is no container by its name, so that what is told of it is the type of its rows."""
    return path.suffix.lower() not in SUFFIXES


def _memmap(original: Function) -> Function:
    @wraps(original)
    def new(subtype: type, *args: Any, **options: Any) -> Any:
        mapped = original(subtype, *args, **options)
        if subtype is not np.memmap or not FOLLOW.wanted:
            return mapped
        file = args[0] if args else options.get("filename")
        return FOLLOW.follow(mapped, lambda: _follow_map(mapped, file))

    return new


def _follow_map(mapped: np.memmap[Any, Any], file: Any) -> Any:
    name = path_of(file) if hasattr(file, "fileno") else mapped.filename
    if name is None or mapped.mode == "w+" or mapped.dtype.hasobject or not ORIGINS.wants(path := os.fspath(name)):
        return mapped
    fortran = mapped.ndim > 1 and not mapped.flags.c_contiguous
    place = PLACES.locate(path, Piece(mapped.dtype, mapped.shape, mapped.offset, fortran))
    origin = None if place is None else ORIGINS.opened(path, place.member, place.rows)
    if place is None or origin is None:
        return mapped
    # To what it is a map of, a map of a part is a root like any other.
    return track_root(mapped, origin._replace(base=origin.base + place.first, rows=mapped.shape[0]))


def _read_array(original: Function) -> Function:
    @wraps(original)
    def read_array(fp: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(fp, _FILES) or not FOLLOW.wanted:
            return original(fp, *args, **options)
        is_first = fp.tell() == 0
        with READS.ours():
            array = original(fp, *args, **options)
        return FOLLOW.follow(array, lambda: _follow_whole(array, path_of(fp))) if is_first else array

    return read_array


def _load(original: Function) -> Function:
    @wraps(original)
    def load(file: Any, mmap_mode: Any = None, *args: Any, **options: Any) -> Any:
        if mmap_mode is not None or not isinstance(file, (str, os.PathLike)) or not FOLLOW.wanted:
            return original(file, mmap_mode, *args, **options)
        with READS.ours():
            array = original(file, mmap_mode, *args, **options)
        return FOLLOW.follow(array, lambda: _follow_whole(array, os.path.abspath(os.fspath(file))))

    return load


def _archive_item(original: Function) -> Function:
    @wraps(original)
    def __getitem__(self: Any, key: str) -> Any:
        if not FOLLOW.wanted:
            return original(self, key)
        with READS.ours():
            array = original(self, key)
        return FOLLOW.follow(array, lambda: _follow_whole(array, path_of(self.zip.fp), _member(self, key)))

    return __getitem__


def _member(archive: Any, key: str) -> str:
    return key if key in archive.files else key.removesuffix(".npy")


def _follow_whole(array: Any, path: str | None, member: str = "") -> Any:
    """An array of which every row was read."""
    if path is None or not _is_followable(array) or not ORIGINS.wants(path):
        return array
    origin = ORIGINS.opened(path, member, len(array))
    if origin is None:
        return array
    rows = Span(origin.base, 1, origin.rows)
    tell(rows)
    return track(array, rows)


def _from_file(original: Function) -> Function:
    @wraps(original)
    def fromfile(*args: Any, **options: Any) -> Any:
        if not FOLLOW.wanted:
            return original(*args, **options)
        file = args[0] if args else options.get("file")
        before = file.tell() if isinstance(file, _FILES) else 0
        array = original(*args, **options)
        skipped = options.get("offset", args[4] if len(args) > 4 else 0)
        separator = options.get("sep", args[3] if len(args) > 3 else "")
        if separator or "like" in options:
            return array
        return FOLLOW.follow(array, lambda: _follow_piece(array, file, before + skipped))

    return fromfile


def _follow_piece(array: Any, file: Any, offset: int) -> Any:
    """An array of the numbers that follow each other in a flat file from ``offset`` on."""
    path = path_of(file) if isinstance(file, _FILES) else os.fspath(file)
    if path is None or not _is_followable(array) or not ORIGINS.wants(path):
        return array
    place = PLACES.locate(os.fspath(path), Piece(array.dtype, array.shape, offset))
    origin = None if place is None else ORIGINS.opened(path, place.member, place.rows)
    if place is None or origin is None:
        return array
    rows = Span(origin.base + place.first, 1, len(array))
    tell(rows)
    return track(array, rows)


def _is_followable(array: Any) -> bool:
    return type(array) is np.ndarray and array.ndim > 0 and not array.dtype.hasobject
