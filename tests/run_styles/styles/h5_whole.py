"""HDF5 datasets read whole and permuted."""

from glob import glob

import h5py
import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob("shards/part_*.h5"))):
            with h5py.File(name, "r") as file:
                x, y = file["x"][:], np.array(file["y"])
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                yield x[rows], y[rows]


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
