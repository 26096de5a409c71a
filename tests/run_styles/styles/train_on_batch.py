"""A loop of one's own around train_on_batch and test_on_batch."""

from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16

model = Net(
    Witness(made.features(), made.labels()),
    Witness(made.features(9), made.labels(9), "validation"),
)
random = np.random.default_rng(0)
held_x, held_y = np.load("held_out/x_3.npy"), np.load("held_out/y_3.npy")
for epoch in range(2):
    for name in random.permutation(sorted(glob("shards/x_*.npy"))):
        x = np.load(name)
        y = np.load(name.replace("x_", "y_"))
        order = random.permutation(len(x))
        for i in range(0, len(x), BATCH):
            rows = order[i : i + BATCH]
            model.train_on_batch(x[rows], y[rows])
    for i in range(0, len(held_x), BATCH):
        model.test_on_batch(held_x[i : i + BATCH], held_y[i : i + BATCH])
