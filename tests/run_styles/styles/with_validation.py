"""Validation data from a generator of its own, after each epoch."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches(folder):
    while True:
        for name in sorted(glob(f"{folder}/x_*.npy")):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            for i in range(0, len(x), BATCH):
                yield x[i : i + BATCH], y[i : i + BATCH]


model = Net(
    Witness(made.features(), made.labels()),
    Witness(made.features(9), made.labels(9), "validation"),
)
model.fit(
    batches("shards"),
    steps_per_epoch=10,
    epochs=4,
    validation_data=batches("held_out"),
    validation_steps=5,
    verbose=0,
)
