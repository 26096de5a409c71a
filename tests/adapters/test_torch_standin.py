"""A stand-in for a dataset: the dataset for everybody else, and what it asks itself for is noted."""

from __future__ import annotations

import copy
import functools
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import context
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Dataset, Subset

from coverage_audit.adapters.torch_notes import DEEP, Notes
from coverage_audit.adapters.torch_standin import can_stand_in, stand_in
from coverage_audit.adapters.torch_substitutes import substitutes_of


class Sample:
    """Knows its row."""

    def __init__(self, row: int) -> None:
        self.row = row


class Sending(Dataset[Any]):
    """``sends``: where each row sends whoever asks for it; a row is its own if it sends nowhere."""

    def __init__(self, sends: list[int | None]) -> None:
        self.sends = sends

    def __len__(self) -> int:
        return len(self.sends)

    def __getitem__(self, index: int) -> Any:
        other = self.sends[index]
        return Sample(index) if other is None else self[other]

    @functools.cache  # noqa: B019
    def cached(self) -> object:
        return object()


def noted(*datasets: Any) -> tuple[Notes, list[Any]]:
    notes = Notes(datasets)
    return notes, [stand_in(dataset, notes) for dataset in datasets]


@given(st.lists(st.none() | st.integers(0, 200), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_tag_is_the_row_that_the_sample_says(sends: list[int | None], chance: random.Random) -> None:
    """GIVEN rows that send on to any row below, one to another THEN the tag of each sample is the row it holds."""
    forward = [None if to is None or at == 0 else to % at for at, to in enumerate(sends)]
    notes, (standing,) = noted(Sending(forward))
    asked = [chance.randrange(-len(forward), len(forward)) for _ in range(8)]
    samples = [standing[at] for at in asked]
    tags = [
        (0, at % len(forward)) if tag == (0, at) else tag for at, tag in zip(asked, notes.take(samples), strict=True)
    ]
    assert tags == [(0, sample.row % len(forward)) for sample in samples]
    assert notes.take([]) == []


def test_a_chain_that_is_too_long_is_followed_no_further() -> None:
    """GIVEN a chain longer than what is followed THEN nobody knows its end, and it costs no more frames."""
    sends: list[int | None] = [None, *range(DEEP + 5)]
    notes, (standing,) = noted(Sending(sends))
    samples = [standing[DEEP], standing[DEEP - 1], standing[3]]
    assert [sample.row for sample in samples] == [0, 0, 0]
    assert notes.take(samples) == [None, (0, 0), (0, 0)]


class Otherwise(Sending):
    def __init__(self, how: str) -> None:
        super().__init__([None] * 9)
        self.how = how
        self.kept = [Sample(row) for row in range(9)]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return [self[at] for at in index]
        if index < 5:
            return self.kept[index]
        if self.how == "unused":
            self[1]
            return self.kept[index]
        if self.how == "failed":
            try:
                return self[None]
            except TypeError:
                return self.kept[index]
        if self.how == "one of two":
            return (self[1], self[2])[1]
        return (self[1], self[2])


@pytest.mark.parametrize(("how", "tag"), [("unused", None), ("failed", (0, 6)), ("one of two", (0, 2)), ("both", None)])
def test_what_it_gets_of_itself_may_be_the_sample_or_not(how: str, tag: Any) -> None:
    notes, (standing,) = noted(Otherwise(how))
    assert notes.take([standing[6]]) == [tag]


def test_several_at_once_are_those_that_it_asked_itself_for() -> None:
    notes, (standing,) = noted(Otherwise("both"))
    assert notes.take([standing[[4, 0, 2]]]) == [(0, [4, 0, 2])]


def test_samples_are_known_in_any_order_and_from_any_thread() -> None:
    notes, (standing,) = noted(Sending([None, 0, None, 2, None]))
    with ThreadPoolExecutor(3) as pool:
        samples = list(pool.map(standing.__getitem__, [4, 3, 2, 1]))
    again = [samples[2], samples[0], samples[0], Sample(1)]
    assert notes.take(again) == [(0, 2), (0, 4), (0, 4), None]


def test_equal_objects_are_no_evidence() -> None:
    class Numbers(Sending):
        def __getitem__(self, index: int) -> Any:
            return 7 if index < 3 else self[0]

    notes, (standing,) = noted(Numbers([None] * 6))
    assert notes.take([standing[1], standing[2]]) == [(0, 1), (0, 2)]
    assert notes.take([standing[4]]) == [None]
    standing[1], standing[2]
    assert notes.take([7]) == [(0, 2)]
    standing[1], standing[2]
    assert notes.take([7, 8]) == [None, None]


def test_it_is_the_dataset_for_everybody_else() -> None:
    dataset: Any = Sending([None, 0])
    _, (standing,) = noted(dataset)
    standing.sends.append(1)
    standing.name = "set on the one"
    dataset.other = "set on the other"
    assert (len(dataset), dataset.name, standing.other) == (3, "set on the one", "set on the other")
    assert isinstance(cast(object, standing), Sending)
    assert standing.__class__ is Sending
    assert (standing == dataset, dataset == standing, hash(standing) == hash(dataset)) == (True, True, True)
    assert standing.cached() is dataset.cached()
    assert type(copy.copy(standing)) is type(copy.deepcopy(standing)) is Sending
    assert copy.copy(standing).__dict__ is not dataset.__dict__
    ask: Any = standing.__getitem__
    assert (ask(index=1).row, type(standing).__name__) == (0, "Sending")


def test_views_hold_the_stand_ins_of_what_they_look_at() -> None:
    """GIVEN Subset and ConcatDataset THEN theirs too, as they are when they are asked."""
    bases = [Sending([None, 0, 1]), Sending([None, 0])]
    view: Any = Subset(ConcatDataset(bases), [4, 1, 2])
    notes = Notes(bases)
    standing = stand_in(view, notes)
    samples = standing.__getitems__([0, 1])
    view.indices = [3]
    samples.append(standing[0])
    assert notes.take(samples) == [(1, 0), (0, 0), (1, 0)]
    assert (len(standing), len(standing.dataset), view.dataset.datasets) == (1, 5, bases)
    assert type(view.dataset) is ConcatDataset


def test_a_spawned_worker_gets_one_notebook_for_both() -> None:
    notes, (standing,) = noted(Sending([None, 0]))
    context.set_spawning_popen(cast(Any, object()))
    try:
        pickled = pickle.dumps((notes, standing))
    finally:
        context.set_spawning_popen(None)
    others, other = pickle.loads(pickled)
    assert others.take([other[1]]) == [(0, 0)]
    assert type(other) is type(standing)


class NeverSending(Sending):
    def __getitem__(self, index: int) -> Any:
        return Sample(index)


def test_a_dataset_that_becomes_another_one_is_that_one() -> None:
    """GIVEN a state that is replaced as a whole, then another class THEN samples are those of the dataset as it is."""
    dataset = Sending([None, 0])
    notes, (standing,) = noted(dataset)
    assert standing[1].row == 0
    dataset.__dict__ = {"sends": [None, None]}
    samples = [standing[1]]
    assert (samples[0].row, vars(standing) is vars(dataset), notes.take(samples)) == (1, True, [(0, 1)])
    dataset.sends = [None, 0]
    dataset.__class__ = NeverSending
    samples = [standing[1]]
    assert (samples[0].row, notes.take(samples)) == (1, [None])


def test_pickled_by_the_user_it_is_the_dataset() -> None:
    """A key that is made of the pickled dataset is the one that it has without us."""
    dataset = Sending([None, 0])
    _, (standing,) = noted(dataset)
    assert pickle.dumps(standing) == pickle.dumps(dataset)


def known_by_its_class(dataset: Any) -> bool:
    return type(dataset) is HandedOn


def only_looked_at(dataset: Any) -> int:
    return len(dataset)


class HandedOn(Sending):
    def __getitem__(self, index: Any) -> Any:
        assert known_by_its_class(self)
        return super().__getitem__(index)


class LookedAt(Sending):
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index % only_looked_at(self))


@pytest.mark.parametrize(("kind", "can"), [(HandedOn, False), (LookedAt, True)])
def test_functions_that_are_given_the_dataset_may_ask_for_its_class(kind: Any, can: bool) -> None:
    dataset = kind([None, 0])
    assert can_stand_in(dataset, substitutes_of(dataset).reaches) is can


class Deleting(Sending):
    def __del__(self) -> None:
        self.sends.clear()


class Registering(Sending):
    def __init_subclass__(cls) -> None:
        raise AssertionError


class Slotted(Sending):
    __slots__ = ("place",)


class OfAList(list[Any]):
    pass


class Keeping(Sending):
    def __init__(self, sends: list[int | None]) -> None:
        super().__init__(sends)
        self.ask = self.__getitem__


class Counting(Sending):
    count = 0

    def __getitem__(self, index: int) -> Any:
        type(self).count += 1
        return super().__getitem__(index)


class Comparing(Sending):
    def __getitem__(self, index: int) -> Any:
        return self[0] if self is not None else None


@pytest.mark.parametrize("kind", [Deleting, Registering, Slotted, OfAList, Keeping, Counting, Comparing])
def test_what_could_tell_them_apart_has_none(kind: Any) -> None:
    dataset = kind([None, 0])
    assert not can_stand_in(dataset, substitutes_of(dataset).reaches)


def test_others_can() -> None:
    dataset = Sending([None, 0])
    assert can_stand_in(dataset, substitutes_of(dataset).reaches)
