"""assert_full_coverage(): run a loader for some epochs, and say which rows it missed."""

from __future__ import annotations

import itertools
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverage_audit.adapters.choice import wrap
from coverage_audit.auditor import audit
from coverage_audit.config import Gates, read_config
from coverage_audit.errors import UsageError
from coverage_audit.identity.batches import count_rows
from coverage_audit.model.contract import Contract
from coverage_audit.reporters import short
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.sources.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

ENDLESS = 20
"""Passes over the data (by the rows of its batches, where they tell) after which an iteration has no end."""


def assert_full_coverage(
    loader: Any,
    dataset: Dataset,
    epochs: int = 1,
    *,
    batch_size: int | None = None,
    steps_per_epoch: int | None = None,
    contract: Contract | str | Mapping[str, Any] | None = None,
    ids: Any = None,
    identify: str | None = "auto",
    max_missed: int | None = None,
    max_repeated: int | None = None,
    fail_on: Sequence[str] | None = None,
    warn_on: Sequence[str] | None = None,
    allow_incomplete: bool = False,
) -> AuditResult:
    """Iterate ``loader`` for ``epochs`` epochs; raise AssertionError with the report if rows were missed.

    ::

        def test_the_loader_gives_every_row():
            ca.assert_full_coverage(make_loader(), ca.Dataset.open("shards/x_*.npy"), epochs=2)

    An epoch is ``steps_per_epoch`` batches, taken on from where the one before stopped if the loader is an iterator
    (a generator); else one iteration from its beginning to its end. ``batch_size``, ``contract``, ``ids``,
    ``identify`` are those of :func:`~coverage_audit.adapters.choice.wrap`; the gates ``max_missed`` … those of
    ``coverage-audit report``, by default the configured ones. It is recorded into a temporary folder, as one process
    that reads all data, whatever launched it.

    Returns the result if it passes; INCOMPLETE does not. Raises :class:`UsageError` for arguments that cannot be meant
    and for a loader that does not end (endless-loader); what the loader raises goes through.
    """
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise UsageError(f"epochs={epochs!r}: give a whole number above 0", slug="bad-epochs")
    if os.environ.get("COVERAGE_AUDIT_DISABLE", "") not in ("", "0"):
        raise UsageError(
            "COVERAGE_AUDIT_DISABLE is set, so nothing can be recorded or asserted: unset it", slug="recording-disabled"
        )
    config = read_config()
    gates = gates_with(config.gates, max_missed, max_repeated, fail_on, warn_on, allow_incomplete)
    with tempfile.TemporaryDirectory(prefix="coverage-audit-") as folder:
        log = Path(folder) / "run.parquet"
        wrapped = wrap(
            loader, dataset, log, batch_size=batch_size, steps_per_epoch=steps_per_epoch, epochs=epochs,
            contract=contract, ids=ids, identify=identify, run_id=uuid.uuid4().hex, data_parallel=(0, 1),
        )  # fmt: skip
        try:
            _train(wrapped, type(loader), epochs, steps_per_epoch, dataset.rows)
        finally:
            wrapped.recorder.close()
        result = audit(log, gates=gates, config=config)
        if result.verdict is not Verdict.PASS:
            raise AssertionError("\n" + short.render(_named(result, loader)))
    return _named(result, loader)


def _train(loader: Any, kind: type, epochs: int, steps: int | None, rows: int) -> None:
    """Take every batch as a training loop would, and tell each epoch and step. ``kind``: of the loader unwrapped."""
    goes_on = hasattr(kind, "__next__")
    if goes_on and epochs > 1 and steps is None:
        raise UsageError(
            f"epochs={epochs} of an iterator, which does not say where an epoch ends: give steps_per_epoch=, or "
            "something that can be iterated again",
            slug="endless-loader",
        )
    rest = iter(loader) if goes_on else None
    for _ in range(epochs):
        with loader.recorder.epoch():
            batches = itertools.islice(_batches(loader, kind) if rest is None else rest, steps)
            for _ in batches if steps is not None else _ending(batches, rows):
                loader.recorder.step()


def _batches(loader: Any, kind: type) -> Iterable[Any]:
    """One iteration. What has only items is asked for no more of them than its length says."""
    if hasattr(kind, "__iter__") or not hasattr(kind, "__len__"):
        return loader  # type: ignore[no-any-return]
    return itertools.islice(loader, len(loader))


def _ending(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """The same, unless there are so many that there is no end to them. Raises UsageError (endless-loader)."""
    seen = 0
    for n, batch in enumerate(batches):
        if seen > ENDLESS * max(rows, 1):
            raise UsageError(
                f"the loader gave {n:,} batches for {rows:,} rows and goes on: give steps_per_epoch=, the batches of "
                "one epoch",
                slug="endless-loader",
            )
        seen += max(count_rows(batch), 1)
        yield batch


def _named(result: AuditResult, loader: Any) -> AuditResult:
    """The result under the name of what was tested; its log is gone."""
    return replace(result, run=replace(result.run, log=type(loader).__name__), steps_of=_no_steps)


def _no_steps() -> pd.DataFrame:
    raise UsageError("the log behind this result was temporary, so its steps are gone", slug="no-steps")


def gates_with(
    base: Gates,
    max_missed: int | None = None,
    max_repeated: int | None = None,
    fail_on: Sequence[str] | None = None,
    warn_on: Sequence[str] | None = None,
    allow_incomplete: bool | None = None,
) -> Gates:
    """``base`` with what is given in its place."""
    return replace(
        base,
        max_missed=base.max_missed if max_missed is None else max_missed,
        max_repeated=base.max_repeated if max_repeated is None else max_repeated,
        fail_on=base.fail_on if fail_on is None else _codes(fail_on),
        warn_on=base.warn_on if warn_on is None else _codes(warn_on),
        allow_incomplete=allow_incomplete or base.allow_incomplete,
    )


def _codes(codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(codes.replace(",", " ").split()) if isinstance(codes, str) else tuple(codes)
