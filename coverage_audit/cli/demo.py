"""coverage-audit demo: a real training run, recorded and reported."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from coverage_audit.cli.output import Page, say, text, unwritable
from coverage_audit.result import AuditResult, Verdict

ROWS = (1000, 937, 1003, 250)
BATCH, EPOCHS, FEATURES = 64, 3, 8
TEXTBOOK = -(-sum(ROWS) // BATCH)  # ceil(3190 / 64) = 50
NEEDED = sum(-(-n // BATCH) for n in ROWS)  # 16 + 15 + 16 + 4 = 51

Arrays = npt.NDArray[np.float32]


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-run"),
    show_default=True,
    help="Where shards, run logs and figures go.",
)
@click.option("--width", type=click.IntRange(min=40), metavar="N", help="Columns of text. Default: the terminal's.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@click.pass_context
def demo(ctx: click.Context, folder: Path, width: int | None, color: str) -> None:
    """Record a real training run that misses rows, report it, then the same run mended.

    A small model is trained on four shards of 1000, 937, 1003 and 250 rows. With Keras installed it is a Keras model
    and the report counts trained steps; without, a loop over the loader in numpy, and the report counts yields.

    \b
    coverage-audit demo

    Exit status: 0 if the demo showed what it is meant to show (a FAIL, then a PASS), 1 if not.
    """  # fmt: skip
    page = Page(width, color)
    backend = keras_backend()
    try:
        write_shards(folder / "shards")
    except OSError as error:
        raise unwritable(folder, error) from error
    model = f"a small Keras model ({backend} backend)" if backend else "a small linear model in numpy (no Keras here)"
    click.echo(f"demo: training {model} on {sum(ROWS):,} rows in {folder / 'shards'}, {EPOCHS} epochs, twice\n")
    if not backend:
        click.echo("demo: nothing tells a plain loop's steps from its loader's yields, so yields are counted\n")

    click.echo(f"demo: 1. steps_per_epoch = ceil({sum(ROWS)} / {BATCH}) = {TEXTBOOK}, as the textbook says\n")
    short = run(folder / "textbook.parquet", folder / "shards", TEXTBOOK, backend)
    say(text(short, page, _on_terminal()))
    click.echo(f"\ndemo: 2. the same with steps_per_epoch = {NEEDED}\n")
    whole = run(folder / "mended.parquet", folder / "shards", NEEDED, backend)
    say(text(whole, page, _on_terminal()))

    draw(short, folder / "figures" / "textbook")
    draw(whole, folder / "figures" / "mended")
    click.echo(f"\ndemo: figures are in {folder / 'figures'}, the run logs in {folder}")
    if (short.verdict, whole.verdict) != (Verdict.FAIL, Verdict.PASS):
        click.echo(f"demo: expected FAIL, then PASS; got {short.verdict.name}, {whole.verdict.name}", err=True)
        ctx.exit(1)
    click.echo(
        f"demo: this command exits 0 because the FAIL is what it shows; in CI,\n"
        f"      coverage-audit report {folder / 'textbook.parquet'}   would exit 2"
    )


def run(log: Path, shards: Path, steps: int, backend: str | None) -> AuditResult:
    """Train for three epochs of ``steps`` steps, recording; audit right after, in the same process."""
    import coverage_audit as ca

    gen = ca.wrap(
        batches(sorted(shards.glob("x_*.npy"))),
        ca.Dataset.open(str(shards / "x_*.npy"), aligned=str(shards / "y_*.npy")),
        log=str(log), batch_size=BATCH, steps_per_epoch=steps, epochs=EPOCHS,
    )  # fmt: skip
    if backend:
        train_keras(gen, steps)
    else:
        train_numpy(gen, steps)
    gen.recorder.close()
    return ca.audit(str(log))


def batches(files: list[Path]) -> Iterator[tuple[Arrays, Arrays]]:
    """The loader: shard by shard in slices of 64, the list of files shuffled for each pass, for ever."""
    order = random.Random(0)
    while True:
        order.shuffle(files)
        for file in files:
            x = np.load(file, mmap_mode="r")
            y = np.load(file.with_name(file.name.replace("x_", "y_")), mmap_mode="r")
            for at in range(0, len(x), BATCH):
                yield x[at : at + BATCH], y[at : at + BATCH]


def train_keras(gen: Any, steps: int) -> None:
    """The two lines a user adds: the wrapped generator, and its callback."""
    with _quiet():
        import keras

        # Keras looks for TensorFlow whatever its backend.
        if importlib.util.find_spec("tensorflow") is not None:
            importlib.import_module("tensorflow")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(
        gen, steps_per_epoch=steps, epochs=EPOCHS, callbacks=[gen.callback()], shuffle=False, verbose=0
    )  # fmt: skip


def train_numpy(gen: Any, steps: int) -> None:
    """Linear regression by gradient descent in a plain loop."""
    weights = np.zeros((FEATURES, 1), np.float32)
    for _ in range(EPOCHS):
        for _, (x, y) in zip(range(steps), gen, strict=False):
            weights -= np.float32(0.01) * (x.T @ (x @ weights - y)) / np.float32(len(x))


def write_shards(folder: Path) -> None:
    """x_0.npy … x_3.npy and y_0.npy … y_3.npy, the same every time. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    random_numbers = np.random.default_rng(0)
    truth = random_numbers.normal(size=(FEATURES, 1))
    for shard, rows in enumerate(ROWS):
        x = random_numbers.normal(size=(rows, FEATURES))
        np.save(folder / f"x_{shard}.npy", x.astype(np.float32))
        np.save(folder / f"y_{shard}.npy", (x @ truth).astype(np.float32))


def keras_backend() -> str | None:
    """The backend Keras will run on here, set up to be quiet; None without Keras or any backend for it."""
    if importlib.util.find_spec("keras") is None:
        return None
    wanted = os.environ.get("KERAS_BACKEND")
    known = [name for name in ("tensorflow", "torch") if importlib.util.find_spec(name) is not None]
    if (wanted is None and not known) or (wanted is not None and wanted not in known):
        return None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return os.environ.setdefault("KERAS_BACKEND", known[0])


def draw(result: AuditResult, folder: Path) -> None:
    from coverage_audit.reporters.figures import write_figures

    try:
        write_figures(result, folder)
    except OSError as error:
        raise unwritable(folder, error) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TensorFlow's libraries greet on file descriptor 2 before any setting of theirs holds."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _on_terminal() -> bool:
    return sys.stdout.isatty()
