"""coverage-audit debug: facts for a bug report."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import metadata
from pathlib import Path

import click

from coverage_audit._version import __version__
from coverage_audit.cli.data import find_logs
from coverage_audit.config import find_config, read_config
from coverage_audit.errors import CoverageAuditError, LogError
from coverage_audit.runlog.folder import JOURNAL, PART, WRITER, files_like, read_json, state_of
from coverage_audit.sources.dataset import Dataset

_PACKAGES = (
    "numpy", "pandas", "pyarrow", "click", "rich", "matplotlib", "jinja2", "fsspec", "xxhash", "tensorflow", "keras",
    "torch", "h5py", "zarr",
)  # fmt: skip
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_", "SLURM_", "OMPI_COMM_WORLD_", "TF_CONFIG", "KERAS_")


@click.command()
@click.argument("topic", type=click.Choice(["sys", "config", "data"]))
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.pass_context
def debug(ctx: click.Context, topic: str, paths: tuple[str, ...]) -> None:
    """Print facts for a bug report. Nothing is changed, no data is read.

    \b
    sys     versions and the environment that is looked at
    config  the configuration file found, and every value
    data    what lies at PATHS: run logs, or files of a dataset

    \b
    coverage-audit debug sys
    coverage-audit debug data run.parquet "shards/x_*.npy"

    \b
    Exit status: 0 printed · 1 the configuration or one of PATHS cannot be read
    """
    status = 0
    if topic == "data":
        for path in paths or (read_config().log,):
            try:
                lines = list(_data(path))
            except CoverageAuditError as error:
                click.echo(f"coverage-audit: error: {error}", err=True)
                status = 1
                continue
            click.echo("\n".join(lines))
    else:
        facts = _system() if topic == "sys" else _configuration()
        for name, value in facts:
            click.echo(f"{name:<22} {value}")
    ctx.exit(status)


def _system() -> Iterator[tuple[str, str]]:
    yield "coverage-audit", __version__
    yield "python", f"{platform.python_version()} {platform.python_implementation()}"
    yield "executable", sys.executable
    yield "platform", platform.platform()
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"
    for name in sorted(os.environ):
        if name.startswith(("COVERAGE_AUDIT_", *_VARIABLES)):
            yield name, os.environ[name]


def _configuration() -> Iterator[tuple[str, str]]:
    found = find_config()
    config = read_config()
    yield "file", "none" if found is None else str(found)
    yield "log", config.log
    yield "fail-on", ", ".join(config.gates.fail_on) or "-"
    yield "warn-on", ", ".join(config.gates.warn_on) or "-"
    yield "max-missed", str(config.gates.max_missed)
    yield "max-repeated", "-" if config.gates.max_repeated is None else str(config.gates.max_repeated)
    yield "allow-incomplete", str(config.gates.allow_incomplete).lower()
    yield "exit-zero", str(config.exit_zero).lower()
    for name in (f.name for f in fields(config.run)):
        value = getattr(config.run, name)
        if value not in (None, ()):
            yield f"run.{name.replace('_', '-')}", ", ".join(value) if isinstance(value, tuple) else str(value)
    for code, settings in config.rules.items():
        yield f"rules.{code}", ", ".join(f"{key} = {value}" for key, value in settings.items())


def _data(path: str) -> Iterator[str]:
    try:
        logs = [log for log in find_logs([path]) if _is_log(Path(log))]
    except LogError:  # a pattern without logs: opening it as data says what there is, or that there is nothing
        logs = []
    if logs:
        for log in logs:
            yield from _log(Path(log))
        return
    dataset = Dataset.load(path) if path.endswith(".json") else Dataset.open(path)
    yield f"{path}: {dataset!r}"
    yield f"  fingerprint {dataset.fingerprint}"
    for shard in dataset.shards:
        size = "no file" if shard.bytes is None else f"{shard.bytes:,} bytes"
        yield f"  {shard.name}  {shard.rows:,} rows  {size}"


def _is_log(path: Path) -> bool:
    return state_of(path).is_dir() or bool(files_like(path, PART))


def _log(log: Path) -> Iterator[str]:
    state = state_of(log)
    yield f"{log}: run log"
    run = state / "run.json"
    facts = read_json(run) if run.is_file() else {}
    for key in ("run_id", "schema_version", "created"):
        yield f"  {key} {facts.get(key, 'unknown')}"
    for what, folder, pattern in (("part", log, PART), ("journal", state, JOURNAL), ("writer", state, WRITER)):
        for file, _ in files_like(folder, pattern):
            yield f"  {what} {file.name}  {file.stat().st_size:,} bytes"
