"""Trains, evaluates on other data, trains on, evaluates again."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches(folder):
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob(f"{folder}/x_*.npy"))):
            x = np.load(name)
            y = np.load(name.replace("x_", "y_"))
            for i in range(0, len(x), BATCH):
                yield x[i : i + BATCH], y[i : i + BATCH]


model = Net(
    Witness(made.features(), made.labels()),
    Witness(made.features(9), made.labels(9), "validation"),
)
training, held_out = batches("shards"), batches("held_out")
for _ in range(3):
    model.fit(training, steps_per_epoch=10, verbose=0)
    model.evaluate(held_out, steps=7, verbose=0)
