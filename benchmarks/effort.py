"""How much is measured: the same code for the figures people read, a quick look, and a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """``steps`` of recording per case and loop (fewer for large batches), ``stored`` rows per log whose size is taken,
    ``rows`` times ``epochs`` visits counted, ``rounds`` of child processes."""

    batch_sizes: tuple[int, ...]
    steps: int
    stored: tuple[int, ...]
    rows: int
    epochs: int
    rounds: int


FULL = Effort((32, 256, 1024, 8192), steps=10_000, stored=(1_000_000,), rows=1_000_000, epochs=10, rounds=3)
LARGE = Effort((32, 256, 1024, 8192), steps=40_000, stored=(1_000_000, 10_000_000), rows=1_000_000, epochs=10, rounds=5)
QUICK = Effort((32, 256), steps=2_000, stored=(200_000,), rows=100_000, epochs=4, rounds=1)
TINY = Effort((32,), steps=40, stored=(2_000,), rows=1_000, epochs=2, rounds=1)
