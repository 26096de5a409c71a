"""coverage-audit plan: what would be missed, before training."""

from __future__ import annotations

from typing import Any

import click

from coverage_audit.cli.output import Output, OutputType, Page, deliver
from coverage_audit.config import read_config
from coverage_audit.errors import UsageError
from coverage_audit.model.contract import KINDS, PERS
from coverage_audit.model.shards import Shards
from coverage_audit.sources.dataset import Dataset


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--rows", multiple=True, type=int, metavar="N", help="Rows, instead of PATHS; once per shard.")
@click.option("--batch-size", "-b", required=True, type=int, metavar="B", help="Rows per batch.")
@click.option("--steps-per-epoch", type=int, metavar="S", help="Default: what one pass takes.")
@click.option("--epochs", type=int, default=1, show_default=True, metavar="E")
@click.option(
    "--continuous/--restarting",
    default=True,
    help="Whether an epoch goes on where the one before stopped, or begins anew. Default: continuous.",
)
@click.option("--drop-remainder", is_flag=True, help="The loader leaves partial batches out.")
@click.option(
    "--remainder",
    type=click.Choice(["global", "per-shard"]),
    default="global",
    show_default=True,
    help="Batches are filled across shards, or every shard ends with its own partial batch.",
)
@click.option("--contract", type=click.Choice(KINDS), help="What the split promises. Default: exactly-once.")
@click.option("--per", type=click.Choice(PERS), help="... and per what. Default: epoch.")
@click.option(
    "-f",
    "--format",
    "outputs",
    type=OutputType(),
    multiple=True,
    metavar="TYPE[:DEST]",
    help="text, markdown, total or json; to a file after a colon. May be given several times.",
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever was found. Errors still exit 1.")
@click.option("-v", "--verbose", is_flag=True, help="Every epoch, pass, shard and finding.")
@click.pass_context
def plan(
    ctx: click.Context, paths: tuple[str, ...], rows: tuple[int, ...], batch_size: int, steps_per_epoch: int | None,
    epochs: int, continuous: bool, drop_remainder: bool, remainder: Any, contract: str | None, per: str | None,
    outputs: tuple[Output, ...], exit_zero: bool, verbose: bool,
) -> None:  # fmt: skip
    """Say before training which rows would be missed or repeated, and what to set.

    PATHS are .npy or .npz files, folders, globs, or a manifest; only headers are read. The shards are taken in fixed
    order. The last line is the value to set.

    \b
    coverage-audit plan --rows 3190 --batch-size 64 --steps-per-epoch 49 --epochs 3
    coverage-audit plan shards/x_*.npy --batch-size 64 --remainder per-shard
    coverage-audit plan --rows 1000 --rows 937 -b 64 --restarting --drop-remainder

    \b
    Exit status: 0 all gates pass · 1 the job could not be done · 2 a gate would fail
    """
    from coverage_audit import planner  # brings the rules along

    config = read_config()
    dataset = _dataset(paths, rows)
    result = planner.plan(
        dataset,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        generator="continuous" if continuous else "restarting",
        drop_remainder=drop_remainder,
        remainder=remainder,
        contract={key: value for key, value in (("kind", contract), ("per", per)) if value is not None} or None,
        gates=config.gates,
        thresholds=config.rules,
    )
    wanted = outputs or (Output("text"),)
    deliver(wanted, [result], Page(verbose=verbose))
    # A document on stdout must stay one; then the advice goes to stderr.
    document = any(o.destination is None and o.format != "text" for o in wanted)
    needed = planner.steps_of_pass(dataset.shards, batch_size, drop_remainder=drop_remainder, remainder=remainder)
    how = describe_needed(dataset.shards, batch_size, drop_remainder, remainder == "per-shard")
    click.echo(f"set: steps_per_epoch = {needed}  (one pass: {how})", err=document)
    ctx.exit(0 if exit_zero or config.exit_zero else result.exit_status)


def describe_needed(shards: Shards, batch_size: int, drop_remainder: bool, per_shard: bool) -> str:
    """The arithmetic of one pass, in words short enough for a line."""
    rounding = "floor" if drop_remainder else "ceil"
    if not per_shard:
        return f"{rounding}({shards.rows:,} / {batch_size:,})"
    lengths = shards.expected_per_shard
    steps = [int(n) // batch_size if drop_remainder else -(-int(n) // batch_size) for n in lengths]
    formula = f"{rounding}(n / {batch_size:,}) per shard"
    return f"{formula}: {' + '.join(map(str, steps))}" if len(steps) <= 8 else f"{formula}, {len(steps):,} shards"


def _dataset(paths: tuple[str, ...], rows: tuple[int, ...]) -> Dataset:
    if bool(paths) == bool(rows):
        raise UsageError(
            f"{len(paths)} PATHS and {len(rows)} --rows were given: give either, so that the rows are known",
            slug="bad-plan",
        )
    if rows:
        return Dataset.of(rows[0]) if len(rows) == 1 else Dataset.of({f"shard-{i}": n for i, n in enumerate(rows)})
    if len(paths) == 1 and paths[0].endswith(".json"):
        return Dataset.load(paths[0])
    return Dataset.open(paths)
