"""What all parts of the settings have in common: they are frozen, and know no other keys."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo


class Empty(Enum):
    """What stands behind `key:` when nothing does; such a key has its default."""

    EMPTY = "empty"


EMPTY: Final = Empty.EMPTY


def _tidy(schema: dict[str, Any]) -> None:
    """Make the schema say what the loader does, in whole lines and without made-up titles."""
    for key in schema.get("properties", {}).values():
        key.pop("title", None)
        if "description" in key:
            key["description"] = " ".join(key["description"].split())
    if "required" not in schema:
        # `limits:` with every key below it commented out.
        schema["type"] = ["object", "null"]


class Part(BaseModel):
    """A mapping of the configuration file.

    The docstring below a key is its description in the schema and in the example file: what it
    means, why the default is what it is, and what can go wrong. `Field(examples=…)` marks a key
    that an operator has to write: its first example is the placeholder.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra=_tidy,
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_empty_keys_out(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        known = cls.model_fields
        return {key: each for key, each in value.items() if each is not EMPTY or key not in known}


def part_of(annotation: object) -> type[Part] | None:
    """Return the part that a key of this type holds, be it alone, optional or by name."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    for inner in get_args(annotation):
        if part := part_of(inner):
            return part
    return None


def is_by_name(field: FieldInfo) -> bool:
    """Tell whether a key holds parts by names that the operator chooses."""
    return get_origin(field.annotation) is Mapping


def placeholder(field: FieldInfo) -> Any:
    """Return what a key that the operator has to write holds in the example; None for others."""
    return field.examples[0] if field.examples else None
