"""What benches write could have happened: accounts and read models take it, and the log would be intact."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

from domain.account import Account, decider
from domain.account.events import TradeClosed
from domain.envelope import GENESIS_HASH, is_intact
from domain.events import decode
from infra.bench.events import at_least, lives, mean_payload_bytes, recorded
from projections.backtests import BACKTESTS
from projections.catalogue import READ_MODELS
from projections.positions import POSITIONS
from projections.read_model import Key, fold
from projections.strategies import STRATEGIES

COMMANDS = at_least(6_000, lives(seed=7, accounts=5, instruments=4))


def test_an_account_takes_every_event_and_comes_to_the_results_that_they_name() -> None:
    accounts: dict[str, Account] = defaultdict(lambda: decider.initial)
    closed = 0
    for command in COMMANDS:
        for event in command.events:
            if command.stream_id.startswith("user-"):
                continue
            account = accounts[command.stream_id] = decider.evolve(accounts[command.stream_id], event)
            if isinstance(event, TradeClosed):
                closed += 1
                holding = account.trades[event.trade_id].holding
                assert (holding.net_quantity, holding.realised_paise) == (0, event.realised_paise)
    assert closed > 100


def test_every_read_model_takes_them() -> None:
    log = [(decode(event.name, event.payload), event) for event in recorded(COMMANDS)]
    for model in READ_MODELS:
        if model in {STRATEGIES, BACKTESTS}:
            continue  # They are no lives of accounts.
        rows: dict[Key, Any] = {}
        fold(model, log, rows)
        assert rows
        if model is POSITIONS:
            assert len(rows) == 5 * 4


def test_they_follow_each_other_by_version_sequence_and_hash() -> None:
    log = list(recorded(COMMANDS))
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
