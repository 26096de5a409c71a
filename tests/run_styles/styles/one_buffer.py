"""Rows are read into one pair of arrays that are handed out again and again."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    batch_x, batch_y = np.empty((BATCH, 12), np.float32), np.empty((BATCH, 1), np.float32)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            order = random.permutation(len(x))
            for i in range(0, len(x) - BATCH + 1, BATCH):
                np.take(x, order[i : i + BATCH], axis=0, out=batch_x)
                batch_y[:] = y[order[i : i + BATCH]]
                yield batch_x, batch_y


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
