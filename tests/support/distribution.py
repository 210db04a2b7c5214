"""Which tests go to which process where several run them side by side.

A whole engine takes seconds to start, so tests that share one go to one process, together and before all others. Every
other test goes to whoever is free.
"""

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it comes without types

_END_TO_END = "tests/e2e/"
_PROCESSES = "tests/integration/test_api_processes.py"
_AT_REAL_SPEED = (
    "test_api_page.py",
    "test_fuzzed_engine.py",
    "test_hostile_input.py",
    "test_readme.py",
    "test_restart.py",
)


class EnginesFirst(LoadScopeScheduling):  # type: ignore[misc]  # likewise
    """End-to-end tests in two groups of about the same length, then test by test but for those that share processes."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_PROCESSES):
            return "processes of the API"
        if not nodeid.startswith(_END_TO_END):
            return nodeid
        return "engine as it is" if nodeid.removeprefix(_END_TO_END).startswith(_AT_REAL_SPEED) else "other engines"
