import os
import time

from bench.processes import cpu_seconds, memory_bytes, tree


def test_cpu_time_is_that_of_the_process() -> None:
    """The clock of this process by its id agrees with its own, to the millisecond."""
    before = time.process_time()
    told = cpu_seconds([os.getpid()])
    after = time.process_time()

    assert before - 0.001 <= told <= after + 0.001


def test_tree_begins_at_its_roots_and_has_memory() -> None:
    """This process is in its tree, and takes more than a megabyte."""
    pids = tree([os.getpid()])

    assert os.getpid() in pids
    assert memory_bytes([os.getpid()]) > 1_000_000
