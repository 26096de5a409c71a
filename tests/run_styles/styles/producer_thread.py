"""A thread that reads ahead; batches with sample weights."""

from glob import glob
from queue import Queue
from threading import Thread

import made
import numpy as np
from net import Net
from witness import Witness

BATCH = 16


def fill(queue):
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = np.load(name, mmap_mode="r")
            y = np.load(name.replace("x_", "y_"), mmap_mode="r")
            order = random.permutation(len(x))
            for i in range(0, len(x), BATCH):
                rows = order[i : i + BATCH]
                queue.put((x[rows], y[rows]))


def batches():
    queue = Queue(5)
    Thread(target=fill, args=(queue,), daemon=True).start()
    while True:
        x, y = queue.get()
        yield x, y, np.ones(len(x), np.float32)


model = Net(Witness(made.features(), made.labels()))
model.fit(batches(), steps_per_epoch=10, epochs=4, verbose=0)
