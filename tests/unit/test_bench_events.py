"""What benches write could have happened: accounts and read models take it, and the log would be intact."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import pytest

from domain.account import Account, decider
from domain.account.events import AccountEvent, TradeClosed
from domain.envelope import GENESIS_HASH, is_intact
from domain.events import decode
from domain.market import NS_PER_S
from domain.strategy import decide as strategies
from domain.strategy.life import StrategyStatus
from infra.bench.events import (
    DAY_NS,
    SESSION_NS,
    LifeCommand,
    at_least,
    lives,
    mean_payload_bytes,
    recorded,
)
from projections.catalogue import READ_MODELS
from projections.positions import POSITIONS
from projections.read_model import Key, fold

COMMANDS = at_least(6_000, lives(seed=7, accounts=5, instruments=4))
SIDE_BY_SIDE = at_least(6_000, lives(seed=7, accounts=5, instruments=4, trades_at_once=4))
ANY = pytest.mark.parametrize("commands", [COMMANDS, SIDE_BY_SIDE], ids=["one trade at once", "four trades at once"])


@ANY
def test_an_account_takes_every_event_and_comes_to_the_results_that_they_name(commands: Sequence[LifeCommand]) -> None:
    accounts: dict[str, Account] = defaultdict(lambda: decider.initial)
    closed = 0
    for command in commands:
        for event in command.events:
            if not command.stream_id.startswith("account-"):
                continue
            account = accounts[command.stream_id] = decider.evolve(
                accounts[command.stream_id], cast("AccountEvent", event)
            )
            if isinstance(event, TradeClosed):
                closed += 1
                holding = account.trades[event.trade_id].holding
                assert (holding.net_quantity, holding.realised_paise) == (0, event.realised_paise)
    assert closed > 100


@ANY
def test_every_read_model_takes_them_and_gets_rows(commands: Sequence[LifeCommand]) -> None:
    log = [(decode(event.name, event.payload), event) for event in recorded(commands)]
    for model in READ_MODELS:
        rows: dict[Key, Any] = {}
        fold(model, log, rows)
        assert rows, model.name
        if model is POSITIONS:
            assert len(rows) == 5 * 4


def test_strategies_go_through_their_life_to_its_end() -> None:
    passed: defaultdict[str, list[StrategyStatus]] = defaultdict(list)
    states: dict[str, strategies.Strategy] = defaultdict(strategies.Strategy)
    for command in COMMANDS:
        if command.stream_id.startswith("strategy-"):
            [event] = command.events
            state = states[command.stream_id] = strategies.evolve(states[command.stream_id], event)  # type: ignore[arg-type]
            passed[command.stream_id].append(state.status)
    life = [StrategyStatus(name) for name in ("draft", "backtested", "paper", "paused", "archived")]
    assert life in passed.values()


def test_there_are_no_less_event_types_than_a_day_in_life_has() -> None:
    assert len({type(event) for command in COMMANDS for event in command.events}) >= 24


def test_names_are_given_once() -> None:
    for commands in (COMMANDS, SIDE_BY_SIDE):
        events = [event for command in commands for event in command.events]
        for attribute in ("correlation_id", "venue_trade_number"):
            named = defaultdict(set)
            for event in events:
                if (name := getattr(event, attribute, None)) is not None:
                    named[name].add(event.order_id)  # type: ignore[union-attr]
            assert len(named) > 100
            assert all(len(orders) == 1 for orders in named.values())


def test_they_fall_into_the_sessions_of_as_many_days_as_they_are_spread_over() -> None:
    began_ns = 1_700_000_000 * NS_PER_S
    commands = at_least(2_000, lives(seed=1, accounts=5, began_ns=began_ns, events_a_day=200))
    places = [divmod(command.at_ns - began_ns, DAY_NS) for command in commands]
    assert {day for day, _ in places} == set(range(10))
    # The last command of a session may end a little after it.
    assert all(within_ns <= SESSION_NS * 1.05 for _, within_ns in places)


@ANY
def test_they_follow_each_other_by_version_sequence_and_hash(commands: Sequence[LifeCommand]) -> None:
    log = list(recorded(commands))
    versions: defaultdict[str, int] = defaultdict(int)
    for event in log:
        versions[event.stream_id] += 1
        assert event.version == versions[event.stream_id]
        assert is_intact(event)
    assert log[0].previous_hash == GENESIS_HASH
    for before, after in pairwise(log):
        assert after.previous_hash == before.hash
        assert after.sequence == before.sequence + 1
        assert after.recorded_at_us >= before.recorded_at_us


def test_the_same_seed_lives_the_same_lives_and_another_one_others() -> None:
    assert at_least(2_000, lives(seed=1)) == at_least(2_000, lives(seed=1))
    assert at_least(2_000, lives(seed=1)) != at_least(2_000, lives(seed=2))


def test_a_payload_weighs_about_350_bytes() -> None:
    assert 335 < mean_payload_bytes(seed=1) < 365
