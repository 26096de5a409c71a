"""Three figures per split: visits per row, steps and coverage per epoch, position in the pass over steps.

Titles say what is to be seen. Colours are told apart by colour-blind eyes (Okabe and Ito) and rows that were never
visited have a colour of their own. The same result gives the same bytes: no dates, fixed ids.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from coverage_audit.reporters.destination import write
from coverage_audit.reporters.figure_epochs import draw_epochs
from coverage_audit.reporters.figure_position import draw_position
from coverage_audit.reporters.figure_visits import draw_visits
from coverage_audit.reporters.wording import printable
from coverage_audit.result import AuditResult, SplitResult

FIGURES: dict[str, Callable[[SplitResult], Figure]] = {
    "visits": draw_visits,
    "epochs": draw_epochs,
    "position": draw_position,
}
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 11.0, "axes.titlepad": 10.0, "legend.frameon": False,
    "svg.hashsalt": "coverage-audit", "text.parse_math": False,
}  # fmt: skip


def write_figures(result: AuditResult, folder: Path) -> list[Path]:
    """``<split>-visits``, ``-epochs`` and ``-position`` as .png and .svg below ``folder``, which is made.

    Returns the paths in the order they were written. Raises OSError as writing does.
    """
    paths = []
    for split in result.splits:
        for name, draw in FIGURES.items():
            for kind, data in rendered(draw, split).items():
                path = folder / f"{_file_name(split.name)}-{name}.{kind}"
                write(path, data)
                paths.append(path)
    return paths


def rendered(draw: Callable[[SplitResult], Figure], split: SplitResult) -> dict[str, bytes]:
    """One figure as ``{"png": ..., "svg": ...}``."""
    out = {}
    with mpl.rc_context(_settings()):
        figure = draw(split)
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": "coverage-audit"})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
            out[kind] = buffer.getvalue()
    return out


def _settings() -> dict[Any, Any]:
    """Matplotlib's own defaults and ours: a matplotlibrc on this machine changes nothing."""
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if "backend" not in key}
    return {**defaults, **STYLE}


def _file_name(split: str) -> str:
    return re.sub(r"[^\w.-]+", "_", printable(split)) or "_"
