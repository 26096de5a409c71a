"""Does a collate function put other samples in place of some it was given? What is read off the code of each."""

from __future__ import annotations

import functools
import random
from typing import Any

import pytest
from torch.utils.data import Dataset, Subset, default_collate

from coverage_audit.adapters.torch_collate import puts_others

SIZE = 4


class Rows(Dataset[Any]):
    words = ("<pad>", "a", "b")

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int | None:
        return None if index == 3 else index

    def stacked(self, samples: list[Any]) -> Any:
        return [self.words[len(sample)] for sample in samples], len(self)

    def filled(self, samples: list[Any]) -> Any:
        return [self[0] if sample is None else sample for sample in samples]

    def filled_elsewhere(self, samples: list[Any]) -> Any:
        return self._fill(samples)

    def _fill(self, samples: list[Any]) -> Any:
        return [self.any_other() if sample is None else sample for sample in samples]

    def any_other(self) -> Any:
        return self.__getitem__(1)


class Noise(Dataset[Any]):
    def __getitem__(self, index: int) -> float:
        return index / 10


ROWS, NOISE = Rows(), Noise()


class Collator:
    def __init__(self, data: Any) -> None:
        self.data, self.sizes = data, [SIZE, 8]

    def __call__(self, samples: list[Any]) -> Any:
        kept = [sample for sample in samples if sample is not None]
        while len(kept) < self.sizes[0]:
            kept = [*kept, self.data[random.randrange(10)]]
        return default_collate(kept)


class Private:
    def __init__(self, data: Any) -> None:
        self.__data = data

    def __call__(self, samples: Any) -> Any:
        return default_collate([sample if sample is not None else self.__data[0] for sample in samples])


class Stacking(Collator):
    def __call__(self, samples: list[Any]) -> Any:
        return samples[: self.sizes[0]], len(self.data), self.data.words[0]


def drop(samples: list[Any]) -> Any:
    return default_collate([sample for sample in samples if sample is not None])


def pad(samples: list[Any]) -> Any:
    texts = []
    for sample in samples:
        text = [word for word in sample if word != "<pad>"]
        text += ["<pad>"] * (SIZE - len(text))
        texts.append(text)
    return texts


def mix_noise(samples: list[Any]) -> Any:
    return [sample + NOISE[0] for sample in samples]


def with_vocabulary(samples: list[Any], data: Any) -> Any:
    return [data.words[sample] for sample in samples]


def fill_from_global(samples: list[Any]) -> Any:
    return default_collate([ROWS[0] if sample is None else sample for sample in samples])


def fill_from(data: Any, samples: list[Any]) -> Any:
    return default_collate([sample if sample is not None else random.choice(data) for sample in samples])


def fill_from_keyword(samples: list[Any], data: Any = None) -> Any:
    kept = list(filter(None, samples))
    for row in data:
        kept.append(row)
    return kept[:SIZE]


def fill_with_its_own(samples: list[Any]) -> Any:
    kept = [sample for sample in samples if sample is not None]
    return default_collate(kept + kept[: SIZE - len(kept)])


def extend_with_its_own(samples: list[Any]) -> Any:
    samples = [sample for sample in samples if sample is not None]
    if len(samples) < SIZE:
        samples.extend(random.choices(samples, k=SIZE - len(samples)))
    return samples


def fill_in_another(samples: list[Any]) -> Any:
    return fill_with_its_own(samples)


def rotate(samples: list[Any]) -> Any:
    k = random.randrange(SIZE)
    return samples[k:] + samples[:k], samples[:1] + samples[1:]


def pad_the_batch(samples: list[Any]) -> Any:
    if len(samples) < SIZE:
        samples = samples + samples[: SIZE - len(samples)]
    return default_collate(samples)


def shift_words(samples: list[Any]) -> Any:
    return [(sample[:-1] + sample[:1], sample[1:]) for sample in samples]


def repeat_the_first(samples: list[Any]) -> Any:
    return default_collate(samples[:-1] + samples[:1])


def repeat_the_half(samples: list[Any]) -> Any:
    half = len(samples) // 2
    return default_collate(samples[:half] + samples[:half])


def draw_again(samples: list[Any]) -> Any:
    return default_collate(random.choices(samples, k=len(samples)))


def closing_over(data: Any) -> Any:
    def collate(samples: list[Any]) -> Any:
        source = data
        return [source[0] if sample is None else sample for sample in samples]

    return collate


@pytest.mark.parametrize(
    "collate",
    [
        *(default_collate, list, drop, pad, mix_noise, ROWS.stacked, Stacking(ROWS)),
        *(functools.partial(with_vocabulary, data=ROWS), lambda samples: samples, rotate, pad_the_batch, shift_words),
    ],
)
def test_what_makes_a_batch_of_the_samples_it_is_given(collate: Any) -> None:
    assert puts_others(collate, [ROWS]) is None


@pytest.mark.parametrize(
    "collate",
    [
        *(ROWS.filled, ROWS.filled_elsewhere, Collator(ROWS), Collator(Rows()), Private(ROWS), fill_from_global),
        *(functools.partial(fill_from, ROWS), functools.partial(fill_from_keyword, data=ROWS), closing_over(ROWS)),
        *(repeat_the_first, repeat_the_half, draw_again, lambda samples: samples[:-1] + samples[:1]),
        *(fill_with_its_own, extend_with_its_own, fill_in_another, lambda samples: [s or ROWS[0] for s in samples]),
    ],
)
def test_what_puts_others_in_place_of_some(collate: Any) -> None:
    assert puts_others(collate, [Subset(ROWS, [1, 2]), ROWS]) is not None


def test_where_it_does_is_said() -> None:
    line = fill_from.__code__.co_firstlineno + 1
    where = puts_others(functools.partial(fill_from, ROWS), [ROWS])
    assert where == f"fill_from (line {line} of test_torch_collate.py)"


@pytest.mark.parametrize(("body", "is_other"), [("samples[0]", False), ("[s or data[0] for s in samples]", True)])
def test_without_source_whoever_has_a_dataset_may_take_out_of_it(body: str, is_other: bool) -> None:
    names: dict[str, Any] = {"data": ROWS}
    exec(f"def collate(samples):\n return {body}", names)
    assert (puts_others(names["collate"], [ROWS]) is not None) is is_other
