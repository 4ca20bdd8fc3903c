"""A YAML file as plain values, each with the line that it stands on.

Only what a configuration needs is understood: mappings, lists, text, whole numbers, true, false and
null. So `NO` is a region's name and `22:22` is text, which YAML 1.1 would read as false and 1342.
Anchors, aliases and tags are refused: they make bombs, and nobody needs them here. What the values
mean is not known here (see `model`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from exoproxy.settings.location import Location
from exoproxy.settings.part import EMPTY
from exoproxy.settings.text import shown

# Deeper than any file that is right, and far from Python's limit of recursion.
_DEEPEST: Final = 16
_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final = {"null": None, "~": None, "true": True, "false": False}
# Eighteen digits fit into 64 bits; Python refuses to read numbers of thousands of digits.
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NO_ALIASES: Final = (
    "anchors (&) and aliases (*) are not understood; repeat the value, or put text that begins so "
    'into quotes, e.g. "*.example.org"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong in the file: the line (from 1), the key's location, and the sentence."""

    line: int
    location: Location
    sentence: str


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file, the lines of its keys and list items, and what was wrong with it.

    A key with nothing behind it has the value `EMPTY`.
    """

    value: Any
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, location: Location) -> int:
        """Return the line of the value there or, if there is none, of what should hold it."""
        for length in range(len(location), 0, -1):
            if location[:length] in self.lines:
                return self.lines[location[:length]]
        return 1


class _Refused(Exception):
    """Something that makes the rest of the file senseless."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.problem = Problem(line=line, location=(), sentence=sentence)


class _Composer(yaml.SafeLoader):
    """Composes nodes, which know their lines; it constructs nothing."""

    # Every plain scalar is text at first: `_scalar` knows the few that are not.
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  PyYAML's own, and never changed
    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # stubs lack it
        line = event.start_mark.line + 1 if event.start_mark else 1
        if self.check_event(yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(line, _NO_ALIASES)
        if getattr(event, "tag", None):
            raise _Refused(line, "tags (!…) are not understood; leave the tag out")
        if self.depth == _DEEPEST:
            raise _Refused(line, f"this is nested deeper than {_DEEPEST} levels")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read(text: str) -> Document:
    """Return the document that `text` holds; problems are in it, nothing is raised."""
    try:
        loader = _Composer(text)
        root = loader.get_single_node()
    except _Refused as refused:
        return Document(EMPTY, problems=[refused.problem])
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        sentence = f"the character {shown(chr(error.character))} can't stand in a YAML file"
        return Document(EMPTY, problems=[Problem(line=line, location=(), sentence=sentence)])
    except yaml.MarkedYAMLError as error:
        return Document(EMPTY, problems=[_syntax_problem(error, text)])
    document = Document(EMPTY)
    if root is None:
        return document
    value = _value(root, (), document)
    return Document(value, document.lines, document.problems)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    written = text.splitlines()[line - 1] if line <= len(text.splitlines()) else ""
    if "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in str(error.problem):
        sentence = "there is a tab; YAML is indented with spaces"
    elif "scanning an a" in str(error.context):
        sentence = _NO_ALIASES
    elif "single document" in str(error.context):
        sentence = "a second document begins here; keep one, without further `---`"
    else:
        # PyYAML's words are terse, but they name what was expected.
        detail = " ".join(part for part in (error.context, error.problem) if part)
        sentence = (
            f"this is not valid YAML ({detail}); look at the indentation, the colons and the "
            "quotes here and in the line before"
        )
    return Problem(line=line, location=(), sentence=sentence)


def _value(node: Node, here: Location, document: Document) -> Any:
    match node:
        case MappingNode():
            return dict(_entries(node, here, document))
        case SequenceNode():
            return [_item(item, (*here, n), document) for n, item in enumerate(node.value)]
        case ScalarNode():
            return _scalar(node)
        case _:
            raise AssertionError("YAML has no other nodes")


def _item(node: Node, here: Location, document: Document) -> Any:
    document.lines[here] = node.start_mark.line + 1
    value = _value(node, here, document)
    return None if value is EMPTY else value


def _entries(node: MappingNode, here: Location, document: Document) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a mapping; of a key that comes again the first stays."""
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            document.problems.append(
                Problem(line=line, location=here, sentence="a key should be a word, e.g. `listen:`")
            )
            continue
        there = (*here, key.value)
        if there in document.lines:
            document.problems.append(
                Problem(
                    line=line,
                    location=there,
                    sentence=f"stands here a second time, first in line {document.lines[there]}; "
                    "keep one",
                )
            )
            continue
        document.lines[there] = line
        yield key.value, _value(value, there, document)


def _scalar(node: ScalarNode) -> Any:
    text = node.value
    if node.style is not None:
        return text
    if not text:
        return EMPTY
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _NUMBER.fullmatch(text) else text
