"""Which ways from a batch to its rows a recorder tries: what ``ids=`` and ``identify=`` mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coverage_audit.errors import UsageError
from coverage_audit.identity.batches import Unasked, Way
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.explicit import Explicit
from coverage_audit.identity.held_views import HeldViews
from coverage_audit.identity.inferred import Inferred
from coverage_audit.identity.ladder import Ladder, Recognises
from coverage_audit.identity.names import Names
from coverage_audit.identity.origins import ORIGINS
from coverage_audit.recorder import reading
from coverage_audit.sources.contents import Contents

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset

WAYS = ("auto", "provenance", "views", "content", "tracer", "inferred", "off")
"""What ``identify=`` can be; "auto" is all of them, in this order."""


def choose_way(
    ids: Any,
    identify: str | None,
    dataset: Dataset | None,
    verify_every: int = 64,
    offset: int = 0,
    *,
    one_row: bool = False,
) -> tuple[Way, bool]:
    """The way for these arguments of ``wrap``, and whether arrays read from now on must remember their rows.

    ``offset``: the rank; identical rows are dealt from another member on each. ``one_row``: each batch is declared to
    be one row. Raises :class:`UsageError`
    (bad-identify, bad-verify-every, no-tracer).
    """
    if identify is not None and identify not in WAYS:
        raise UsageError(
            f"identify={identify!r} is unknown: give {', '.join(map(repr, WAYS[:-1]))} or 'off'; ids= says where a "
            "batch has its ids",
            slug="bad-identify",
        )
    if isinstance(verify_every, bool) or not isinstance(verify_every, int) or verify_every < 1:
        raise UsageError(
            f"verify_every={verify_every!r}: give a whole number above 0; 64 verifies one batch in 64",
            slug="bad-verify-every",
        )
    if ids is not None:
        return Explicit(ids, Names(dataset), one_row=one_row), False
    if identify in ("off", None):
        return (Unasked() if dataset is not None else Unasked("no data is declared to find rows in")), False
    if dataset is None:
        return Ladder(Declared((), (), (), ()), provenance=False, views=False), False
    every = identify == "auto"
    declared = Declared(dataset.paths, dataset.members, dataset.partners, [shard.rows for shard in dataset.shards])
    has_files = any(path is not None for path in dataset.paths)
    contents = Contents(dataset, ORIGINS.unchanged) if has_files or dataset.held is not None else None
    held = None if dataset.held is None else HeldViews(declared, dataset.held)
    reads = identify in ("auto", "provenance", "content", "inferred") and has_files
    inferred = (
        Inferred(declared, contents)
        if has_files and contents is not None and identify in ("auto", "inferred")
        else None
    )
    if reads:
        reading.watch(dataset)
    ladder = Ladder(
        declared,
        provenance=every or identify == "provenance",
        views=every or identify == "views",
        recognisers=_recognisers(str(identify), dataset, declared, contents, offset, held),
        inferred=inferred,
        contents=contents,
        verify_every=verify_every,
        held=held,
    )
    if every:
        ladder.made_of = (dataset, verify_every, offset)
    return ladder, reads


def _recognisers(
    identify: str,
    dataset: Dataset,
    declared: Declared,
    contents: Contents | None,
    offset: int,
    held: HeldViews | None,
) -> list[Callable[[], Recognises | None]]:
    """What looks into arrays, to be made when first needed."""

    def tracer() -> Recognises | None:
        from coverage_audit.identity.tracer import read_tracer

        return read_tracer(dataset)

    def content() -> Recognises | None:
        from coverage_audit.identity.content import Content
        from coverage_audit.sources.index import find_index

        if contents is None:
            return None
        before = None if held is None else held.hand_over
        return Content(declared, contents, find_index(dataset), offset, dataset.shards.selected, before=before)

    if identify == "tracer":
        if tracer() is None:
            raise UsageError(
                "identify='tracer' needs a tracer dataset: make one with `coverage-audit tracer` and open its files",
                slug="no-tracer",
            )
        return [tracer]
    if identify == "content":
        made = content()  # now, so that it hears of all reads
        return [lambda: made]
    return [tracer, content] if identify == "auto" else []
