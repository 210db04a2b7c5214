"""Which decision answers which command about an account."""

from typing import assert_never

from domain.account.commands import (
    AccountCommand,
    BeginSubmission,
    ClosePosition,
    EngageKillSwitch,
    OpenAccount,
    OpenTrade,
    PresumeAbsent,
    RecordAccepted,
    RecordFill,
    RecordNotSent,
    RecordRefused,
    RecordUnknown,
    RecordVenueOrder,
    ReleaseKillSwitch,
    SetRiskParameters,
    TriggerExit,
)
from domain.account.events import (
    AccountEvent,
    AccountOpened,
    KillSwitchEngaged,
    KillSwitchReleased,
    RiskParametersChanged,
)
from domain.account.orders import (
    begin_submission,
    presume_absent,
    record_accepted,
    record_fill,
    record_not_sent,
    record_refused,
    record_unknown,
    record_venue_order,
)
from domain.account.refusals import AccountExists, LimitsInvalid, demand_owner
from domain.account.state import Account, evolve
from domain.account.trades import close_position, open_trade, trigger_exit, with_closings, withdraw_entries
from domain.decider import Decider


def decide(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:  # noqa: C901, PLR0911, PLR0912 - one arm each
    """Return what *command* turns into; nothing where it changes nothing.

    Raises:
        domain.refusals.Refusal: the command makes no sense in *state*.
    """
    match command:
        case OpenAccount():
            return _open_account(command, state)
        case SetRiskParameters():
            return _set_risk_parameters(command, state)
        case EngageKillSwitch():
            return _engage_kill_switch(command, state)
        case ReleaseKillSwitch():
            demand_owner(state, command.user_id)
            return (KillSwitchReleased(),) if state.kill_switch_engaged else ()
        case OpenTrade():
            return open_trade(command, state)
        case ClosePosition():
            return close_position(command, state)
        case TriggerExit():
            return trigger_exit(command, state)
        case BeginSubmission():
            return begin_submission(command, state)
        case RecordNotSent():
            return record_not_sent(command, state)
        case RecordAccepted():
            return record_accepted(command, state)
        case RecordRefused():
            return record_refused(command, state)
        case RecordUnknown():
            return record_unknown(command, state)
        case RecordVenueOrder():
            return record_venue_order(command, state)
        case RecordFill():
            return record_fill(command, state)
        case PresumeAbsent():
            return presume_absent(command, state)
        case _:
            assert_never(command)


def _open_account(command: OpenAccount, state: Account) -> tuple[AccountEvent, ...]:
    if state.account_id is not None:
        raise AccountExists(f"account {state.account_id} is open already")
    opened = AccountOpened(
        account_id=command.account_id,
        owner_id=command.owner_id,
        mode=command.mode,
        currency=command.currency,
        parameters=command.parameters,
    )
    return (opened,)


def _set_risk_parameters(command: SetRiskParameters, state: Account) -> tuple[AccountEvent, ...]:
    demand_owner(state, command.user_id)
    for name in command.parameters.__struct_fields__:
        if (value := getattr(command.parameters, name)) < 0:
            raise LimitsInvalid(f"received {name}={value}, expected 0 or more")
    if command.parameters == state.parameters:
        return ()
    return (RiskParametersChanged(parameters=command.parameters),)


def _engage_kill_switch(command: EngageKillSwitch, state: Account) -> tuple[AccountEvent, ...]:
    demand_owner(state, command.user_id)
    if state.kill_switch_engaged:
        return ()
    engaged = (KillSwitchEngaged(reason=command.reason),)
    trades = list(state.unclosed_trades())
    withdrawn = tuple(event for trade in trades for event in withdraw_entries(state, trade))
    return with_closings(state, engaged + withdrawn, [trade.trade_id for trade in trades])


decider: Decider[AccountCommand, Account, AccountEvent] = Decider(initial=Account(), decide=decide, evolve=evolve)
