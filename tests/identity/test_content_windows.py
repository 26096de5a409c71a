"""Pieces of long streams, found again by what they hold."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from content_world import Array, World
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.identity import content, windows
from coverage_audit.identity.batches import Unknown
from coverage_audit.identity.content import Content
from coverage_audit.identity.shadows import Windows
from coverage_audit.model.event import BatchRows, Found
from coverage_audit.sources.dataset import Dataset

TOKENS = np.random.default_rng(1).integers(0, 50000, 4000).astype(np.uint16)


def runs_of(way: Content, leaf: Array) -> list[tuple[int, int, int]] | str:
    """(shard, first row, count) of each piece, or why they are unknown."""
    told = way.tell(leaf, 0)
    if told is None:
        return "no rows of this data"
    if isinstance(told, Unknown):
        return told.reason
    rows = told[1]
    assert isinstance(rows, BatchRows)
    assert rows.runs is not None
    assert rows.count == leaf.size
    return [(int(a), int(b), int(c)) for a, b, c in rows.runs]


def pieces(stream: Array, starts: list[int], length: int) -> Array:
    return np.stack([stream[at : at + length] for at in starts])


@pytest.fixture
def world(tmp_path: Path) -> World:
    TOKENS.tofile(tmp_path / "train.bin")
    return World(tmp_path, dataset=Dataset.open(str(tmp_path / "train.bin::uint16")))


def test_windows_at_random_offsets_as_they_were_read(world: World) -> None:
    """x = data[i : i + T] and y = data[i + 1 : i + 1 + T], in one list comprehension each, cast and stacked."""
    way = world.content()
    starts = [3, 1700, 40, 3900]
    for at in starts:
        world.read(0, at, 32)
    for at in starts:
        world.read(0, at + 1, 32)
    x = pieces(TOKENS, starts, 32).astype(np.int64)
    y = pieces(TOKENS, [at + 1 for at in starts], 32).astype(np.int64)
    told = way.tell(x, 0)
    assert isinstance(told, tuple)
    assert told[0] is Found.RECENT_CONTENT
    assert runs_of(way, x) == [(0, at, 32) for at in starts]
    assert runs_of(way, y) == [(0, at + 1, 32) for at in starts]


def test_one_read_of_one_token_more(world: World) -> None:
    """buffer = data[i : i + T + 1]; x = buffer[:-1]; y = buffer[1:]."""
    way = world.content()
    world.read(0, 100, 33)
    assert runs_of(way, TOKENS[None, 100:132]) == [(0, 100, 32)]
    assert runs_of(way, TOKENS[None, 101:133]) == [(0, 101, 32)]


def test_one_long_read_cut_into_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """buffer = data[i : i + B * T + 1]; x = buffer[:-1].reshape(B, T)."""
    monkeypatch.setattr(content, "MOST_BYTES", 0)
    way = world.content()
    world.read(0, 500, 8 * 16 + 1)
    assert runs_of(way, TOKENS[500:628].reshape(8, 16).astype(np.int32)) == [(0, 500 + 16 * i, 16) for i in range(8)]
    assert runs_of(way, TOKENS[501:629].reshape(8, 16)) == [(0, 501 + 16 * i, 16) for i in range(8)]
    assert runs_of(way, TOKENS[700:828].reshape(8, 16)) == "rows cannot be told by what they hold"


def test_windows_told_as_windows(world: World) -> None:
    way = world.content()
    world.reads.tell(Windows(np.array([30, 90]) + world.opened[0].base, 20))
    assert runs_of(way, pieces(TOKENS, [90, 30], 20)) == [(0, 90, 20), (0, 30, 20)]


@pytest.mark.parametrize("indexed", [False, True])
def test_windows_that_were_not_read_are_found_by_their_anchors(world: World, indexed: bool) -> None:
    if indexed:
        world.dataset.index()
    way = world.content()
    told = way.tell(pieces(TOKENS, [5, 3968], 32), 0)
    assert isinstance(told, tuple)
    assert told[0] is Found.INDEXED_CONTENT
    assert runs_of(way, pieces(TOKENS, [5, 3968], 32)) == [(0, 5, 32), (0, 3968, 32)]
    assert runs_of(way, TOKENS[77:99]) == [(0, 77, 22)]
    assert runs_of(way, TOKENS[77:99][None, :, None]) == [(0, 77, 22)]
    assert runs_of(way, pieces(TOKENS, [5, 40], 15)) == "pieces of the stream are too short for its anchors"


def test_one_strange_number_makes_the_batch_unknown(world: World) -> None:
    way = world.content()
    batch = pieces(TOKENS, [5, 700], 64)
    batch[1, 33] += 1
    assert runs_of(way, batch).__class__ is str
    assert runs_of(way, pieces(TOKENS, [5, 700], 64)) == [(0, 5, 64), (0, 700, 64)]


def test_what_says_nothing_is_unknown(world: World, tmp_path: Path) -> None:
    way = world.content()
    assert runs_of(way, np.zeros((4, 32), np.int64)).__class__ is str
    assert runs_of(way, np.arange(4)) == "no rows of this data"
    assert runs_of(way, np.full((4, 32), 0.5)) == "no rows of this data"
    labels = np.random.default_rng(0).integers(0, 2, 100_000).astype(np.uint8)
    np.save(tmp_path / "x_0.npy", labels)
    coins = World(tmp_path, dataset=Dataset.open(tmp_path / "x_0.npy")).content()
    assert runs_of(coins, labels[:32]) == "pieces of the stream are too short to be told by what they hold"
    assert runs_of(coins, labels[:128]) == [(0, 0, 128)]


def test_pieces_do_not_cross_shards(tmp_path: Path) -> None:
    way = World(tmp_path, [TOKENS[:2000], TOKENS[2000:]]).content()
    assert runs_of(way, TOKENS[1900:2000]) == [(0, 1900, 100)]
    assert runs_of(way, TOKENS[2000:2100]) == [(1, 0, 100)]
    assert runs_of(way, TOKENS[1950:2050]).__class__ is str


def test_signals_are_streams_too(tmp_path: Path) -> None:
    signal = np.cumsum(np.random.default_rng(3).normal(size=3000)).astype(np.float32)
    way = World(tmp_path, [signal]).content()
    assert runs_of(way, pieces(signal, [9, 2000], 50)[:, :, None].astype(np.float64)) == [(0, 9, 50), (0, 2000, 50)]


def test_equal_pieces_in_several_places_are_told_in_turn(tmp_path: Path) -> None:
    poem = TOKENS[:100]
    way = World(tmp_path, [np.concatenate((poem, TOKENS[500:600], poem)), np.concatenate((TOKENS[900:950], poem))])
    first, second = way.content(), way.content(offset=1)
    places = [(0, 10, 40), (0, 210, 40), (1, 60, 40)]
    assert [runs_of(first, poem[10:50]) for _ in range(6)] == [[place] for place in places * 2]
    assert [runs_of(second, poem[10:50]) for _ in range(3)] == [[place] for place in (*places[1:], places[0])]


def test_pieces_of_endless_repetition_are_not_looked_for_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "PLACES", 20)
    stream = np.concatenate((np.tile(TOKENS[:24], 100), TOKENS[100:1000]))
    way = World(tmp_path, [stream]).content()
    assert runs_of(way, stream[240:300]) == "a piece of the stream may be in too many places"
    assert runs_of(way, stream[2390:2450]) == [(0, 2390, 60)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 40000), min_size=3, max_size=30), min_size=1, max_size=30),
    st.integers(16, 40),
    st.data(),
)
def test_pieces_equal_the_slow_definition(
    tmp_path_factory: pytest.TempPathFactory, phrases: list[list[int]], length: int, data: st.DataObject
) -> None:
    """Streams with repeated phrases: every piece is told at a place that holds it, each as often as the next."""
    order = data.draw(st.lists(st.sampled_from(phrases), min_size=10, max_size=30))
    stream = np.array([*itertools.chain(*order), *TOKENS[:100].tolist()], np.uint16)
    world = World(tmp_path_factory.mktemp("data"), [stream])
    if data.draw(st.booleans()):
        world.dataset.index()
    way = world.content(data.draw(st.integers(0, 2)))
    starts = data.draw(st.lists(st.integers(0, len(stream) - length), min_size=1, max_size=4))
    if data.draw(st.booleans()):
        for at in starts:
            world.read(0, at, length)
    batch = pieces(stream, starts, length)
    told = runs_of(way, batch.astype(np.int64))
    if isinstance(told, str):
        assert told in (
            "pieces of the stream are too short to be told by what they hold",
            "the pieces are constant, which says nothing about where they are from",
            "a piece of the stream may be in too many places",
        )
        return
    slow = [[p for p in range(len(stream) - length + 1) if (stream[p : p + length] == row).all()] for row in batch]
    for (shard, start, count), places in zip(told, slow, strict=True):
        assert (shard, count) == (0, length)
        assert start in places
