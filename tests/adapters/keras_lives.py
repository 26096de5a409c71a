"""One life of a Keras run with BackupAndRestore and ModelCheckpoint. Run by test_keras_checkpoints.py.

    python keras_lives.py FOLDER SAVE_FREQ PLACE DIE_AT

``PLACE``: whether the callback of coverage-audit stands "first" or "last" among the callbacks. ``DIE_AT``: before
which training batch of this life it is killed, 0 for never. 16 batches of 4 rows an epoch, 3 epochs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

import coverage_audit as ca

N, B, E = 64, 4, 3


class Killed(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.left == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def batches() -> Iterator[Any]:
    while True:
        for start in range(0, N, B):
            rows = np.arange(start, start + B)
            x = rows.astype("float32")[:, None]
            yield {"rows": rows, "x": x}, x


def without_rows(batch: Any) -> Any:
    inputs, y = batch
    return inputs["rows"], (inputs["x"], y)


def main(folder: Path, save_freq: str, place: str, die_at: int) -> None:
    gen = ca.wrap(
        batches(), ca.Dataset.of(N, name="x"), folder / "run.parquet", batch_size=B, steps_per_epoch=N // B,
        ids=without_rows, run_id="lives",
    )  # fmt: skip
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    others = [
        keras.callbacks.BackupAndRestore(
            folder / "backup", save_freq="epoch" if save_freq == "epoch" else int(save_freq)
        ),
        keras.callbacks.ModelCheckpoint(str(folder / "model-{epoch}.keras")),
        Killed(die_at),
    ]
    callbacks = [gen.callback(), *others] if place == "first" else [*others, gen.callback()]
    model.fit(gen, steps_per_epoch=N // B, epochs=E, verbose=0, callbacks=callbacks)
    assert not {"save", "save_weights", "load_weights"} & vars(model).keys()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
