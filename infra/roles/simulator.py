"""The simulator role: an exchange of our own, as a server of its own."""

from collections.abc import Callable
from urllib.parse import urlsplit

from adapters.simulator.books.journal import JournalInUse, JournalUnreadable
from adapters.simulator.server import serve
from infra.problems import OperatorProblem
from infra.wiring.collector import spare_the_collector
from infra.wiring.exchange import make_simulator
from infra.wiring.process import Wiring


async def run_simulator(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Run the exchange until canceled.

    Raises:
        infra.problems.OperatorProblem: its journal is held by another simulator, or is damaged.
    """
    spare_the_collector()
    address = urlsplit(wiring.runtime.simulator_url)

    def listening(_: int) -> None:
        ready()

    config = make_simulator(wiring)
    try:
        await serve(config, host=address.hostname or "127.0.0.1", port=address.port or 0, ready=listening)
    except JournalInUse as fault:
        raise OperatorProblem(f"The simulator cannot start: {fault}.", remedy="End that one first.") from fault
    except JournalUnreadable as fault:
        raise OperatorProblem(
            f"The simulator cannot start: {fault}.",
            remedy="Mend the line, or move the file away: the simulator then forgets every paper order and holding.",
        ) from fault
