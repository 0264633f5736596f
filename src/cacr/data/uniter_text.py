"""The caption databases of UNITER, IAIS and CACR: an LMDB of lz4 frames of msgpack, and txt2img.json beside it.

    data.mdb        caption id -> lz4 frame of {"raw": "a dog runs", "input_ids": [170, 3676, …], "img_fname": …}
    txt2img.json    {"583500": "coco_val2014_000000058350.npz", …}

A database is one split (``itm_flickr30k_train.db``). Fields differ by task; where no text was kept, ``decode`` makes it
of the token ids. The picture's name is that of UNITER's features.

Source: github.com/ChenRocks/UNITER prepro.py and data/data.py (MIT, Microsoft). The captions keep their own licence.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cacr.data.entries import Entry, entry, read_json

LIMIT = 1 << 18
"""Bytes that one caption's record may unpack to."""
TEXT = ("raw", "caption", "sentence", "text")
"""Fields that hold a caption, by name."""
MAGIC = 0xBEEFC0DE


def read_uniter_text(folder: Path, decode: Callable[[list[int]], str] | None = None) -> Sequence[Entry]:
    """The entries of a caption database, one a caption, in the order of txt2img.json.

    Args:
        folder: Holds data.mdb and txt2img.json.
        decode: Token ids -> sentence, e.g. a tokenizer's ``decode``; needed where no text was kept.

    Raises:
        ImportError: The packages of the extra lmdb are missing.
        ValueError: A file is broken, a caption is missing, too large, or without text.
    """
    try:
        import lmdb
        import lz4.frame
        import msgpack
    except ImportError as error:
        raise ImportError(f'{folder} needs lmdb, lz4 and msgpack: pip install "cacr[lmdb]"') from error
    names = read_json(folder / "txt2img.json")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(
            f"{folder / 'txt2img.json'} is no map of captions to one picture each; expected a database for retrieval "
            "(in NLVR2's a caption has two pictures)"
        )
    _check_size(folder / "data.mdb")

    def record(key: str, value: bytes | None, where: str) -> dict[str, Any]:
        if value is None:
            raise ValueError(f"{where} is in txt2img.json and not in the database; copy both again")
        unpacker = lz4.frame.LZ4FrameDecompressor()
        try:
            plain = unpacker.decompress(value, max_length=LIMIT)
            fields = msgpack.unpackb(plain) if unpacker.eof else None
        except (RuntimeError, ValueError, RecursionError, msgpack.UnpackException) as error:
            raise ValueError(f"{where} is not an lz4 frame of msgpack ({error}); copy it again") from error
        if not unpacker.eof:
            raise ValueError(
                f"{where} is cut off or unpacks to more than {LIMIT:,} bytes; expected one caption"
            )
        if not isinstance(fields, dict):
            raise ValueError(f"{where} is no map of fields; expected a caption's record")
        if fields.get("img_fname", names[key]) != names[key]:
            raise ValueError(
                f"{where} is of {fields['img_fname']!r}, and txt2img.json says {names[key]}; copy both again"
            )
        return fields

    entries = []
    try:
        with (
            lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False) as environment,
            environment.begin() as transaction,
        ):
            for key, image in names.items():
                where = f"{folder}, caption {key}"
                fields = record(key, transaction.get(key.encode(errors="surrogatepass")), where)
                entries.append(entry(image, _text(fields, decode, where), where))
    except (lmdb.Error, OSError) as error:
        raise ValueError(f"{folder / 'data.mdb'} is not a readable LMDB ({error}); copy it again") from error
    return entries


def _text(fields: dict[str, Any], decode: Callable[[list[int]], str] | None, where: str) -> Any:
    for name in TEXT:
        if name in fields:
            return fields[name]
    ids = fields.get("input_ids")
    if decode is not None and isinstance(ids, list) and all(type(one) is int for one in ids):
        return decode(ids)
    raise ValueError(
        f"{where} keeps no text but {', '.join(map(str, fields)) or 'nothing'}; use the captions of the original "
        "data set, or read_uniter_text(folder, decode=tokenizer.decode)"
    )


def _check_size(file: Path) -> None:
    """Raises ValueError where the file is shorter than it says: reading on would end the process (SIGBUS).

    The two meta pages: a page header of 16 bytes, then magic, version, address, size of the map, two tables of 48
    bytes (the first begins with the size of a page), the last page used, the transaction.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(16 + 136)
        magic, _, _, _, page = struct.unpack_from("<IIQQI", head.ljust(152, b"\0"), 16)
        if magic != MAGIC or page not in (1 << n for n in range(9, 17)) or size < 2 * page:
            raise ValueError(f"{file} is not an LMDB of a 64-bit little-endian machine; copy it again")
        opened.seek(page)
        metas = (head, opened.read(16 + 136))
    last = max(struct.unpack_from("<QQ", meta, 16 + 24 + 96)[::-1] for meta in metas)[1]
    if (last + 1) * page > size:
        raise ValueError(
            f"{file} is cut off: it has {size:,} bytes and speaks of {(last + 1) * page:,}; copy it again"
        )
