"""Scripts of scenarios, run in processes of their own: their names, what they say, and what their logs say."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from coverage_audit.runlog.reader import Log

PATIENCE = 300
"""Seconds for any script."""


def names_in(script: Path, *variables: str) -> list[str]:
    """The functions that tuples list, or the keys of dictionaries, at the top of a script, which is not imported.

    ``variables``: the names of these; none for all that have an upper-case name.
    """
    found: dict[str, list[str]] = {}
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id.isupper():
                found[target.id] = list(_listed(node.value))
    return [name for variable in variables or found for name in found[variable]]


def _listed(value: ast.expr | None) -> Iterator[str]:
    if isinstance(value, ast.Tuple):
        yield from (name.id for name in value.elts if isinstance(name, ast.Name))
    elif isinstance(value, ast.Dict):
        yield from (key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Python with these arguments, in a process that is part of no other run; ``variables`` of its environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_AUDIT")}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=clean | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    """What each printed, after all have ended well."""
    try:
        said = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(map("\n".join, said))
    return [printed for printed, _ in said]


def run(*arguments: object, **variables: str) -> str:
    """What one prints, which has to end well; see :func:`start`."""
    (printed,) = finish(start(*arguments, **variables))
    return printed


def run_ranks(*arguments: object, **variables: str) -> None:
    """The same in two processes, as torchrun starts them on one machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "two"}
    variables |= {"GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    finish(*(start(*arguments, **variables, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")))


def keeps_contract(tests: Path, **variables: str) -> None:
    """The tests of a contract pass, in a process of their own, and none is skipped."""
    printed = run("-m", "pytest", "-q", "-p", "no:cacheprovider", tests, **variables)
    assert " passed" in printed
    assert "skipped" not in printed


def delivered(printed: str) -> list[list[int] | None]:
    """The batches that a script says were delivered, as rows."""
    (line,) = (line for line in printed.splitlines() if line.startswith("delivered "))
    batches: list[list[int] | None] = json.loads(line.removeprefix("delivered "))
    return batches


def told(folder: Path, name: str) -> Any:
    """What a scenario says of itself."""
    return json.loads((folder / f"{name}.json").read_text())


def rows_by(log: Log, split: str, *, stepped: bool) -> list[tuple[int, list[int]]]:
    """(step, rows) of each consumed batch in order of steps; or (batch, rows) of those never consumed.

    A row is told as the scenarios tell it in their data: 1000 times its shard, plus its place there.
    """
    (end,) = log.run.writers
    out: dict[int, list[int]] = {}
    for v in log.visits(end.writer):
        for i in np.flatnonzero(v.split == list(v.splits).index(split)) if split in v.splits else []:
            if (v.step[i] >= 0) == stepped and v.stage[i] != 1:
                key = int(v.step[i] if stepped else v.batch[i])
                first = 1000 * int(v.shard[i]) + int(v.row[i])
                out.setdefault(key, []).extend(range(first, first + int(v.count[i])))
    return sorted(out.items())
