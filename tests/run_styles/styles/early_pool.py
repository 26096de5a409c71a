"""A pool forked before anything else is imported; its processes read on their own and send batches by a queue."""

import multiprocessing
import sys


def produce(queue, seed):
    from glob import glob

    import numpy as np

    random = np.random.default_rng(seed)
    while True:
        for name in random.permutation(sorted(glob("shards/x_*.npy"))):
            x = np.load(name)
            y = np.load(name.replace("x_", "y_"))
            order = random.permutation(len(x))
            for i in range(0, len(x), 16):
                rows = order[i : i + 16]
                queue.put((x[rows], y[rows]))


def batches(queue):
    while True:
        yield queue.get()


if __name__ == "__main__":
    queue = multiprocessing.Queue(4)
    workers = [
        multiprocessing.get_context("fork").Process(target=produce, args=(queue, seed), daemon=True) for seed in (1, 2)
    ]
    for worker in workers:
        worker.start()

    import made
    from net import Net
    from witness import Witness

    model = Net(Witness(made.features(), made.labels()))
    model.fit(batches(queue), steps_per_epoch=10, epochs=4, verbose=0)
    sys.stdout.flush()
    for worker in workers:
        worker.terminate()
        worker.join()
