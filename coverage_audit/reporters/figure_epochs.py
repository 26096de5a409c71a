"""Steps and coverage of every epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from coverage_audit.model.words import several
from coverage_audit.reporters.figure_parts import INK, MUTED, NEEDED, NEVER, REPEATED, SPARE, STEPS, blank, new_figure
from coverage_audit.reporters.figure_parts import title as set_title
from coverage_audit.reporters.wording import number, printable
from coverage_audit.result import EpochCount, SplitResult

BARS = 60


def draw_epochs(split: SplitResult) -> Figure:
    """Above, steps of each epoch against what one pass needs; below, rows it missed and repeated."""
    epochs = split.counts.epochs
    noun = "evaluation" if split.counts.evaluation else "epoch"
    if not epochs:
        return blank(f"no {noun} was recorded")
    figure = new_figure(4.8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
    _steps(above, epochs)
    _rows(below, split, epochs)
    for axes in (above, below):
        axes.tick_params(length=2, color=MUTED, labelcolor=INK)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
        axes.set_xlim(epochs[0].epoch - 0.7, epochs[-1].epoch + 0.7)
    below.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    below.set_xlabel(noun)
    so_far = sum(not e.complete for e in epochs)
    small = printable(split.name) + (f" · pale: {several(so_far, noun)} so far, not judged" if so_far else "")
    set_title(above, _says(split), small)
    return figure


def _steps(axes: Axes, epochs: Sequence[EpochCount]) -> None:
    x = [e.epoch for e in epochs]
    needed = [e.needed for e in epochs]
    steps = [e.steps for e in epochs]
    if len(epochs) <= BARS:
        axes.bar(x, steps, width=0.7, color=[STEPS if e.complete else SPARE for e in epochs], label="steps taken")
        for e in epochs:
            if e.needed is not None:
                mark = axes.hlines(e.needed, e.epoch - 0.45, e.epoch + 0.45, color=NEEDED, linewidth=1.6)
                if e is epochs[0]:
                    mark.set_label("steps one pass needs")
        if len(epochs) <= 12:
            for e in epochs:
                axes.annotate(
                    number(e.steps), (e.epoch, e.steps), xytext=(0, -4), textcoords="offset points", ha="center",
                    va="top", color="white" if e.complete else INK, fontsize=9,
                )  # fmt: skip
    else:
        axes.fill_between(x, steps, step="mid", color=STEPS, alpha=0.85, linewidth=0, label="steps taken")
        line = [float("nan") if n is None else float(n) for n in needed]
        axes.plot(x, line, color=NEEDED, linewidth=1.4, drawstyle="steps-mid", label="steps one pass needs")
    top = max([*steps, *(n for n in needed if n is not None), 1])
    axes.set_ylim(0, top * 1.12)
    axes.set_ylabel("steps")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)


def _rows(axes: Axes, split: SplitResult, epochs: Sequence[EpochCount]) -> None:
    if split.counts.shards is None:
        axes.text(
            0.5, 0.5, "missed rows are unknown: the log has no dataset", transform=axes.transAxes, ha="center",
            color=MUTED,
        )  # fmt: skip
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        return
    # What an epoch has not visited so far is not missed, and would dwarf what is.
    whole = [e for e in epochs if e.complete]
    x = [e.epoch for e in whole]
    missed, repeated = [len(e.missed) for e in whole], [e.surplus for e in whole]
    if len(epochs) <= BARS:
        for shift, values, color, name in ((-0.18, missed, NEVER, "missed"), (0.18, repeated, REPEATED, "repeated")):
            axes.bar([v + shift for v in x], values, width=0.34, color=color, label=name)
            if len(epochs) <= 12:
                for at, value in zip(x, values, strict=True):
                    axes.annotate(
                        number(value), (at + shift, value), xytext=(0, 2), textcoords="offset points", ha="center",
                        fontsize=8, color=color,
                    )  # fmt: skip
    else:
        axes.plot(x, missed, color=NEVER, linewidth=1.2, label="missed")
        axes.plot(x, repeated, color=REPEATED, linewidth=1.2, linestyle=(0, (4, 2)), label="repeated")
    axes.set_ylim(0, max([*missed, *repeated, 1]) * 1.18)
    axes.set_ylabel("rows")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)


def _says(split: SplitResult) -> str:
    whole = split.counts.complete_epochs
    noun = "evaluation" if split.counts.evaluation else "epoch"
    if not whole:
        return f"no {noun} was recorded to its end"
    steps, needed = {e.steps for e in whole}, {e.needed for e in whole}
    parts = []
    if len(steps) == 1 and len(needed) == 1:
        taken, needs = next(iter(steps)), next(iter(needed))
        if needs is None:
            parts.append(f"{several(taken, 'step')} an {noun}")
        elif needs == taken:
            parts.append(f"{several(taken, 'step')} an {noun}, as one pass needs")
        else:
            parts.append(f"{several(taken, 'step')} an {noun}, one pass needs {number(needs)}")
    else:
        parts.append(f"{number(min(steps))} to {number(max(steps))} steps an {noun}")
    if split.counts.shards is not None:
        totals = split.totals
        repeated = f", {number(totals.repeated)} repeated" if totals.repeated > 0 else ""
        parts.append(f"{number(totals.missed)} row-epochs missed{repeated}")
    return ": ".join(parts)
