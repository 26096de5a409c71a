"""The data of all styles, made anew from fixed seeds wherever it is needed: nothing has to read the files to know it.

Row ``i`` of the data is row ``i - offset`` of its file; files come in natural order.
"""

import numpy as np

SIZES = (100, 93, 64, 40)
N = sum(SIZES)
OFFSETS = (0, 100, 193, 257)
TOKENS = (9001, 7777, 4099)
"""Tokens in each file of a token loader; the first is all of train.bin where there is one file."""


def features(seed=0):
    """(N, 12) float32, what tables hold: no two rows are near each other."""
    return np.random.default_rng(seed).normal(3, 2, (N, 12)).astype(np.float32)


def repeated_features():
    """As :func:`features`, but every row is there about three times, across files."""
    return features()[np.random.default_rng(1).integers(0, 99, N)]


def images(seed=0):
    """(N, 8, 8) uint8"""
    return np.random.default_rng(seed).integers(0, 256, (N, 8, 8), dtype=np.uint8)


def labels(seed=0):
    """(N, 1) float32, each another one, in no order."""
    return np.random.default_rng([seed, 2]).permutation(N).astype(np.float32)[:, None]


def tokens():
    """uint16 below 500, the files one behind the other."""
    return np.random.default_rng(3).integers(0, 500, sum(TOKENS), dtype=np.uint16)


def in_files(rows, sizes=SIZES):
    """The part of ``rows`` that each file holds."""
    return np.split(rows, np.cumsum(sizes)[:-1])


def save_npy(folder, x, y):
    folder.mkdir()
    for at, (of_x, of_y) in enumerate(zip(in_files(x), in_files(y), strict=True)):
        np.save(folder / f"x_{at}.npy", of_x)
        np.save(folder / f"y_{at}.npy", of_y)


def save_fortran(folder, x, y):
    folder.mkdir()
    for at, (of_x, of_y) in enumerate(zip(in_files(x), in_files(y), strict=True)):
        np.save(folder / f"x_{at}.npy", np.asfortranarray(of_x))
        np.save(folder / f"y_{at}.npy", of_y)


def save_npz(folder, x, y):
    folder.mkdir()
    for at, (of_x, of_y) in enumerate(zip(in_files(x), in_files(y), strict=True)):
        np.savez(folder / f"part_{at}.npz", x=of_x, y=of_y)


def save_h5(folder, x, y):
    import h5py

    folder.mkdir()
    for at, (of_x, of_y) in enumerate(zip(in_files(x), in_files(y), strict=True)):
        with h5py.File(folder / f"part_{at}.h5", "w") as file:
            file.create_dataset("x", data=of_x, chunks=(16, 12))
            file.create_dataset("y", data=of_y)


def save_zarr(folder, x, y):
    import zarr

    folder.mkdir()
    for at, (of_x, of_y) in enumerate(zip(in_files(x), in_files(y), strict=True)):
        for name, rows in (("x", of_x), ("y", of_y)):
            array = zarr.create_array(
                folder / f"{name}_{at}.zarr", shape=rows.shape, chunks=(16, rows.shape[1]), dtype=rows.dtype
            )
            array[:] = rows


def save_tokens(folder, sizes):
    folder.mkdir()
    for at, part in enumerate(in_files(tokens()[: sum(sizes)], sizes)):
        part.tofile(folder / ("train.bin" if len(sizes) == 1 else f"train_{at:03}.bin"))


def save_odd_ones(folder):
    """Beside good files, what nobody can train on."""
    save_npy(folder, features(), labels())
    np.save(folder / "names.npy", np.array([None, "a", {"b": 1}], dtype=object), allow_pickle=True)
    np.save(folder / "scale.npy", np.float32(2.5))
    np.save(folder / "x_4.npy", np.empty((0, 12), np.float32))
    np.save(folder / "y_4.npy", np.empty((0, 1), np.float32))


DATA = {
    "npy": lambda folder: save_npy(folder / "shards", features(), labels()),
    "images": lambda folder: save_npy(folder / "shards", images(), labels()),
    "repeated": lambda folder: save_npy(folder / "shards", repeated_features(), labels()),
    "big-endian": lambda folder: save_npy(folder / "shards", features().astype(">f4"), labels().astype(">f4")),
    "fortran": lambda folder: save_fortran(folder / "shards", features(), labels()),
    "doubles": lambda folder: save_npy(folder / "shards", features().astype(np.float64), labels()),
    "npz": lambda folder: save_npz(folder / "shards", features(), labels()),
    "h5": lambda folder: save_h5(folder / "shards", features(), labels()),
    "zarr": lambda folder: save_zarr(folder / "shards", features(), labels()),
    "train.bin": lambda folder: save_tokens(folder / "shards", TOKENS[:1]),
    "token shards": lambda folder: save_tokens(folder / "shards", TOKENS),
    "odd": lambda folder: save_odd_ones(folder / "shards"),
    "held out": lambda folder: (
        save_npy(folder / "shards", features(), labels()),
        save_npy(folder / "held_out", features(9), labels(9)),
    ),
}
