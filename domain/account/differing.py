"""What differences from the venue's books leave in the account's state."""

import msgspec

from domain.account.events import DifferenceClosed, DifferenceFound
from domain.account.state import Account
from domain.differences import DifferenceEnd, DifferenceKind
from domain.instrument import InstrumentKey

_replace = msgspec.structs.replace


def held_before_key(instrument: InstrumentKey) -> str:
    """Return under which name the units are kept that an account held before it was ours to keep."""
    return f"{instrument.segment}:{instrument.security_id}"


def with_difference(state: Account, event: DifferenceFound) -> Account:
    """Return the account with a difference that was found, or found to be another by now."""
    is_new = event.difference_id not in state.differences
    state = _replace(
        state,
        differences={**state.differences, event.difference_id: event},
        difference_count=state.difference_count + is_new,
    )
    if event.kind is DifferenceKind.HELD_BEFORE and event.instrument is not None:
        before = {**state.held_before, held_before_key(event.instrument): event.quantity or 0}
        return _replace(state, held_before=before)
    return state


def without_difference(state: Account, event: DifferenceClosed) -> Account:
    """Return the account without a difference that is over; what somebody took as it is is not told again today."""
    closed = state.differences.get(event.difference_id)
    if closed is None:
        return state
    left = {name: found for name, found in state.differences.items() if name != event.difference_id}
    state = _replace(state, differences=left)
    if event.how is not DifferenceEnd.RESOLVED or closed.quantity is not None:
        return state
    return _replace(state, accepted_differences=state.accepted_differences | {closed.name})
