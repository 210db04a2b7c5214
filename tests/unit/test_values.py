"""Small values: money, ids of orders at the venue, instruments, days, and what the hash of an event covers."""

import pytest
from msgspec.structs import replace

from commands.accounts import account_of, stream_of
from domain.account.holding import Holding, open_result_paise
from domain.envelope import GENESIS_HASH, RecordedEvent, chain_hash, is_intact, leaf_hash
from domain.ids import OrderId
from domain.instrument import InstrumentKey, Segment
from domain.market import NS_PER_S, MarketSnapshot, trading_day
from domain.money import (
    PRICE_E4_MAX,
    PriceInvalid,
    average_price_e4,
    format_e4,
    format_paise,
    parse_price_e4,
    value_paise,
)
from domain.order import correlation_id_of, installation_code, is_correlation_id_of_ours
from tests.support.specimens import ACCOUNT, CODE, ENTRY, INFY, NOW_NS, RELIANCE, mark, market, reliance

# --- Money ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "price_e4"),
    [
        ("2850.05", 28_500_500),
        ("0.0025", 25),
        ("0.0001", 1),
        ("7", 70_000),
        ("0007.10", 71_000),
        ("2850.0500000", 28_500_500),
        ("1000000000", PRICE_E4_MAX),
    ],
)
def test_a_price_is_read_exactly(text: str, price_e4: int) -> None:
    assert parse_price_e4(text) == price_e4


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "0.0", "0.00000", "-1", "+1", "1e3", "1_000", " 1", "1 ", "1.", ".5", "1,000.00", "NaN", "Infinity",
        "2850.00001", "1000000000.0001", "99999999999", "1e-1000100", "1.00000000000000000000000000000000001",
        "\u0967", "0x10", "\n1", "1\n",
    ],
)  # fmt: skip
def test_what_is_no_price_is_refused(text: str) -> None:
    """Two of these once became other prices: too many places were rounded away, a tiny one became nothing."""
    with pytest.raises(PriceInvalid):
        parse_price_e4(text)


@pytest.mark.parametrize(
    ("value_e4", "text"), [(28_500_500, "2850.05"), (25, "0.0025"), (0, "0.00"), (-71_000, "-7.10"), (1, "0.0001")]
)
def test_a_price_is_written_with_the_places_it_needs(value_e4: int, text: str) -> None:
    assert format_e4(value_e4) == text


def test_an_amount_is_written_in_rupees() -> None:
    assert [format_paise(paise) for paise in (0, 5, -5, 123_456_789_01)] == ["0.00", "0.05", "-0.05", "123456789.01"]


@pytest.mark.parametrize(
    ("price_e4", "quantity", "paise"),
    [(28_500_500, 100, 28_500_500), (25, 2, 0), (25, 4, 1), (50, 1, 0), (150, 1, 2), (250, 1, 2),
     (51, 1, 1), (149, 1, 1)],
)  # fmt: skip
def test_half_a_paisa_goes_to_the_even_one(price_e4: int, quantity: int, paise: int) -> None:
    assert value_paise(price_e4=price_e4, quantity=quantity) == paise


def test_a_value_counts_the_multiplier() -> None:
    assert value_paise(price_e4=1_0000, quantity=2, multiplier=50) == 100_00


def test_an_average_is_for_display() -> None:
    assert average_price_e4(amount_paise=100_00, quantity=3) == 33_3333
    assert average_price_e4(amount_paise=-100_00, quantity=-4) == 25_0000
    assert average_price_e4(amount_paise=0, quantity=0) is None


def test_an_open_result_is_worth_less_cost_for_a_long_and_the_other_way_round_for_a_short() -> None:
    long, short = Holding(net_quantity=10, cost_paise=100_00), Holding(net_quantity=-10, cost_paise=-100_00)
    assert open_result_paise(long, mark_value_paise=90_00) == -10_00
    assert open_result_paise(short, mark_value_paise=90_00) == 10_00
    assert open_result_paise(Holding(), mark_value_paise=0) == 0


# --- The venue's name for an order ------------------------------------------------------------------------------------


def test_the_id_of_an_order_at_the_venue_never_changes() -> None:
    """A release that computes another id would not find the orders of the one before it."""
    assert installation_code("khata-of-the-tests") == "PQ6"
    assert correlation_id_of(OrderId("trd_01J00000000000000000000001.1"), code="ABC") == STORED_ID


STORED_ID = "ABCUu804KPZVL4Y5qUFHMl5vS"


def test_an_id_of_ours_is_recognised_and_no_other() -> None:
    ours = correlation_id_of(ENTRY, code=CODE)
    assert is_correlation_id_of_ours(ours, code=CODE)
    assert not is_correlation_id_of_ours(ours, code=installation_code("another installation"))
    assert not is_correlation_id_of_ours(ours[:-1] + ("0" if ours[-1] != "0" else "1"), code=CODE)
    for text in ("", "x", ours[:-1], ours + "0", "manual order by phone app", "é" * 25):
        assert not is_correlation_id_of_ours(text, code=CODE)


# --- Instruments, days and streams ------------------------------------------------------------------------------------


def test_an_instrument_is_named_by_segment_and_id() -> None:
    assert str(RELIANCE) == "NSE_EQ:2885"
    assert InstrumentKey(Segment.BSE_EQ, "2885") != RELIANCE


def test_a_price_lies_on_its_tick_or_not() -> None:
    assert reliance.is_on_tick(28_501_000)
    assert not reliance.is_on_tick(28_500_500)


@pytest.mark.parametrize(
    ("utc_s", "day"),
    [(1_795_149_000, "2026-11-20"), (1_795_112_999, "2026-11-19"), (1_795_113_000, "2026-11-20"), (0, "1970-01-01")],
)
def test_a_trading_day_begins_at_midnight_in_india(utc_s: int, day: str) -> None:
    assert trading_day(utc_s * NS_PER_S).isoformat() == day


def test_a_snapshot_finds_the_mark_of_an_instrument() -> None:
    assert market.mark_of(RELIANCE) == mark
    assert market.mark_of(INFY) is None
    assert MarketSnapshot(market_time_ns=NOW_NS).mark_of(RELIANCE) is None


def test_an_accounts_stream_is_told_from_others() -> None:
    assert account_of(stream_of(ACCOUNT)) == ACCOUNT
    assert account_of("user-usr_1") is None


# --- The hash of an event ---------------------------------------------------------------------------------------------

LEAF = leaf_hash(stream_id="s", version=1, name="n", command_id="c", metadata=b"m", payload=b"p")
recorded = RecordedEvent(
    sequence=1,
    stream_id="s",
    version=1,
    name="n",
    command_id="c",
    metadata=b"m",
    payload=b"p",
    recorded_at_us=1_795_149_000_000_000,
    previous_hash=GENESIS_HASH,
    hash=chain_hash(previous=GENESIS_HASH, sequence=1, recorded_at_us=1_795_149_000_000_000, leaf=LEAF),
)


def test_an_untouched_event_is_intact() -> None:
    assert is_intact(recorded)


@pytest.mark.parametrize(
    "touched",
    [
        {"sequence": 2},
        {"stream_id": "t"},
        {"version": 2},
        {"name": "o"},
        {"command_id": "d"},
        {"metadata": b""},
        {"payload": b"q"},
        {"recorded_at_us": 1_795_149_000_000_001},
        {"previous_hash": bytes(31) + b"\x01"},
        {"hash": bytes(32)},
    ],
    ids=min,
)
def test_whatever_is_touched_shows(touched: dict[str, object]) -> None:
    assert not is_intact(replace(recorded, **touched))


def test_two_contents_that_run_together_the_same_have_two_hashes() -> None:
    one = leaf_hash(stream_id="s", version=1, name="n", command_id="c", metadata=b"mp", payload=b"")
    other = leaf_hash(stream_id="s", version=1, name="nc", command_id="", metadata=b"m", payload=b"p")
    assert len({LEAF, one, other}) == 3
