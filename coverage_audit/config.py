"""[tool.coverage-audit]: what can be set, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Gates:
    """What makes a report fail. Integers are compared, never percentages.

    ``fail_on``/``warn_on``: rule codes or names whose findings are raised to errors, or lowered to warnings.
    ``max_missed``: missed row-epochs (rows, under ``per="run"``) that are let through, 0 by default.
    ``max_repeated``: the same for surplus visits; None: repeats fail only an explicit exactly-once contract.
    """

    fail_on: tuple[str, ...] = ()
    warn_on: tuple[str, ...] = ()
    max_missed: int = 0
    max_repeated: int | None = None
    allow_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the configuration file can say. ``rules``: thresholds per rule code."""

    log: str = "run.parquet"
    gates: Gates = field(default_factory=Gates)
    exit_zero: bool = False
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
