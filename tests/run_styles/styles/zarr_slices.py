"""Slices of zarr arrays, half of the files by index arrays."""

from glob import glob

import made
import numpy as np
import zarr
from net import Net
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    while True:
        for at, name in enumerate(random.permutation(sorted(glob("shards/x_*.zarr")))):
            x = zarr.open_array(name, mode="r")
            y = zarr.open_array(name.replace("x_", "y_"), mode="r")
            order = random.permutation(x.shape[0])
            for i in range(0, x.shape[0], BATCH):
                rows = order[i : i + BATCH]
                if at % 2:
                    yield x.oindex[rows], y.oindex[rows]
                else:
                    yield x[i : i + BATCH], y[i : i + BATCH]


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
