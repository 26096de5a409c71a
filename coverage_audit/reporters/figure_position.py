"""Position in the pass over the steps of the run: drift is a slope in the dots."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from coverage_audit.model.words import several
from coverage_audit.reporters.figure_parts import INK, MUTED, NEVER, STEPS, blank, new_figure
from coverage_audit.reporters.figure_parts import title as set_title
from coverage_audit.reporters.wording import printable
from coverage_audit.result import EpochCount, SplitResult

SEGMENTS_SHOWN = 240
LABELLED = 8
Segment = tuple[tuple[int, int], tuple[int, int]]


def draw_position(split: SplitResult) -> Figure:
    """x: steps of the run; y: batches of the pass before each. A dot where each epoch starts."""
    epochs = split.counts.epochs
    noun = "evaluation" if split.counts.evaluation else "epoch"
    begins, starts, segments = path(epochs)
    if not starts:
        return blank(f"where each {noun} starts in the pass is unknown")
    what = "evaluated" if split.counts.evaluation else split.counts.counts
    if split.counts.planned:
        what = "planned"
    figure = new_figure(3.6)
    axes = figure.add_subplot()
    if len(segments) <= SEGMENTS_SHOWN:
        thin = 1.4 if len(segments) <= 60 else 0.5
        axes.add_collection(LineCollection(segments, colors=STEPS, linewidths=thin, label=f"batches {what}"))
    size = 42 if len(starts) <= 60 else 6
    axes.scatter(
        [x for x, _ in starts], [y for _, y in starts], s=size, color=NEVER, zorder=3, linewidths=0, clip_on=False,
        label=f"an {noun} starts",
    )  # fmt: skip
    top = max([y for _, y in starts] + [y for _, (_, y) in segments] + [1])
    if len(starts) <= LABELLED:
        for (x, _), epoch in zip(starts, [e for e in epochs if e.starts_at is not None], strict=True):
            axes.annotate(
                f" {noun} {epoch.epoch}", (x, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8, color=INK
            )
    if len(begins) <= 60:
        for x in begins:
            axes.axvline(x, color=MUTED, linewidth=0.6, linestyle=(0, (1, 3)), zorder=0)
    last = begins[-1] + epochs[-1].steps
    axes.set_xlim(-0.01 * max(last, 1), max(last, 1) * 1.01)
    axes.set_ylim(0, top * (1.14 if len(starts) <= LABELLED else 1.04))
    axes.set_xlabel("steps of the run")
    axes.set_ylabel("batches into the pass")
    axes.tick_params(length=2, color=MUTED, labelcolor=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    small = "each rise is one pass through the data" if len(segments) <= SEGMENTS_SHOWN else "starts only"
    set_title(axes, drift(epochs, noun), f"{printable(split.name)} · {small}")
    return figure


def path(epochs: Sequence[EpochCount]) -> tuple[list[int], list[tuple[int, int]], list[Segment]]:
    """Step at which each epoch begins; (step, batch) where known; segments of the first rank's way through passes."""
    begins: list[int] = []
    starts: list[tuple[int, int]] = []
    segments: list[Segment] = []
    step = 0
    for epoch in epochs:
        begins.append(step)
        at = epoch.starts_at
        if at is not None:
            starts.append((step, at.batch))
            x, y = step, at.batch
            first = min((s.rank for s in epoch.spans), default=0)
            for index, span in enumerate(s for s in epoch.spans if s.rank == first):
                y = y if index == 0 else 0
                segments.append(((x, y), (x + span.batches, y + span.batches)))
                x += span.batches
        step += epoch.steps
    return begins, starts, segments


def drift(epochs: Sequence[EpochCount], noun: str) -> str:
    """What the starts do: stay at the beginning of a pass, move by the same number each time, or neither."""
    known = [(e.starts_at.batch, e.needed) for e in epochs if e.starts_at is not None]
    if all(batch == 0 for batch, _ in known):
        return f"every {noun} starts where a pass starts" if len(known) > 1 else f"the {noun} starts with a pass"
    moves = set()
    for (before, needed), (after, _) in pairwise(known):
        move = after - before
        if needed is not None and needed > 0:
            half = needed // 2
            move = (move + half) % needed - half
        moves.add(move)
    if len(moves) == 1 and 0 not in moves:
        by = moves.pop()
        return (
            f"each {noun} starts {several(abs(by), 'batch', 'batches')} {'later' if by > 0 else 'earlier'} in the pass"
        )
    if moves == {0}:
        return f"every {noun} starts {several(known[0][0], 'batch', 'batches')} into a pass"
    return f"{noun}s start at different places in the pass"
