"""Money is exact, a holding loses no paisa, ids are distinct and recognised, and the chain tells every change."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.account.holding import Holding, after_fill, effect_of_fill
from domain.envelope import GENESIS_HASH, RecordedEvent, chain_hash, is_intact, leaf_hash
from domain.ids import OrderId
from domain.money import PRICE_E4_MAX, format_e4, format_paise, parse_price_e4, value_paise
from domain.order import BASE62, Side, correlation_id_of, installation_code, is_correlation_id_of_ours

bounded = settings(max_examples=150, deadline=None)
sides = st.sampled_from(Side)
amounts = st.integers(min_value=0, max_value=10**12)
units = st.integers(min_value=1, max_value=10**6)


@bounded
@given(st.integers(min_value=1, max_value=PRICE_E4_MAX))
def test_a_price_survives_text(price_e4: int) -> None:
    assert parse_price_e4(format_e4(price_e4)) == price_e4


@bounded
@given(st.integers(min_value=-(10**20), max_value=10**20))
def test_money_reads_as_decimal_arithmetic_writes_it(value: int) -> None:
    assert format_paise(value) == f"{Decimal(value) / 100:.2f}"
    assert format_e4(value) == f"{Decimal(value) / 10_000:.{4 if value % 100 else 2}f}"


@bounded
@given(st.integers(min_value=0, max_value=10**12), units, st.integers(min_value=1, max_value=100))
def test_a_value_is_the_nearest_paisa(price_e4: int, quantity: int, multiplier: int) -> None:
    exact = Fraction(price_e4 * quantity * multiplier, 100)
    assert value_paise(price_e4=price_e4, quantity=quantity, multiplier=multiplier) == round(exact)


def filled(holding: Holding, side: Side, quantity: int, paise: int) -> Holding:
    effect = effect_of_fill(holding, side=side, quantity=quantity, value_paise=paise)
    return after_fill(holding, effect, side=side, quantity=quantity)


@bounded
@given(
    sides,
    st.lists(st.tuples(units, amounts), min_size=1, max_size=6),
    st.lists(st.tuples(st.floats(min_value=0, max_value=1), amounts), max_size=12),
    amounts,
)
def test_a_holding_closed_in_any_number_of_parts_realises_proceeds_less_cost(
    side: Side, entries: list[tuple[int, int]], parts: list[tuple[float, int]], last_paise: int
) -> None:
    holding = Holding()
    for quantity, paise in entries:
        holding = filled(holding, side, quantity, paise)
    cost = sum(paise for _, paise in entries)
    total = sum(quantity for quantity, _ in entries)
    assert holding == Holding(net_quantity=side.sign * total, cost_paise=side.sign * cost)
    proceeds = 0
    for share, paise in parts:
        quantity = int(share * (abs(holding.net_quantity) - 1))
        if quantity:
            before, holding = holding, filled(holding, side.opposite, quantity, paise)
            proceeds += paise
            assert abs(holding.cost_paise) <= abs(before.cost_paise)
    holding = filled(holding, side.opposite, abs(holding.net_quantity), last_paise)
    realised = side.sign * (proceeds + last_paise - cost)
    assert holding == Holding(net_quantity=0, cost_paise=0, realised_paise=realised)


@bounded
@given(st.lists(st.tuples(sides, units, amounts), max_size=20))
def test_no_paisa_is_lost_whatever_is_traded(fills: list[tuple[Side, int, int]]) -> None:
    """What was paid out is what is held at cost less what was earned, through every turn from long to short."""
    holding, cash = Holding(), 0
    for side, quantity, paise in fills:
        holding = filled(holding, side, quantity, paise)
        cash -= side.sign * paise
        assert holding.realised_paise == cash + holding.cost_paise
        assert holding.net_quantity != 0 or holding.cost_paise == 0
        assert holding.cost_paise * holding.net_quantity >= 0
    assert holding.net_quantity == sum(side.sign * quantity for side, quantity, _ in fills)


@bounded
@given(st.sets(st.text(min_size=1, max_size=40), min_size=2, max_size=20), st.text(max_size=20))
def test_ids_at_the_venue_are_well_formed_distinct_and_ours(order_ids: set[str], installation: str) -> None:
    code = installation_code(installation)
    ids = [correlation_id_of(OrderId(order_id), code=code) for order_id in sorted(order_ids)]
    assert len(set(ids)) == len(ids)
    for each in ids:
        assert len(each) == 25
        assert set(each) <= set(BASE62)
        assert each.isascii()
        assert each.isalnum()
        assert is_correlation_id_of_ours(each, code=code)


@settings(max_examples=15, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_a_mistyped_id_is_hardly_ever_taken_for_ours(order_id: str) -> None:
    """Two check characters let one mistake in 3,844 pass, and none in themselves."""
    ours = correlation_id_of(OrderId(order_id), code="abc")
    typed = [
        ours[:place] + other + ours[place + 1 :] for place in range(25) for other in BASE62 if other != ours[place]
    ]
    taken = [each for each in typed if is_correlation_id_of_ours(each, code="abc")]
    assert len(taken) < 10
    assert not [each for each in taken if each[:23] == ours[:23]]


@bounded
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=12), st.data())
def test_a_chain_tells_each_change_removal_and_exchange(payloads: list[bytes], data: st.DataObject) -> None:
    chain: list[RecordedEvent] = []
    for sequence, payload in enumerate(payloads, 1):
        previous = chain[-1].hash if chain else GENESIS_HASH
        leaf = leaf_hash(
            stream_id="account-1", version=sequence, name="n", command_id="c", metadata=b"", payload=payload
        )
        chain.append(
            RecordedEvent(
                sequence=sequence,
                stream_id="account-1",
                version=sequence,
                name="n",
                command_id="c",
                metadata=b"",
                payload=payload,
                recorded_at_us=sequence,
                previous_hash=previous,
                hash=chain_hash(previous=previous, sequence=sequence, recorded_at_us=sequence, leaf=leaf),
            )
        )
    assert is_whole(chain)
    place = data.draw(st.integers(min_value=0, max_value=len(chain) - 1))
    touched = replace(chain[place], payload=chain[place].payload + b"!")
    assert not is_whole([*chain[:place], touched, *chain[place + 1 :]])
    if place < len(chain) - 1:
        assert not is_whole([*chain[:place], *chain[place + 1 :]])
        assert not is_whole([*chain[:place], chain[place + 1], chain[place], *chain[place + 2 :]])


def is_whole(chain: list[RecordedEvent]) -> bool:
    previous = GENESIS_HASH
    for event in chain:
        if event.previous_hash != previous or not is_intact(event):
            return False
        previous = event.hash
    return True
