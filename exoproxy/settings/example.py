"""The model shown: a commented example file, and its JSON Schema.

Both are made from the model alone (`exoproxy config example`, `exoproxy config schema`), and the
file under `config/` is this very output.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from exoproxy.settings.model import Settings
from exoproxy.settings.part import Part, is_by_name, part_of, placeholder

_WIDTH: Final = 92
_EDIT: Final = "  # <- edit"
# Text that YAML takes as it is, without quotes: no `: `, no ` #`, none of its signs in front.
_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9/._@-]*(?::[0-9]+)?|[0-9.]+:[0-9]+")

_HEADER: Final = """\
The configuration of an Exosphere deployment served by exoproxy: one file for every host. The
main host uses `main:`, a User Application Proxy its region below `uap:`; leave out what you
don't have.

Edit the lines marked `<- edit`. All other keys are commented out and show their defaults: take
the # away to change one. `exoproxy check` tells every mistake; `systemctl restart` applies a
change.
"""


def example() -> str:
    """Return the example file: every key with its meaning; it is valid as it stands."""
    lines = [*_comment(_HEADER, ""), *_part(Settings, "")]
    return "\n".join(lines) + "\n"


def schema() -> str:
    """Return the JSON Schema (draft 2020-12) of the file, as text."""
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(schema_generator=_AsWritten),
    }
    return json.dumps(content, indent=2) + "\n"


def _part(part: type[Part], indent: str) -> Iterator[str]:
    """Yield the keys of a part; a key that holds keys has an empty line on both sides."""
    after_section = False
    for key, field in part.model_fields.items():
        # A certificate is a word first of all; its other form stands in its comment.
        inner = None if isinstance(field.default, str) else part_of(field.annotation)
        if inner or after_section or not indent:
            yield ""
        yield from _comment(field.description or "", indent)
        if inner is None:
            yield _line(key, field, indent)
        else:
            yield f"{indent}{key}:"
            below = f"{indent}  "
            if is_by_name(field):
                yield f"{below}{next(iter(placeholder(field)))}:{_EDIT}"
                below += "  "
            yield from _part(inner, below)
        after_section = inner is not None


def _line(key: str, field: FieldInfo, indent: str) -> str:
    if (written := placeholder(field)) is not None:
        return f"{indent}{key}: {_written(written)}{_EDIT}"
    return f"{indent}#{key}: {_written(field.default)}"


def _comment(text: str, indent: str) -> Iterator[str]:
    width = _WIDTH - len(indent)
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield f"{indent}#"
        for line in textwrap.wrap(paragraph, width, break_long_words=False, break_on_hyphens=False):
            yield f"{indent}# {line}"


def _written(value: Any) -> str:
    """Return a value in YAML, lists in one line."""
    plain = _plain(value)
    is_plain = isinstance(plain, str) and _PLAIN.fullmatch(plain)
    return plain if is_plain else json.dumps(plain)


def _plain(value: Any) -> Any:
    """Return a key's value as it stands in a file, before it is parsed."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Part):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return str(value)


class _AsWritten(GenerateJsonSchema):
    """Shows defaults as they stand in a file: `127.0.0.1:9180`, not its parts."""

    def encode_default(self, dft: Any) -> Any:
        return _plain(dft)
