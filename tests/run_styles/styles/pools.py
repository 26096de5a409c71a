"""Batches made by a pool of processes: ``pools.py TRUTH fork|spawn|executor``."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from glob import glob

import numpy as np

BATCH = 16


def read(job):
    name, rows = job
    x = np.load(name, mmap_mode="r")
    y = np.load(name.replace("x_", "y_"), mmap_mode="r")
    return x[rows], y[rows]


def jobs():
    random = np.random.default_rng(0)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            order = random.permutation(len(np.load(name, mmap_mode="r")))
            for i in range(0, len(order), BATCH):
                yield str(name), order[i : i + BATCH]


def batches(pool):
    todo = jobs()
    while True:
        some = [next(todo) for _ in range(6)]
        # imap would send out jobs for ever: the jobs never end.
        yield from pool.map(read, some)


if __name__ == "__main__":
    import made
    from net import Net
    from witness import Witness

    how = sys.argv[2]
    if how == "executor":
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))
    else:
        pool = multiprocessing.get_context(how).Pool(2)
    with pool:
        model = Net(Witness(made.features(), made.labels()))
        model.fit(batches(pool), steps_per_epoch=10, epochs=4, verbose=0)
