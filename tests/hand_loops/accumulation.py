"""Gradients of several micro-batches added up before the weights change: each micro-batch is a step."""

import numpy as np

import coverage_audit as ca

MICRO, ACCUMULATE = 16, 4

rng = np.random.default_rng(0)
x, y = rng.normal(size=(1000, 8)), rng.normal(size=1000)
w = np.zeros(8)

with ca.Recorder("run.parquet", ca.Dataset.of(x), batch_size=MICRO) as rec:
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(len(x))
        micro_batches = [order[i : i + MICRO] for i in range(0, len(order), MICRO)]
        with rec.epoch():
            for start in range(0, len(micro_batches), ACCUMULATE):
                gradient = np.zeros(8)
                for rows in micro_batches[start : start + ACCUMULATE]:  # the last group may be smaller
                    gradient += x[rows].T @ (x[rows] @ w - y[rows])
                    rec.step(rows)
                w -= 0.0001 * gradient
