"""A client for tests that is not Exosphere's and is served alike: `write_client` lays it down.

It has the real one's files as far as a server can tell them apart: the page with its script of
665 KB, the two configuration scripts, the worker that hands every request on, what is fetched
with a changing query, a manifest, a picture, a font. The text ones lie in `client_files/`; the
rest is made here, the same bytes every time. It shows what it was configured with.
"""

import random
import struct
import zlib
from functools import cache
from pathlib import Path

SCRIPT = "elm-web.js"
# The real one's size; it shrinks to about a third, as this does.
SCRIPT_BYTES = 665_093

_FILES = Path(__file__).with_name("client_files")
_FONT_BYTES = 39_536


@cache
def client_files() -> dict[str, bytes]:
    """Return the content of each file by its relative name."""
    files = {
        path.relative_to(_FILES).as_posix(): path.read_bytes()
        for path in sorted(_FILES.rglob("*"))
        if path.is_file()
    }
    files[SCRIPT] = _script(files.pop("stand-in.js"))
    files["assets/img/logo-196px-maskable.png"] = _picture(196)
    files["fonts/opensans/v29/cyrillic.woff2"] = random.Random(1).randbytes(_FONT_BYTES)
    return files


def write_client(folder: Path) -> None:
    """Write the client's files into a folder, which is made where it is missing."""
    for name, content in client_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _script(end: bytes) -> bytes:
    """Return functions that nobody calls, in the way of minified Elm, and then the page's own."""
    choice = random.Random(0)
    words = ["".join(choice.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(2500)]
    names = [f"{a}{b}{c}" for a in "abcdefghijk" for b in "ABCDEFGHIJ" for c in range(40)]
    parts: list[bytes] = [b"(function(){'use strict';"]
    size = len(parts[0]) + len(end) + len(b"/**/})();\n")
    while True:
        one, two, three = choice.choices(names, k=3)
        word, other = choice.choices(words, k=2)
        part = (
            f"function {one}{len(parts)}(n,r){{return {two}({three},n,{{$:{choice.randrange(99)},"
            f'{word}:r.{other},t:"{other} {word}"}})}}'
        ).encode()
        if size + len(part) > SCRIPT_BYTES:
            break
        parts.append(part)
        size += len(part)
    filling = b"/*" + b"." * (SCRIPT_BYTES - size) + b"*/})();\n"
    return b"".join([*parts, filling, end])


def _picture(side: int) -> bytes:
    """Return a square PNG with a gradient in shades of grey (RFC 2083)."""
    rows = b"".join(b"\0" + bytes((x + y) % 256 for x in range(side)) for y in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
