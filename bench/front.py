"""A front under test, as everything else here sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.processes import Processes
from bench.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One that runs: its ports on 127.0.0.1 for both roles, and the roots of its process trees.

    `python` tells a profiler what it looks at. A `variant` other than "" is another configuration
    under the same name, which takes part only in the scenarios of that variant.
    """

    name: str
    version: str
    main: int
    uap: int
    roots: tuple[int, ...]
    python: bool = False
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One that can be started where its program is; `package` is Debian's, or pip's, that has it.

    `present` returns whether it can be started here.
    """

    name: str
    package: str
    present: Callable[[], bool]
    start: Callable[[Stage, Processes], Front]
    variant: str = ""
