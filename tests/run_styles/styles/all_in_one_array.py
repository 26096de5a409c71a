"""All files concatenated in memory, shuffled anew each time through, as tutorials do it."""

from pathlib import Path

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


x = np.concatenate([np.load(name) for name in sorted(Path("shards").glob("x_*.npy"))])
y = np.concatenate([np.load(name) for name in sorted(Path("shards").glob("y_*.npy"))])


def batches():
    random = np.random.default_rng(0)
    while True:
        order = np.arange(len(x))
        random.shuffle(order)
        for i in range(0, len(x), BATCH):
            rows = order[i : i + BATCH]
            yield x[rows], y[rows]


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
