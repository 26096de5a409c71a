"""A file that may be compressed, read from its beginning, saying how far it has got."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from coverage_audit.errors import LogError

Tell = Callable[[int], None]
"""To be told of each number of bytes that has been read from the disk."""

_COMPRESSED: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_CHUNK = 1 << 20


@contextmanager
def opened(path: Path, tell: Tell) -> Iterator[BinaryIO]:
    """The plain bytes of a file.

    Raises ``OSError``; reading a compressed one that is damaged raises ``EOFError``, ``zlib.error`` or ``LZMAError``
    inside, one that was never compressed so :class:`LogError` (import-files).
    """
    suffix = path.suffix.lower()
    with open(path, "rb", buffering=0) as raw:
        told = io.BufferedReader(_Told(raw, tell), _CHUNK)
        wrap = _COMPRESSED.get(suffix)
        plain = told if wrap is None else wrap(told)
        try:
            yield cast(BinaryIO, plain)
        except OSError as error:
            if wrap is None or error.errno is not None:  # the disk's, not the decompressor's
                raise
            raise LogError(
                f"{path} is not what {suffix} files are, or damaged ({error}): rename or restore it",
                slug="import-files",
            ) from error


class _Told(io.RawIOBase):
    def __init__(self, raw: io.FileIO, tell: Tell) -> None:
        self._raw, self._tell = raw, tell

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        n = self._raw.readinto(buffer)
        if n:
            self._tell(n)
        return n
