"""WebDataset shards: the samples of .tar files, counted from the members' headers.

A sample is a run of files that follow each other and share a key: the path up to the first dot of the file's name, as
webdataset groups them (https://github.com/webdataset/webdataset, tariterators.py). What is no regular file, has no dot,
or is named ``__like this__`` belongs to no sample. The contents of plain .tar files are skipped over; compressed ones
are inflated to find the headers.
"""

from __future__ import annotations

import re
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import xxhash

from coverage_audit.errors import CoverageAuditWarning, DatasetError
from coverage_audit.sources.npy import Header

SUFFIXES = (".tar", ".tar.gz", ".tgz")

KIND = "webdataset samples"

_KEY = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
_SKIPPED = re.compile(r"__[^/]*__($|/)")
_BLOCK = 512
_TOLD_EVERY = 256


@dataclass(frozen=True, slots=True)
class TarHeader(Header):
    """``hashes``: uint64 (rows,), :func:`hash_of` each sample's key, in the order of the file."""

    hashes: Any = field(default=None, compare=False)


def read_tar_header(stream: IO[bytes], name: str, told: Callable[[int], object] | None = None) -> TarHeader:
    """The samples of one shard. ``told``: called with the bytes of the file that were passed since the last time.

    Raises :class:`DatasetError` (damaged-file) for what is no tar file, is cut short, or has a header that is none.
    """
    hashes = np.fromiter(map(hash_of, read_keys(stream, name, told)), np.uint64)
    return TarHeader(len(hashes), KIND, hashes)


def read_keys(stream: IO[bytes], name: str, told: Callable[[int], object] | None = None) -> Iterator[str]:
    """The key of each sample in the order of the file; arguments and errors as :func:`read_tar_header`."""
    last: str | None = None
    for path in _regular_files(stream, name, told):
        key = key_of(path)
        if key is not None and key != last:
            last = key
            yield key


def key_of(path: str) -> str | None:
    """The key of the sample that a member belongs to; None if it belongs to none."""
    if _SKIPPED.match(path):
        return None
    match = _KEY.match(path)
    return None if match is None else match.group(1)


def hash_of(key: str) -> int:
    """64 bits of a key, which is kept in its place. Two keys of a shard of n samples are alike once in 2^65/n² shards,
    and are then told as one key that comes twice."""
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "surrogateescape"))


def warn_of_repeated(name: str, hashes: Any) -> None:
    """Say that samples of a shard share a key, as their visits cannot be told apart; ``hashes`` None: no such shard."""
    again = 0 if hashes is None else len(hashes) - len(np.unique(hashes))
    if again:
        warnings.warn(
            f"{name}: {again:,} of {len(hashes):,} samples have the key of an earlier one, so their visits cannot "
            "be told apart: give each sample of a shard a key of its own, files of one sample beside each other",
            CoverageAuditWarning,
            stacklevel=3,
        )


def _regular_files(stream: IO[bytes], name: str, told: Callable[[int], object] | None) -> Iterator[str]:
    passed = 0
    try:
        with tarfile.open(fileobj=stream, mode="r:*") as archive:
            for number, member in enumerate(archive):
                archive.members = []  # type: ignore[attr-defined]  # kept for lookups by name, which nobody does
                if member.isreg():
                    yield member.name
                if told is not None and number % _TOLD_EVERY == 0:
                    passed, before = stream.tell(), passed
                    told(passed - before)
            _require_end(archive, name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DatasetError(
            f"{name} is not a whole tar file ({error}): write it again, or leave it out", slug="damaged-file"
        ) from error
    if told is not None:
        told(max(stream.seek(0, 2) - passed, 0))


def _require_end(archive: tarfile.TarFile, name: str) -> None:
    """Where the headers stop there is nothing, or a block of zeros: tarfile itself takes any rubbish for the end."""
    at = archive.offset
    raw: Any = archive.fileobj
    raw.seek(at)
    block = raw.read(_BLOCK)
    if block and block.strip(b"\0"):
        raise DatasetError(
            f"{name} is not a whole tar file (at byte {at:,} there is no header): write it again, or leave it out",
            slug="damaged-file",
        )
