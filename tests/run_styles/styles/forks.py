"""Forks while it has the files open: the child reads, and ends by itself; the parent trains."""

import os
from glob import glob

import made
import numpy as np

xs = [np.load(name, mmap_mode="r") for name in sorted(glob("shards/x_*.npy"))]
ys = [np.load(name, mmap_mode="r") for name in sorted(glob("shards/y_*.npy"))]
child = os.fork()
if child == 0:
    mean = sum(float(x[::2].sum()) for x in xs) / made.N
    os._exit(0 if np.isfinite(mean) else 1)
assert os.waitpid(child, 0)[1] == 0

from net import Net
from witness import Witness


def batches():
    random = np.random.default_rng(0)
    while True:
        for at in random.permutation(len(xs)):
            order = random.permutation(len(xs[at]))
            for i in range(0, len(order), 16):
                rows = order[i : i + 16]
                yield xs[at][rows], ys[at][rows]


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
