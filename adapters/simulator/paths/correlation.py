"""Whether a client's own id of an order may come twice: nobody has seen what the broker does, so it can be told."""

from adapters.simulator.desk import Desk
from adapters.simulator.faults.call_faults import FaultKind
from adapters.simulator.paths.asked import Asked
from adapters.simulator.words.refusals import order_error

DUPLICATE_ID = "Duplicate correlationId"
_BY_FAULT = {FaultKind.REFUSE_REPEATED_ID: False, FaultKind.ACCEPT_REPEATED_ID: True}


def check_correlation_id(desk: Desk, asked: Asked) -> None:
    """Hold the id that a new order names against those of earlier ones; a fault says otherwise than the configuration.

    Raises:
        Refusal: it was used before, and may not be.
    """
    is_allowed = desk.config.duplicate_correlation_ids_allowed
    if asked.fault is not None:
        is_allowed = _BY_FAULT.get(asked.fault.kind, is_allowed)
    given = asked.body.get("correlationId")
    account = desk.simulator.account_of(asked.client_id)
    if not is_allowed and given is not None and account.by_correlation_id(given) is not None:
        raise order_error(DUPLICATE_ID)
