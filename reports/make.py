"""Writes what the tool says about each run of sample_data/; with ``picture`` the picture of the README instead.

    python reports/make.py [FOLDER] [picture]

The samples are copied first: reporting a killed run finishes its log. The picture is the report on the run that the
README tells of, so that run is made anew: it needs Keras with a backend, and how much that prefetches differs.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SAMPLES = ("clean", "short-epoch", "drifting", "missed-shard", "killed")
DRAWN = "drifting"
WIDTH = 80
TOOL = (sys.executable, "-m", "coverage_audit")

THEME = TerminalTheme(
    (250, 250, 248), (36, 41, 47),
    [(36, 41, 47), (179, 29, 40), (17, 99, 41), (138, 86, 0),
     (9, 76, 163), (102, 57, 186), (6, 98, 111), (87, 96, 106)],
)  # fmt: skip
# The template of rich loads a font from the network, which a picture in a README may not.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
    }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    <rect fill="#fafaf8" stroke="#d0d7de" x="1" y="1" width="100%" height="100%" rx="6"/>
    <g transform="translate(14, 12)" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


def write_samples(folder: Path) -> None:
    """``<sample>.txt``, ``.md`` and ``.json`` for each, and the figures of one."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "sample_data"
        shutil.copytree(ROOT / "sample_data", copy)
        for name in SAMPLES:
            wanted = [
                f"-f{kind}:{name}.{suffix}" for kind, suffix in (("text", "txt"), ("markdown", "md"), ("json", "json"))
            ]
            drawn = ["--figures", "figures"] if name == DRAWN else []
            tell(copy, f"{name}/run.parquet", *wanted, *drawn, "--width", str(WIDTH))
            for file in copy.glob(f"{name}.*"):
                shutil.copy(file, folder)
        shutil.rmtree(folder / "figures", ignore_errors=True)
        shutil.copytree(copy / "figures", folder / "figures")
    (folder / "VERSIONS").write_text(f"matplotlib {mpl.__version__}\n")


def write_picture(folder: Path) -> None:
    """``terminal.svg``: the report that the README's own training script ends in."""
    readme = (ROOT / "README.md").read_text()
    scripts = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```\n", readme, re.DOTALL))
    with tempfile.TemporaryDirectory() as place:
        for name, text in scripts.items():
            (Path(place) / name).write_text(text)
        for name in ("shards.py", "train.py"):
            subprocess.run([sys.executable, name], cwd=place, check=True, env=environment())
        report = tell(Path(place), "run.parquet", "--width", str(WIDTH), "--color", "always")
    (folder / "terminal.svg").write_text(picture(f"$ coverage-audit report\n{report}"))


def picture(ansi: str) -> str:
    """What a terminal shows for this output, as SVG."""
    lines = Text.from_ansi(ansi.rstrip())
    console = Console(width=WIDTH + 2, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(lines, end="")
    svg = console.export_svg(theme=THEME, code_format=SVG, unique_id="report", font_aspect_ratio=0.602)
    # rich leaves room for a window around it.
    (inside,) = re.findall(r'id="report-clip-terminal"><rect x="0" y="0" width="([\d.]+)" height="([\d.]+)"', svg)
    width, height = (round(float(n)) for n in inside)
    svg = re.sub(r'viewBox="[^"]*"', f'viewBox="0 0 {width + 18} {height + 22}"', svg)
    return svg.replace('width="100%" height="100%"', f'width="{width + 16}" height="{height + 20}"')


def tell(folder: Path, *arguments: str) -> str:
    """``coverage-audit report`` with these arguments in ``folder``; every verdict is fine, errors are not."""
    ended = subprocess.run(
        [*TOOL, "report", *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if ended.returncode not in (0, 2, 3):
        raise SystemExit(ended.stderr)
    return ended.stdout


def environment() -> dict[str, str]:
    """This process's, without what would change a report."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_AUDIT_") and k != "NO_COLOR"}
    return {**own, "TF_CPP_MIN_LOG_LEVEL": "3"}


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    if sys.argv[2:] == ["picture"]:
        write_picture(place)
    else:
        write_samples(place)
