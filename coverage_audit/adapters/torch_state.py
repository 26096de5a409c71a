"""States of loaders known again by their values, wherever they were saved meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def tag_of(state: Any) -> str | None:
    """``loader:`` and 24 hex digits over the values of a state; None where it holds what cannot be compared.

    Equal for a state that went through pickle, ``torch.save`` or JSON: lists are tuples, numbers are numbers of any
    library, keys are their text.
    """
    digest = hashlib.blake2b(digest_size=12)
    try:
        for piece in _pieces(state):
            digest.update(piece)
    except Exception:  # noqa: BLE001 - a state is of the user's own making, and may be of anything
        return None
    return f"loader:{digest.hexdigest()}"


class _StrangeError(Exception):
    """A value of a kind that is not known."""


def _pieces(value: Any) -> Iterator[bytes]:
    """The value as bytes, no two different ones alike."""
    if isinstance(value, Mapping):
        yield b"{%d:" % len(value)
        for key in sorted(value, key=str):
            yield _text(str(key))
            yield from _pieces(value[key])
    elif isinstance(value, list | tuple):
        yield b"[%d:" % len(value)
        for one in value:
            yield from _pieces(one)
    elif value is None or isinstance(value, bool | np.bool_):
        yield b"%s;" % str(value).encode()
    elif isinstance(value, int | np.integer):
        yield b"i%d;" % int(value)
    elif isinstance(value, float | np.floating):
        yield b"f%s;" % repr(float(value)).encode()
    elif isinstance(value, str):
        yield _text(value)
    elif isinstance(value, bytes | bytearray):
        yield b"b%d:" % len(value)
        yield bytes(value)
    else:
        yield from _of_array(value)


def _of_array(value: Any) -> Iterator[bytes]:
    try:
        array = np.asarray(value)
    except Exception as error:  # of foreign objects anything may come, and it means that they are no arrays
        raise _StrangeError from error
    if array.dtype.hasobject:
        raise _StrangeError
    yield b"a%s%s:" % (array.dtype.str.encode(), str(array.shape).encode())
    yield array.tobytes()


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"s%d:%s" % (len(data), data)
