"""Rows picked one by one into one pair of buffers, copied out when they are full."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    batch_x, batch_y = np.empty((BATCH, 12), np.float32), np.empty((BATCH, 1), np.float32)
    filled = 0
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            for r in random.permutation(len(x)):
                batch_x[filled] = x[r]
                batch_y[filled] = y[r]
                filled += 1
                if filled == BATCH:
                    yield batch_x.copy(), batch_y.copy()
                    filled = 0


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
