"""LMDB files: everything that the lmdb package wrote is read as it reads it, and whatever is damaged is refused."""

import copy
import os
import pickle
import random
import struct

import pytest

from cacr.regions.stores.lmdb_file import NO_PAGE, LmdbFile

lmdb = pytest.importorskip("lmdb")
MOST = 1 << 24
PAGE = 4096


def write(folder, *transactions, **options):
    """A database after these transactions, each a map of keys to values; None removes a key."""
    with lmdb.open(str(folder), map_size=1 << 26, lock=False, sync=False, **options) as environment:
        for values in transactions:
            with environment.begin(write=True) as transaction:
                for key, value in values.items():
                    transaction.delete(key) if value is None else transaction.put(key, value)
    return folder / "data.mdb"


def theirs(file):
    with (
        lmdb.open(str(file.parent), readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        return list(transaction.cursor())


def ours(file):
    """All keys and values, by their places; the same as when gone through."""
    opened = LmdbFile(file)
    places = list(opened.places())
    random.Random(0).shuffle(places)
    values = {key: bytes(opened.value(key, place, MOST)) for key, place in places}
    in_order = [(key, bytes(value)) for key, value in opened.items(MOST)]
    assert values == dict(in_order)
    return in_order


@pytest.mark.parametrize(
    "values",
    [
        {},
        {b"a": b""},
        {b"a": b"x" * 3, b"b" * 511: b"", b"\0": b"\0"},
        {
            b"a": bytes(2_000),
            b"b": bytes(2_040),
            b"c": bytes(PAGE - 16),
            b"d": bytes(PAGE - 15),
            b"e": bytes(10**6),
        },
        {b"%d" % i: b"%d" % (i * i) for i in range(30_000)},
        {b"%03d" % i + b"k" * 500: b"%d" % i * 900 for i in range(300)},
    ],
    ids=["empty", "one", "edge keys", "sizes about a page", "many", "deep"],
)
def test_keys_and_values_are_those_of_the_package(tmp_path, values):
    file = write(tmp_path, values)
    assert ours(file) == theirs(file) == sorted(values.items())


def test_a_deep_tree_is_one(tmp_path):
    file = write(tmp_path, {b"%03d" % i + b"k" * 500: b"" for i in range(300)})
    assert LmdbFile(file)._meta.depth >= 3


@pytest.mark.parametrize("seed", range(25))
def test_any_history_of_writes_is_read_as_the_package_reads_it(tmp_path, seed):
    draws, known, history = random.Random(seed), set(), []
    for _ in range(draws.randrange(1, 7)):
        values, removing = {}, draws.choice([0.1, 0.5, 0.95])
        for _ in range(draws.randrange(1, 300)):
            if known and draws.random() < removing:
                values[draws.choice(sorted(known))] = None
            else:
                key = b"%d" % draws.randrange(2_000) * draws.choice([1, 1, 40])
                values[key] = draws.randbytes(draws.choice([0, 5, 100, 1_500, 3_000, 20_000]))
            known |= values.keys()
            known -= {key for key, value in values.items() if value is None}
        history.append(values)
    file = write(tmp_path, *history, writemap=draws.random() < 0.3)
    assert ours(file) == theirs(file)


def node(key, value=b"", flags=0, size=None):
    return struct.pack("<IHH", len(value) if size is None else size, flags, len(key)) + key + value


def child(key, number):
    return struct.pack("<HHHH", number & 0xFFFF, number >> 16 & 0xFFFF, number >> 32, len(key)) + key


def page(number, kind, nodes, size=PAGE):
    starts, end, body = [], size, b""
    for one in nodes:
        end -= len(one)
        starts.append(end)
        body = one + body
    head = struct.pack("<QHHHH", number, 0, kind, 16 + 2 * len(nodes), end) + struct.pack(
        f"<{len(starts)}H", *starts
    )
    return head + bytes(end - len(head)) + body


def metas(size=PAGE, *, version=1, flags=0, depth=1, entries=1, root=2, last=9, transactions=(0, 1)):
    return b"".join(
        (
            struct.pack("<QHHI", number, 0, 8, 0)
            + struct.pack(
                "<II16xI48xHH24xQQQQ",
                0xBEEFC0DE,
                version,
                size,
                flags,
                depth,
                entries,
                root,
                last,
                transaction,
            )
        ).ljust(size, b"\0")
        for number, transaction in enumerate(transactions)
    )


def made(folder, *pages, **meta):
    """A database of pages made by hand, from page 2 on."""
    size = len(pages[0]) if pages else PAGE
    file = folder / "data.mdb"
    file.write_bytes(metas(size, **{"last": len(pages) + 1} | meta) + b"".join(pages))
    return file


@pytest.mark.parametrize("size", [512, 4096, 16_384, 32_768])
def test_pages_of_other_machines_sizes_are_read(tmp_path, size):
    root = page(2, 1, [child(b"", 3), child(b"b", 6)], size)
    first = page(3, 2, [node(b"a", struct.pack("<Q", 4), 1, size)], size)
    large = struct.pack("<QHHI", 4, 0, 4, 2) + bytes(size - 16) + b"v" * size  # two pages, for their head
    second = page(6, 2, [node(b"b", b"x"), node(b"c", b"y")], size)
    data = metas(size, last=6, depth=2, entries=3) + root + first + large + second
    (tmp_path / "data.mdb").write_bytes(data)
    expected = [(b"a", bytes(size - 16) + b"v" * 16), (b"b", b"x"), (b"c", b"y")]
    assert ours(tmp_path / "data.mdb") == expected


LEAF = page(2, 2, [node(b"a", b"x")])
DAMAGED = {
    "a page that is its own child": ([page(2, 1, [child(b"", 2)])], {"depth": 30}, "page 2 comes twice"),
    "a loop of two pages": (
        [page(2, 1, [child(b"", 3)]), page(3, 1, [child(b"", 2)])],
        {"depth": 30},
        "page 2 comes twice",
    ),
    "a page with two parents": (
        [page(2, 1, [child(b"", 3), child(b"b", 3)]), page(3, 2, [node(b"a")])],
        {"depth": 2, "entries": 2},
        "page 3 comes twice",
    ),
    "a tree too deep": ([LEAF], {"depth": 33}, "tree is 33 deep"),
    "a leaf too high": ([LEAF], {"depth": 2}, "of kind 2, 1 deep in a tree of 2"),
    "a branch where leaves should be": (
        [page(2, 1, [child(b"", 3)])],
        {},
        "of kind 1, 1 deep in a tree of 1",
    ),
    "keys out of order": ([page(2, 2, [node(b"b"), node(b"a")])], {"entries": 2}, "out of order"),
    "a key twice": ([page(2, 2, [node(b"a"), node(b"a")])], {"entries": 2}, "out of order"),
    "no key": ([page(2, 2, [node(b"")])], {}, "out of order"),
    "fewer keys than it says": ([LEAF], {"entries": 2**63}, "speaks of 9223372036854775808 keys"),
    "more keys than it says": ([page(2, 2, [node(b"a"), node(b"b")])], {}, "speaks of 1 keys"),
    "a root behind the end": ([LEAF], {"root": 3}, "needs 3 to 3"),
    "a root behind the last page that was written": ([LEAF, LEAF], {"last": 1}, "it has 2 pages"),
    "a root far behind the end": ([LEAF], {"root": 2**63}, "cut off or damaged"),
    "a meta page as root": ([LEAF], {"root": 1}, "cut off or damaged"),
    "a root but no depth": ([LEAF], {"depth": 0}, "0 deep from page 2"),
    "a depth but no root": ([LEAF], {"root": NO_PAGE}, "1 deep from page 18446744073709551615"),
    "another page's number": ([page(7, 2, [node(b"a")])], {}, "page 2 is no page of keys"),
    "an overflow page as leaf": ([page(2, 4, [node(b"a")])], {}, "page 2 is no page of keys"),
    "keys of one size": ([page(2, 0x22, [node(b"a")])], {}, "page 2 is no page of keys"),
    "no nodes": ([page(2, 2, [])], {}, "page 2 is no page of keys"),
    "half a pointer": ([LEAF[:12] + b"\x11" + LEAF[13:]], {}, "page 2 is no page of keys"),
    "more pointers than a page has": (
        [LEAF[:12] + struct.pack("<HH", 0xFFFE, 0xFFFF) + LEAF[16:]],
        {},
        "page 2 is no page of keys",
    ),
    "a pointer behind the page": ([LEAF[:16] + b"\xff\xff" + LEAF[18:]], {}, "points outside of itself"),
    "a pointer to the last bytes": (
        [LEAF[:16] + struct.pack("<H", PAGE - 4) + LEAF[18:]],
        {},
        "points outside of itself",
    ),
    "a pointer into the pointers": ([LEAF[:16] + b"\x10\x00" + LEAF[18:]], {}, "points outside of itself"),
    "a key behind the page": (
        [page(2, 2, [struct.pack("<IHH", 0, 0, 9) + b"a"])],
        {},
        "does not fit into its page",
    ),
    "a value behind the page": ([page(2, 2, [node(b"a", b"x", size=2)])], {}, "does not fit into its page"),
    "a value of 4 GB": (
        [page(2, 2, [node(b"a", struct.pack("<Q", 2), 1, 2**32 - 1)])],
        {},
        "cut off or damaged",
    ),
    "a value in a meta page": (
        [page(2, 2, [node(b"a", struct.pack("<Q", 1), 1, 9)])],
        {},
        "cut off or damaged",
    ),
    "a value at the end of numbers": (
        [page(2, 2, [node(b"a", struct.pack("<Q", 2**64 - 1), 1, 9)])],
        {},
        "cut off or damaged",
    ),
    "a value on a leaf page": (
        [page(2, 2, [node(b"a", struct.pack("<Q", 3), 1, 9)]), page(3, 2, [node(b"b")])],
        {},
        "page 3 does not hold the 9 bytes",
    ),
    "a value on a page of another number": (
        [page(2, 2, [node(b"a", struct.pack("<Q", 3), 1, 9)]), page(4, 4, [node(b"b")])],
        {},
        "page 3 does not hold the 9 bytes",
    ),
    "a value on fewer pages than it needs": (
        [
            page(2, 2, [node(b"a", struct.pack("<Q", 3), 1, PAGE - 15)]),
            struct.pack("<QHHI", 3, 0, 4, 1) + bytes(2 * PAGE - 16),
            b"",
        ],
        {},
        "page 3 does not hold the 4081 bytes",
    ),
    "a named database": ([page(2, 2, [node(b"a", bytes(48), 2)])], {}, "'a' is a database of its own"),
    "several values of a key": ([page(2, 2, [node(b"a", b"x", 4)])], {}, "'a' is no plain value"),
    "sorted values": ([LEAF], {"flags": 4}, "several values per key"),
    "whole numbers as keys": ([LEAF], {"flags": 8}, "keys in an order of their own"),
    "another version": ([LEAF], {"version": 999}, "data version 999; expected 1"),
}


def test_a_database_whose_last_pages_were_never_written_is_whole(tmp_path):
    """A page that is taken and given back in one transaction is counted and not written: 7 of 150 were such."""
    (tmp_path / "data.mdb").write_bytes(metas(last=50) + LEAF)
    assert ours(tmp_path / "data.mdb") == theirs(tmp_path / "data.mdb") == [(b"a", b"x")]


@pytest.mark.parametrize("name", DAMAGED)
def test_a_database_made_to_mislead_is_refused(tmp_path, name):
    pages, meta, message = DAMAGED[name]
    file = made(tmp_path, *pages, **meta)
    with pytest.raises(ValueError, match=rf"data\.mdb.*{message}"):
        ours(file)


def test_many_keys_cannot_share_one_large_value(tmp_path):
    """It would be read once per key: a small file would keep its reader busy for hours."""
    nodes = [node(b"%03d" % i, struct.pack("<Q", 3), 1, PAGE - 16) for i in range(100)]
    file = made(tmp_path, page(2, 2, nodes), struct.pack("<QHHI", 3, 0, 4, 1) + bytes(PAGE - 16), entries=100)
    with pytest.raises(ValueError, match="keys on 4 pages, and has 100 on 103 so far"):
        ours(file)


def test_a_value_over_the_limit_is_not_read(tmp_path):
    opened = LmdbFile(write(tmp_path, {b"a": bytes(5_000), b"b": bytes(11)}))
    for key, place in opened.places():
        with pytest.raises(ValueError, match=r"data\.mdb: b'.' has \d+ bytes; at most 10 are read"):
            opened.value(key, place, 10)


def test_a_database_cut_anywhere_is_refused_or_whole(tmp_path):
    file = write(tmp_path, {b"%d" % i: bytes(10 + 900 * i) for i in range(12)}, {b"3": b"new", b"4": None})
    whole, expected = file.read_bytes(), ours(file)
    for length in [*range(0, 600, 5), *range(600, len(whole), 331), len(whole) - 1]:
        file.write_bytes(whole[:length])
        try:
            found = ours(file)
        except ValueError as error:
            assert str(file) in str(error)
        else:
            assert found == expected and length > len(whole) - 2 * PAGE  # pages of the list of free ones


@pytest.mark.parametrize("seed", range(2))
def test_changed_bytes_are_read_or_refused_by_the_files_name(tmp_path, seed):
    values = {b"%03d" % i: bytes(i % 90 * 40) for i in range(200)}
    file = write(tmp_path, values, dict.fromkeys([*values][::2]), {b"x": b"y"})
    whole, draws, refused = file.read_bytes(), random.Random(seed), 0
    places = [i for i, byte in enumerate(whole) if byte]
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(draws.choice([1, 1, 4])):
            data[draws.choice(places)] = draws.randrange(256)
        file.write_bytes(data)
        try:
            ours(file)
        except ValueError as error:
            assert str(file) in str(error)
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"SQLite format 3\0" * 600, "is not an LMDB database"),
        (struct.pack(">QHHIIIQ", 0, 0, 8, 0, 0xBEEFC0DE, 1, 0).ljust(9_000, b"\0"), "64-bit little-endian"),
        (struct.pack("<IHHIII", 0, 0, 8, 0, 0xBEEFC0DE, 1).ljust(9_000, b"\0"), "64-bit little-endian"),
        (metas()[:PAGE] + bytes(PAGE), "its page 1 is none that an LMDB starts with"),
        (metas()[: PAGE + 100], "cut off within its first two pages"),
        (b"", "is not an LMDB database, or is cut off"),
    ],
    ids=["other file", "big-endian", "32 bit", "no second page", "short second page", "nothing"],
)
def test_what_is_no_database_of_such_a_machine_is_named(tmp_path, start, message):
    (tmp_path / "data.mdb").write_bytes(start)
    with pytest.raises(ValueError, match=rf"data\.mdb.*{message}"):
        LmdbFile(tmp_path / "data.mdb")


def test_the_meta_page_that_was_written_last_counts(tmp_path):
    for transactions, root in (((4, 5), 3), ((6, 5), 2)):
        pages = page(2, 2, [node(b"old")]), page(3, 2, [node(b"new")])
        data = (
            metas(last=3, transactions=transactions, root=2)[:PAGE]
            + metas(last=3, transactions=transactions, root=3)[PAGE:]
        )
        (tmp_path / "data.mdb").write_bytes(data + b"".join(pages))
        assert ours(tmp_path / "data.mdb") == [({2: b"old", 3: b"new"}[root], b"")]


def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_not_the_end_of_the_process(tmp_path):
    file = write(tmp_path, {b"%02d" % i: bytes(9_000) for i in range(20)})
    opened = LmdbFile(file)
    places = list(opened.places())
    for length in (file.stat().st_size - 3 * PAGE, 2 * PAGE):  # within large values; before the pages of keys
        os.truncate(file, length)
        with pytest.raises(ValueError, match=r"data\.mdb is cut off at byte"):
            [opened.value(key, place, MOST) for key, place in places]


def test_a_changed_file_is_noticed_by_the_key(tmp_path):
    opened = LmdbFile(write(tmp_path, {b"a": b"1"}))
    ((key, place),) = opened.places()
    with pytest.raises(ValueError, match=r"data\.mdb was changed since it was opened: b'b' is gone"):
        opened.value(b"b", place, MOST)
    again = pickle.dumps(opened)
    write(tmp_path, {b"a": b"2"})
    assert bytes(opened.value(key, place, MOST)) == b"1"  # as it was when opened
    with pytest.raises(ValueError, match=r"data\.mdb was changed since it was opened; open it again"):
        pickle.loads(again).value(key, place, MOST)


def test_copies_and_forks_read_for_themselves(tmp_path):
    opened = LmdbFile(write(tmp_path, {b"%d" % i: b"%d" % i * 3_000 for i in range(9)}))
    places = dict(opened.places())
    for other in (copy.copy(opened), pickle.loads(pickle.dumps(opened))):
        assert bytes(other.value(b"3", places[b"3"], MOST)) == b"3" * 3_000
    child = os.fork()
    if not child:
        good = all(opened.value(key, place, MOST) == key * 3_000 for key, place in places.items())
        os._exit(0 if good else 1)
    assert all(opened.value(key, place, MOST) == key * 3_000 for key, place in places.items())
    assert os.waitpid(child, 0)[1] == 0


def test_the_file_is_closed_with_its_reader(tmp_path):
    file = write(tmp_path, {b"a": b"1"})
    descriptor = LmdbFile(file)._open()
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*data\.mdb"):
        LmdbFile(tmp_path / "data.mdb")
    (tmp_path / "data.mdb").mkdir()
    with pytest.raises(ValueError, match=r"data\.mdb is no file"):
        LmdbFile(tmp_path / "data.mdb")
