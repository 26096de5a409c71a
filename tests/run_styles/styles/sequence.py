"""A PyDataset over lists of files: ``sequence.py TRUTH WORKERS``."""

import math
import sys
from glob import glob

import keras
import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


class Files(keras.utils.PyDataset):
    """One batch is rows of one file; a new order of rows after each epoch."""

    def __init__(self, names_x, names_y, **options):
        super().__init__(**options)
        self.random = np.random.default_rng(0)
        self.x = [np.load(name, mmap_mode="r") for name in names_x]
        self.y = [np.load(name, mmap_mode="r") for name in names_y]
        self.places = [(at, i) for at, x in enumerate(self.x) for i in range(0, len(x), BATCH)]
        self.on_epoch_end()

    def __len__(self):
        return len(self.places)

    def on_epoch_end(self):
        self.order = [self.random.permutation(len(x)) for x in self.x]

    def __getitem__(self, index):
        at, i = self.places[index]
        rows = self.order[at][i : i + BATCH]
        return self.x[at][rows], self.y[at][rows]


if __name__ == "__main__":
    data = Files(sorted(glob("shards/x_*.npy")), sorted(glob("shards/y_*.npy")), workers=int(sys.argv[2]))
    assert len(data) == sum(math.ceil(n / BATCH) for n in made.SIZES)
    model = Net(Witness(made.features(), made.labels()))
    model.fit(data, epochs=3, shuffle=True, verbose=0)
