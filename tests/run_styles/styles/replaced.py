"""The files are made anew after two epochs, as a nightly export does; rows of a map of the old file stay its own."""

import os
from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    for part in range(6):
        for name in sorted(glob("shards/x_*.npy")):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                yield x[rows], y[rows]
        if part == 1:
            make_anew()


def make_anew():
    """The same rows in another order, put in place file by file."""
    order = np.random.default_rng(5).permutation(made.N)
    for kind, new in (("x", made.features()[order]), ("y", made.labels()[order])):
        for at, rows in enumerate(made.in_files(new)):
            np.save("shards/new.npy", rows)
            os.replace("shards/new.npy", f"shards/{kind}_{at}.npy")


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=6, verbose=0)
