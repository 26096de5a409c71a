"""coverage-audit tracer: a stand-in dataset that says which rows a loader hands out."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from coverage_audit.identity.tracer_maker import TracerPlan, plan_tracer
from coverage_audit.sources.dataset import Dataset

_SHOWN = 8


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option("--output", "-o", required=True, metavar="DIR", help="The folder to write: new, empty, or an old tracer.")
@click.option(
    "--aligned", multiple=True, metavar="GLOB", help="Files of the same rows, such as labels; once per set of files."
)
@click.option("--below", type=int, metavar="N", help="Whole numbers stay below N: the size of a vocabulary.")
def tracer(paths: tuple[str, ...], output: str, aligned: tuple[str, ...], below: int | None) -> None:
    """Write a stand-in for a dataset whose contents are its row ids.

    The same file names, formats, shapes and types; every row holds its own number with a check code. Run any loader
    over it, and its coverage is read off the batches, whatever it copies, shuffles, buffers, casts, crops or reshapes;
    what it altered beyond recognition is unknown, never wrong. So a loader is audited in CI without the real data.

    Labels and other further arrays stay in the range they have in the original (and are read for that). Flat streams
    of tokens are read off windows; give --below where the tokens feed an embedding smaller than 256.

    \b
    coverage-audit tracer "shards/x_*.npy" --aligned "shards/y_*.npy" -o tracer/
    coverage-audit tracer train.bin::uint16 --below 65 -o tracer/
    then:
    coverage-audit run --data "tracer/x_*.npy" --identify tracer train.py --data-dir tracer/

    \b
    Exit status: 0 written · 1 the data cannot be stood in for, or the folder not written
    """
    one = len(paths) == 1 and paths[0].endswith(".json")
    dataset = Dataset.load(paths[0]) if one else Dataset.open(paths, aligned=aligned or None)
    plan = plan_tracer(dataset, output, below=below)
    plan.check()
    n = len(plan.files)
    size = f"{plan.bytes:,} bytes in {n:,} file{'' if n == 1 else 's'}"
    click.echo(f"coverage-audit: writing {size} to {output}", err=True)
    made = plan.write()
    shards = f"{len(made.shards):,} shard{'' if len(made.shards) == 1 else 's'}"
    click.echo(f"tracer  {output} · {made.shards.n_ids:,} rows in {shards} · {size}")
    data = _named([] if one else paths, [_shown(p, m) for p, m in zip(made.paths, made.members, strict=True)], plan)
    labels = _named(aligned, [_shown(path, "") for group in made.partners for path in group], plan)
    options = "".join(f" --data {shlex.quote(d)}" for d in data)
    options += "".join(f" --aligned {shlex.quote(a)}" for a in labels)
    click.echo(f"next: let the script read its data from {output}, and run")
    click.echo(f"  coverage-audit run{options} --identify tracer train.py")
    click.echo("or, in Python:")
    click.echo(f'  gen = ca.wrap(gen, ca.Dataset.open({data[0] if len(data) == 1 else data!r}), log="run.parquet")')


def _named(patterns: Sequence[str], files: list[str], plan: TracerPlan) -> list[str]:
    """What to open instead of ``patterns``: patterns if they match the same files now, else the files, if few."""
    moved, found = [], []
    for text in patterns:
        pattern, colons, member = text.partition("::")
        pattern = os.path.relpath(plan.folder / os.path.relpath(os.path.abspath(pattern), plan.root))
        moved.append(pattern + colons + member)
        found += [os.path.relpath(path) + colons + member for path in glob.glob(pattern, recursive=True)]
    if patterns and sorted(found) == sorted(files):
        return moved
    return files if len(files) <= _SHOWN else [os.path.relpath(plan.folder)]


def _shown(path: Path | None, member: str) -> str:
    name = os.path.relpath(path or "")
    return f"{name}::{member}" if member else name
