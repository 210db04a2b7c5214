"""Closes an open breaker again: one harmless trial at a time, in the background and for whoever waits."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from adapters.breaker import BreakerLimits, BreakerOpen, CircuitBreaker, Permit, Transition, TransitionListener
from commands.ports import Clock
from domain.market import NS_PER_S
from domain.venue import BreakerState

log = structlog.get_logger(__name__)

Probe = Callable[[Permit], Awaitable[None]]
"""Tries the other side harmlessly and reports on the permit."""
_RETRY_S_MIN = 0.01


class Prober:
    """A breaker and the trials that close it. Trials share nothing with the calls that the breaker holds back."""

    def __init__(
        self,
        name: str,
        probe: Probe,
        *,
        limits: BreakerLimits,
        clock: Clock,
        on_transition: TransitionListener,
    ) -> None:
        self.breaker = CircuitBreaker(
            name, monotonic_ns=clock.monotonic_ns, limits=limits, on_transition=self._on_transition
        )
        self._probe = probe
        self._told = on_transition
        self._trial: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def is_trying(self) -> bool:
        """Whether a trial is under way."""
        return self._trial is not None

    async def settle(self) -> None:
        """Make the trial if one is due, and wait for the one under way."""
        self._begin()
        if self._trial is not None:
            await asyncio.wait([self._trial])  # Leaving early leaves the trial running: others may wait for it.

    async def aclose(self) -> None:
        """Make no further trials."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._trial is not None:
            self._trial.cancel()
            await asyncio.wait([self._trial])

    def _on_transition(self, transition: Transition) -> None:
        log.warning(
            "breaker changed",
            breaker=self.breaker.name,
            from_state=transition.from_state.value,
            to_state=transition.to_state.value,
            cause=transition.cause,
        )
        self._told(transition)
        if transition.to_state is BreakerState.OPEN:
            self._schedule()

    def _schedule(self) -> None:
        wait_ns = self.breaker.trial_wait_ns()
        if self._is_closed or wait_ns is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(wait_ns / NS_PER_S, _RETRY_S_MIN), self._on_timer)

    def _on_timer(self) -> None:
        self._begin()
        if self._trial is None:
            self._schedule()  # The breaker's clock is not there yet.

    def _begin(self) -> None:
        if self._is_closed or self._trial is not None or self.breaker.trial_wait_ns() != 0:
            return
        self._trial = asyncio.get_running_loop().create_task(self._try())
        self._trial.add_done_callback(self._on_done)

    async def _try(self) -> None:
        try:
            permit = self.breaker.acquire_trial()
        except BreakerOpen:
            return
        with permit:
            await self._probe(permit)

    def _on_done(self, trial: asyncio.Task[None]) -> None:
        self._trial = None
        if not trial.cancelled() and (error := trial.exception()) is not None:
            log.error("trial broke", breaker=self.breaker.name, exc_info=error)
        # A failed trial has opened the breaker again, which has set the timer; one that said nothing has not.
        if self.breaker.state is BreakerState.HALF_OPEN:
            self._schedule()
