"""Goes into the folder of its data before it opens anything."""

import os
import sys
from glob import glob

import made
import numpy as np
from net import Net
from witness import Witness

witness = Witness(made.features(), made.labels(), path=os.path.abspath(sys.argv[1]))
os.chdir("shards")


def batches():
    while True:
        for name in sorted(glob("x_*.npy")):
            x = np.load(name, mmap_mode="r")
            y = np.load("y" + name[1:], mmap_mode="r")
            for i in range(0, len(x), 16):
                yield x[i : i + 16], y[i : i + 16]


model = Net(witness)
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
