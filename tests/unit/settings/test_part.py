"""What all parts of the settings have in common."""

from collections.abc import Mapping

import pytest
from pydantic import Field, ValidationError

from exoproxy.settings.part import EMPTY, Part, is_by_name, part_of, placeholder


class Inner(Part):
    """An inner part."""

    number: int = 5
    """A number,
    on two lines."""


class Outer(Part):
    """An outer part."""

    name: str = Field(examples=["placeholder"])
    """A name."""

    inner: Inner | None = Inner()
    """A part."""

    named: Mapping[str, Inner] = {}
    """Parts by name."""


def test_takes_the_default_for_a_key_with_nothing_behind_it() -> None:
    """`inner:` with every line below commented out is as good as no `inner:`."""
    outer = Outer.model_validate({"name": "x", "inner": EMPTY})

    assert outer.inner == Inner()


def test_misses_a_required_key_with_nothing_behind_it() -> None:
    """`name:` alone is no name."""
    with pytest.raises(ValidationError, match="Field required"):
        Outer.model_validate({"name": EMPTY})


def test_refuses_an_unknown_key_with_nothing_behind_it() -> None:
    """A misspelt key is told even if nothing stands behind it."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Outer.model_validate({"name": "x", "naem": EMPTY})


def test_is_frozen() -> None:
    """Settings are shared by everything that runs, so nothing may change them."""
    with pytest.raises(ValidationError, match="frozen"):
        Inner().number = 6  # type: ignore[misc]  # the very thing that is tried


def test_describes_its_keys_by_their_docstrings() -> None:
    """The text below a key is its description, in one line, and no title is made up."""
    schema = Inner.model_json_schema()

    assert schema["properties"] == {
        "number": {"type": "integer", "default": 5, "description": "A number, on two lines."}
    }


def test_may_be_null_in_the_schema_unless_it_requires_something() -> None:
    """The schema takes an empty section where the loader does."""
    assert Inner.model_json_schema()["type"] == ["object", "null"]
    assert Outer.model_json_schema()["type"] == "object"


def test_finds_the_part_behind_a_key() -> None:
    """Alone, optional or by name: the part is found; plain values have none."""
    fields = Outer.model_fields

    assert part_of(fields["inner"].annotation) is Inner
    assert part_of(fields["named"].annotation) is Inner
    assert part_of(fields["name"].annotation) is None
    assert is_by_name(fields["named"])
    assert not is_by_name(fields["inner"])


def test_knows_the_keys_that_have_to_be_written() -> None:
    """Only a key with an example has a placeholder."""
    assert placeholder(Outer.model_fields["name"]) == "placeholder"
    assert placeholder(Outer.model_fields["inner"]) is None
