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
            found = [trade for trade in trades["trades"] if trade["status"] == status]
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
