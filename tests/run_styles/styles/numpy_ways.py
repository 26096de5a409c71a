"""Seventy ways in which a loader in plain Python gets its batches out of files, one after the other."""

import itertools
import pickle
import random as python_random
import threading
from glob import glob
from queue import Queue

import made
import numpy as np
from witness import Witness

BATCH = 16
random = np.random.default_rng(0)


def files(mode=None):
    for name in sorted(glob("shards/x_*.npy")):
        yield np.load(name, mmap_mode=mode), np.load(name.replace("x_", "y_"), mmap_mode=mode)


def orders(mode=None):
    for x, y in files(mode):
        yield x, y, random.permutation(len(x))


def cut(x, y=None):
    for i in range(0, len(x), BATCH):
        yield x[i : i + BATCH], y[i : i + BATCH] if y is not None else None


# Which rows: indices of all kinds.


def sorted_by_a_column():
    for x, y in files():
        order = np.argsort(x[:, 0])
        yield from cut(x[order], y[order])


def sorted_by_method():
    for x, y in files():
        order = x[:, 3].argsort()
        yield from cut(x[order], y[order])


def sorted_by_two_columns():
    for x, y in files("r"):
        order = np.lexsort((x[:, 0], x[:, 1]))
        yield from cut(x[order], y[order])


def partitioned():
    for x, _ in files():
        yield from cut(x[x[:, 0].argpartition(10)])
        yield from cut(x[np.argpartition(x[:, 1], 7)])


def masks():
    for x, y in files("r"):
        large = x[:, 0] > 3
        yield from cut(x[large], y[large])
        yield from cut(x[~large], y[~large])
        yield from cut(np.compress(large, x, axis=0))


def with_replacement():
    for x, y in files("r"):
        for _ in range(6):
            rows = random.choice(len(x), BATCH)
            yield x[rows], y[rows]


def indices_of_indices():
    for x, _, order in orders("r"):
        some = x[5:35][::-1]
        few = some[[3, 1, 2, 8, 9]]
        yield few, None
        yield np.concatenate([few, some[20:30]])[order[order < 15]], None
        yield x[None][0][:9], None
        yield np.squeeze(x[:9, None]), None
        yield x[np.newaxis, 4:9].squeeze(0), None
        yield x[np.ix_(order[:9], range(12))], None
        yield x[order[:9], :][:, ::-1][:, ::-1], None
        yield x[order[:9, None], np.arange(12)], None
        yield np.take_along_axis(x, np.repeat(order[:, None], 12, 1), 0)[:BATCH], None


# Copies in another order.


def permutation_of_the_array():
    for x, _ in files():
        yield from cut(random.permutation(x))


def choice_of_the_array():
    for x, _ in files():
        for _ in range(5):
            yield random.choice(x, BATCH, axis=0), None


def flipped_and_rolled():
    for x, _ in files():
        yield from cut(np.flipud(x))
        yield from cut(np.roll(x, 5, axis=0))
        yield from cut(np.ascontiguousarray(x[::-2]))


def into_another_array():
    for x, _, order in orders():
        out = np.empty_like(x)
        out[order] = x
        yield from cut(out)


def taken_into_another_array():
    for x, _, order in orders():
        out = x.copy()
        np.take(x, order, axis=0, out=out)
        yield from cut(out)
        np.take(np.asarray(x), order[::-1], axis=0, out=out)
        yield from cut(out)


def calculated_into_another_array():
    for x, _, order in orders():
        out = x.copy()
        np.add(x[order], 0, out=out)
        yield from cut(out)
        np.multiply(np.asarray(x)[order[::-1]], 1, out=out)
        yield from cut(out)


def joined_into_another_array():
    for x, _ in files():
        out = x.copy()
        np.concatenate([x[10:], x[:10]], out=out)
        yield from cut(out)
        few = x[:BATCH].copy()
        np.stack([x[k] for k in range(20, 36)], out=few)
        yield few, None


def through_flat():
    for x, _, order in orders():
        out = x.copy()
        out.flat[:] = x[order].ravel()
        yield from cut(out)
        out.flat = np.asarray(x)[order[::-1]]
        yield from cut(out)


def put_along_an_axis():
    for x, _, order in orders():
        out = x.copy()
        np.put_along_axis(out, np.repeat(order[:, None], 12, 1), x, 0)
        yield from cut(out)


def repeated_and_tiled():
    for x, _ in files():
        yield from cut(np.repeat(x, 2, axis=0)[::3])
        yield from cut(np.tile(x[:7], (3, 1)))
        yield np.broadcast_to(x[3], (BATCH, 12)), None
        yield np.resize(x, (BATCH, 12)), None


def deleted_and_inserted():
    for x, _ in files():
        yield from cut(np.delete(x, [0, 5], axis=0))
        yield from cut(np.insert(x, 3, x[9], axis=0))
        yield from cut(np.unique(x, axis=0))


# Arrays that change in place.


def shuffled_by_the_generator():
    for x, _ in files():
        random.shuffle(x)
        yield from cut(x)


def shuffled_by_the_standard_library():
    """A classic mistake: of a two-dimensional array this repeats some rows and loses others."""
    for x, _ in files():
        python_random.Random(1).shuffle(x)
        yield from cut(x)


def shuffled_in_part():
    for x, _ in files():
        random.shuffle(x[10:30])
        yield from cut(x)


def shuffled_as_views():
    for x, _ in files():
        random.shuffle(x[:, :])
        random.shuffle(x[::-1])
        random.shuffle(x.reshape(len(x), 3, 4))
        random.shuffle(x.view(np.uint32))
        random.shuffle(x.T, axis=1)
        yield from cut(x)


def shuffled_in_pairs():
    for x, _ in files():
        random.shuffle(x[: len(x) // 2 * 2].reshape(-1, 2, 12))
        yield from cut(x)


def shuffled_as_bytes():
    for x, _ in files():
        random.shuffle(x.view(np.dtype((np.void, 48))))
        yield from cut(x)


def swapped():
    for x, y in files():
        for i in range(len(x)):
            j = int(random.integers(len(x)))
            x[[i, j]] = x[[j, i]]
            y[[i, j]] = y[[j, i]]
        yield from cut(x, y)


def swapped_through_a_copy():
    for x, _ in files():
        for i in range(len(x)):
            j = int(random.integers(len(x)))
            kept = x[i].copy()
            x[i] = x[j]
            x[j] = kept
        yield from cut(x)


def assigned_to_itself():
    for x, _, order in orders():
        x[:] = x[order]
        x[...] = x[::-1]
        yield from cut(x)


def moved_by_one():
    for x, _ in files():
        x[1:] = x[:-1]
        yield from cut(x[2:])
        x[:-1] = x[1:]
        yield from cut(x)


def private_maps():
    for x, _, order in orders("c"):
        x[:] = x[order]
        yield from cut(x)


def sorted_in_place():
    for x, _ in files():
        x.view([("", "f4")] * 12).sort(axis=0)
        yield from cut(x)


def one_row_at_a_time():
    for x, _ in files():
        buffer = x[:BATCH].copy()
        for k in range(len(x)):
            buffer[k % BATCH] = x[k]
            if k % BATCH == BATCH - 1:
                yield buffer.copy(), None


def rows_as_loop_variables():
    for x, _ in files():
        buffer = x[:BATCH].copy()
        for i in range(BATCH, len(x) - BATCH, BATCH):
            for k, row in enumerate(buffer):
                row[:] = x[i + k]
            yield buffer.copy(), None


def columns_at_a_time():
    for x, _ in files():
        buffer = x[:BATCH].copy()
        for i in range(BATCH, len(x) - BATCH, BATCH):
            for c in range(12):
                buffer[:, c] = x[i : i + BATCH, c]
            yield buffer.copy(), None


def halves_at_a_time():
    for x, _ in files():
        buffer = x[:BATCH].copy()
        for i in range(BATCH, len(x) - BATCH, BATCH):
            buffer[:, :6] = x[i : i + BATCH, :6]
            buffer[:, 6:] = x[i : i + BATCH, 6:]
            yield buffer.copy(), None


def chosen_row_by_row():
    for x, _, order in orders():
        other = random.random(len(x)) < 0.5
        yield from cut(np.where(other[:, None], x, x[order]))
        out = x.copy()
        out[other] = x[order][other]
        yield from cut(out)
        out = x.copy()
        np.copyto(out, x[order], where=other[:, None])
        yield from cut(out)
        out = x.copy()
        np.putmask(out, np.repeat(other[:, None], 12, 1), x[order])
        yield from cut(out)


def slightly_disturbed():
    for x, _ in files():
        noise = random.normal(0, 1e-5, x.shape).astype(np.float32)
        np.add(x, noise, out=x)
        random.shuffle(x)
        yield from cut(x)


# Shapes, types, pieces.


def reshaped():
    for x, _ in files():
        yield from cut(x.reshape(-1).reshape(-1, 12))
        yield from cut(x.reshape(-1, 3, 4))
        yield from cut(x.T.T)
        yield from cut(x.ravel().reshape(len(x), 12))
        yield from cut(np.swapaxes(np.swapaxes(x, 0, 1), 0, 1))


def column_by_column():
    for x, _ in files():
        yield from cut(np.column_stack([x[:, k] for k in range(12)]))
        yield from cut(np.hstack([x[:, :6], x[:, 6:]]))
        yield from cut(np.stack([x[:, k] for k in range(12)], axis=1))
        yield from cut(np.array([x[:, k] for k in range(12)]).T)


def the_last_column_is_the_label():
    for x, _, order in orders():
        yield from ((batch[:, :11], batch[:, 11]) for batch, _ in cut(x[order]))


def split():
    for x, _ in files("r"):
        yield from ((part, None) for part in np.array_split(x, 5))
        yield from ((part, None) for part in np.array_split(random.permutation(x), 5))


def joined():
    every = [x for x, _ in files()]
    a = np.concatenate(every)
    yield from cut(a[random.permutation(len(a))])
    yield from cut(np.vstack(every)[::-1])
    yield from cut(np.block([[x] for x in every])[::3])
    yield from cut(np.append(every[0], every[2], axis=0))
    yield np.r_[a[:8], a[200:208]], None
    yield from cut(np.array(np.split(a[:290], 10)).reshape(290, 12))
    yield from cut(np.asarray(np.vsplit(a[:290], 29)).reshape(-1, 12)[random.permutation(290)])


def other_types():
    for x, _, order in orders("r"):
        yield from ((np.asarray(batch, dtype=np.float64), None) for batch, _ in cut(x[order]))
        yield from ((np.array([row.astype("f8") for row in batch]), None) for batch, _ in cut(x[order]))
        yield from ((batch.astype(">f4"), None) for batch, _ in cut(x[order]))


def calculated():
    for x, _, order in orders():
        yield from cut(np.nan_to_num(x[order]))
        yield from cut(np.clip(x, -99, 99))
        yield from cut(np.vectorize(lambda value: value)(x).astype(np.float32))
        yield from cut(np.apply_along_axis(lambda row: row, 1, x))
        yield from cut(np.apply_along_axis(lambda column: column[::-1], 0, x))


def multiplied_by_a_permutation():
    for x, _, order in orders():
        p = np.eye(len(x), dtype=np.float32)[order]
        yield from cut(p @ x)
        yield from cut(x @ np.eye(12, dtype=np.float32))
        yield from cut(np.dot(p, x))
        yield from cut(p.dot(x))
        yield from cut(np.einsum("ij,jk->ik", p, x))
        yield from cut(np.tensordot(p, x, 1))
        yield from cut(np.linalg.solve(p, x))


def summed_one_by_one():
    for x, _, order in orders():
        yield from cut(np.add.reduce(x[None][:, order], axis=0))
        yield from cut(np.maximum.reduce([x, x - 1]))
        yield from cut(np.add.reduceat(x, np.arange(len(x)), axis=0))
        out = np.zeros_like(x)
        np.add.at(out, order, x)
        yield from cut(out)


def masked_arrays():
    for x, _, order in orders():
        yield from cut(np.ma.masked_invalid(x)[order])


# What forgets where it came from.


def list_of_rows_shuffled():
    for x, y in files("r"):
        rows = list(zip(x, y, strict=True))
        python_random.Random(0).shuffle(rows)
        for i in range(0, len(rows), BATCH):
            of_x, of_y = zip(*rows[i : i + BATCH], strict=True)
            yield np.array(of_x), np.array(of_y)


def list_shuffled_by_the_generator():
    for x, _ in files():
        rows = list(x)
        random.shuffle(rows)
        yield from cut(np.array(rows))


def rows_zipped():
    for x, y in files("r"):
        rows = iter(zip(x, y, strict=True))
        while batch := list(itertools.islice(rows, BATCH)):
            of_x, of_y = zip(*batch, strict=True)
            yield np.stack(of_x), np.stack(of_y)


def lists_as_batches():
    for x, y, order in orders("r"):
        for rows, _ in cut(order):
            yield [x[k] for k in rows], [y[k] for k in rows]


def mappings_as_batches():
    for x, y, order in orders("r"):
        for rows, _ in cut(order):
            yield {"x": x[rows], "y": y[rows]}


def python_numbers():
    for x, _, order in orders():
        yield from ((np.array(batch.tolist(), dtype="f4"), None) for batch, _ in cut(x[order]))
        yield from (
            (np.fromiter((v for row in x[rows] for v in row), "f4").reshape(-1, 12), None) for rows, _ in cut(order)
        )


def bytes_of_rows():
    for x, _, order in orders():
        yield from cut(np.frombuffer(x[order].tobytes(), "f4").reshape(-1, 12))
        yield from cut(np.frombuffer(x, "f4").reshape(-1, 12)[::-1])
        yield np.stack([np.frombuffer(row.tobytes(), "f4") for row in x[:9]]), None


def pickled():
    for x, y, order in orders():
        kept_x, kept_y = pickle.loads(pickle.dumps((x, y)))
        yield from cut(kept_x[order], kept_y[order])


def kept_in_other_files():
    for x, _, order in orders():
        np.save("cache.npy", x[order])
        yield from cut(np.load("cache.npy", mmap_mode="r"))
        np.save("shards/cache.npy", x[order[::-1]])
        yield from cut(np.load("shards/cache.npy"))
        x[order].tofile("cache.bin")
        yield from cut(np.fromfile("cache.bin", np.float32).reshape(-1, 12))


def opened_as_maps():
    for name in sorted(glob("shards/x_*.npy")):
        x = np.lib.format.open_memmap(name, mode="r")
        yield from cut(x[random.permutation(len(x))])


def frames():
    import pandas as pd

    for x, _ in files():
        yield from cut(pd.DataFrame(x).sample(frac=1, random_state=0).to_numpy())


def two_threads():
    queue = Queue(3)

    def read(seed):
        own = np.random.default_rng(seed)
        for x, y in files("r"):
            order = own.permutation(len(x))
            for rows, _ in cut(order):
                queue.put((np.array([x[k] for k in rows]), np.array([y[k] for k in rows])))
        queue.put(None)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    over = 0
    while over < len(threads):
        batch = queue.get()
        over += batch is None
        if batch is not None:
            yield batch


WAYS = [name for name, of in list(globals().items()) if callable(of) and getattr(of, "__module__", "") == "__main__"]
WAYS = [name for name in WAYS if name not in ("files", "orders", "cut")]


def batches(way):
    yield from globals()[way]()


witness = Witness(made.features(), made.labels())
for way in WAYS:
    for batch in batches(way):
        x = batch["x"] if isinstance(batch, dict) else batch[0]
        if way == "the_last_column_is_the_label":
            x = np.concatenate([x, batch[1][:, None]], axis=1)
        witness.tell(np.asarray(x).reshape(len(x), -1), way=way)
