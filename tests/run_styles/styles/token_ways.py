"""Twenty ways in which a loader in plain Python cuts windows out of token files, one after the other."""

import threading
from glob import glob
from queue import Queue

import numpy as np
from witness import TokenWitness

B, T = 8, 48
random = np.random.default_rng(0)
names = sorted(glob("shards/train_*.bin"))


def tokens(name=names[0]):
    return np.memmap(name, dtype=np.uint16, mode="r")


def places(of, n=20):
    for _ in range(n):
        yield random.integers(0, len(of) - T - 1, B)


def stretches(of, of_all):
    """Batches one behind the other; what is left at the end is dropped."""
    for i in range(0, len(of) - B * T, B * T):
        buffer = of_all(of[i : i + B * T + 1])
        yield buffer[:-1].reshape(B, T), buffer[1:].reshape(B, T)


def stacked():
    data = tokens()
    for at in places(data):
        yield np.stack([data[i : i + T] for i in at]), np.stack([data[i + 1 : i + 1 + T] for i in at])


def array_of_list():
    data = tokens()
    for at in places(data):
        yield np.array([data[i : i + T] for i in at]), np.array([data[i + 1 : i + 1 + T] for i in at])


def cast_one_by_one():
    data = tokens()
    for at in places(data):
        yield (
            np.stack([data[i : i + T].astype(np.int64) for i in at]),
            np.stack([data[i + 1 : i + 1 + T].astype(np.int64) for i in at]),
        )


def one_longer_and_cut():
    data = tokens()
    data = data[: int(0.9 * len(data))]
    for at in places(data):
        windows = np.stack([data[i : i + T + 1] for i in at]).astype(np.int64)
        yield windows[:, :-1], windows[:, 1:]


def loaded_whole():
    data = np.fromfile(names[0], np.uint16)
    for at in places(data):
        windows = np.stack([data[i : i + T + 1] for i in at]).astype(np.int32)
        yield windows[:, :-1], windows[:, 1:]


def by_index_arrays():
    data = tokens()
    for at in places(data):
        every = at[:, None] + np.arange(T)
        yield data[every], data[every + 1]
        yield np.take(data, every), np.take(data, every + 1)


def sliding_windows():
    data = np.lib.stride_tricks.sliding_window_view(tokens(), T + 1)
    for at in places(data):
        yield data[at][:, :-1], data[at][:, 1:]


def blocks():
    data = tokens()
    n = (len(data) - 1) // T
    x, y = data[: n * T].reshape(n, T), data[1 : n * T + 1].reshape(n, T)
    order = random.permutation(n)
    for i in range(0, n - B, B):
        yield x[order[i : i + B]], y[order[i : i + B]]


def blocks_shuffled_in_place():
    data = np.fromfile(names[0], np.uint16)
    n = len(data) // (T + 1)
    windows = data[: n * (T + 1)].reshape(n, T + 1)
    for _ in range(2):
        random.shuffle(windows)
        for i in range(0, n - B, B):
            yield windows[i : i + B, :-1].copy(), windows[i : i + B, 1:].copy()


def file_by_file():
    for name in names:
        yield from stretches(tokens(name), lambda part: part)


def file_by_file_as_bytes():
    for name in names:
        with open(name, "rb") as file:
            data = np.frombuffer(file.read(), dtype=np.uint16)
        yield from stretches(data, lambda part: part.astype(np.int32))


def file_by_file_copied():
    for name in names:
        yield from stretches(tokens(name), lambda part: np.array(part, dtype=np.int64))


def preallocated():
    data = tokens()
    x, y = np.empty((B, T), np.int64), np.empty((B, T), np.int64)
    for at in places(data):
        for k, i in enumerate(at):
            x[k], y[k] = data[i : i + T], data[i + 1 : i + 1 + T]
        yield x.copy(), y.copy()


def python_numbers():
    data = tokens().tolist()
    for at in places(data):
        yield np.array([data[i : i + T] for i in at]), np.array([data[i + 1 : i + 1 + T] for i in at])


def shuffle_buffer():
    data, buffer = tokens(), []
    for i in range(0, len(data) - T - 1, T // 3):
        buffer.append((np.array(data[i : i + T]), np.array(data[i + 1 : i + 1 + T])))
        if len(buffer) > 60:
            random.shuffle(buffer)
            batch = [buffer.pop() for _ in range(B)]
            yield np.array([x for x, _ in batch]), np.array([y for _, y in batch])


def thread():
    data, queue = tokens(), Queue(3)

    def read():
        for at in places(data):
            queue.put((np.array([data[i : i + T] for i in at]), np.array([data[i + 1 : i + 1 + T] for i in at])))
        queue.put(None)

    threading.Thread(target=read).start()
    while batch := queue.get():
        yield batch


WAYS = [name for name, of in list(globals().items()) if callable(of) and getattr(of, "__module__", "") == "__main__"]
WAYS = [name for name in WAYS if name not in ("tokens", "places", "stretches")]


def batches(way):
    yield from globals()[way]()


witness = TokenWitness()
for way in WAYS:
    for x, y in batches(way):
        witness.tell(x, y, way=way)
