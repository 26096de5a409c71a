"""plan(): the run that would happen, as Counts made by arithmetic; judged by the same rules as a recorded one."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast, get_args

from coverage_audit.auditor import judge
from coverage_audit.config import Gates
from coverage_audit.counts.schedule import Schedule, count_schedule
from coverage_audit.counts.tables import Counts
from coverage_audit.counts.traversal import Traversal
from coverage_audit.errors import UsageError
from coverage_audit.model.contract import Contract
from coverage_audit.model.run import RunInfo, SplitInfo, Writer, WriterEnd
from coverage_audit.model.shards import Shards
from coverage_audit.result import AuditResult

Generator = Literal["continuous", "restarting"]
Remainder = Literal["global", "per-shard"]

MAX_ROWS = 100_000_000
"""Reports show visits per row, 4 bytes each and as much again while adding them up."""
MAX_PARTS = 200_000
"""Of passes, as the epochs cut them: each is listed."""


class HasShards(Protocol):
    """A Dataset, as far as a plan is concerned."""

    @property
    def shards(self) -> Shards: ...


def plan(
    dataset: HasShards,
    *,
    batch_size: int,
    steps_per_epoch: int | None = None,
    epochs: int = 1,
    generator: Generator = "continuous",
    drop_remainder: bool = False,
    remainder: Remainder = "global",
    contract: Contract | str | Mapping[str, Any] | None = None,
    gates: Gates | None = None,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> AuditResult:
    """The verdict before training, for a loader that reads the shards in their order.

    ``steps_per_epoch``: None for what one pass takes. ``generator``: "continuous" goes on where the epoch before
    stopped, "restarting" begins every epoch with its first batch; both begin again after their last one.
    ``remainder``: "global" fills batches across shards, "per-shard" ends every shard with its own partial batch.
    ``drop_remainder`` leaves partial batches out. ``gates`` and ``thresholds`` (per rule code) are as in the
    configuration.

    Raises :class:`UsageError`: bad-plan for values that cannot be meant, plan-too-large above 100,000,000 rows or
    200,000 pieces of passes.
    """
    counts = count_plan(
        _shards(dataset),
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        generator=generator,
        drop_remainder=drop_remainder,
        remainder=remainder,
        contract=contract,
    )
    return judge(counts, gates, thresholds)


def steps_of_pass(
    shards: Shards, batch_size: int, *, drop_remainder: bool = False, remainder: Remainder = "global"
) -> int:
    """How many steps one pass takes: the value to set. Any number of rows. Raises :class:`UsageError` (bad-plan)."""
    return _traversal(shards, batch_size, drop_remainder, remainder).n_batches


def count_plan(
    shards: Shards,
    *,
    batch_size: int,
    steps_per_epoch: int | None = None,
    epochs: int = 1,
    generator: Generator = "continuous",
    drop_remainder: bool = False,
    remainder: Remainder = "global",
    contract: Contract | str | Mapping[str, Any] | None = None,
) -> Counts:
    """The counts that :func:`plan` judges; the same arguments and errors."""
    traversal = _traversal(shards, batch_size, drop_remainder, remainder)
    per_pass = traversal.n_batches
    steps = per_pass if steps_per_epoch is None else _positive("steps_per_epoch", steps_per_epoch)
    n_epochs = _positive("epochs", epochs)
    _one_of("generator", generator, get_args(Generator))
    _check_size(shards.n_ids, per_pass, steps, n_epochs)
    info = SplitInfo(
        "train", shards.fingerprint, shards.selected, Contract.of(contract), traversal.batch_size, steps, n_epochs
    )
    run = RunInfo("plan", "plan", (WriterEnd(Writer(0, 0, 1, splits=(info,)), "closed"),), {shards.fingerprint: shards})
    schedule = Schedule(traversal, steps, n_epochs, restarting=generator == "restarting")
    return Counts(run, (count_schedule(schedule, run, info),))


def _traversal(shards: Shards, batch_size: int, drop_remainder: bool, remainder: Remainder) -> Traversal:
    _one_of("remainder", remainder, get_args(Remainder))
    traversal = Traversal(shards, _positive("batch_size", batch_size), drop_remainder, remainder == "per-shard")
    if traversal.n_batches == 0:
        why = "the data is empty" if shards.rows == 0 else f"no {remainder} batch of {batch_size:,} is ever full"
        raise UsageError(
            f"{shards.rows:,} rows give no batch at all, {why}: check the data, batch_size and drop_remainder",
            slug="bad-plan",
        )
    return traversal


def _check_size(n_ids: int, per_pass: int, steps: int, epochs: int) -> None:
    value = f"one pass takes {per_pass:,} steps, so steps_per_epoch = {per_pass} is right"
    if n_ids > MAX_ROWS:
        raise UsageError(
            f"{n_ids:,} rows are more than a plan lists one by one ({MAX_ROWS:,}): {value}; to see the whole report "
            "divide rows and batch_size by the same number",
            slug="plan-too-large",
        )
    if epochs * (steps // per_pass + 1) > MAX_PARTS:
        raise UsageError(
            f"epochs={epochs:,} of {steps:,} steps cut the passes into more than {MAX_PARTS:,} pieces: {value}; "
            "plan fewer epochs",
            slug="plan-too-large",
        )


def _shards(dataset: object) -> Shards:
    shards = dataset if isinstance(dataset, Shards) else getattr(dataset, "shards", None)
    if not isinstance(shards, Shards):
        raise UsageError(f"{dataset!r} is not a Dataset: use Dataset.of({dataset!r}) or Dataset.open", slug="bad-plan")
    return shards


def _positive(name: str, value: object) -> int:
    try:
        number = operator.index(cast(Any, value))
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise UsageError(f"{name}={value!r} is impossible: give a whole number, 1 or more", slug="bad-plan")
    return number


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name}={value!r} is unknown: give {' or '.join(map(repr, known))}", slug="bad-plan")
