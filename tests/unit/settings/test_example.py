"""The example file and the schema, made from the model."""

import json
import re
from pathlib import Path

import yaml

import exoproxy
from exoproxy.settings.example import example, schema
from exoproxy.settings.load import load
from exoproxy.settings.model import Settings
from exoproxy.settings.part import Part, part_of

FILE = Path(exoproxy.__file__).parents[1] / "config/exoproxy.example.yaml"

# A commented key has its # right before it, a comment has a space after it.
COMMENTED_KEY = re.compile(r"^( *)#(?=\S)", re.MULTILINE)


def test_the_file_in_the_repository_is_the_output() -> None:
    """Who changes the model renews the file: exoproxy config example > config/…"""
    assert FILE.read_text(encoding="utf-8") == example()


def test_is_valid_with_the_placeholders() -> None:
    """The file as it stands gives working settings."""
    settings = load(FILE)

    assert settings.main is not None
    assert settings.main.hostname == "my-example.exosphere.app"
    assert settings.uap is not None
    assert list(settings.uap.regions) == ["RegionOne"]


def test_shows_the_defaults(tmp_path: Path) -> None:
    """Taking every # away changes nothing: what is commented out is what applies."""
    path = tmp_path / "all.yaml"
    path.write_text(COMMENTED_KEY.sub(r"\1", example()))

    assert load(path) == load(FILE)


def test_holds_every_key_with_its_meaning() -> None:
    """No key of the model is left out; the certificate's files stand in a comment."""
    text = example()
    content = yaml.safe_load(COMMENTED_KEY.sub(r"\1", text))

    def missing(part: type[Part], written: dict[str, object]) -> list[str]:
        gone = [key for key in part.model_fields if key not in written]
        for key, value in written.items():
            inner = part_of(part.model_fields[key].annotation)
            if inner and isinstance(value, dict):
                gone += missing(inner, value.get("RegionOne", value))
        return gone

    assert missing(Settings, content) == []
    assert "cert_file: " in text
    assert "key_file: " in text


def test_marks_what_has_to_be_edited() -> None:
    """An operator finds the few lines that are his; no other key is active."""
    active = [line for line in example().splitlines() if re.match(r" *[a-zA-Z_]+: *\S", line)]

    assert [line.split(":")[0].strip() for line in active] == [
        "email",
        "hostname",
        "allow",
        "allowed_origins",
        "RegionOne",
        "hostname",
        "subnets",
    ]
    assert all(line.endswith("  # <- edit") for line in active)


def test_is_not_wider_than_a_screen() -> None:
    """The file reads well in any editor."""
    assert max(map(len, example().splitlines())) <= 100


def test_schema_knows_the_same_keys() -> None:
    """Editors complete and check by the schema."""
    content = json.loads(schema())

    assert content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(content["properties"]) == list(Settings.model_fields)
    assert content["additionalProperties"] is False
    assert content["$defs"]["Limits"]["properties"]["idle_timeout"]["default"] == 75
    assert content["$defs"]["Main"]["properties"]["listen"]["default"] == [
        "0.0.0.0:443",
        "[::]:443",
    ]
