"""Which files are meant: paths, globs, folders, stores and URLs, in natural order."""

from __future__ import annotations

import glob
import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from coverage_audit.errors import DatasetError
from coverage_audit.sources import arrow, hdf5, parquet, raw, tar_samples, zarr_store

PathLike = str | os.PathLike[str]

# One file per format reads these; the files of other formats are refused by name, unless a type of numbers is given.
WITHOUT_ARRAYS = (parquet.SUFFIX, arrow.SUFFIX, *tar_samples.SUFFIXES)
SUFFIXES = (".npy", ".npz", *hdf5.SUFFIXES, zarr_store.SUFFIX, *WITHOUT_ARRAYS)
WITH_MEMBERS = (".npz", *hdf5.SUFFIXES, zarr_store.SUFFIX)


@dataclass(frozen=True, slots=True)
class File:
    """One array in one file: ``locator`` is an absolute path or a URL.

    ``member``: an array of an archive, an HDF5 file or a zarr store; the type of the rows of a flat file.
    """

    locator: str
    member: str | None = None

    @property
    def suffix(self) -> str:
        """What its name says of its format; "" for a flat file."""
        suffix = suffix_of(self.locator)
        if suffix not in SUFFIXES and zarr_store.is_store(self.locator):
            return zarr_store.SUFFIX
        return suffix if suffix in SUFFIXES or self.member is None else ""

    @property
    def path(self) -> Path | None:
        """Where it is on this machine; None for a URL."""
        return None if is_url(self.locator) else Path(self.locator)

    def __str__(self) -> str:
        return self.locator if self.member is None else f"{self.locator}::{self.member}"

    def open(self) -> tuple[IO[bytes], int | None, int | None]:
        """The bytes, their number, and when they were last changed (ns); the latter None for a URL. Not for stores."""
        if not is_url(self.locator):
            stat = os.stat(self.locator)
            return open(self.locator, "rb"), stat.st_size, stat.st_mtime_ns
        system, path = _file_system(self.locator)
        return cast(IO[bytes], system.open(path, "rb")), system.size(path), None


@dataclass(frozen=True, slots=True)
class Group:
    """Files that were named together: one glob or folder, or consecutive plain paths (then in the order given)."""

    files: tuple[File, ...]
    pattern: str | None = None


def find_files(paths: PathLike | Iterable[PathLike]) -> list[Group]:
    """Expand ``paths``; plain paths keep their order, globs and folders come in natural order (x_2 before x_10).

    Raises :class:`DatasetError`: no-files, unsupported-format, not-rows.
    """
    wanted: Iterable[object] = paths if isinstance(paths, Iterable) and not isinstance(paths, (str, bytes)) else [paths]
    groups: list[Group] = []
    for item in wanted:
        if not isinstance(item, (str, os.PathLike)):
            raise DatasetError(
                f"{type(item).__name__} is not a path: use Dataset.of for arrays and lengths", slug="not-rows"
            )
        group = _expand(os.fspath(item))
        if groups and group.pattern is None and groups[-1].pattern is None:
            groups[-1] = Group((*groups[-1].files, *group.files))
        else:
            groups.append(group)
    if not groups:
        raise DatasetError("no path was given: name at least one file, folder or glob", slug="no-files")
    return groups


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key that compares runs of digits as numbers."""
    return [(0, int(piece), piece) if piece.isdecimal() else (1, 0, piece) for piece in re.split(r"(\d+)", text)]


def common_names(files: Sequence[File]) -> list[str]:
    """Each file's path below the folder that all of them share, with forward slashes."""
    parts = [file.locator.replace(os.sep, "/").split("/") for file in files]
    first, last = min(p[:-1] for p in parts), max(p[:-1] for p in parts)
    shared = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    names = ["/".join(pieces[shared:]) for pieces in parts]
    return [n if f.member is None else f"{n}::{f.member}" for n, f in zip(names, files, strict=True)]


def suffix_of(name: str) -> str:
    """What follows the last dot of a file's name, with it; ".tar.gz" is one suffix."""
    suffix = posixpath.splitext(name)[1].lower()
    return ".tar.gz" if suffix == ".gz" and name.lower().endswith(".tar.gz") else suffix


def is_url(locator: str) -> bool:
    return "://" in locator


def _expand(text: str) -> Group:
    text, member = _split(text)
    if not is_url(text):
        text = os.path.expanduser(text)
    names, pattern = _expand_url(text) if is_url(text) else _expand_path(text)
    files = tuple(File(name, member or None) for name in sorted(names, key=natural_key))
    if not files:
        raise DatasetError(f"{text!r} matches no file: check the path, or quote the pattern", slug="no-files")
    for file in files:
        _require_format(file, text if pattern else None)
    return Group(files, pattern)


def _split(text: str) -> tuple[str, str]:
    """The path, and what follows its last "::"; URLs chain file systems with "::", so only known names are split."""
    path, separator, member = text.rpartition("::")
    if not separator or os.path.exists(text):
        return text, ""
    suffix = suffix_of(path)
    if is_url(text) and suffix not in (*WITH_MEMBERS, ".bin"):
        return text, ""
    return path, member if suffix not in WITH_MEMBERS else member.strip("/")


def _require_format(file: File, pattern: str | None) -> None:
    suffix = file.suffix
    if not suffix:
        raw.row_type(file.member or "", file.locator)
        return
    if suffix in SUFFIXES and not (suffix == zarr_store.SUFFIX and is_url(file.locator)):
        if file.member is not None and suffix not in WITH_MEMBERS:
            raise DatasetError(f"{file} is one array: leave out what follows '::'", slug="no-member")
        return
    if suffix == ".bin":
        raise raw.refuse_untyped(file.locator)
    example = f"; give a pattern such as {_narrowed(pattern)!r}" if pattern else ""
    raise DatasetError(
        f"{file.locator} is of a format that is not supported: {', '.join(SUFFIXES)} are{example}",
        slug="unsupported-format",
    )


def _expand_path(text: str) -> tuple[list[str], str | None]:
    if zarr_store.is_store(text):
        return [os.path.abspath(text)], None
    if os.path.isdir(text):
        inside = [os.path.join(text, name) for name in os.listdir(text)]
        names = [os.path.abspath(path) for path in inside if _is_data(path)]
        if not names:
            known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
            raise DatasetError(
                f"{text!r} is a folder without {known} files: for files further down give a pattern such as "
                f"{posixpath.join(text, '**', '*.npy')!r}",
                slug="no-files",
            )
        return names, text
    if os.path.exists(text) or not glob.has_magic(text):
        return [os.path.abspath(text)] if os.path.exists(text) else [], None
    found = glob.glob(text, recursive=True)
    return [os.path.abspath(p) for p in found if not os.path.isdir(p) or zarr_store.is_store(p)], text


def _is_data(path: str) -> bool:
    """Whether a file in a folder is meant with the folder; what Hugging Face datasets keeps for later calls is not."""
    return suffix_of(path) in SUFFIXES and not arrow.is_cache(posixpath.basename(path.replace(os.sep, "/")))


def _expand_url(text: str) -> tuple[list[str], str | None]:
    system, path = _file_system(text)
    try:
        if glob.has_magic(path):
            return [system.unstrip_protocol(found) for found in system.glob(path)], text
        if system.isdir(path):
            found = [name for name in system.ls(path, detail=False) if _is_data(name)]
            return [system.unstrip_protocol(name) for name in found], text
        return [text] if system.exists(path) else [], None
    except OSError as error:
        raise DatasetError(f"{text!r} cannot be listed ({error}): check the address", slug="no-files") from error


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise DatasetError(
            f"{url!r} cannot be opened ({error}): install what fsspec asks for", slug="no-files"
        ) from error
    return system, path


def _narrowed(pattern: str) -> str:
    folder = pattern if os.path.isdir(pattern) else posixpath.dirname(pattern)
    return posixpath.join(folder, "*.npy")
