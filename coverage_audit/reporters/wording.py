"""Numbers, percentages, ranges and names as people read them. Nothing here rounds a fault away."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from coverage_audit.model import words
from coverage_audit.model.words import several

Piece = tuple[str, int, int]
"""(shard name, start, stop), half-open."""

UNKNOWN = "–"


def number(value: int | None) -> str:
    """``3190`` -> ``3,190``; None is shown as unknown, 0 as 0."""
    return UNKNOWN if value is None else words.number(value)


def percent_digits(part: int, whole: int, digits: int = 2) -> str:
    """``100 * part / whole`` cut to ``digits`` decimals: ``0`` or ``100`` only when it is exactly that.

    ``nan`` when ``whole`` is 0: nothing measured is never 100 %.
    """
    if whole == 0:
        return "nan"
    if part == 0:
        return "0"
    if part == whole:
        return "100"
    unit = 10**digits
    cut = int(Fraction(part * 100 * unit, whole))
    if part < whole:
        cut = min(max(cut, 1), 100 * unit - 1)
    return f"{cut // unit}.{cut % unit:0{digits}d}" if digits else f"{cut}"


def percent(part: int, whole: int, digits: int = 1) -> str:
    """The same for sentences: ``98.1 %``, or ``nothing measured``."""
    return "nothing measured" if whole == 0 else f"{percent_digits(part, whole, digits)} %"


def printable(text: str) -> str:
    """``text`` on one line: control characters (a terminal would obey them) as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def piece(item: Piece) -> str:
    """Half-open ``("x_3.npy", 192, 250)`` -> closed ``x_3.npy 192–249``; one row is one number."""
    name, start, stop = item
    rows = f"{start}" if stop == start + 1 else f"{start}–{stop - 1}"
    return f"{printable(name)} {rows}"


def pieces(items: Sequence[Piece], limit: int, truncated: bool = False, remark: str = "") -> str:
    """The first ``limit`` ranges, ``remark`` about these, and how many more there are: that is always said."""
    shown = ", ".join(piece(item) for item in items[:limit]) + remark
    left = len(items) - min(limit, len(items))
    if truncated:
        return f"{shown} and more than {several(max(left, 1), 'other range')}"
    return f"{shown} and {several(left, 'more range')}" if left else shown


def numbers(values: Sequence[int], limit: int = 5) -> str:
    """Ordinals as closed runs: ``0–2, 5`` (and how many more)."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    text = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in runs[:limit])
    left = sum(b - a + 1 for a, b in runs[limit:])
    return f"{text} and {left:,} more" if left else text


def times(low: int, high: int) -> str:
    """``exactly once``, ``exactly 3 times``, ``2 to 3 times``."""
    if low != high:
        return f"{low:,} to {high:,} times"
    return "exactly once" if low == 1 else f"exactly {low:,} times"
