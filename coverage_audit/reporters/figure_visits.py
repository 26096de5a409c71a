"""Visits per row over the run, as a heat map of shards and rows."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from coverage_audit.model.words import several
from coverage_audit.reporters.figure_parts import INK, MUTED, NEVER, blank, cut, maps, new_figure, title
from coverage_audit.reporters.wording import number, printable, times
from coverage_audit.result import SplitResult

COLUMNS, LINES = 360, 240
NAMES_SHOWN = 40
STEPS_SHOWN = 8
_ABSENT = np.iinfo(np.uint32).max

Grid = npt.NDArray[np.int64]


def draw_visits(split: SplitResult) -> Figure:
    """One line per shard (or per few shards), one cell per few rows; a cell shows its least visited row.

    So a single row that was never seen stays visible however many rows share its cell.
    """
    shards = split.counts.shards
    if shards is None or shards.rows == 0:
        return blank("visits per row are unknown: the log has no dataset" if shards is None else "no rows to show")
    grid, rows_per_cell, shards_per_line = visits_grid(split)
    height = min(9.0, max(2.6, 1.6 + 0.34 * len(grid)))
    figure = new_figure(height)
    axes = figure.add_subplot()
    _heat(figure, axes, grid, rows_per_cell)
    axes.set_xlabel("row in shard" + (f" ({rows_per_cell:,} rows a cell)" if rows_per_cell > 1 else ""))
    names = [cut(printable(s.name), 24) for s in shards]
    if len(names) <= NAMES_SHOWN:
        axes.set_yticks(range(len(names)), labels=names)
    else:
        ticks = [t for t in MaxNLocator(nbins=12, integer=True).tick_values(0, len(names) - 1) if 0 <= t < len(names)]
        axes.set_yticks([t / shards_per_line for t in ticks], labels=[f"{t:,.0f}" for t in ticks])
        axes.set_ylabel("shard number" + (f" ({shards_per_line:,} shards a line)" if shards_per_line > 1 else ""))
    title(axes, _says(split), f"{printable(split.name)} · a cell shows its least visited row")
    return figure


def visits_grid(split: SplitResult) -> tuple[Grid, int, int]:
    """(lines, cells) int64 of the fewest visits in each cell, -1 where a cell has no expected row.

    Also how many rows share a cell and how many shards a line.
    """
    counts = split.counts
    shards = counts.shards
    assert shards is not None
    visits = counts.run_visits
    if shards.selected is not None:
        visits = visits.copy()
        visits[~shards.selected.mask(shards.n_ids)] = _ABSENT
    longest = max(s.rows for s in shards)
    per_cell = max(1, math.ceil(longest / COLUMNS))
    per_line = max(1, math.ceil(len(shards) / LINES))
    grid = np.full((math.ceil(len(shards) / per_line), math.ceil(longest / per_cell)), _ABSENT, np.int64)
    bounds = shards.offsets.tolist()
    for index, (low, high) in enumerate(pairwise(bounds)):
        if low < high:
            fewest = np.minimum.reduceat(visits[low:high], np.arange(0, high - low, per_cell))
            line = grid[index // per_line]
            np.minimum(line[: len(fewest)], fewest, out=line[: len(fewest)])
    grid[grid == _ABSENT] = -1
    return grid, per_cell, per_line


def _heat(figure: Figure, axes: Axes, grid: Grid, rows_per_cell: int) -> None:
    low, high = int(grid[grid >= 0].min()), int(grid.max())
    first = max(low, 1)
    bounds = _bounds(first, max(high, first))
    shades = maps("Blues")(np.linspace(0.3, 0.85, len(bounds) - 1) if len(bounds) > 2 else [0.55])
    colors = ListedColormap([NEVER, *[tuple(c) for c in shades]])
    norm = BoundaryNorm([0, *bounds], colors.N)
    right = grid.shape[1] * rows_per_cell
    image = axes.imshow(
        np.ma.masked_less(grid, 0), cmap=colors, norm=norm, aspect="auto", interpolation="nearest",
        extent=(0, right, len(grid) - 0.5, -0.5),
    )  # fmt: skip
    axes.set_facecolor("#ffffff")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    if len(grid) <= NAMES_SHOWN:
        for line in range(1, len(grid)):
            axes.axhline(line - 0.5, color="white", linewidth=1.5)
    axes.tick_params(length=2, color=MUTED, labelcolor=INK)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, aspect=14, spacing="uniform")
    edges = [0, *bounds]
    bar.set_ticks([(a + b) / 2 for a, b in pairwise(edges)])
    bar.set_ticklabels(["never", *[_label(a, b) for a, b in pairwise(bounds)]])
    bar.minorticks_off()
    bar.ax.tick_params(length=0)
    bar.set_label("visits in the run")


def _bounds(first: int, last: int) -> list[int]:
    """Edges of the colour steps: one number each where they are few, else equal runs of numbers."""
    width = math.ceil((last - first + 1) / STEPS_SHOWN)
    return list(range(first, last + width + 1, width)) if width > 1 else list(range(first, last + 2))


def _label(low: int, high: int) -> str:
    return f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}"


def _says(split: SplitResult) -> str:
    shards, totals = split.counts.shards, split.totals
    assert shards is not None
    over = several(totals.epochs, "evaluation" if split.counts.evaluation else "epoch")
    if totals.rows_never_seen > 0:
        return f"{number(totals.rows_never_seen)} of {number(shards.rows)} rows were never seen in {over}"
    visits = split.counts.run_visits
    if shards.selected is not None:
        visits = visits[shards.selected.mask(shards.n_ids)]
    return f"every row was seen {times(int(visits.min()), int(visits.max()))} in {over}"
