"""coverage-audit import: a log of (step, ids) that was written without us, as a run log."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from coverage_audit.errors import LogError, UsageError
from coverage_audit.importers.columns import Columns
from coverage_audit.importers.importing import FORMATS, Imported, Reading
from coverage_audit.importers.importing import import_log as import_files
from coverage_audit.model.contract import KINDS, PERS, Contract
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.words import number, several
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.files import natural_key
from coverage_audit.sources.progress import progress_of

_SHOWN = 3


@click.command("import")
@click.argument("kind", type=click.Choice(FORMATS), metavar="FORMAT")
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option("--output", "-o", default="run.parquet", show_default=True, metavar="LOG", help="The run log to write.")
@click.option(
    "--dataset",
    "--data",
    "data",
    multiple=True,
    metavar="PATHS",
    help="The data that the ids count: files, globs or a manifest.",
)
@click.option("--rows", multiple=True, type=click.IntRange(min=0), metavar="N", help="... or its rows; once per shard.")
@click.option("--batch-size", "-b", type=click.IntRange(min=1), metavar="B", help="Rows per batch, as declared.")
@click.option("--steps-per-epoch", type=click.IntRange(min=1), metavar="S", help="Where the log does not tell epochs.")
@click.option("--split", default="train", show_default=True, metavar="NAME")
@click.option("--contract", type=click.Choice(KINDS), help="What the split promises. Default: exactly-once.")
@click.option("--per", type=click.Choice(PERS), help="... and per what. Default: epoch.")
@click.option("--step-column", metavar="NAME", help="Default: step, global_step.")
@click.option("--ids-column", metavar="NAME", help="Default: ids, id, index, indices.")
@click.option("--rank-column", metavar="NAME", help="Default: rank, if there is one.")
@click.option("--epoch-column", metavar="NAME", help="Default: epoch, if there is one.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "matrix", "pairs"]),
    default="auto",
    show_default=True,
    help="Of .npy: a row of ids per step, or (step, id). auto: two columns are (step, id).",
)
@click.option("--first-step", type=int, metavar="N", help="Number of the run's first step. Default: 0 or 1.")
@click.option("--finished", is_flag=True, help="The run ended by itself: judge a last epoch that is shorter, too.")
def import_log(
    kind: Any, paths: tuple[str, ...], output: str, data: tuple[str, ...], rows: tuple[int, ...],
    batch_size: int | None, steps_per_epoch: int | None, split: str, contract: str | None, per: str | None,
    step_column: str | None, ids_column: str | None, rank_column: str | None, epoch_column: str | None, layout: Any,
    first_step: int | None, finished: bool,
) -> None:  # fmt: skip
    """Make a run log of a log that was written without coverage-audit, to be reported like any other.

    FORMAT is csv, tsv, jsonl, parquet or npy: a table of (step, ids[, rank, epoch]), a line per id or per step; several
    ids are a list, or text such as "3 1 2". Or olmo: data-indices/rank*.tsv.gz, lines of step<TAB>id<TAB>id. PATHS are
    files, folders or globs, .gz, .bz2 and .xz included; rank3.csv holds the lines of rank 3, unless a column says.

    Ids count the rows of all shards in order, from 0; others are found by the report (CA903). Lines that follow each
    other with one step number are one step. A log that goes back to a step it had was restarted there: the report
    counts what the final weights saw. Steps without a line make the report INCOMPLETE. Nothing is left on errors.

    \b
    coverage-audit import olmo run/data-indices -o run.parquet --data "tokens_*.npy"
    coverage-audit import csv seen.csv --rows 3190 --batch-size 64 --steps-per-epoch 50
    coverage-audit import npy order.npy --rows 60000
    coverage-audit report run.parquet

    \b
    Exit status: 0 written · 1 a file or value is not what it has to be, or LOG cannot be written
    """
    files = find_files(paths, kind)
    dataset = _dataset(data, rows)
    shards = None if dataset is None else dataset.shards
    info = SplitInfo(
        name=split,
        fingerprint=None if shards is None else shards.fingerprint,
        selected=None if shards is None else shards.selected,
        contract=Contract.of({k: v for k, v in (("kind", contract), ("per", per)) if v is not None} or None),
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
    )
    columns = Columns(step_column, ids_column, rank_column, epoch_column)
    reading = Reading(columns, layout, first_step, finished)
    log = Path(output)
    with progress_of(None, f"importing {several(len(files), 'file')}", sum(f.stat().st_size for f in files)) as tell:
        made = import_files(kind, files, log, info, shards, reading, tell)
    for line in describe(made, output, dataset is not None):
        click.echo(line)


def describe(made: Imported, output: str, has_data: bool) -> Iterator[str]:
    """What was understood, so that a misreading shows, and what to do next."""
    ids = several(made.ids, "id")
    yield f"imported  {output} · {several(made.steps, 'step')} · {ids} · {several(len(made.ranks), 'rank')}"
    for where, step in made.restarts[:_SHOWN]:
        yield f"  {where}: the log goes back to step {number(step)}: taken for a restart from there"
    if len(made.restarts) > _SHOWN:
        yield f"  ... and {several(len(made.restarts) - _SHOWN, 'more restart')}"
    if made.missing:
        yield (
            f"  {several(made.missing, 'step')} without a line, the first is {number(made.first_missing or 0)}: their "
            "rows are unknown"
        )
    for how in made.cut_off[:_SHOWN]:
        yield f"  {how}: what follows is unknown"
    if not has_data:
        yield "  no --dataset and no --rows were given: the report needs --dataset to say what was missed"
    yield f"next: coverage-audit report {output}"


def find_files(paths: Sequence[str], kind: str) -> list[Path]:
    """The files of ``paths``: globs and folders in natural order, of folders those that end in the format's name.

    Raises :class:`LogError` (import-files) where there are none.
    """
    found: list[str] = []
    for text in paths:
        if os.path.isdir(text):
            inside = [os.path.join(text, name) for name in os.listdir(text)]
            found += sorted((p for p in inside if os.path.isfile(p) and _is_of(p, kind)), key=natural_key)
        elif glob.has_magic(text) and not os.path.exists(text):
            found += sorted(filter(os.path.isfile, glob.glob(text, recursive=True)), key=natural_key)
        elif os.path.isfile(text):
            found.append(text)
        else:
            raise LogError(f"{text} is no file: correct the path", slug="import-files")
    if not found:
        raise LogError(
            f"{' '.join(paths)} leads to no {kind} file: name the files, or a folder or glob of them",
            slug="import-files",
        )
    return [Path(p) for p in dict.fromkeys(map(os.path.normpath, found))]


def _is_of(path: str, kind: str) -> bool:
    """Whether a file in a folder is meant: by its name, compressed or not."""
    name = os.path.basename(path).lower()
    for compressed in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(compressed)
    return name.endswith(".tsv" if kind == "olmo" else f".{kind}") and not name.startswith(".")


def _dataset(data: Sequence[str], rows: Sequence[int]) -> Dataset | None:
    if data and rows:
        raise UsageError("both --dataset and --rows were given: give one, so that the rows are known", slug="bad-plan")
    if rows:
        return Dataset.of(rows[0]) if len(rows) == 1 else Dataset.of({f"shard-{i}": n for i, n in enumerate(rows)})
    if len(data) == 1 and data[0].endswith(".json"):
        return Dataset.load(data[0])
    return Dataset.open(list(data)) if data else None
