"""Numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def number(n: int) -> str:
    """1234567 -> '1,234,567'."""
    return f"{n:,}"


def several(n: int, noun: str, plural: str | None = None) -> str:
    """'1 row', '2 rows', '1,200 batches' (nouns in -tch, -s, -x get -es)."""
    if n == 1:
        return f"1 {noun}"
    hissing = noun.endswith(("s", "x", "tch"))
    many = plural or (f"{noun}es" if hissing else f"{noun}s")
    return f"{number(n)} {many}"


def listed(values: Sequence[object], limit: int = 4) -> str:
    """'a', 'a and b', 'a, b and c', 'a, b, c, d and 3 more'."""
    shown = [str(v) for v in values[:limit]]
    rest = len(values) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {number(rest)} more"
    if len(shown) <= 1:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def epochs_text(epochs: Sequence[int], total: int) -> str:
    """'epoch 3', 'epochs 0 and 2', 'both epochs', 'all 3 epochs', '40 of 50 epochs'."""
    if len(epochs) == total == 2:
        return "both epochs"
    if len(epochs) == total > 1:
        return f"all {number(total)} epochs"
    if len(epochs) <= 3:
        return f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {listed(epochs)}"
    return f"{number(len(epochs))} of {several(total, 'epoch')}"
