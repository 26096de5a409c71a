"""Features minus their mean over the training files, divided by their deviation."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


everything = np.concatenate([np.load(name) for name in sorted(glob("shards/x_*.npy"))])
mean, deviation = everything.mean(axis=0), everything.std(axis=0)


def batches():
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                yield (x[rows] - mean) / deviation, y[rows]


model = Net(Witness(made.features(), made.labels(), undo=lambda x: x * deviation + mean))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
