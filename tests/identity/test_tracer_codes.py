"""Words, rows and streams of tracer datasets: what is written is read again, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_audit.identity.tracer_codes import RowCode, StreamCode, Style, from_json, to_json, whole_numbers
from coverage_audit.identity.tracer_plan import largest_value, plan_rows, plan_stream, size_needed
from coverage_audit.identity.tracer_word import CHECK, Word

MANY = 1 << 40
TYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">i4", ">f4", ">f8"]


def top(name: str) -> int:
    found = largest_value(np.dtype(name))
    assert found is not None
    return found


def rows_code(ids: int, shape: tuple[int, ...], dtype: str, seed: int = 1) -> RowCode:
    code = plan_rows(ids, shape, 0, top(dtype), seed)
    assert code is not None
    return code


def mix(bits: int) -> int:
    """SplitMix64's finalizer with Python's integers."""
    whole = (1 << 64) - 1
    bits = (bits + 0x9E3779B97F4A7C15) & whole
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & whole
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & whole
    return bits ^ bits >> 31


def read_slowly(word: Word, digits: list[int]) -> int:
    """The definition of a word: see its module. Integers without bounds, every id that is possible is one number."""
    if any(not 0 <= d < word.radix for d in digits):
        return -1
    if word.ids * CHECK <= 1 << 63:
        check, hidden = divmod(sum(d * word.radix**i for i, d in enumerate(digits)), word.ids)
    else:
        n = next(n for n in range(1, 65) if word.radix**n >= word.ids)
        hidden = sum(d * word.radix**i for i, d in enumerate(digits[:n]))
        check = sum(d * word.radix**i for i, d in enumerate(digits[n:]))
    if hidden >= word.ids or check >= CHECK:
        return -1
    found = (hidden - mix(check)) % word.ids
    return found if mix(found ^ mix(word.seed)) >> 32 == check else -1


words = st.builds(
    lambda ids, radix, more, seed: Word(ids, radix, Word.digits_needed(ids, radix) + more, seed),
    st.integers(1, MANY) | st.sampled_from([1, 2, 1 << 31, (1 << 31) + 1]),
    st.integers(2, 300) | st.sampled_from([1 << 24, 1 << 31, 1 << 53, (1 << 63) - 1]),
    st.integers(0, 3),
    st.integers(0, (1 << 63) - 1),
)


@settings(deadline=None)
@given(words, st.data())
def test_a_word_is_read_as_it_was_written(word: Word, data: st.DataObject) -> None:
    ids = np.array(data.draw(st.lists(st.integers(0, word.ids - 1), min_size=1, max_size=5)))

    digits = word.write(ids)

    assert digits.shape == (len(ids), word.length)
    assert 0 <= digits.min() <= digits.max() < word.radix
    assert word.read(digits).tolist() == ids.tolist()
    assert [read_slowly(word, row) for row in digits.tolist()] == ids.tolist()


@settings(deadline=None)
@given(words, st.data())
def test_other_digits_are_no_word(word: Word, data: st.DataObject) -> None:
    """Also such as would overflow: the fast reading says what the slow one says."""
    digit = st.integers(-1, word.radix) | st.sampled_from([0, word.radix - 1, -(1 << 63), (1 << 63) - 1])
    row = st.lists(digit, min_size=word.length, max_size=word.length)
    digits = data.draw(st.lists(row, min_size=1, max_size=4))

    assert word.read(np.array(digits, np.int64)).tolist() == [read_slowly(word, row) for row in digits]


@settings(deadline=None)
@given(words, st.data())
def test_one_other_digit_is_another_word_or_none(word: Word, data: st.DataObject) -> None:
    written = word.write(np.array([data.draw(st.integers(0, word.ids - 1))]))
    at = data.draw(st.integers(0, word.length - 1))
    other = data.draw(st.integers(0, word.radix - 1).filter(lambda d: d != written[0, at]))
    written[0, at] = other

    assert word.read(written)[0] == -1


def test_words_of_another_seed_are_no_words() -> None:
    ids = np.arange(1000)
    mine, other = Word(1000, 256, 6, 1), Word(1000, 256, 6, 2)

    assert mine.read(other.write(ids)).tolist() == [-1] * 1000


def test_random_bytes_are_no_rows() -> None:
    """The chance of each is 2^-32: of a million of the shortest rows none is taken for one."""
    code = rows_code(1 << 20, (7,), "u1")
    noise = np.random.default_rng(3).integers(0, 256, (1 << 20, 7), np.uint8)

    assert (code.word.length, code.style) == (7, Style.PLAIN)
    assert int((code.read_whole(noise) >= 0).sum()) == 0


@settings(deadline=None)
@given(st.sampled_from(TYPES), st.integers(1, MANY), st.data())
def test_rows_of_every_type_and_shape(dtype: str, ids: int, data: st.DataObject) -> None:
    """As they are, in any wider type, and - where values say their place - in any order with repetitions."""
    size = data.draw(st.integers(size_needed(ids, top(dtype)), 200))
    code = rows_code(ids, (size,), dtype, data.draw(st.integers(0, (1 << 63) - 1)))
    chosen = np.array(data.draw(st.lists(st.integers(0, ids - 1), min_size=1, max_size=6)))

    rows = code.fill(chosen, np.dtype(dtype))

    assert (rows.shape, rows.dtype) == ((len(chosen), size), np.dtype(dtype))
    assert code.read_whole(rows).tolist() == chosen.tolist()
    wider = [t for t in ("f4", "f8", "i8", "u8") if top(t) >= top(dtype)]
    for name in wider:
        assert code.read_whole(rows.astype(name)).tolist() == chosen.tolist()
    if code.style is Style.FRAMED:
        start = data.draw(st.integers(0, size - code.period))
        stop = data.draw(st.integers(start + code.period, size))
        found = code.read_parts(rows[:, start:stop]).tolist()
        assert found in (chosen.tolist(), [-1] * len(chosen))
        assert found[0] >= 0 or stop - start < 2 * code.period - 1
    if code.style is Style.PLACED:
        order = data.draw(st.permutations(range(size)))
        assert code.read_parts(rows[:, order]).tolist() == chosen.tolist()
        assert code.read_parts(np.concatenate([rows[:, order], rows[:, :3]], axis=1)).tolist() == chosen.tolist()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TYPES), st.integers(1, MANY), st.booleans(), st.data())
def test_damage_never_makes_another_row(dtype: str, ids: int, parts: bool, data: st.DataObject) -> None:
    """Any values at any places, or a piece of another row: the row that it was, or unknown."""
    size = data.draw(st.integers(size_needed(ids, top(dtype)), 100))
    code = rows_code(ids, (size,), dtype)
    one, other = data.draw(st.integers(0, ids - 1)), data.draw(st.integers(0, ids - 1))
    row, strange = code.fill(np.array([one, other]), np.dtype(dtype))
    row = row.copy()
    start = data.draw(st.integers(0, size))
    piece = slice(start, data.draw(st.integers(start, size)))
    if data.draw(st.booleans()):
        row[piece] = strange[piece]
    else:
        values = st.integers(0, min(top(dtype), 3000))
        row[piece] = data.draw(st.lists(values, min_size=piece.stop - start, max_size=piece.stop - start))

    read = code.read_parts if parts else code.read_whole

    assert int(read(row[None])[0]) in (one, other, -1)


def test_pieces_of_two_rows_are_neither() -> None:
    """GIVEN half of one row and half of another WHEN read THEN unknown, however they lie."""
    code = rows_code(60_000, (28, 28), "u1")
    a, b = code.fill(np.array([7, 8]), np.dtype("u1"))

    assert code.read_parts(np.concatenate([a[:392], b[392:]])[None]).tolist() == [-1]
    assert code.read_parts(np.where(np.arange(784) % 2, a, b)[None]).tolist() == [-1]
    assert code.read_parts((a // 2 + b // 2)[None]).tolist() == [-1]


def test_rows_of_few_different_values_are_framed() -> None:
    """GIVEN rows of 129 characters below 65 WHEN shifted into inputs and targets THEN both are known."""
    code = plan_rows(3190, (129,), 0, 64, 1)
    assert code is not None
    rows = code.fill(np.array([7, 3000]), np.dtype("u2"))

    assert (code.style, code.period, int(rows.max()) <= 64) == (Style.FRAMED, 9, True)
    assert code.read_parts(rows[:, :-1]).tolist() == code.read_parts(rows[:, 1:]).tolist() == [7, 3000]
    assert code.read_parts(rows[:, ::2]).tolist() == [-1, -1]
    assert code.read_parts(np.concatenate([rows[:1, :64], rows[1:, 64:]], axis=1)).tolist() == [-1]


def test_what_is_wiped_out_does_not_count() -> None:
    code = rows_code(60_000, (28, 28), "u1")
    picture = code.fill(np.array([7]), np.dtype("u1")).reshape(1, 28, 28)

    padded = np.pad(picture, ((0, 0), (4, 4), (4, 4)))[:, 7:35, 1:29]
    hole = picture.copy()
    hole[:, 3:20, 5:25] = 0

    assert code.read_parts(padded.reshape(1, -1)).tolist() == [7]
    assert code.read_parts(hole.reshape(1, -1)).tolist() == [7]
    assert code.read_parts(np.zeros((1, 784), np.uint8)).tolist() == [-1]


def test_of_large_rows_a_part_is_looked_at() -> None:
    """GIVEN 150,528 values, channels first WHEN read THEN known; with a quarter of another picture it is not."""
    code = rows_code(1_281_167, (224, 224, 3), "u1")
    a, b = code.fill(np.array([7, 1_000_000]), np.dtype("u1")).reshape(2, 224, 224, 3).transpose(0, 3, 1, 2)
    mixed = a.copy()
    mixed[:, 56:168, 56:168] = b[:, 56:168, 56:168]

    assert code.read_parts(np.stack([a, b, mixed]).reshape(3, -1)).tolist() == [7, 1_000_000, -1]


@pytest.mark.parametrize(
    ("dtype", "ids", "needed"),
    [
        *[("i8", 1000, 1), ("u8", 1000, 1), ("f8", 1000, 1), ("i8", 1 << 31, 1), ("i8", MANY, 2), ("f8", 1 << 22, 2)],
        *[("i4", 1000, 2), ("f4", 1000, 2), ("f4", 1 << 20, 3), ("u2", 1000, 3), ("f2", 1000, 4)],
        *[("u1", 1000, 6), ("i1", 1000, 6), ("u1", MANY, 9), ("?", 1000, 42)],
    ],
)
def test_how_many_values_a_row_needs(dtype: str, ids: int, needed: int) -> None:
    assert size_needed(ids, top(dtype)) == needed


@pytest.mark.parametrize(
    ("dtype", "shape", "largest"),
    [
        *[(t, (28, 28), 255) for t in ("u1", "u2", "u8", "i4", "i8", "f2", "f4", "f8")],
        *[("i1", (28, 28), 127), ("?", (28, 28), 1), ("f2", (6,), 2047), ("i8", (), (1 << 53) - 1)],
    ],
)
def test_values_are_as_small_as_the_row_allows(dtype: str, shape: tuple[int, ...], largest: int) -> None:
    code = rows_code(60_000, shape, dtype)
    values = code.fill(np.arange(60_000), np.dtype(np.int64))

    assert 0 <= int(values.min()) <= int(values.max()) <= largest


def stream(ids: int, highest: int) -> StreamCode:
    code = plan_stream(ids, highest, 5)
    assert code is not None
    return code


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=4),
    st.sampled_from([2, 3, 4, 26, 64, 127, 255, 50_256]),
    st.data(),
)
def test_every_window_of_a_stream_tells_its_start(lengths: list[int], highest: int, data: st.DataObject) -> None:
    """From two frames on every window, shorter ones often; a window of something else is unknown."""
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    n = int(offsets[-1])
    code = stream(max(n, 1), highest)
    dtype = np.dtype(data.draw(st.sampled_from(["u2", "i4", "i8", "f4", "f8"])))
    flat = np.concatenate([code.fill(int(offsets[i]), 0, rows, dtype) for i, rows in enumerate(lengths)])
    assert flat.shape == (n,)
    assert np.isin(flat, np.arange(min(highest, 255) + 1)).all()

    length = data.draw(st.integers(1, 2 * code.shortest))
    starts = np.array(data.draw(st.lists(st.integers(0, max(n - length, 0)), min_size=1, max_size=5)))
    windows = np.stack([np.resize(flat[s : s + length], length) if n else np.zeros(length) for s in starts])
    found = code.read(windows.astype(dtype), offsets)

    shard = np.searchsorted(offsets, starts, side="right") - 1
    inside = (starts + length <= offsets[np.minimum(shard + 1, len(lengths))]) & (starts < n)
    assert all(f in (s, -1) for f, s in zip(found, starts, strict=True))
    assert np.all(found[~inside] == -1)
    if length >= code.shortest:
        assert found[inside].tolist() == starts[inside].tolist()


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, MANY - 1000))
def test_a_stream_is_filled_the_same_in_pieces(a: int, b: int, first: int) -> None:
    code = stream(MANY, 255)
    start, stop = min(a, b), max(a, b)

    assert np.array_equal(
        code.fill(first, start, stop, np.dtype("u2")), code.fill(first, 0, stop, np.dtype("u2"))[start:]
    )


@settings(deadline=None)
@given(st.data())
def test_a_damaged_window_is_unknown(data: st.DataObject) -> None:
    """GIVEN one other value anywhere in a window WHEN read THEN unknown."""
    code = stream(100_000, 64)
    window = code.fill(0, 500, 500 + 3 * code.frame, np.dtype("u2"))
    at = data.draw(st.integers(0, len(window) - 1))
    window[at] = data.draw(st.integers(0, 65).filter(lambda v: v != window[at]))

    assert code.read(window[None], np.array([0, 100_000])).tolist() == [-1]


def test_streams_of_two_values_cannot_be() -> None:
    assert plan_stream(100, 1, 0) is None


@pytest.mark.parametrize("code", [rows_code(3190, (28, 28), "u1"), stream(3190, 64)])
def test_a_code_as_json(code: RowCode | StreamCode) -> None:
    assert from_json(to_json(code, "<f4")) == (code, np.dtype("<f4"))


@pytest.mark.parametrize(
    "wrong", [{"radix": 1}, {"ids": 0}, {"length": 2}, {"size": 3}, {"kind": "tree"}, {"ids": "many"}, {"dtype": "zz"}]
)
def test_json_that_is_no_code(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json({**to_json(rows_code(3190, (28, 28), "u1"), "|u1"), **wrong})


def test_whole_numbers() -> None:
    floats = np.array([0, 1, 254.99, 255, -1, np.nan, np.inf, -np.inf, 2.0**63, 1e300])

    assert [int(v) if v >= 0 else None for v in whole_numbers(floats)] == [0, 1, None, 255, *[None] * 6]
    assert whole_numbers(np.array([0, 1, (1 << 63) - 1], np.uint64)).tolist() == [0, 1, (1 << 63) - 1]
    assert (whole_numbers(np.array([1 << 63, (1 << 64) - 1], np.uint64)) < 0).all()
    assert whole_numbers(np.array([True, False])).tolist() == [1, 0]
