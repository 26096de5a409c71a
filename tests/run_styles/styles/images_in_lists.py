"""uint8 images, read one by one into a list, scaled to -1..1."""

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
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                images = np.array([x[r] for r in rows], dtype=np.float32)
                yield images / 127.5 - 1, np.array([y[r] for r in rows])


model = Net(Witness(made.images(), made.labels(), undo=lambda x: (x + 1) * 127.5))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
