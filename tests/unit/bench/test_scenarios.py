from pathlib import Path

import pytest

from bench.fronts import PEERS
from bench.plot import _STYLES
from bench.results import BASE, OURS
from bench.scenarios import scenarios
from bench.stage import SERVICES, Ports, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(
        folder=tmp_path,
        files=tmp_path,
        packed=tmp_path,
        certificate=tmp_path,
        authority=tmp_path,
        ports=Ports(),
        plain=8080,
        tls=8443,
        echo=8081,
        cloud=dict.fromkeys(SERVICES, 5000),
    )


def test_each_scenario_has_a_name_of_its_own(stage: Stage) -> None:
    """Results are known by it."""
    names = [scenario.name for scenario in scenarios(stage)]

    assert len(names) == len(set(names))


def test_quick_run_has_both_roles_and_both_kinds_of_upstream(stage: Stage) -> None:
    """What is tried in two minutes is what matters most, and no front is started for it anew."""
    quick = [scenario for scenario in scenarios(stage) if scenario.quick]

    assert {name[:3] for name in (each.name for each in quick)} >= {"sta", "CCP", "UAP", "web"}
    assert not any(each.load.fresh or each.variant for each in quick)


def test_instance_is_named_as_the_uap_knows_it(stage: Stage) -> None:
    """Scheme, address and port are in the first label."""
    assert stage.instance("https", 8443) == "https-127-0-0-2-8443.localhost"


def test_every_variant_has_fronts(stage: Stage) -> None:
    """A scenario's variant is one that some peer offers."""
    assert {each.variant for each in scenarios(stage)} == {peer.variant for peer in PEERS}


def test_results_know_the_fronts() -> None:
    """The names that tables and plots look for are names of fronts."""
    names = {peer.name for peer in PEERS}

    assert {BASE, OURS, *_STYLES} <= names
