"""Who is dead for certain: a process of this machine that is no more, and nobody else."""

import subprocess
import sys

import pytest

from adapters.liveness import is_certainly_dead, name_of_this_process
from tests.support.dead_process import name_of_a_dead_process

NAMING = "from adapters.liveness import name_of_this_process; print(name_of_this_process(), flush=True); input()"


@pytest.fixture(scope="module")
def dead() -> str:
    return name_of_a_dead_process()


def test_this_process_lives_and_has_another_name_for_each_use() -> None:
    names = {name_of_this_process() for _ in range(3)}
    assert len(names) == 3
    assert not any(is_certainly_dead(name) for name in names)


def test_one_that_ended_is_dead(dead: str) -> None:
    assert is_certainly_dead(dead)


def test_one_lives_until_it_is_killed_and_is_dead_before_its_parent_looks() -> None:
    with subprocess.Popen([sys.executable, "-c", NAMING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        name = process.stdout.readline().decode().strip()
        assert not is_certainly_dead(name)
        process.kill()
        process.stdout.read()  # To its end, which the kernel brings about when it takes the process's files away.
        while not is_certainly_dead(name):
            pass
        assert process.returncode is None, "nobody asked for its exit code yet"


def test_one_whose_id_somebody_else_has_by_now_is_dead() -> None:
    boot, pids, pid, _, unique = name_of_this_process().split(":")
    assert is_certainly_dead(f"{boot}:{pids}:{pid}:1:{unique}")


@pytest.mark.parametrize("part", [0, 1])
def test_nothing_is_certain_of_another_machine_or_container(dead: str, part: int) -> None:
    parts = dead.split(":")
    parts[part] += "1"
    assert not is_certainly_dead(":".join(parts))


@pytest.mark.parametrize("name", ["", "4711", "0123456789abcdef0123456789abcdef", "a:b:c:d:e", "::::"])
def test_nothing_is_certain_of_a_name_of_another_form(name: str) -> None:
    assert not is_certainly_dead(name)
