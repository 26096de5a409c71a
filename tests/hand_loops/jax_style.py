"""A loop in the style of JAX: a pure step, parameters handed from one to the next, rows from a key.

Here with NumPy; under JAX decorate the step with jax.jit and draw the order with jax.random.permutation. The recorder
stays outside of what is compiled: it is told the rows, which are on the host.
"""

import numpy as np

import coverage_audit as ca


def step(params, batch):
    """Parameters and a batch in, parameters and the loss out."""
    x, y = batch
    error = x @ params - y
    return params - 0.01 * 2 * x.T @ error / len(y), float(np.mean(error**2))


rng = np.random.default_rng(0)
x, y = rng.normal(size=(1000, 8)), rng.normal(size=1000)
params = np.zeros(8)
data = ca.Dataset.of(x)

with ca.Recorder("run.parquet", data, batch_size=32, contract="drop-remainder") as rec:
    for epoch in range(3):
        order = np.random.default_rng(epoch).permutation(len(x))
        with rec.epoch():
            for rows in order[: len(x) // 32 * 32].reshape(-1, 32):  # one shape, so that it is compiled once
                params, loss = step(params, (x[rows], y[rows]))
                rec.step(rows)
