"""Open files that the program under recording may close: `os.closerange` of a daemon knows nothing of ours.

The system then gives their numbers to the next files that are opened, which are the program's own.
"""

from __future__ import annotations

import os
from contextlib import suppress

File = tuple[int, int]
"""Device and inode."""


def file_of(fd: int) -> File:
    """Which file is open under this number. Raises ``OSError`` if none is."""
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino


def close_own(fd: int, file: File) -> None:
    """Close ``fd`` if it still is our ``file``."""
    with suppress(OSError):  # it was closed, and its number is not in use
        if file_of(fd) == file:
            os.close(fd)
