"""uint8 images from an open file, scaled to 0..1 in single precision."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def batches():
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            with open(name, "rb") as file:
                x = np.load(file)
            y = np.load(name.replace("x_", "y_"))
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                yield x[rows].astype("float32") / 255.0, y[rows]


model = Net(Witness(made.images(), made.labels(), undo=lambda x: x * 255))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
