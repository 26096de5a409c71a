"""What the figures share: size, colours, titles, and what to draw when there is nothing to draw."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

WIDTH = 8.0
INK = "#222222"
MUTED = "#8a8a8a"
NEVER = "#d55e00"  # vermilion: missed, never seen
REPEATED = "#0072b2"  # blue
STEPS = "#5b6f95"
NEEDED = "#222222"
SPARE = "#c9c9c9"


def new_figure(height: float) -> Figure:
    """An empty figure ``height`` inches high; it knows no pyplot and no window."""
    return Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")


def maps(name: str) -> Colormap:
    return mpl.colormaps[name]


def title(axes: Axes, says: str, below: str) -> None:
    """The finding in the title, the subject in small print under it."""
    axes.set_title(says, loc="left", color=INK, fontweight="bold", pad=24)
    axes.annotate(
        below, (0, 1), xycoords="axes fraction", xytext=(0, 8), textcoords="offset points", color=MUTED, fontsize=9
    )


def blank(sentence: str) -> Figure:
    """A figure that says why there is none."""
    figure = new_figure(2.2)
    figure.text(0.5, 0.5, sentence, ha="center", va="center", color=MUTED, fontsize=11)
    return figure


def cut(name: str, length: int) -> str:
    """A long name by its end, which tells shards apart."""
    return name if len(name) <= length else "…" + name[-length + 1 :]
