"""Images flipped at random, in place."""

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
            x = np.load(name)
            y = np.load(name.replace("x_", "y_"))
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                images = x[rows]
                for k in range(len(images)):
                    if random.random() < 0.5:
                        images[k] = images[k, :, ::-1].copy()
                    if random.random() < 0.3:
                        images[k] = np.flipud(images[k])
                yield images / 255.0, y[rows]


class Unflipped(Witness):
    """An image and its mirror images are the same row."""

    def find(self, x):
        return super().find(np.sort(x.reshape(len(x), -1), axis=1))


model = Net(Unflipped(np.sort(made.images().reshape(made.N, -1), axis=1), made.labels(), undo=lambda x: x * 255))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
