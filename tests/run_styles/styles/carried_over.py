"""What is left of a file that does not fill a batch goes in front of the next one."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    rest_x, rest_y = np.empty((0, 12), np.float32), np.empty((0, 1), np.float32)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = np.load(name)
            y = np.load(name.replace("x_", "y_"))
            order = random.permutation(len(x))
            x = np.concatenate([rest_x, x[order]])
            y = np.concatenate([rest_y, y[order]])
            full = len(x) // BATCH * BATCH
            for i in range(0, full, BATCH):
                yield x[i : i + BATCH], y[i : i + BATCH]
            rest_x, rest_y = x[full:], y[full:]


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
