"""float64 files, loaded by a function imported by name and trained in single precision."""

from glob import glob

import made
import numpy as np
from net import Net
from numpy import load
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = load(name).astype("float32")
            y = load(name.replace("x_", "y_"))
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                yield x[rows], y[rows]


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
