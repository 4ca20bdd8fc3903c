"""Which Content-Type a file is served with: by its extension, as nginx's mime.types gives it.

The client ran behind nginx for years, so its answers are the measure: `application/javascript`, not
the newer `text/javascript`. Two rows go further: `.webmanifest` has its registered type, and every
text format says that it is UTF-8. Formats that no build of the client holds are left out.
"""

from typing import Final

_TEXT: Final = {
    b"text/html": ("html", "htm"),
    b"text/css": ("css",),
    b"text/xml": ("xml",),
    b"text/plain": ("txt",),
    b"text/markdown": ("md",),
    b"application/javascript": ("js", "mjs"),
    b"application/json": ("json", "map"),
    b"application/manifest+json": ("webmanifest",),
    b"image/svg+xml": ("svg",),
}

_BINARY: Final = {
    b"application/gzip": ("gz",),
    b"application/pdf": ("pdf",),
    b"application/wasm": ("wasm",),
    b"application/zip": ("zip",),
    b"audio/mpeg": ("mp3",),
    b"audio/ogg": ("ogg",),
    b"font/otf": ("otf",),
    b"font/ttf": ("ttf",),
    b"font/woff": ("woff",),
    b"font/woff2": ("woff2",),
    b"image/avif": ("avif",),
    b"image/gif": ("gif",),
    b"image/jpeg": ("jpg", "jpeg"),
    b"image/png": ("png",),
    b"image/webp": ("webp",),
    b"image/x-icon": ("ico",),
    b"video/mp4": ("mp4",),
    b"video/webm": ("webm",),
}

_UNKNOWN: Final = b"application/octet-stream"

_BY_EXTENSION: Final = {
    **{ext: kind + b"; charset=utf-8" for kind, exts in _TEXT.items() for ext in exts},
    **{ext: kind for kind, exts in _BINARY.items() for ext in exts},
}


# Icons are bitmaps without compression of their own; all other binary formats bring theirs.
_SHRINKING: Final = frozenset(
    [kind + b"; charset=utf-8" for kind in _TEXT] + [b"image/x-icon"],
)


def shrinks(kind: bytes) -> bool:
    """Tell whether a Content-Type that `content_type` gives is one that is worth encoding."""
    return kind in _SHRINKING


def content_type(name: str) -> bytes:
    """Return the Content-Type of a file name; its case does not matter."""
    _, dot, extension = name.rpartition(".")
    return _BY_EXTENSION.get(extension.lower(), _UNKNOWN) if dot else _UNKNOWN
