"""Writes into its own data between two readings, so that rows move: ``changed_files.py TRUTH saved|mapped``."""

import sys
from glob import glob

import made
import numpy as np
from witness import Witness


def cut(x):
    for i in range(0, len(x), 16):
        yield x[i : i + 16]


def saved():
    for _ in range(3):
        for name in sorted(glob("shards/x_*.npy")):
            yield from cut(np.load(name, mmap_mode="r"))
            x = np.load(name)
            random.shuffle(x)
            np.save(name, x)


def mapped():
    for _ in range(3):
        for name in sorted(glob("shards/x_*.npy")):
            yield from cut(np.load(name, mmap_mode="r"))
            x = np.load(name, mmap_mode="r+")
            random.shuffle(x)
            yield from cut(x)


def batches():
    yield from saved() if sys.argv[2] == "saved" else mapped()


random = np.random.default_rng(0)
witness = Witness(made.features(), made.labels())
for x in batches():
    witness.tell(x)
