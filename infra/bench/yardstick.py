"""What is measured beside us may hang, and must not keep us from being measured: every yardstick has a deadline.

A yardstick in a thread cannot be stopped. It is left alone, and ends when the bench drops the database under it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Thread

from infra.bench.report import Report

_ENDS_WITHIN_S = 5


async def within(report: Report, what: str, yardstick: Awaitable[float], *, seconds: float) -> float | None:
    """Return what *yardstick* measures; None, and a word of it in *report*, where it does not end within *seconds*."""
    measuring = asyncio.ensure_future(yardstick)
    await asyncio.wait({measuring}, timeout=seconds)
    if measuring.done():
        return measuring.result()
    measuring.cancel()
    await asyncio.wait({measuring}, timeout=_ENDS_WITHIN_S)
    report.note(f"without {what}", f"it had not ended after {seconds:,.0f} s")
    return None


def in_thread(measure: Callable[[], float]) -> asyncio.Future[float]:
    """Return the future of what *measure* returns in a thread of its own, which nothing waits for at the end."""
    loop = asyncio.get_running_loop()
    measured: asyncio.Future[float] = loop.create_future()

    def tell(figure: float | None, failure: BaseException | None) -> None:
        if measured.done():
            return
        if figure is None:
            measured.set_exception(failure or AssertionError("a yardstick without a figure"))
        else:
            measured.set_result(figure)

    def work() -> None:
        figure, failure = None, None
        try:
            figure = measure()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the figure
            failure = error
        with suppress(RuntimeError):  # The loop has been closed: nobody waits any more.
            loop.call_soon_threadsafe(tell, figure, failure)

    Thread(target=work, daemon=True).start()
    return measured
