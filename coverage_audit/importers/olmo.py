"""OLMo's ``data-indices/rank<N>.tsv.gz``: ``step<TAB>id<TAB>id…``, a line per training step, without a header.

The format is what OLMo's trainer writes with ``save_data_indices`` (olmo/train.py of allenai/OLMo); its steps count
from 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from coverage_audit.errors import LogError
from coverage_audit.importers.block import Block, bad_value, place
from coverage_audit.importers.opened import Tell, opened

BLOCK = 4 << 20
_PIECE = 1 << 18
_TAB, _NEWLINE = 9, 10
_LIMITS = np.iinfo(np.int64)


class CutOff(Exception):
    """The file breaks off in the middle of a line, as a killed run leaves it. No error: every line before is good."""


def read_olmo(path: Path, tell: Tell) -> Iterator[Block]:
    """The lines, some megabytes at a time.

    Raises :class:`LogError` (import-value), and :class:`CutOff` at the end of a file that breaks off.
    """
    where, line, rest, ended_by = str(path), 1, b"", ""
    with opened(path, tell) as file:
        while True:
            text, ended_by = _read(file)
            whole, newline, rest = (rest + text).rpartition(b"\n")
            if newline:
                block = parse(whole + newline, where, line)
                line += len(block.sizes)
                yield block
            if ended_by or not text:
                break
    if ended_by:
        raise CutOff(f"{where} breaks off after line {line - 1} ({ended_by})")
    if rest:
        raise CutOff(f"{where} breaks off in line {line}")


def _read(file: BinaryIO) -> tuple[bytes, str]:
    """The next block; and why nothing more can be read, where that is no proper end."""
    parts: list[bytes] = []
    try:
        size = 0
        while size < BLOCK:
            piece = file.read1(min(_PIECE, BLOCK))  # type: ignore[attr-defined]  # all we open have it
            if not piece:
                break
            parts.append(piece)
            size += len(piece)
    except (EOFError, zlib.error) as error:
        return b"".join(parts), str(error)
    return b"".join(parts), ""


def parse(text: bytes, where: str, line: int) -> Block:
    """Whole lines of text; ``line`` is the number of the first. Raises :class:`LogError` (import-value)."""
    text = text.replace(b"\r\n", b"\n")
    letters = np.frombuffer(text, np.uint8)
    separators = np.flatnonzero((letters == _TAB) | (letters == _NEWLINE))
    try:
        # Of text, reading stops at what is no number; a warning of later numpys is an error where those are errors.
        values = np.fromstring(text.decode("ascii", "replace"), np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        values = np.empty(0, np.int64)
    fits = len(values) == len(separators) and not _has_empty(separators)
    if not fits or (len(values) and (values.max() == _LIMITS.max or values.min() == _LIMITS.min)):
        raise _refused(text, where, line)
    ends = np.flatnonzero(letters[separators] == _NEWLINE)
    starts = np.append(0, ends[:-1] + 1)
    is_id = np.ones(len(values), np.bool_)
    is_id[starts] = False
    return Block(where, line, values[is_id], ends - starts, values[starts])


def _has_empty(separators: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    return bool(len(separators)) and (separators[0] == 0 or bool((np.diff(separators) == 1).any()))


def _refused(text: bytes, where: str, line: int) -> LogError:
    for number, row in enumerate(text.decode("utf-8", "replace").splitlines(), line):
        for position, cell in enumerate(row.split("\t")):
            if not _is_whole(cell):
                what = "the step" if position == 0 else f"id {position}"
                return bad_value(place(where, number), what, cell)
    return LogError(
        f"{place(where, line)}: this is no text of step<TAB>id<TAB>id…: name another format", slug="import-value"
    )


def _is_whole(cell: str) -> bool:
    digits = cell.removeprefix("-")
    return digits.isascii() and digits.isdigit() and _LIMITS.min < int(cell) < _LIMITS.max
