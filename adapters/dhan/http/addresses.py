"""Reaching a host by whichever of its addresses answers first, so that one that leads nowhere costs little."""

import asyncio
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

HEAD_START_S = 0.25
"""So long an address may take before the next is tried beside it. Source: RFC 8305, section 5."""

Address = tuple[socket.AddressFamily, Any]


async def first_to_connect(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to *host*, in the order in which the system names its addresses.

    Raises:
        OSError: none of them can be reached, or there is no such host.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await race([(family, address) for family, _, _, _, address in found])


async def race(addresses: Sequence[Address]) -> socket.socket:
    """Return a socket to the first of *addresses* that takes it; families take turns.

    Raises:
        OSError: none does.
    """
    waiting = _in_turns(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    fault: BaseException = OSError("there is no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connected(*waiting.pop(0))))
            head_start_s = HEAD_START_S if waiting else None
            done, running = await asyncio.wait(running, timeout=head_start_s, return_when=asyncio.FIRST_COMPLETED)
            reached = [task for task in done if task.exception() is None]
            for late in reached[1:]:
                late.result().close()
            if reached:
                return reached[0].result()
            fault = next((error for task in done if (error := task.exception()) is not None), fault)
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close)
    raise fault


def _in_turns(addresses: Sequence[Address]) -> list[Address]:
    first = [each for each in addresses if each[0] is addresses[0][0]]
    others = [each for each in addresses if each[0] is not addresses[0][0]]
    return [each for each in chain.from_iterable(zip_longest(first, others)) if each is not None]


async def _connected(family: socket.AddressFamily, address: Any) -> socket.socket:
    connecting = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _close(task: "asyncio.Task[socket.socket]") -> None:
    """Close what was reached too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
