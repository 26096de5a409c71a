"""A shuffle buffer that holds copies of rows."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def rows():
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            for r in range(len(x)):
                yield np.array(x[r]), np.array(y[r])


def batches():
    random = np.random.default_rng(1)
    buffer, batch = [], []
    for row in rows():
        buffer.append(row)
        if len(buffer) < 70:
            continue
        batch.append(buffer.pop(random.integers(len(buffer))))
        if len(batch) == BATCH:
            yield np.array([x for x, _ in batch]), np.array([y for _, y in batch])
            batch = []


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
