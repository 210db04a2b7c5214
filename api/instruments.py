"""The instrument master: search, and what an instrument was defined as and when."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from api.answers import answer
from api.callers import Authenticated
from api.fields import Price, optional_price_text
from api.openapi import answers
from api.services import services_of
from api.tags import KnownTag, tagged
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, InstrumentNotListed, OptionType, Segment
from domain.money import format_e4

router = APIRouter(prefix="/api/instruments", tags=["instruments"])

FOUND_MAX = 100
FOUND = 20
SearchText = Annotated[
    str, Query(min_length=1, max_length=64, pattern="^[ -~]+$", description="Words of its symbol or name, in any order")
]
FoundLimit = Annotated[int, Query(ge=1, le=FOUND_MAX)]
SecurityId = Annotated[str, Path(min_length=1, max_length=32, pattern="^[0-9A-Za-z]+$")]


class InstrumentView(msgspec.Struct, frozen=True, kw_only=True):
    """What can be traded or watched. An order names it by `symbol`.

    A quantity is a multiple of `lot`, a price of `tick_size`; `multiplier` is the units behind one unit traded. `mtf`
    tells whether the broker lends for it. The circuits are today's price band, null where none is known.
    """

    segment: Segment
    security_id: str
    symbol: str
    name: str
    kind: InstrumentKind
    tradable: bool
    is_test: bool
    tick_size: Price
    lot: int
    multiplier: int
    freeze_quantity: int | None
    series: str | None
    isin: str | None
    underlying: str | None
    expires_on: str | None
    strike: Price | None
    option_type: OptionType | None
    mtf: bool
    has_derivatives: bool
    lower_circuit: Price | None
    upper_circuit: Price | None

    @classmethod
    def of(cls, instrument: Instrument) -> "InstrumentView":
        """Return *instrument* as it is shown."""
        return cls(
            segment=instrument.key.segment,
            security_id=instrument.key.security_id,
            symbol=instrument.symbol,
            name=instrument.name,
            kind=instrument.kind,
            tradable=instrument.tradable,
            is_test=instrument.is_test,
            tick_size=format_e4(instrument.tick_e4),
            lot=instrument.lot,
            multiplier=instrument.multiplier,
            freeze_quantity=instrument.freeze_quantity,
            series=instrument.series,
            isin=instrument.isin,
            underlying=instrument.underlying,
            expires_on=instrument.expires_on,
            strike=optional_price_text(instrument.strike_e4),
            option_type=instrument.option_type,
            mtf=instrument.mtf,
            has_derivatives=instrument.has_derivatives,
            lower_circuit=optional_price_text(instrument.lower_circuit_e4),
            upper_circuit=optional_price_text(instrument.upper_circuit_e4),
        )


class InstrumentsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Instruments, the most likely meant first. `master_version` is 0 as long as no master was imported."""

    instruments: list[InstrumentView]
    master_version: int


class DefinitionView(msgspec.Struct, frozen=True, kw_only=True):
    """A definition and the first day on which it holds, and on which it does not any more (null: no such day)."""

    valid_from: str | None
    valid_until: str | None
    instrument: InstrumentView


class DefinitionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an instrument was and is defined as, oldest first."""

    definitions: list[DefinitionView]
    master_version: int


@router.get("", responses=answers(InstrumentsAnswer, "What was found", 401, 422, 503))
async def search_instruments(
    request: Request,
    _: Authenticated,
    q: SearchText,
    segment: Segment | None = None,
    kind: InstrumentKind | None = None,
    limit: FoundLimit = FOUND,
) -> Response:
    """Find instruments by words of symbol, name or ISIN: in any order, by their beginnings, typing errors forgiven.

    `rel` finds RELIANCE first, `nifty 25000 ce` the call that expires next.
    """
    services = services_of(request)
    found = await services.instruments.search(
        q, market_time_ns=services.marks.market_time_ns(), segment=segment, kind=kind, limit=limit
    )
    shown = InstrumentsAnswer(
        instruments=[InstrumentView.of(each) for each in found], master_version=services.instruments.version
    )
    return answer(shown)


@router.get(
    "/{segment}/{security_id}", responses=answers(DefinitionsAnswer, "Its definitions", 401, 404, 422, is_tagged=True)
)
async def instrument_definitions(
    request: Request, _: Authenticated, segment: Segment, security_id: SecurityId, known: KnownTag = None
) -> Response:
    """Tell what an instrument was and is defined as; a delisted or renamed one keeps its history."""
    directory = services_of(request).instruments
    key = InstrumentKey(segment, security_id)
    dated = directory.definitions(key)
    if not dated:
        raise InstrumentNotListed(f"received instrument {key}, expected one of the instrument master")
    shown = DefinitionsAnswer(
        definitions=[
            DefinitionView(
                valid_from=each.valid_from, valid_until=each.valid_until, instrument=InstrumentView.of(each.instrument)
            )
            for each in dated
        ],
        master_version=directory.version,
    )
    return tagged(request, known, shown, directory.version)
