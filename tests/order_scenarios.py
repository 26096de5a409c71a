"""Loops over real loaders of TensorFlow, Keras or torch that are wrong, or right, about order. Run by
test_order_failures.py, a process per framework.

    python order_scenarios.py FRAMEWORK FOLDER

Per scenario a run log ``<name>.parquet``; ``<name>-1.parquet`` is that of the second rank. Batches hold their own rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import coverage_audit as ca

N, B, EPOCHS = 1000, 32, 3
Scenario = Callable[[Path], None]


def record(log: Path, n: int, epochs: Iterable[Iterable[Any]], **options: Any) -> None:
    """A loop that says which rows each step takes."""
    with ca.Recorder(log, ca.Dataset.of(n), **options) as rec:
        for batches in epochs:
            with rec.epoch():
                for rows in batches:
                    rec.step(rows)


def tensorflow_scenarios() -> dict[str, Scenario]:
    """tf.data, and Keras training on a PyDataset: what train_step gets is what is recorded."""
    import keras
    import numpy as np
    import tensorflow as tf

    def tf_data(make: Callable[[], Any], n: int = N, epochs: int = EPOCHS, **options: Any) -> Scenario:
        def run(log: Path) -> None:
            data = make()
            record(log, n, (data.as_numpy_iterator() for _ in range(epochs)), **options)

        return run

    def rows(n: int = N) -> Any:
        return tf.data.Dataset.range(n)

    class Rows(keras.utils.PyDataset):  # type: ignore[misc]
        """Rows in batches; shuffled anew after each epoch if ``shuffled``."""

        def __init__(self, *, shuffled: bool, floor: bool = False) -> None:
            super().__init__()
            self.floor, self.random = floor, np.random.default_rng(5) if shuffled else None
            self.order = np.arange(N)
            self.on_epoch_end()

        def __len__(self) -> int:
            return N // B if self.floor else -(-N // B)

        def __getitem__(self, index: int) -> Any:
            ids = self.order[index * B : (index + 1) * B]
            return ids[:, None].astype("float32"), np.zeros((len(ids), 1), "float32")

        def on_epoch_end(self) -> None:
            if self.random is not None:
                self.order = self.random.permutation(N)

    def keras_fit(data: Callable[[], Any], **options: Any) -> Scenario:
        def run(log: Path) -> None:
            keras.utils.set_random_seed(3)
            with ca.Recorder(log, ca.Dataset.of(N), batch_size=B) as rec:

                class Noting(keras.Sequential):  # type: ignore[misc]
                    def train_step(self, batch: Any) -> Any:
                        rec.step(batch[0].numpy()[:, 0].astype("int64"))
                        return super().train_step(batch)

                class Epochs(keras.callbacks.Callback):  # type: ignore[misc]
                    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                        self.epoch = rec.epoch()
                        self.epoch.__enter__()

                    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                        self.epoch.__exit__(None, None, None)

                model = Noting([keras.layers.Dense(1)])
                model.compile("sgd", "mse", run_eagerly=True)
                model.fit(data(), epochs=EPOCHS, verbose=0, callbacks=[Epochs()], **options)

        return run

    def endless() -> Iterator[Any]:
        random = np.random.default_rng(1)
        while True:
            order = random.permutation(N)
            for i in range(0, N, B):
                ids = order[i : i + B]
                yield ids[:, None].astype("float32"), np.zeros((len(ids), 1), "float32")

    return {
        "tf-small-buffer": tf_data(lambda: rows(10_000).shuffle(100).batch(50), 10_000, 2),
        "tf-small-buffer-of-small-data": tf_data(lambda: rows(300).shuffle(10, seed=1).batch(16), 300),
        "tf-shuffle-before-cache": tf_data(lambda: rows().shuffle(N).cache().batch(B)),
        "tf-not-reshuffled": tf_data(lambda: rows().shuffle(N, seed=3, reshuffle_each_iteration=False).batch(B)),
        "tf-unshuffled": tf_data(lambda: rows().batch(B)),
        "tf-batch-before-shuffle": tf_data(lambda: rows().batch(B).shuffle(100)),
        "tf-shuffled": tf_data(lambda: rows().shuffle(N).batch(B)),
        "tf-half-buffer": tf_data(lambda: rows(10_000).shuffle(5000).batch(50), 10_000),
        "tf-shuffled-drop-remainder": tf_data(
            lambda: rows().shuffle(N).batch(B, drop_remainder=True), contract="drop-remainder"
        ),
        "tf-unshuffled-validation": tf_data(lambda: rows().batch(B), split="validation"),
        "keras-pydataset-batches-only": keras_fit(lambda: Rows(shuffled=False), shuffle=True),
        "keras-pydataset-floor": keras_fit(lambda: Rows(shuffled=False, floor=True), shuffle=True),
        "keras-pydataset-reshuffled": keras_fit(lambda: Rows(shuffled=True), shuffle=True),
        "keras-generator-floor": keras_fit(endless, steps_per_epoch=N // B),
    }


def torch_scenarios() -> dict[str, Scenario]:
    """DataLoader over each of torch's samplers."""
    import torch
    from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, WeightedRandomSampler

    data: Any = list(range(N))

    def loader(epochs: int = EPOCHS, **options: Any) -> Scenario:
        def run(log: Path) -> None:
            torch.manual_seed(11)
            own = {key: value() if callable(value) else value for key, value in options.items()}
            batches = DataLoader(data, batch_size=B, **own)
            record(log, N, (map(torch.Tensor.numpy, batches) for _ in range(epochs)), batch_size=B)

        return run

    def seeded_each_epoch(log: Path) -> None:
        def epochs() -> Iterator[Any]:
            for _ in range(EPOCHS):
                own = torch.Generator().manual_seed(0)
                yield map(torch.Tensor.numpy, DataLoader(data, batch_size=B, shuffle=True, generator=own))

        record(log, N, epochs(), batch_size=B)

    def distributed(*, set_epoch: bool, shuffle: bool = True) -> Scenario:
        def run(log: Path) -> None:
            for rank in range(2):
                sampler: Any = DistributedSampler(data, 2, rank, shuffle=shuffle)

                def epochs(sampler: Any = sampler) -> Iterator[Any]:
                    for number in range(EPOCHS):
                        if set_epoch:
                            sampler.set_epoch(number)
                        yield map(torch.Tensor.numpy, DataLoader(data, batch_size=20, sampler=sampler))

                own = log if rank == 0 else log.with_name(f"{log.stem}-1.parquet")
                record(own, N, epochs(), batch_size=20, data_parallel=(rank, 2), run_id=log.stem)

        return run

    def weights() -> Any:
        return WeightedRandomSampler([1.0 + 9 * (i < 100) for i in range(N)], N)

    return {
        "torch-replacement": loader(sampler=lambda: RandomSampler(data, replacement=True)),
        "torch-weighted": loader(sampler=weights),
        "torch-constant-seed": seeded_each_epoch,
        "torch-without-set-epoch": distributed(set_epoch=False),
        "torch-set-epoch": distributed(set_epoch=True),
        "torch-distributed-unshuffled": distributed(set_epoch=True, shuffle=False),
        "torch-unshuffled": loader(),
        "torch-shuffled": loader(shuffle=True),
        "torch-shuffled-long": loader(12, shuffle=True),
        "torch-random-sampler": loader(sampler=lambda: RandomSampler(data)),
    }


def main(framework: str, folder: Path) -> None:
    scenarios = {"tensorflow": tensorflow_scenarios, "torch": torch_scenarios}[framework]()
    for name, run in scenarios.items():
        run(folder / f"{name}.parquet")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
