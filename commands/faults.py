"""Faults that pass: whoever paces itself takes the same step again later."""

from commands.lane import AccountBusy
from commands.ports import AppendOutcomeUnknown, BrokerUnavailable, StoreUnavailable

OF_THE_LOG = (StoreUnavailable, AppendOutcomeUnknown, AccountBusy)
"""A command was not carried out, or it is not known whether it was."""
OF_LOG_OR_VENUE = (BrokerUnavailable, *OF_THE_LOG)
"""Likewise, or the venue did not answer."""
