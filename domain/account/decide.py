"""Which decision answers which command about an account."""

from typing import assert_never

from domain.account.baskets import open_basket, with_basket
from domain.account.commands import (
    AccountCommand,
    ApplyCorporateAction,
    BeginSubmission,
    CancelTrade,
    ChangeTrade,
    CloseAll,
    ClosePosition,
    CloseTrade,
    ConfirmFlat,
    DoubtOrder,
    EngageKillSwitch,
    InspectAccount,
    MoveCash,
    ObserveResult,
    OpenAccount,
    OpenBasket,
    OpenTrade,
    PresumeAbsent,
    ProtectTrade,
    RecordAccepted,
    RecordContractNote,
    RecordConversion,
    RecordDayEnd,
    RecordDifferences,
    RecordFill,
    RecordForeignFill,
    RecordModifyRefused,
    RecordNotSent,
    RecordPreopenCheck,
    RecordRefused,
    RecordSuppressedIntents,
    RecordUnknown,
    RecordVenueOrder,
    ReleaseBreach,
    ReleaseInvariant,
    ReleaseKillSwitch,
    RemoveMember,
    RepriceStop,
    ResolveDifference,
    ResolveOrder,
    SetMember,
    SetRiskParameters,
    SquareOff,
    SucceedExit,
    TrailStop,
    TriggerExit,
)
from domain.account.contract_notes import record_contract_note
from domain.account.events import AccountEvent, AccountOpened, RiskParametersChanged, Role
from domain.account.evolve import evolve
from domain.account.foreign import apply_corporate_action, record_foreign_fill
from domain.account.invariants import watched
from domain.account.members import remove_member, set_member
from domain.account.orders import (
    begin_submission,
    presume_absent,
    record_accepted,
    record_day_end,
    record_fill,
    record_modify_refused,
    record_not_sent,
    record_refused,
    record_unknown,
    record_venue_order,
)
from domain.account.preopen import record_preopen_check
from domain.account.protection import protect_trade, reprice_stop, square_off, trail_stop, trigger_exit
from domain.account.reconciling import record_conversion, record_differences, resolve_difference
from domain.account.refusals import AccountExists, LimitsInvalid, demand_role
from domain.account.resolving import doubt_order, resolve_order
from domain.account.state import Account
from domain.account.succession import succeed_exit
from domain.account.switches import (
    confirm_flat,
    engage_kill_switch,
    move_cash,
    observe_result,
    record_suppressed,
    release_breach,
    release_invariant,
    release_kill_switch,
)
from domain.account.trades import cancel_trade, change_trade, close_all, close_position, close_trade, open_trade
from domain.decider import Decider


def decide(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:
    """Return what *command* turns into; nothing where it changes nothing.

    Raises:
        domain.refusals.Refusal: the command makes no sense in *state*.
    """
    return with_basket(state, _decided(command, state))


def _decided(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:  # noqa: C901, PLR0911, PLR0912 - one arm each
    match command:
        case OpenTrade():
            return open_trade(command, state)
        case BeginSubmission():
            return begin_submission(command, state)
        case RecordAccepted():
            return record_accepted(command, state)
        case RecordFill():
            return record_fill(command, state)
        case RecordVenueOrder():
            return record_venue_order(command, state)
        case OpenAccount():
            return _open_account(command, state)
        case SetMember():
            return set_member(command, state)
        case RemoveMember():
            return remove_member(command, state)
        case SetRiskParameters():
            return _set_risk_parameters(command, state)
        case EngageKillSwitch():
            return engage_kill_switch(command, state)
        case ReleaseKillSwitch():
            return release_kill_switch(command, state)
        case ConfirmFlat():
            return confirm_flat(command, state)
        case ObserveResult():
            return observe_result(command, state)
        case ReleaseBreach():
            return release_breach(command, state)
        case ReleaseInvariant():
            return release_invariant(command, state)
        case InspectAccount():
            return ()  # What it finds, if anything, is the watch's to say: see `invariants.py`.
        case RecordPreopenCheck():
            return record_preopen_check(command, state)
        case MoveCash():
            return move_cash(command, state)
        case RecordSuppressedIntents():
            return record_suppressed(command, state)
        case RecordContractNote():
            return record_contract_note(command)
        case ApplyCorporateAction():
            return apply_corporate_action(command, state)
        case OpenBasket():
            return open_basket(command, state)
        case ChangeTrade():
            return change_trade(command, state)
        case CancelTrade():
            return cancel_trade(command, state)
        case CloseTrade():
            return close_trade(command, state)
        case ClosePosition():
            return close_position(command, state)
        case CloseAll():
            return close_all(command, state)
        case TriggerExit():
            return trigger_exit(command, state)
        case TrailStop():
            return trail_stop(command, state)
        case RepriceStop():
            return reprice_stop(command, state)
        case ProtectTrade():
            return protect_trade(command, state)
        case SquareOff():
            return square_off(command, state)
        case RecordNotSent():
            return record_not_sent(command, state)
        case RecordRefused():
            return record_refused(command, state)
        case RecordModifyRefused():
            return record_modify_refused(command, state)
        case RecordUnknown():
            return record_unknown(command, state)
        case RecordForeignFill():
            return record_foreign_fill(command, state)
        case PresumeAbsent():
            return presume_absent(command, state)
        case RecordDifferences():
            return record_differences(command, state)
        case RecordConversion():
            return record_conversion(command, state)
        case ResolveDifference():
            return resolve_difference(command, state)
        case RecordDayEnd():
            return record_day_end(command, state)
        case SucceedExit():
            return succeed_exit(command, state)
        case ResolveOrder():
            return resolve_order(command, state)
        case DoubtOrder():
            return doubt_order(command, state)
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
    demand_role(state, command.user_id, Role.OWNER)
    for name in command.parameters.__struct_fields__:
        value = getattr(command.parameters, name)
        if isinstance(value, int) and value < 0:
            raise LimitsInvalid(f"received {name}={value}, expected 0 or more")
    if command.parameters == state.parameters:
        return ()
    return (RiskParametersChanged(parameters=command.parameters),)


decider: Decider[AccountCommand, Account, AccountEvent] = Decider(
    initial=Account(), decide=decide, evolve=evolve, watch=watched
)
