"""Lets cosmic-ray mutate copies of the tree and run the sentences: two copies, a share of the mutations each.

It is driven by its command line and by the file in which it keeps its work, for it lives in an environment of its own
that knows nothing of ours.
"""

import os
import random
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from infra.mutants.scope import MUTATED, NOT_MUTATED, SENTENCES, Mutation, Places

ROOT = Path(__file__).parents[2]
COSMIC_RAY = ROOT / ".venv-mutants" / "bin" / "cosmic-ray"
WORKERS = 2
TIMEOUT_S_MIN = 120
TIMEOUTS = 6
"""So many times what the sentences took on the unchanged code a mutant may take: the machine has other work."""
_COPIED = ("domain", "commands", "projections", "adapters", "api", "infra", "tests", "pyproject.toml")
_CONFIGURATION, _WORK = "mutants.toml", "mutants.sqlite"
_LOOK_S = 0.5


class Broken(Exception):
    """There is no result, because a part of the work failed: the message says which."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mutant. `diff` has its lines before and after, each with its sign."""

    mutation: Mutation
    is_killed: bool
    is_timeout: bool
    diff: tuple[str, ...]


def command() -> tuple[str, ...]:
    """Return the command that runs the sentences; it fails where a mutant is found."""
    # The servers of `conftest.py` are not needed. `CI` makes Hypothesis choose the same examples each time, and
    # remember none that another mutant was found by.
    pytest = (sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "--noconftest", "-p", "no:xdist")
    return ("env", "CI=1", *pytest, *SENTENCES)


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """Yield a copy of the tree as it is now, in a folder of its own that is gone afterwards."""
    with TemporaryDirectory(prefix="khata-mutants-") as folder:
        copy = Path(folder) / "copy-1"
        copy.mkdir()
        for name in _COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name)
            else:
                shutil.copy2(ROOT / name, copy / name)
        yield copy


def try_unchanged(copy: Path) -> int:
    """Run the sentences on the unchanged *copy*, and return how long a mutant may take, in seconds.

    Raises:
        Broken: the sentences fail as it is.
    """
    # What it compiles stays: else each mutant would compile all tests anew, which takes longer than most of them live.
    compiling = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    tried = subprocess.run(command(), cwd=copy, env=compiling, stdout=subprocess.PIPE, text=True, check=False)
    if tried.returncode:
        raise Broken(f"the sentences fail on the unchanged code:\n{tried.stdout}")
    return max(TIMEOUT_S_MIN, round(TIMEOUTS * (time.monotonic() - began)))


def mutations_of(copy: Path, *, timeout_s: int) -> list[Mutation]:
    """Return what can be mutated and matters, in the order of the code."""
    configuration = (
        "[cosmic-ray]",
        f"module-path = {list(MUTATED)}",
        f"excluded-modules = {list(NOT_MUTATED)}",
        f"timeout = {timeout_s}.0",
        f"test-command = {shlex.join(command())!r}",
        "[cosmic-ray.distributor]",
        'name = "local"',
    )
    (copy / _CONFIGURATION).write_text("\n".join(configuration) + "\n", encoding="utf-8")
    subprocess.run((COSMIC_RAY, "init", _CONFIGURATION, _WORK), cwd=copy, check=True)
    with closing(sqlite3.connect(copy / _WORK)) as work:
        # Every mutation that cosmic-ray found.
        rows = work.execute(
            "SELECT module_path, start_pos_row, start_pos_col, operator_name, occurrence, definition_name, job_id"
            " FROM mutation_specs"
        ).fetchall()
    found = [msgspec.convert(dict(zip(Mutation.__struct_fields__, row, strict=True)), Mutation) for row in rows]
    places = {module: Places.of(copy / module) for module in {each.module for each in found}}
    return sorted(each for each in found if places[each.module].matters(each))


def drawn(mutations: list[Mutation], *, seed: int, size: int | None) -> list[Mutation]:
    """Return *size* of *mutations* by *seed*, or all (None), in random order."""
    chooser = random.Random(seed)  # noqa: S311 - a sample to be drawn again, no secret
    return chooser.sample(mutations, len(mutations) if size is None else min(size, len(mutations)))


def run(copy: Path, sample: list[Mutation], tell: Callable[[int], None]) -> list[Outcome]:
    """Try every mutant of *sample* in *copy* and in copies of it, one for each worker; *tell* how many are done.

    Raises:
        Broken: cosmic-ray did not come to its end.
    """
    made = [copy, *(copy.with_name(f"copy-{number}") for number in range(2, WORKERS + 1))]
    for other in made[1:]:
        shutil.copytree(copy, other)
    for number, each in enumerate(made):
        _keep(each / _WORK, [mutation.job_id for mutation in sample[number::WORKERS]])
    executing = (COSMIC_RAY, "exec", _CONFIGURATION, _WORK)
    workers = [subprocess.Popen(executing, cwd=each) for each in made]
    try:
        while any(worker.poll() is None for worker in workers):
            tell(sum(_done(each / _WORK) for each in made))
            time.sleep(_LOOK_S)
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    if any(worker.returncode for worker in workers):
        raise Broken("cosmic-ray did not come to its end")
    known = {each.job_id: each for each in sample}
    return sorted(
        (outcome for each in made for outcome in _outcomes(each / _WORK, known)), key=lambda each: each.mutation
    )


def _keep(path: Path, job_ids: list[str]) -> None:
    with closing(sqlite3.connect(path)) as work:
        work.execute("CREATE TEMPORARY TABLE kept (job_id TEXT PRIMARY KEY)")
        work.executemany("INSERT INTO kept (job_id) VALUES (?)", [(job_id,) for job_id in job_ids])
        # What was not drawn, or is the other copy's.
        work.execute("DELETE FROM mutation_specs WHERE job_id NOT IN (SELECT job_id FROM kept)")
        work.execute("DELETE FROM work_items WHERE job_id NOT IN (SELECT job_id FROM kept)")
        work.commit()


def _done(path: Path) -> int:
    with closing(sqlite3.connect(path)) as work:
        # How many mutants have a result.
        (count,) = work.execute("SELECT count(*) FROM work_results").fetchone()
    return int(count)


def _outcomes(path: Path, known: dict[str, Mutation]) -> Iterator[Outcome]:
    with closing(sqlite3.connect(path)) as work:
        # What became of each mutant.
        rows = work.execute("SELECT job_id, worker_outcome, test_outcome, output, diff FROM work_results").fetchall()
    for job_id, worker_outcome, test_outcome, output, diff in rows:
        if worker_outcome != "NORMAL" or test_outcome not in {"KILLED", "SURVIVED"}:
            raise Broken(f"{known[job_id]} was not tried: {worker_outcome}, {test_outcome}")
        yield Outcome(
            mutation=known[job_id],
            is_killed=test_outcome == "KILLED",
            is_timeout=output == "timeout",
            diff=changed_lines(diff),
        )


def changed_lines(diff: str) -> tuple[str, ...]:
    """Return what a unified diff takes away and adds, each line with its sign."""
    lines = [line for line in diff.splitlines() if line[:1] in {"+", "-"}]
    return tuple(line for line in lines if not line.startswith(("+++", "---")))
