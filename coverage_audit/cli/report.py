"""coverage-audit report: what a training run did with its rows."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from coverage_audit.cli.data import find_logs
from coverage_audit.cli.output import Output, OutputType, Page, deliver, unwritable
from coverage_audit.cli.progress import progress
from coverage_audit.config import Config, Gates, read_config
from coverage_audit.errors import CoverageAuditError, LogError
from coverage_audit.result import AuditResult
from coverage_audit.sources.dataset import Dataset

# What could not be done hides what was not found, and that hides what failed: 1 > 3 > 2.
_PRECEDENCE = (0, 2, 3, 1)


@click.command()
@click.argument("data", nargs=-1, metavar="[DATA]...")
@click.option(
    "-f",
    "--format",
    "outputs",
    type=OutputType(),
    multiple=True,
    metavar="TYPE[:DEST]",
    help="text, markdown, total (one number) or json; to a file after a colon. May be given several times.",
)
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write three figures per split as PNG and SVG.",
)
@click.option("--fail-on", multiple=True, metavar="CODES", help="Rules whose findings fail, such as CA201,CA603.")
@click.option("--warn-on", multiple=True, metavar="CODES", help="Rules whose findings only warn.")
@click.option("--max-missed", type=click.IntRange(min=0), metavar="N", help="Missed row-epochs that are let through.")
@click.option("--max-repeated", type=click.IntRange(min=0), metavar="N", help="Repeated visits that are let through.")
@click.option("--allow-incomplete", is_flag=True, help="Judge what is there where evidence is missing.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever was found. Errors still exit 1.")
@click.option(
    "--dataset",
    "paths",
    multiple=True,
    metavar="PATHS",
    help="The data as it is now: files, globs or a manifest. Differences from what was recorded are found.",
)
@click.option("-v", "--verbose", is_flag=True, help="Every epoch, pass, shard and finding.")
@click.option("--width", type=click.IntRange(min=40), metavar="N", help="Columns of text. Default: the terminal's.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="auto: on a terminal, unless NO_COLOR is set.",
)
@click.pass_context
def report(
    ctx: click.Context, data: tuple[str, ...], outputs: tuple[Output, ...], figures: Path | None,
    fail_on: tuple[str, ...], warn_on: tuple[str, ...], max_missed: int | None, max_repeated: int | None,
    allow_incomplete: bool, exit_zero: bool, paths: tuple[str, ...], verbose: bool, width: int | None, color: str,
) -> None:  # fmt: skip
    """Report which rows a run saw: verdict, tables, findings, and what to fix.

    DATA is a run log, a folder of them, or a glob; run.parquet by default.

    \b
    coverage-audit report
    coverage-audit report run.parquet -f text -f json:report.json --figures figures
    coverage-audit report runs/ --fail-on CA201 --max-missed 100

    \b
    Exit status: 0 all gates pass · 1 the job could not be done · 2 a gate failed
                 3 the evidence is incomplete. Of several logs the worst: 1, then 3, then 2.
    """
    config = read_config()
    gates = _gates(config.gates, fail_on, warn_on, max_missed, max_repeated, allow_incomplete)
    dataset = _dataset(paths)
    results: list[AuditResult] = []
    status = 0
    for log in find_logs(data or (config.log,)):
        try:
            results.append(_audit(log, dataset, gates, config))
        except CoverageAuditError as error:
            click.echo(f"coverage-audit: error: {error}", err=True)
            status = 1
    if results:
        deliver(outputs or (Output("text"),), results, Page(width, color, verbose))
    if figures is not None:
        _draw(results, figures)
    if not (exit_zero or config.exit_zero):
        status = worst([status, *(r.exit_status for r in results)])
    ctx.exit(status)


def worst(statuses: Sequence[int]) -> int:
    """The exit status of several: 1 before 3 before 2 before 0."""
    return max(statuses, key=_PRECEDENCE.index, default=0)


def _audit(log: str, dataset: Dataset | None, gates: Gates, config: Config) -> AuditResult:
    from coverage_audit.auditor import audit

    with progress(f"reading {log}"):
        _finish(Path(log))
        return audit(log, dataset=dataset, gates=gates, config=config)


def _finish(log: Path) -> None:
    """Make the parts of writers that are gone. Where nothing may be written, their journals are read as they are."""
    from coverage_audit.runlog.parts import finish_log

    try:
        finish_log(log)
    except OSError as error:
        cause = error.__cause__ if isinstance(error, LogError) else error
        if not isinstance(cause, OSError) or cause.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC):
            raise


def _gates(
    base: Gates, fail_on: Sequence[str], warn_on: Sequence[str], max_missed: int | None, max_repeated: int | None,
    allow_incomplete: bool,
) -> Gates:  # fmt: skip
    """The configured gates, each replaced where the command line says otherwise."""
    return replace(
        base,
        fail_on=_codes(fail_on) if fail_on else base.fail_on,
        warn_on=_codes(warn_on) if warn_on else base.warn_on,
        max_missed=base.max_missed if max_missed is None else max_missed,
        max_repeated=base.max_repeated if max_repeated is None else max_repeated,
        allow_incomplete=allow_incomplete or base.allow_incomplete,
    )


def _codes(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(code for value in values for code in re.split(r"[,\s]+", value) if code)


def _dataset(paths: Sequence[str]) -> Dataset | None:
    if not paths:
        return None
    if len(paths) == 1 and paths[0].endswith(".json"):
        return Dataset.load(paths[0])
    return Dataset.open(list(paths))


def _draw(results: Sequence[AuditResult], folder: Path) -> None:
    from coverage_audit.reporters.figures import write_figures

    for result in results:
        place = folder if len(results) == 1 else folder / re.sub(r"[^\w.-]+", "_", result.run.log.strip("./"))
        with progress("drawing"):
            try:
                files = write_figures(result, place)
            except OSError as error:
                raise unwritable(place, error) from error
        click.echo(f"coverage-audit: {len(files)} figures in {place}", err=True)
