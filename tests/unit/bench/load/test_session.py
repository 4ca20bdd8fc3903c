from bench.load.session import Call, bursts, recorded
from bench.stage import SERVICES


def call(at: int) -> Call:
    return Call(at=at, method="GET", target="/", service="nova", status=200, asked=0, answered=1)


def test_calls_issued_together_are_a_burst() -> None:
    """A gap of more than a tenth of a second begins the next."""
    groups = bursts([call(at) for at in (0, 100, 150, 251, 252)])

    assert [[each.at for each in group] for group in groups] == [[0, 100, 150], [251, 252]]


def test_recorded_session_goes_to_services_that_the_stand_in_has() -> None:
    """Every call can be answered, and choosing a project is the burst that users wait for."""
    phases = recorded()
    calls = [each for groups in phases.values() for group in groups for each in group]

    assert {each.service for each in calls} == set(SERVICES)
    assert sum(map(len, phases["choose project"])) == 44
    assert sum(map(len, phases["reload"])) == 55
    assert {each.status for each in calls} == {200, 201}
    assert all(each.target.startswith("/proxy/") for each in calls)
