"""The README's blocks: what is in them, what running them prints, and the parts of it that are made.

    python tests/readme_blocks.py      writes what the blocks print now, and the table of rules, into README.md

A block after ``<!-- file: NAME -->`` is a file. A ``python`` block is run by itself; a ``text`` block right after it is
what it prints. In a ``console`` block, what follows a ``$`` line is what that command prints on standard output; a
line ``...`` stands for any lines. All run in order in one folder that holds a copy of sample_data/.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coverage_audit.rules._rule import all_rules

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
ANY_LINES = "..."
_FENCE = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)
_RULES = re.compile(r"(?<=<!-- rules: made by tests/readme_blocks.py -->\n).*?(?=<!-- end of rules -->)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block. ``start`` and ``stop``: where its body is in the text."""

    kind: str
    body: str
    file: str | None
    start: int
    stop: int


@dataclass(frozen=True)
class Told:
    """What the README says something prints (None: it does not say), and what it does print."""

    source: str
    said: str | None
    printed: str
    errors: str
    status: int


def blocks(text: str) -> list[Block]:
    return [Block(m["kind"], m["body"], m["file"], m.start("body"), m.end("body")) for m in _FENCE.finditer(text)]


def commands(body: str) -> Iterator[tuple[str, str]]:
    """(command, what it prints) of a console block; a backslash continues a command."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.DOTALL)
        assert match is not None
        yield match[1], match[2]


def run_all(text: str, folder: Path) -> Iterator[tuple[Block, list[Told]]]:
    """Run every block; yields the python and console blocks with what each thing in them printed."""
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    every = blocks(text)
    for block, after in zip(every, [*every[1:], None], strict=True):
        if block.file is not None:
            (folder / block.file).write_text(block.body)
        elif block.kind == "python":
            follows = (
                after is not None and after.kind == "text" and text[block.stop : after.start].strip("`\n") == "text"
            )
            said = after.body if follows and after is not None else None
            yield block, [Told(block.body, said, *_run([sys.executable, "-W", "error", "-c", block.body], folder))]
        elif block.kind == "console":
            told = []
            for command, said in commands(block.body):
                told.append(Told(command, said, *_run(["bash", "-c", command], folder)))
            yield block, told


def agrees(said: str, printed: str) -> bool:
    """Whether what is printed is what is said, line by line; ``...`` stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == ANY_LINES else re.escape(line) + "\n" for line in said.splitlines())
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in printed.splitlines())) is not None


def rule_table() -> str:
    """Every rule, by code."""
    lines = [f"| {r.code} | {r.name} | {r.severity.value} | {r.summary} |" for r in all_rules()]
    return "\n".join(["| code | name | severity | sees |", "|---|---|---|---|", *lines, ""])


def told_rules(text: str) -> str:
    """The table of rules that is in the README."""
    (table,) = _RULES.findall(text)
    return str(table)


def rewritten(text: str, folder: Path) -> str:
    """The README as it should be: what its blocks print, its table of rules."""
    out = text
    for block, told in reversed(list(run_all(text, folder))):
        if block.kind == "console":
            body = "".join(f"$ {t.source}{t.said if agrees(t.said or '', t.printed) else t.printed}" for t in told)
            out = out[: block.start] + body + out[block.stop :]
        elif told[0].said is not None:
            after = next(b for b in blocks(text) if b.start > block.stop)
            out = out[: after.start] + told[0].printed + out[after.stop :]
    return _RULES.sub(lambda _: rule_table(), out)


def _run(command: list[str], folder: Path) -> tuple[str, str, int]:
    """(standard output, standard error, exit status), as in a terminal of 80 columns that takes no colour."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_AUDIT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**own, "PATH": path, "COLUMNS": "80", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    printed = "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())
    return printed, done.stderr, done.returncode


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        README.write_text(rewritten(README.read_text(), Path(place)))
