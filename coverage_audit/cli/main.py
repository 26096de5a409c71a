"""coverage-audit: the group of commands, its help, and what every exit status means."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from coverage_audit._version import __version__
from coverage_audit.errors import CoverageAuditError

# Each is an object of its own name in coverage_audit.cli.<name>, imported when it is called; some names are no names
# for modules.
COMMANDS = {
    "run": "Run a training script unchanged, and record it.",
    "report": "What a run did with its rows: verdict, tables, findings, fixes.",
    "plan": "Before training: what would be missed, and what to set.",
    "import": "Make a run log of a log of (step, ids) that was written without us.",
    "tracer": "Write stand-in data that says which rows a loader hands out.",
    "explain": "The page of a rule or of an error.",
    "demo": "Record a real run over small shards and report it.",
    "debug": "Facts for a bug report: versions, configuration, data.",
}
_MODULES = {"import": "import_log"}

ERROR = 1  # the job could not be done; click's own status for usage errors is 2, which here means a failed gate
INTERRUPTED = 130


class Commands(click.Group):
    """A group whose commands are imported when called, and whose errors are one message and status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = getattr(importlib.import_module(f"coverage_audit.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        name = "coverage-audit" if prog_name is None else prog_name
        if not standalone_mode:
            return super().main(args, name, complete_var, standalone_mode=False, **extra)
        try:
            status = super().main(args, name, complete_var, standalone_mode=False, **extra)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            _refuse(error)
        except CoverageAuditError as error:
            _fail(str(error))
        except OSError as error:
            _fail(f"{error.filename or 'the system'}: {error.strerror or error}")
        if callable(status):  # a script to run: where no error of its own is taken for one of ours
            status = status()
        sys.exit(status if isinstance(status, int) else 0)


def _refuse(error: click.ClickException) -> NoReturn:
    ctx = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and isinstance(ctx, click.Context):
        click.echo(ctx.get_usage(), err=True)
        _fail(f"{error.format_message()} (help: {ctx.command_path} --help)")
    _fail(error.format_message())


def _fail(message: str) -> NoReturn:
    click.echo(f"coverage-audit: error: {message}", err=True)
    sys.exit(ERROR)


@click.group("coverage-audit", cls=Commands, invoke_without_command=True)
@click.version_option(__version__, prog_name="coverage-audit")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Which rows of the data did a training run really see, how often, in what order, and what to fix.

    \b
    Wrap the loader, train, ask:
      gen = ca.wrap(gen, ca.Dataset.open("shards/x_*.npy"), log="run.parquet",
                    batch_size=64, steps_per_epoch=51)
      model.fit(gen, steps_per_epoch=51, epochs=3, callbacks=[gen.callback()])

    \b
    Or leave the script as it is:
      coverage-audit run --data "shards/x_*.npy" train.py

    \b
    Examples:
      coverage-audit report run.parquet             the verdict on a run
      coverage-audit plan shards/x_*.npy --batch-size 64 --remainder per-shard
      coverage-audit import olmo run/data-indices   audit logs you already have
      coverage-audit tracer "x_*.npy" -o DIR        stand-in data: rows are ids
      coverage-audit explain CA601                  what a finding means
      coverage-audit demo                           see it work
      coverage-audit debug sys                      for a bug report

    \b
    Exit status:
      0  the evidence is complete and all gates pass
      1  the job could not be done: usage, configuration, files
      2  a gate failed: rows missed, wrong steps
      3  the evidence is incomplete: killed run, no data to compare with
    That of `coverage-audit run` is the script's own.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(ERROR)
