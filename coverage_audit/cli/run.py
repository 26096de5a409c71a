"""coverage-audit run: a training script, unchanged, recorded."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from typing import Any

import click

from coverage_audit.config import IDENTIFY, KINDS, PERS, Config, read_config
from coverage_audit.errors import UsageError
from coverage_audit.launch.launch import Launch
from coverage_audit.launch.options import Options
from coverage_audit.launch.script import Program

_PATTERN: dict[str, Any] = {"multiple": True, "metavar": "GLOB"}


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--data", **_PATTERN, help="The training data: files, folders, quoted globs. May be given several times.")
@click.option("--aligned", **_PATTERN, help="Files whose rows belong to those of --data one by one: labels.")
@click.option("--validation-data", **_PATTERN, help="Record validation too; this is its data.")
@click.option("--log", metavar="PATH", help="The run log. Default: COVERAGE_AUDIT_LOG, the configuration, run.parquet.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Rows per batch, to be checked.")
@click.option("--contract", type=click.Choice(KINDS), help="What training promises about its rows.")
@click.option("--per", type=click.Choice(PERS), help="Per what it promises that. Default: epoch.")
@click.option("--identify", type=click.Choice(IDENTIFY), help="How the rows of a batch are found. Default: auto.")
@click.option(
    "--verify-every", type=click.IntRange(min=1), metavar="N",
    help="Compare one batch in N with the bytes of the files. Default: 64.",
)  # fmt: skip
@click.option(
    "--loader", "loaders", multiple=True, metavar="NAME",
    help="A function or class of the script (batches, Data.next_batch) or of a module (pkg.data:batches): the batches "
    "it returns or yields are recorded. Not for what feeds Keras or a DataLoader. May be given several times.",
)  # fmt: skip
@click.option("-m", "is_module", is_flag=True, help="What follows is a module: run it as python -m does.")
@click.argument("script", nargs=-1, required=True, type=click.UNPROCESSED, metavar="SCRIPT [ARGS]...")
def run(
    data: tuple[str, ...], aligned: tuple[str, ...], validation_data: tuple[str, ...], log: str | None,
    batch_size: int | None, contract: str | None, per: str | None, identify: str | None, verify_every: int | None,
    loaders: tuple[str, ...], is_module: bool, script: tuple[str, ...],
) -> Callable[[], None]:  # fmt: skip
    """Run a training script unchanged, and record which rows it trains on.

    What Keras fit, evaluate and train_on_batch and what torch DataLoaders consume is recorded; batches made otherwise
    are recorded when --loader names what makes them. Output, exit status and signals are the script's own; one line on
    stderr says at the end where the log is. Processes that multiprocessing starts are recorded too, other programs
    that the script starts are not.

    \b
    coverage-audit run --data "shards/x_*.npy" train.py --lr 0.1
    coverage-audit run --data "x_*.npy" --aligned "y_*.npy" -m pkg.train --epochs 3
    coverage-audit run --data train.bin::uint16 --loader get_batch train.py
    coverage-audit run train.py                   first find out which data it reads

    Options stand before the script; all of them can be keys of [tool.coverage-audit.run] too. Paths start from the
    directory of the command. With COVERAGE_AUDIT_DISABLE=1 the script just runs.

    Exit status: that of the script; 1 if it could not be started.
    """
    program = Program(script[0], is_module, script[1:])
    config = read_config()
    settings = config.run
    return Launch(
        program,
        Options(
            folder=os.getcwd(),
            log=os.path.realpath(_log(log, config)),
            command=program.command,
            module=program.name if is_module else None,
            data=_found("--data", data or settings.data),
            aligned=_found("--aligned", aligned or settings.aligned),
            validation_data=_found("--validation-data", validation_data or settings.validation_data),
            batch_size=settings.batch_size if batch_size is None else batch_size,
            contract=contract or settings.contract,
            per=per or settings.per,
            identify=identify or settings.identify or "auto",
            verify_every=settings.verify_every if verify_every is None else verify_every,
            loaders=loaders or settings.loader,
            given=_given(),
        ),
    )


def _given() -> tuple[str, ...]:
    """The options of this command line, as words."""
    context = click.get_current_context()
    words: list[str] = []
    for option in context.command.params:
        name = str(option.name)
        typed = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if typed and isinstance(option, click.Option) and not option.is_flag:
            value = context.params[name]
            values = value if isinstance(value, tuple) else (value,)
            words += [word for one in values for word in (option.opts[0], str(one))]
    return tuple(words)


def _log(given: str | None, config: Config) -> str:
    return os.path.expanduser(given or os.environ.get("COVERAGE_AUDIT_LOG") or config.run.log or config.log)


def _found(option: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns as absolute ones, each of them matching something now. Their headers are read later."""
    return tuple(pattern if "://" in pattern else _absolute(option, pattern) for pattern in patterns)


def _absolute(option: str, pattern: str) -> str:
    path = os.path.abspath(os.path.expanduser(pattern))
    files = path if os.path.exists(path) or "::" not in path else path.rpartition("::")[0]
    if not (os.path.exists(files) or any(glob.iglob(files, recursive=True))):
        raise UsageError(
            f"{option} {pattern!r} matches no file in {os.getcwd()}: check the path, and quote patterns", slug="no-data"
        )
    return path
