"""The account itself at the venue: money, margin, kill switch, profile, registered addresses."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

import msgspec

from adapters.dhan.guard.budgets import RateClass
from adapters.dhan.guard.calls import Caller, Written
from adapters.dhan.guard.gateway import Call, CallClass
from adapters.dhan.http.errors import VenueRefusal
from adapters.dhan.words.codec import (
    AnswerMalformed,
    first_time_in,
    optional_text,
    rupees,
    segment_word,
    text_in,
)
from adapters.dhan.words.fields import amount_in, flag_in, object_of, optional_amount_in
from domain.ids import AccountId
from domain.order import OrderInstruction


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """Money at the venue, in paise. `available` is what new orders may use, `day_start` what the day began with."""

    available_paise: int
    day_start_paise: int
    collateral_paise: int
    receivable_paise: int
    utilized_paise: int
    blocked_payout_paise: int
    withdrawable_paise: int


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would block, in paise. `missing_paise` is what the account lacks for it; leverage as it is told."""

    total_paise: int
    span_paise: int
    exposure_paise: int
    variable_paise: int
    available_paise: int
    missing_paise: int
    brokerage_paise: int
    leverage: str | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it is and what it may do. Times are UTC, None where they are not told."""

    client_id: str
    token_valid_until_ns: int | None
    segments: tuple[str, ...]
    may_use_data: bool | None
    data_valid_until_ns: int | None
    has_ddpi: bool | None
    has_margin_funding: bool | None


class Registration(StrEnum):
    """Which of the two addresses. The values are the venue's words."""

    PRIMARY = "PRIMARY"
    SECONDARY = "SECONDARY"


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses that orders may come from, and the one that this question came from where the venue tells it.

    `is_ours_registered` is None where it cannot be told from the answer. A day is that of the last change, after which
    the address is locked for seven days.
    """

    primary: str | None
    secondary: str | None
    primary_changed_on: date | None
    secondary_changed_on: date | None
    seen: str | None
    is_ours_registered: bool | None


class AccountCalls:
    """Calls about the account itself, for any account."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def funds(self, account_id: AccountId) -> Funds:
        """Return the account's money.

        Raises:
            BrokerUnavailable
        """
        return await self._caller.ask(account_id, _look_up("/fundlimit", funds_of))

    async def margin(self, account_id: AccountId, instruction: OrderInstruction) -> Margin:
        """Return what an order would block. A market order is reckoned at the price that it carries, 0 without one.

        Raises:
            BrokerUnavailable
        """

        def document(client_id: str) -> Mapping[str, Any]:
            return {
                "dhanClientId": client_id,
                "exchangeSegment": segment_word(instruction.instrument.segment),
                "transactionType": instruction.side.value,
                "quantity": instruction.quantity,
                "productType": instruction.product.value,
                "securityId": instruction.instrument.security_id,
                "price": rupees(instruction.limit_price_e4 or 0),
                "triggerPrice": rupees(instruction.trigger_price_e4 or 0),
            }

        call = Call(
            call_class=CallClass.LOOKUPS, method="POST", path="/margincalculator", read=margin_of, document=document
        )
        return await self._caller.ask(account_id, call)

    async def profile(self, account_id: AccountId) -> Profile:
        """Return whose token it is and what it may do: the least that a token can be tried with.

        Raises:
            BrokerUnavailable
        """
        return await self._caller.ask(account_id, _look_up("/profile", profile_of))

    # --- Kill switch ---

    async def is_killed(self, account_id: AccountId) -> bool:
        """Tell whether the venue's own kill switch bars the account from trading for the day.

        Raises:
            BrokerUnavailable
        """
        return await self._caller.ask(account_id, _look_up("/killswitch", _is_killed))

    async def kill(self, account_id: AccountId) -> Written[str]:
        """Bar the account from trading for the day, at the venue. It refuses while something is held or resting."""
        return await self._switch(account_id, CallClass.EXITS, "ACTIVATE")

    async def revive(self, account_id: AccountId) -> Written[str]:
        """Take the venue's kill switch back."""
        return await self._switch(account_id, CallClass.ENTRIES, "DEACTIVATE")

    async def _switch(self, account_id: AccountId, call_class: CallClass, word: str) -> Written[str]:
        call = Call(
            call_class=call_class,
            rate=RateClass.READS,
            method="POST",
            path=f"/killswitch?killSwitchStatus={word}",
            read=_switched,
        )
        return await self._caller.write(account_id, call)

    # --- Addresses ---

    async def addresses(self, account_id: AccountId) -> Addresses | None:
        """Return the registered addresses, None where the venue shows none.

        Raises:
            BrokerUnavailable
        """
        return await self._caller.ask_or(account_id, _look_up("/ip/getIP", _addresses_of), on_refusal=_is_none_set)

    async def register_address(self, account_id: AccountId, address: str, as_: Registration) -> Written[str]:
        """Register an address, once. It is locked for seven days then."""
        return await self._tell_address(account_id, "POST", "/ip/setIP", address, as_)

    async def change_address(self, account_id: AccountId, address: str, as_: Registration) -> Written[str]:
        """Put another address in place of a registered one, once, where it is not locked."""
        return await self._tell_address(account_id, "PUT", "/ip/modifyIP", address, as_)

    async def _tell_address(
        self, account_id: AccountId, method: str, path: str, address: str, as_: Registration
    ) -> Written[str]:
        def document(client_id: str) -> Mapping[str, Any]:
            return {"dhanClientId": client_id, "ip": address, "ipFlag": as_.value}

        call = Call(
            call_class=CallClass.ENTRIES,
            rate=RateClass.READS,
            method=method,
            path=path,
            read=_registered,
            document=document,
        )
        return await self._caller.write(account_id, call)


def _look_up(path: str, read: Any) -> Call[Any]:
    return Call(call_class=CallClass.LOOKUPS, method="GET", path=path, read=read)


def funds_of(document: Any) -> Funds:
    """Return the money that an answer tells.

    Raises:
        AnswerMalformed: a field that we need is missing or is not what it should be.
    """
    row = object_of(document)
    return Funds(
        # The venue spells two of them wrong; should it learn to write, both spellings are read.
        available_paise=amount_in(row, "availabelBalance", "availableBalance"),
        day_start_paise=optional_amount_in(row, "sodLimit"),
        collateral_paise=optional_amount_in(row, "collateralAmount"),
        receivable_paise=amount_in(row, "receiveableAmount", "receivableAmount"),
        utilized_paise=optional_amount_in(row, "utilizedAmount"),
        blocked_payout_paise=optional_amount_in(row, "blockedPayoutAmount"),
        withdrawable_paise=optional_amount_in(row, "withdrawableBalance"),
    )


def margin_of(document: Any) -> Margin:
    """Return the margin that an answer tells.

    Raises:
        AnswerMalformed: a field that we need is missing or is not what it should be.
    """
    row = object_of(document)
    return Margin(
        total_paise=amount_in(row, "totalMargin"),
        span_paise=optional_amount_in(row, "spanMargin"),
        exposure_paise=optional_amount_in(row, "exposureMargin"),
        variable_paise=optional_amount_in(row, "variableMargin"),
        available_paise=optional_amount_in(row, "availableBalance"),
        missing_paise=optional_amount_in(row, "insufficientBalance"),
        brokerage_paise=optional_amount_in(row, "brokerage"),
        leverage=optional_text(row, "leverage"),
    )


def profile_of(document: Any) -> Profile:
    """Return the profile that an answer tells.

    Raises:
        AnswerMalformed: a field that we need is missing or is not what it should be.
    """
    row = object_of(document)
    segments = optional_text(row, "activeSegment") or ""
    return Profile(
        client_id=text_in(row, "dhanClientId"),
        token_valid_until_ns=first_time_in(row, "tokenValidity"),
        segments=tuple(word.strip() for word in segments.split(",") if word.strip()),
        may_use_data=flag_in(row, "dataPlan"),
        data_valid_until_ns=first_time_in(row, "dataValidity"),
        has_ddpi=flag_in(row, "ddpi"),
        has_margin_funding=flag_in(row, "mtf"),
    )


def _is_killed(document: Any) -> bool:
    return text_in(object_of(document), "killSwitchStatus").upper() == "ACTIVATE"


def _switched(document: Any) -> str:
    return text_in(object_of(document), "killSwitchStatus")


def _registered(document: Any) -> str:
    return text_in(object_of(document), "message")


def _is_none_set(refusal: VenueRefusal) -> bool:
    return not refusal.code  # It is an error inside of a 200: [{"message": "Something went wrong", "status": "ERROR"}].


def _addresses_of(document: Any) -> Addresses:
    row = object_of(document)
    primary, secondary = optional_text(row, "primaryIP"), optional_text(row, "secondaryIP")
    seen = optional_text(row, "detectedIP") or optional_text(row, "ip")
    return Addresses(
        primary=primary,
        secondary=secondary,
        primary_changed_on=_day_in(row, "modifyDatePrimary"),
        secondary_changed_on=_day_in(row, "modifyDateSecondary"),
        seen=seen,
        is_ours_registered=_is_ours(row, seen, {primary, secondary} - {None}),
    )


def _is_ours(row: Mapping[str, Any], seen: str | None, registered: set[str | None]) -> bool | None:
    allowed = flag_in(row, "ordersAllowed")
    match_word = optional_text(row, "ipMatchStatus")
    if allowed is not None:
        return allowed
    if match_word is not None:
        return match_word.upper() == "MATCH"
    return None if seen is None or not registered else seen in registered


def _day_in(row: Mapping[str, Any], name: str) -> date | None:
    text = optional_text(row, name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise AnswerMalformed(f"received {name} {text!r}, expected a day such as 2026-01-31") from None
    return None if day.year == 1 else day
