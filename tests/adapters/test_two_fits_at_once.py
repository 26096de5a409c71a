"""Two fits at once that write into one log cannot be told apart, and that is said rather than recorded wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import keras
import numpy as np
import coverage_audit as ca

def batches():
    while True:
        yield np.zeros((4, 3), "float32"), np.zeros((4, 1), "float32"), np.arange(4)

def model():
    net = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    return net

outer, inner = (ca.wrap(batches(), ca.Dataset.of(4), sys.argv[1], ids=2, split=name) for name in ("outer", "inner"))

class Nested(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        model().fit(inner, steps_per_epoch=2, verbose=0, callbacks=[inner.callback()])

model().fit(outer, steps_per_epoch=2, epochs=2, verbose=0, callbacks=[outer.callback(), Nested()])
result = ca.audit(sys.argv[1])
print(result.verdict.value, any(f.code == "CA901" for f in result.findings))
"""


def test_a_fit_in_a_fit_makes_the_log_incomplete(tmp_path: Path) -> None:
    """GIVEN a fit that goes on after another began and ended THEN one warning, training goes on, INCOMPLETE."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "run.parquet")],
        env={"PATH": "", "KERAS_BACKEND": "torch"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "incomplete True\n"), done.stderr
    assert done.stderr.count("two fits at once in one process: give each a log= of its own") == 1
