"""The caption databases of UNITER, IAIS and CACR: an LMDB of lz4 frames of msgpack, and txt2img.json beside it.

    data.mdb        caption id -> lz4 frame of {"raw": "a dog runs", "input_ids": [170, 3676, …], "img_fname": …}
    txt2img.json    {"583500": "coco_val2014_000000058350.npz", …}

A database is one split (``itm_flickr30k_train.db``). Fields differ by task; where no text was kept, ``decode`` makes it
of the token ids. The picture's name is that of UNITER's features.

Source: github.com/ChenRocks/UNITER prepro.py and data/data.py (MIT, Microsoft). The captions keep their own licence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cacr._json import read_json
from cacr.data.entries import Entry, entry
from cacr.regions.stores.lmdb_file import LmdbFile

LIMIT = 1 << 18
"""Bytes that one caption's record may unpack to."""
TEXT = ("raw", "caption", "sentence", "text")
"""Fields that hold a caption, by name."""
MOST_ITEMS = 4096
"""In a list or map of a record: a list is made as long as it says it is, before it is read."""


def read_uniter_text(folder: Path, decode: Callable[[list[int]], str] | None = None) -> Sequence[Entry]:
    """The entries of a caption database, one a caption, in the order of txt2img.json.

    Args:
        folder: Holds data.mdb and txt2img.json.
        decode: Token ids -> sentence, e.g. a tokenizer's ``decode``; needed where no text was kept.

    Raises:
        ImportError: The packages of the extra lmdb are missing.
        FileNotFoundError: A file is missing.
        ValueError: A file is broken, a caption is missing, too large, or without text.
    """
    unpacked, place = _unpacking(folder), str(folder)
    names = read_json(folder / "txt2img.json")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(
            f"{folder / 'txt2img.json'} is no map of captions to one picture each; expected a database for retrieval "
            "(in NLVR2's a caption has two pictures)"
        )
    wanted = {key.encode(errors="surrogatepass"): (key, image) for key, image in names.items()}
    found: dict[str, Entry] = {}
    for name, value in LmdbFile(folder / "data.mdb").items(LIMIT):
        if name not in wanted:
            continue
        key, image = wanted[name]
        where = f"{place}, caption {key}"
        fields = unpacked(value, where)
        if fields.get("img_fname", image) != image:
            raise ValueError(
                f"{where} is of {fields['img_fname']!r}, and txt2img.json says {image}; copy both again"
            )
        found[key] = entry(image, _text(fields, decode, where), where)
    for key in names:
        if key not in found:
            raise ValueError(
                f"{place}, caption {key} is in txt2img.json and not in the database; copy both again"
            )
    return [found[key] for key in names]


def _unpacking(folder: Path) -> Callable[[memoryview, str], dict[str, Any]]:
    """What makes a record of a value, within its limits."""
    try:
        import lz4.frame
        import msgpack
    except ImportError as error:
        raise ImportError(f'{folder} needs lz4 and msgpack: pip install "cacr[lmdb]"') from error

    def unpacked(value: memoryview, where: str) -> dict[str, Any]:
        unpacker = lz4.frame.LZ4FrameDecompressor()
        try:
            says = lz4.frame.get_frame_info(value)["content_size"]  # 0 where it does not say
            if says > LIMIT:
                raise ValueError(f"it unpacks to {says:,} bytes; at most {LIMIT:,} are a caption's")
            plain = unpacker.decompress(value, max_length=says or LIMIT)
            if not unpacker.eof:
                raise ValueError(f"it is cut off, or unpacks to more than {LIMIT:,} bytes")
            fields = msgpack.unpackb(plain, max_array_len=MOST_ITEMS, max_map_len=MOST_ITEMS)
        except (RuntimeError, ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
            raise ValueError(f"{where} is not an lz4 frame of msgpack ({error}); copy it again") from error
        if not isinstance(fields, dict):
            raise ValueError(f"{where} is no map of fields; expected a caption's record")
        return fields

    return unpacked


def _text(fields: dict[str, Any], decode: Callable[[list[int]], str] | None, where: str) -> Any:
    for name in TEXT:
        if name in fields:
            return fields[name]
    ids = fields.get("input_ids")
    if (
        decode is not None
        and isinstance(ids, list)
        and all(type(one) is int and 0 <= one < 2**31 for one in ids)
    ):
        return decode(ids)
    raise ValueError(
        f"{where} keeps no text but {', '.join(map(str, fields))[:200] or 'nothing'}; use the captions of the original "
        "data set, or read_uniter_text(folder, decode=tokenizer.decode)"
    )
