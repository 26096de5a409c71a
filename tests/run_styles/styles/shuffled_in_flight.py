"""All rows lie in one pair of arrays, which is shuffled in place between passes, while batches of it may be waiting."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches():
    names = sorted(glob("shards/x_*.npy"))
    x = np.concatenate([np.load(name) for name in names])
    y = np.concatenate([np.load(name.replace("x_", "y_")) for name in names])
    for seed in range(100):
        for i in range(0, len(x) - BATCH + 1, BATCH):
            yield x[i : i + BATCH], y[i : i + BATCH]
        for array in (x, y):
            np.random.default_rng(seed).shuffle(array)


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=18, epochs=4, verbose=0)
