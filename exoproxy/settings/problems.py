"""What pydantic found, in sentences for people, and at the key that an operator wrote.

Contradictions can only be judged in settings that are right otherwise. So that both kinds are told
at once, `mended` puts defaults and placeholders where something is wrong.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from exoproxy.settings.contradictions import Contradiction
from exoproxy.settings.location import Location, dotted, touches
from exoproxy.settings.model import Settings
from exoproxy.settings.part import EMPTY, Part, is_by_name, part_of, placeholder
from exoproxy.settings.sites import FILES, WORD
from exoproxy.settings.text import shown

# Steps that pydantic puts into a location and no file has.
_NOT_WRITTEN: Final = {FILES, WORD, "[key]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A wrong value, a missing or an unknown key.

    `spoils` is the known key that has no usable value because of it: the key itself, the one that
    a misspelt key means, or None.
    """

    location: Location
    sentence: str
    spoils: Location | None
    unknown: bool = False

    def hides(self, location: Location) -> bool:
        """Tell whether nothing can be said about that key because of this mistake."""
        return self.spoils is not None and touches(self.spoils, location)


def find(value: Any) -> tuple[Settings | None, list[Mistake]]:
    """Return the settings for the plain values of a file, or None and everything wrong in them."""
    try:
        return Settings.model_validate(value), []
    except ValidationError as error:
        mistakes = _mistakes(error)
        found = _contradictions(error)
    if mistakes:
        try:
            Settings.model_validate(mended(value, mistakes))
        except ValidationError as error:
            found = _contradictions(error)
    mistakes += [
        Mistake(location=each.about[0], sentence=each.sentence, spoils=each.about[0])
        for each in found
        if not any(mistake.hides(place) for mistake in mistakes for place in each.about)
    ]
    return None, mistakes


def _contradictions(error: ValidationError) -> list[Contradiction]:
    return [
        each
        for details in error.errors()
        if details["type"] == "contradiction"
        for each in details["ctx"]["found"]
    ]


def _mistakes(error: ValidationError) -> list[Mistake]:
    mistakes = [_mistake(each) for each in error.errors() if each["type"] != "contradiction"]
    explained = {mistake.spoils for mistake in mistakes if mistake.unknown}
    listed = {place[:-1] for place in (each.location for each in mistakes) if _is_item(place)}
    return [
        mistake
        for mistake in mistakes
        # A misspelt key explains the one that seems to be missing; wrong items explain why their
        # list came out too short.
        if mistake.location not in explained | listed
    ]


def _is_item(location: Location) -> bool:
    return bool(location) and isinstance(location[-1], int)


def _mistake(error: ErrorDetails) -> Mistake:
    location = tuple(step for step in error["loc"] if step not in _NOT_WRITTEN)
    if error["type"] == "extra_forbidden":
        return _unknown_key(location)
    return Mistake(location=location, sentence=_sentence(error, location), spoils=location)


def _sentence(error: ErrorDetails, location: Location) -> str:
    value = error["input"]
    _, field = _field_at(location)
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing":
            return f"is missing; write e.g. {_example(location, field)}"
        case "literal_error":
            keys = ", ".join(_keys_at(location))
            other = f", or hold the keys {keys}" if keys else ""
            return f"{shown(value)} should be {error['ctx']['expected']}{other}"
        case "tuple_type":
            if isinstance(value, str | int) and not isinstance(value, bool):
                return f"{shown(value)} should be a list; write [{json.dumps(value)}]"
            return f"{shown(value)} should be a list"
        case "too_short":
            return f"is empty; write at least one, e.g. {_example(location, field)}"
        case "model_type" | "dict_type":
            what = "nothing" if value is EMPTY else shown(value)
            keys = ", ".join(_keys_at(location)[:3])
            return f"{what} stands where keys are needed" + (f": {keys} …" if keys else "")
        case _:
            return str(error["msg"])


def _example(location: Location, field: FieldInfo | None) -> str:
    if field is None:
        return dotted(location)
    example = placeholder(field) or [str(each) for each in field.default]
    if isinstance(example, list | dict):
        example = json.dumps(example)
    return f"`{location[-1]}: {example}`"


def _unknown_key(location: Location) -> Mistake:
    *above, key = location
    known = _keys_at(tuple(above))
    meant: Location | None = None
    if close := get_close_matches(str(key).lower(), known, n=1):
        meant = (*above, close[0])
        sentence = f"is not known; did you mean `{close[0]}`?"
    elif places := list(_places(str(key))):
        sentence = f"does not belong here, but to {' or '.join(places)}"
    else:
        sentence = f"is not known; what can stand here: {', '.join(known)}"
    return Mistake(location=location, sentence=sentence, spoils=meant, unknown=True)


def _places(key: str, part: type[Part] = Settings, above: str = "") -> Iterator[str]:
    """Yield the keys, as `main.proxy`, below which a key of this name is known."""
    if above and key in part.model_fields:
        yield above
    for name, field in part.model_fields.items():
        if inner := part_of(field.annotation):
            here = f"{above}.{name}".removeprefix(".")
            yield from _places(key, inner, f"{here}.NAME" if is_by_name(field) else here)


def _keys_at(location: Location) -> list[str]:
    """Return the keys that may stand below a location."""
    key, field = _field_at(location)
    if field is None:
        return list(Settings.model_fields)
    part = part_of(field.annotation)
    if part is None or (is_by_name(field) and key == location):
        return []
    return list(part.model_fields)


def _field_at(location: Location) -> tuple[Location, FieldInfo | None]:
    """Return the innermost known key on the way to a location, and its field."""
    part: type[Part] | None = Settings
    key: Location = ()
    field: FieldInfo | None = None
    for length, step in enumerate(location, 1):
        if part and step in part.model_fields:
            key, field = location[:length], part.model_fields[str(step)]
            part = part_of(field.annotation)
    return key, field


def mended(value: Any, mistakes: Iterable[Mistake]) -> Any:
    """Return a copy in which the default or a placeholder stands for everything that is wrong."""
    copied = copy.deepcopy(value)
    for mistake in mistakes:
        if mistake.unknown:
            _put(copied, mistake.location, EMPTY)
        spoilt = mistake.spoils or ()
        key, field = _field_at(spoilt)
        if field is None:
            continue
        if is_by_name(field) and len(spoilt) > len(key):
            _take_out(copied, spoilt[: len(key) + 1])
        else:
            _put(copied, key, placeholder(field) if field.is_required() else EMPTY)
    return copied


def _take_out(value: Any, location: Location) -> None:
    """Take one of the parts that stand by name away; the last takes its holder along."""
    name = location[-1]
    holder = value
    for step in location[:-1]:
        holder = holder.get(step, {})
    holder.pop(name, None)
    if not holder:
        _put(value, location[:-2], EMPTY)


def _put(value: Any, location: Location, new: Any) -> None:
    """Put `new` at a location; `EMPTY` takes the key away."""
    *above, last = location
    for step in above:
        if not isinstance(value, dict) or step not in value:
            return
        value = value[step]
    if not isinstance(value, dict):
        return
    if new is EMPTY:
        value.pop(last, None)
    else:
        value[last] = new
