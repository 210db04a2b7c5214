"""The README's first order: its lines, typed as printed, at an engine as `make up` starts it."""

import re
import shutil
from typing import Any

import pytest

from tests.support.curl_lines import blocks_of, commands_of, terminal
from tests.support.eventually import eventually
from tests.support.running import RunningEngine

TYPED = ("bash", "curl", "python3")


@pytest.mark.skipif(not all(map(shutil.which, TYPED)), reason=f"the README's lines need {', '.join(TYPED)}")
async def test_the_first_order_of_the_readme(engine: RunningEngine) -> None:
    starting, ordering, looking, closing = blocks_of("A first order")
    assert starting == "make up\n"
    look = re.sub(r"^sleep .*\n", "", looking)  # Instead of the printed pause, we look until it is there.

    async with terminal(engine.api_url) as shell:
        registered, placed = await shell.type(ordering)
        assert registered["account_id"].startswith("acc_")
        assert placed["trade_id"].startswith("trd_")
        assert placed["sequence"] > registered["sequence"]

        async def seen_as(status: str) -> list[dict[str, Any]]:
            trades, positions, portfolio = await shell.type(look)
            # An order may fill in parts, and its trade is open from the first of them on.
            wanted = (status, 10)
            found = [each for each in trades["trades"] if (each["status"], each["entry_quantity"]) == wanted]
            return [*found, *positions["positions"], portfolio] if found else []

        trade, position, portfolio = await eventually(lambda: seen_as("open"), within_s=15)
        assert trade["trade_id"] == placed["trade_id"]
        assert (trade["symbol"], trade["entry_quantity"], trade["net_quantity"]) == ("RELIANCE", 10, 10)
        assert (position["net_quantity"], position["average_price"]) == (10, trade["entry_price"])
        assert portfolio["trades_today"] == 1

        (again,) = await shell.type(commands_of(ordering)[-1])
        assert again == placed

        (accepted,) = await shell.type(closing)
        assert accepted["trade_ids"] == [placed["trade_id"]]
        trade, position, portfolio = await eventually(lambda: seen_as("closed"), within_s=15)
        assert (trade["exit_cause"], trade["net_quantity"], position["net_quantity"]) == ("manual", 0, 0)
        assert portfolio["trades_today"] == 1

    assert engine.complaints() == []


@pytest.mark.skipif(not all(map(shutil.which, TYPED)), reason=f"the README's lines need {', '.join(TYPED)}")
async def test_the_readmes_lines_about_stops_and_the_switch(engine: RunningEngine) -> None:
    _, registering, _, _ = blocks_of("A first order")
    guarding, moving, closing, switching = blocks_of("Stops, parts, and the switch that stops everything")
    *buy, look = commands_of(re.sub(r"^sleep .*\n", "", guarding, flags=re.MULTILINE))

    async with terminal(engine.api_url) as shell:
        # Somebody else, and without a first order: nothing is held but what these lines buy.
        joining = "".join(commands_of(registering)[:-1])
        await shell.type(joining.replace("asha@example.in", "meera@example.in"))
        await shell.type("".join(buy))

        async def orders(purpose: str, status: str) -> list[dict[str, Any]]:
            (answer,) = await shell.type(look)
            return [o for o in answer["orders"] if (o["purpose"], o["status"]) == (purpose, status)]

        async def whole_stop() -> dict[str, Any] | None:
            # It grows with the entry, which may fill in parts.
            resting = await orders("stop", "acknowledged")
            return next((each for each in resting if each["quantity"] == 10), None)

        stop = await eventually(whole_stop)
        assert stop is not None
        assert stop["order_type"] == "SL"
        (moved,) = await shell.type(moving)
        assert (moved["version"], moved["stop_loss"], moved["modifying"]) == (2, "1250.00", [stop["order_id"]])

        (part,) = await shell.type(closing)
        assert sum(each["quantity"] for each in part["closing"]) == 4
        (sold,) = await eventually(lambda: orders("exit", "filled"), within_s=15)
        assert sold["quantity"] == 4

        engaged, released = await shell.type(switching)
        (account,) = engaged["accounts"]
        assert (engaged["engaged"], engaged["mode"]) == (True, "flatten")
        assert [each["quantity"] for each in account["closing"]] == [6]
        assert released["engaged"] is False

        async def closed_trade() -> dict[str, Any] | None:
            (answer,) = await shell.type(look)
            trade: dict[str, Any] = answer["trade"]
            return trade if trade["status"] == "closed" else None

        trade = await eventually(closed_trade, within_s=15)
        assert trade is not None
        assert (trade["exit_cause"], trade["exit_quantity"], trade["net_quantity"]) == ("kill_switch", 10, 0)

    assert engine.complaints() == []
