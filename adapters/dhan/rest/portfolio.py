"""What an account holds at the venue, with the venue's own money figures; and conversions between products."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from adapters.dhan.guard.budgets import RateClass
from adapters.dhan.guard.calls import Caller, Written
from adapters.dhan.guard.gateway import Call, CallClass
from adapters.dhan.words.codec import Row, optional_text, position_of, rows_of, segment_word, supported, text_in
from adapters.dhan.words.fields import optional_amount_in, optional_integer_in, optional_price_in
from commands.ports import VenueHolding, VenuePosition
from domain.ids import AccountId
from domain.instrument import InstrumentKey, Segment
from domain.order import Product

_BSE_ALONE = "BSE"


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A share held for delivery. `available` may be sold today, `unsettled` (T+1) reaches the depository tomorrow."""

    isin: str | None
    symbol: str | None
    security_id: str
    exchange: str | None
    quantity: int
    in_depository: int
    unsettled: int
    available: int
    pledged: int
    average_cost_e4: int | None
    last_price_e4: int | None

    @property
    def counted(self) -> VenueHolding:
        """The units, with those on their way to the depository and those sold today."""
        segment = Segment.BSE_EQ if self.exchange == _BSE_ALONE else Segment.NSE_EQ
        return VenueHolding(instrument=InstrumentKey(segment, self.security_id), quantity=self.quantity)


class PositionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A position with the venue's day averages and results, which differ from ours trade by trade. Amounts in paise."""

    position: VenuePosition
    symbol: str | None
    bought_average_e4: int | None
    sold_average_e4: int | None
    cost_e4: int | None
    realized_paise: int
    unrealized_paise: int
    multiplier: int
    carried_bought: int
    carried_sold: int
    day_bought: int
    day_sold: int


class PortfolioCalls:
    """Calls about holdings and positions, for any account."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def holdings(self, account_id: AccountId) -> Sequence[Holding]:
        """Return what is held for delivery. None comes as an error of the venue, and is no error here.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/holdings", read=_holdings)
        return await self._caller.ask(account_id, call)

    async def positions(self, account_id: AccountId) -> Sequence[PositionDetail]:
        """Return the positions in products that we trade; closed ones stay for the day.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/positions", read=_positions)
        return await self._caller.ask(account_id, call)

    async def convert(
        self, account_id: AccountId, position: VenuePosition, *, to_product: Product, quantity: int
    ) -> Written[None]:
        """Ask, once, for a part of a position to be held under another product."""

        def document(client_id: str) -> Mapping[str, Any]:
            return {
                "dhanClientId": client_id,
                "fromProductType": position.product.value,
                "exchangeSegment": segment_word(position.instrument.segment),
                "positionType": "LONG" if position.net_quantity > 0 else "SHORT",
                "securityId": position.instrument.security_id,
                "convertQty": quantity,
                "toProductType": to_product.value,
            }

        call = Call(
            call_class=CallClass.ENTRIES,
            rate=RateClass.READS,
            method="POST",
            path="/positions/convert",
            read=_nothing,
            document=document,
        )
        return await self._caller.write(account_id, call)


def _nothing(_document: Any) -> None:
    return None


def _holdings(document: Any) -> Sequence[Holding]:
    return [_holding_of(row) for row in rows_of(document)]


def _holding_of(row: Row) -> Holding:
    return Holding(
        isin=optional_text(row, "isin"),
        symbol=optional_text(row, "tradingSymbol"),
        security_id=text_in(row, "securityId"),
        exchange=optional_text(row, "exchange"),
        quantity=optional_integer_in(row, "totalQty") or 0,
        in_depository=optional_integer_in(row, "dpQty") or 0,
        unsettled=optional_integer_in(row, "t1Qty") or 0,
        available=optional_integer_in(row, "availableQty") or 0,
        pledged=optional_integer_in(row, "collateralQty") or 0,
        average_cost_e4=optional_price_in(row, "avgCostPrice"),
        last_price_e4=optional_price_in(row, "lastTradedPrice"),
    )


def _positions(document: Any) -> Sequence[PositionDetail]:
    return list(supported(rows_of(document), _detail_of))


def _detail_of(row: Row) -> PositionDetail:
    return PositionDetail(
        position=position_of(row),
        symbol=optional_text(row, "tradingSymbol"),
        bought_average_e4=optional_price_in(row, "buyAvg"),
        sold_average_e4=optional_price_in(row, "sellAvg"),
        cost_e4=optional_price_in(row, "costPrice"),
        realized_paise=optional_amount_in(row, "realizedProfit"),
        unrealized_paise=optional_amount_in(row, "unrealizedProfit"),
        multiplier=optional_integer_in(row, "multiplier") or 1,
        carried_bought=optional_integer_in(row, "carryForwardBuyQty") or 0,
        carried_sold=optional_integer_in(row, "carryForwardSellQty") or 0,
        day_bought=optional_integer_in(row, "dayBuyQty") or 0,
        day_sold=optional_integer_in(row, "daySellQty") or 0,
    )
