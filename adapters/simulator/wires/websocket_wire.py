"""Resetting a websocket, and leaving one open and deaf, which an ASGI application cannot do by itself."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from adapters.simulator.wires.connection import NotServed

_RESET = "simulator.reset"
_DEAFEN = "simulator.deafen"
_LINGER_NOT = struct.pack("ii", 1, 0)
"""A socket closed with this says no goodbye: the other side sees a reset."""


class ResettableWebSocket(WebSocketsSansIOProtocol):
    """A websocket whose application can reach the connection itself."""

    def handle_connect(self, event: Request) -> None:
        """Put the ways to do so into the scope of the conversation."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = {_RESET: {"call": self._reset}, _DEAFEN: {"call": self._deafen}}
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), **extensions}

    def _reset(self) -> None:
        if self.transport.is_closing():
            return
        connected: socket.socket = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def _deafen(self) -> None:
        self.stop_keepalive()  # A peer that is gone without a word pings nobody.
        self.transport.pause_reading()


def reset(websocket: WebSocket) -> None:
    """Reset the connection of *websocket* without a close frame."""
    _way_to(_RESET, websocket)()


def deafen(websocket: WebSocket) -> None:
    """Leave the connection of *websocket* open, read nothing more from it and answer no ping."""
    _way_to(_DEAFEN, websocket)()


def _way_to(name: str, websocket: WebSocket) -> Callable[[], None]:
    extension = websocket.scope.get("extensions", {}).get(name)
    if extension is None:
        raise NotServed("received a websocket that did not come through ResettableWebSocket")
    call: Callable[[], None] = extension["call"]
    return call
