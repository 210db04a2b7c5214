"""What can be asked for of positions and of the trader as a whole: conversion, the way out, the kill switch."""

from typing import Any

from adapters.simulator.access.limits import Family
from adapters.simulator.desk import Desk
from adapters.simulator.faults.call_faults import FaultTarget
from adapters.simulator.paths.asked import Asked, Write
from adapters.simulator.paths.standing_intake import read_conversion, read_profit_exit
from adapters.simulator.words.refusals import bad_input

_TURNED = {"ACTIVATE": "activated", "DEACTIVATE": "deactivated"}


def control_writes(desk: Desk) -> list[Write]:
    """Return the paths of everything that concerns more than an order."""
    paths = _ControlPaths(desk)
    asked_for = (
        ("POST", "/v2/positions/convert", paths.convert),
        ("DELETE", "/v2/positions", paths.exit_all),
        ("POST", "/v2/killswitch", paths.turn_kill_switch),
        ("POST", "/v2/pnlExit", paths.set_profit_exit),
        ("DELETE", "/v2/pnlExit", paths.stop_profit_exit),
    )
    return [Write(method, path, do, FaultTarget.CONTROL, Family.READS) for method, path, do in asked_for]


class _ControlPaths:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._simulator = desk.simulator
        self._controls = desk.standing.controls

    def convert(self, asked: Asked) -> None:
        wanted = read_conversion(
            asked.body,
            client_id=asked.client_id,
            instruments=self._desk.config.instruments,
            market_time_ns=self._simulator.market_time_ns,
        )
        self._controls.convert(wanted)

    def exit_all(self, asked: Asked) -> Any:
        self._controls.exit_all(asked.client_id, self._desk.let_arrive)
        return {"status": "SUCCESS", "message": "All orders and positions exited successfully"}

    def turn_kill_switch(self, asked: Asked) -> Any:
        wanted = asked.query.get("killSwitchStatus", "")
        if wanted not in _TURNED:
            raise bad_input()
        self._controls.turn_kill_switch(asked.client_id, is_active=wanted == "ACTIVATE")
        return {
            "dhanClientId": asked.client_id,
            "killSwitchStatus": f"Kill Switch has been successfully {_TURNED[wanted]}",
        }

    def set_profit_exit(self, asked: Asked) -> Any:
        wanted = read_profit_exit(asked.body, client_id=asked.client_id, market_time_ns=self._simulator.market_time_ns)
        self._controls.set_profit_exit(wanted)
        return {"pnlExitStatus": "ACTIVE", "message": "P&L based exit configured successfully"}

    def stop_profit_exit(self, asked: Asked) -> Any:
        self._controls.stop_profit_exit(asked.client_id)
        return {"pnlExitStatus": "DISABLED", "message": "P&L based exit stopped successfully"}
