"""The loader of `tests/rule_cases/*.toml`: the rules' cases as data.

`@pytest.mark.rule_cases("egress", "refused")` runs a test once for each `[[refused]]` of
`egress.toml`. The test's arguments are the case's keys; `id` names the case, and `source` says
where the rule comes from, for the reader.
"""

import tomllib
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2] / "rule_cases"
FOR_THE_READER = {"id", "source"}


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known; unknown ones are errors."""
    config.addinivalue_line("markers", "rule_cases(file, table): run for each case of a table")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turn a table of cases into parameters."""
    marker = metafunc.definition.get_closest_marker("rule_cases")
    if marker is None:
        return
    file, table = marker.args
    cases = tomllib.loads((CASES / f"{file}.toml").read_text(encoding="utf-8"))[table]
    names = sorted(cases[0].keys() - FOR_THE_READER)
    metafunc.parametrize(
        names,
        # A case that lacks a key of the first one, or has one too many, is a slip in the table.
        [tuple(case.pop(name) for name in names) for case in cases],
        ids=[case["id"] for case in cases],
    )
    leftover = set().union(*cases) - FOR_THE_READER
    assert not leftover, f"{file}.toml: {table}: unknown keys {sorted(leftover)}"
