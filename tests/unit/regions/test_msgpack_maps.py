"""Msgpack is read as the msgpack package reads it, and what claims more than it holds is refused."""

import random

import pytest

from cacr.regions.stores.msgpack_maps import MOST_THINGS, unpack

msgpack = pytest.importorskip("msgpack")


def plain(value):
    """A value with views as bytes."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return bytes(value) if isinstance(value, memoryview) else value


def drawn(draws, depth=0):
    kind = draws.randrange(9 if depth < 3 else 6)
    bits = draws.choice([0, 3, 7, 8, 15, 16, 31, 32, 63])
    if kind == 0:
        return draws.choice([None, True, False, 0.5, -1e300])
    if kind in (1, 2):
        return draws.getrandbits(bits + 1) if draws.random() < 0.6 else -draws.getrandbits(bits)
    if kind == 3:
        return draws.randbytes(draws.choice([0, 5, 31, 32, 255, 256, 70_000]))
    if kind < 6:
        return "é" * draws.choice([0, 5, 15, 16, 127, 128, 33_000])
    count = draws.choice([0, 2, 15, 16, 40])
    if kind < 8:
        return [drawn(draws, depth + 1 + count // 15) for _ in range(count)]
    return {f"{i}" * draws.choice([1, 9, 40]): drawn(draws, depth + 1 + count // 15) for i in range(count)}


@pytest.mark.parametrize("seed", range(60))
def test_values_are_those_of_the_package(seed):
    value = drawn(random.Random(seed))
    for old in (False, True):
        data = msgpack.packb(value, use_bin_type=not old)
        assert plain(unpack(memoryview(data))) == msgpack.unpackb(data, raw=True)


def test_whole_numbers_at_the_edges_of_their_codes_are_read():
    edges = [
        sign * 2**bits + step
        for bits in (0, 5, 7, 8, 15, 16, 31, 32, 63)
        for sign in (1, -1)
        for step in (-1, 0, 1)
    ]
    for number in (n for n in edges if -(2**63) <= n < 2**64):
        assert unpack(memoryview(msgpack.packb(number))) == number


@pytest.mark.parametrize("single", [True, False])
def test_floats_of_both_sizes_are_read(single):
    assert unpack(memoryview(msgpack.packb(0.25, use_single_float=single))) == 0.25


def test_lists_and_maps_longer_than_16_bits_count_are_counted():
    within = msgpack.packb([0] * (MOST_THINGS - 1))
    assert len(unpack(memoryview(within))) == MOST_THINGS - 1
    for value in ([0] * MOST_THINGS, [0] * 70_000, {str(i): 0 for i in range(MOST_THINGS // 2)}):
        with pytest.raises(ValueError, match="holds over 20000 things"):
            unpack(memoryview(msgpack.packb(value)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends within a thing"),
        (b"\xc1", "code 0xc1"),
        (b"\xd4\x01x", "code 0xd4, an extension"),
        (b"\xc7\x01\x05x", "code 0xc7, an extension"),
        (b"\x00\x00", "1 bytes follow it"),
        (b"\x92\x00", "ends within a thing"),
        (b"\xa5abcd", "ends within a thing"),
        (b"\xc6\xff\xff\xff\xffab", "ends within a thing"),
        (b"\xcd\x01", "ends within a thing"),
        (b"\xdc\x01", "ends within a thing"),
        (b"\xdd\xff\xff\xff\xff", "holds over"),
        (b"\xdf\xff\xff\xff\xff", "holds over"),
        (b"\xdd\x00\x00\x10\x00" * 1_000, "holds over"),
        (b"\x91" * 9 + b"\x00", "over 8 within each other"),
        (b"\xdc\x00\x01" * 9 + b"\x00", "over 8 within each other"),
        (b"\x81\xa1a" * 9 + b"\x00", "over 8 within each other"),
        (b"\x81\x01\x02", "a key of a map is no short text"),
        (b"\x81\x90\x02", "a key of a map is no short text"),
    ],
)
def test_what_is_broken_or_claims_too_much_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        unpack(memoryview(data))


def test_counts_may_take_more_bytes_than_they_need():
    assert unpack(memoryview(b"\xdd\x00\x00\x00\x01\x05")) == [5]
    assert unpack(memoryview(b"\xdf\x00\x00\x00\x01\xa1a\x05")) == {b"a": 5}


def test_every_prefix_of_a_value_is_refused():
    data = msgpack.packb({"a": [1, 2.5, 300, "é" * 40], "b": bytes(300), "c": {"d": None, "e": -(2**40)}})
    for length in range(len(data)):
        with pytest.raises(ValueError):
            unpack(memoryview(data[:length]))
