"""The judge of a killed engine: what people were told, the log, the broker's books and the views have to be one story.

It imports nothing of ours and knows events by the names and fields that are stored, so that no mistake of the engine's
is made here a second time. An order's life is folded from its events by the few rules below, a position by adding up.

*Lost* is what was answered and is not in the log, an order that stays in doubt, one that the log holds for unsent or
absent although the broker has it (or the other way round), and an execution that is missing. A *duplicate* is an intent
carried out twice, a key answered in two ways, an order sent twice, an execution counted twice. A *difference* is a
quantity, a position or a row that is not what the events lead to, and whatever is there that nobody asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

_CREATED = 201
_FIRST_REFUSAL = 400
_AT_THE_BROKER = {
    "acknowledged": {"PENDING", "TRANSIT"},
    "partly_filled": {"PART_TRADED"},
    "filled": {"TRADED"},
    "canceled": {"CANCELLED"},
    "expired": {"EXPIRED"},
    "rejected": {"REJECTED"},
}
"""What the broker's book says of an order that the log has in a state."""
_NEVER_SENT = {"lapsed", "blocked"}
_IN_DOUBT = {"intended", "submitting", "unknown"}
_FINAL = {"canceled", "expired", "rejected"}
_STATE_AFTER = {
    "order.submitting": "submitting",
    "order.not_sent": "intended",
    "order.acknowledged": "acknowledged",
    "order.rejected": "rejected",
    "order.outcome_unknown": "unknown",
    "order.presumed_absent": "presumed_absent",
    "order.lapsed": "lapsed",
    "order.blocked": "blocked",
    "order.canceled": "canceled",
    "order.expired": "expired",
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is stored: its place, its stream, its name with the version, its decoded payload."""

    sequence: int
    stream: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to a request: status and decoded body."""

    status: int
    body: Mapping[str, Any]


@dataclass(slots=True)
class Request:
    """What somebody asked under a key, and every answer that came to it.

    `stop_e4` is the stop loss of an entry, which no other entry of the account has: it tells what became of this one,
    whatever the key did. None: it is no entry.
    """

    key: str
    account_id: str
    stop_e4: int | None = None
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is to agree: requests, the log from its first event on, the broker's books, and what the views show.

    `books` are orders, trades and positions by the broker's client id; `orders` and `positions` what the API shows, by
    account.
    """

    requests: Sequence[Request]
    events: Sequence[Event]
    books: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
    orders: Mapping[str, Sequence[Mapping[str, Any]]]
    positions: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(slots=True)
class Findings:
    """What is wrong, each finding in words; all empty: nothing is."""

    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether anything is wrong."""
        return bool(self.lost or self.duplicates or self.differences)

    def __str__(self) -> str:
        kinds = {"lost": self.lost, "duplicate": self.duplicates, "difference": self.differences}
        return "\n".join(f"{kind}: {text}" for kind, texts in kinds.items() for text in texts) or "nothing is wrong"

    def add(self, others: "Findings") -> None:
        """Take in what is wrong elsewhere."""
        self.lost += others.lost
        self.duplicates += others.duplicates
        self.differences += others.differences


@dataclass(slots=True)
class Order:
    """An order as its events tell it."""

    order_id: str
    trade_id: str
    account_id: str
    purpose: str
    correlation_id: str | None = None
    state: str = "intended"
    filled: int = 0


def judge(story: Story) -> Findings:
    """Return what is wrong now that every kill is over and the engine has come to rest."""
    findings = Findings()
    _check_sequences(story, findings)
    orders = _fold_orders(story.events, findings)
    _check_requests(story, orders, findings)
    _check_books(story, orders, findings)
    _check_executions(story, findings)
    _check_views(story, orders, findings)
    return findings


def unsettled(events: Iterable[Event]) -> list[str]:
    """Return the orders whose fate still is to come: neither at the broker nor at their end."""
    orders = _fold_orders(events, Findings())
    return [order.order_id for order in orders.values() if order.state in _IN_DOUBT]


def broker_client_of(account_id: str) -> str:
    """Return the broker's name for a paper account, worked out anew from the rule."""
    return f"10{int.from_bytes(sha256(account_id.encode()).digest(), 'big') % 10**8:08d}"


def _kind(event: Event) -> str:
    return event.name.rpartition(".v")[0]


def _account(event: Event) -> str:
    return event.stream.removeprefix("account-")


def _check_sequences(story: Story, findings: Findings) -> None:
    for expected, event in enumerate(story.events, 1):
        if event.sequence != expected:
            findings.lost.append(f"the log has {event.sequence} where {expected} belongs")
            return


def _fold_orders(events: Iterable[Event], findings: Findings) -> dict[str, Order]:
    orders: dict[str, Order] = {}
    for event in events:
        kind, body = _kind(event), event.body
        if kind == "order.intended":
            if body["order_id"] in orders:
                findings.duplicates.append(f"{body['order_id']} was intended twice, again at {event.sequence}")
            orders[body["order_id"]] = Order(body["order_id"], body["trade_id"], _account(event), body["purpose"])
        elif kind == "order.filled":
            order = orders[body["order_id"]]
            order.filled += body["last_quantity"]
            if body["leaves_quantity"] == 0:
                order.state = "filled"
            elif order.state not in _FINAL:
                order.state = "partly_filled"
        elif kind in _STATE_AFTER:
            _step(orders[body["order_id"]], kind, event, findings)
    return orders


def _step(order: Order, kind: str, event: Event, findings: Findings) -> None:
    if kind == "order.submitting":
        if order.state != "intended":
            findings.duplicates.append(f"{order.order_id} is sent again at {event.sequence}, being {order.state}")
        order.correlation_id = event.body["correlation_id"]
    if kind == "order.acknowledged" and order.filled:
        return  # A fill was read before the answer came: it says more.
    order.state = _STATE_AFTER[kind]


# --- What people were told --------------------------------------------------------------------------------------------


def _check_requests(story: Story, orders: Mapping[str, Order], findings: Findings) -> None:
    opened: defaultdict[tuple[str, Any], list[str]] = defaultdict(list)
    denied: defaultdict[tuple[str, Any], list[str]] = defaultdict(list)
    for event in story.events:
        if (kind := _kind(event)) in {"trade.opened", "order.denied"}:
            place = opened if kind == "trade.opened" else denied
            place[_account(event), event.body["stop_loss_e4"]].append(event.body["trade_id"])
    entries = {order.trade_id for order in orders.values() if order.purpose == "entry"}
    asked = {(request.account_id, request.stop_e4) for request in story.requests if request.stop_e4 is not None}
    findings.differences += [
        f"{account_id}: a trade with the stop {stop_e4} was opened or denied, and nobody asked for it"
        for account_id, stop_e4 in {*opened, *denied} - asked
    ]
    for request in story.requests:
        _check_answers(request, findings)
        if request.stop_e4 is not None:
            mark = (request.account_id, request.stop_e4)
            _check_entry(request, opened.get(mark, []), denied.get(mark, []), entries, findings)
        else:
            _check_parts(request, orders, findings)


def _check_answers(request: Request, findings: Findings) -> None:
    kept = [answer for answer in request.answers if answer.status < _FIRST_REFUSAL]
    if not request.answers:
        findings.lost.append(f"{request.key}: nobody ever answered")
    if any(answer.body != kept[0].body for answer in kept):
        findings.duplicates.append(f"{request.key}: one key, two answers: {kept}")


def _check_entry(
    request: Request, opened: Sequence[str], denied: Sequence[str], entries: set[str], findings: Findings
) -> None:
    if len(opened) + len(denied) > 1:
        findings.duplicates.append(f"{request.key}: carried out as {[*opened, *denied]}")
    told = next((answer for answer in request.answers if answer.status == _CREATED), None)
    if told is None and opened:
        findings.lost.append(f"{request.key}: became {opened[0]}, which nobody was told")
    if told is not None and told.body["trade_id"] not in opened:
        findings.lost.append(f"{request.key}: answered as {told.body['trade_id']}, of which the log knows nothing")
    if any(trade_id not in entries for trade_id in opened):
        findings.lost.append(f"{request.key}: {opened} is in the log without an entry order")


def _check_parts(request: Request, orders: Mapping[str, Order], findings: Findings) -> None:
    """Check that what an answer to a close or a cancel names is in the log."""
    for answer in request.answers:
        if answer.status >= _FIRST_REFUSAL:
            continue
        named = [part["order_id"] for part in answer.body.get("closing") or [] if part["order_id"] is not None]
        findings.lost += [
            f"{request.key}: answered with {order_id}, of which the log knows nothing"
            for order_id in named
            if order_id not in orders
        ]


# --- What the broker has ----------------------------------------------------------------------------------------------


def _check_books(story: Story, orders: Mapping[str, Order], findings: Findings) -> None:
    booked: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for book in story.books.values():
        for row in book["orders"]:
            booked[row["correlation_id"]].append(row)
    sent = {order.correlation_id: order for order in orders.values() if order.correlation_id is not None}
    for correlation_id, rows in booked.items():
        order = sent.get(correlation_id)
        if order is None:
            findings.differences.append(f"the broker has {rows[0]['order_id']}, which the log never sent")
        elif len(rows) > 1:
            findings.duplicates.append(f"{order.order_id} is at the broker {len(rows)} times")
    for order in orders.values():
        there = booked.get(order.correlation_id or "", [])
        _check_order(order, there[0] if there else None, findings)


def _check_order(order: Order, row: Mapping[str, Any] | None, findings: Findings) -> None:
    if order.state in _IN_DOUBT:
        findings.lost.append(f"{order.order_id} is {order.state}, and nothing more comes of it")
    elif row is None:
        # A refusal may come before the broker keeps a row; what was never sent, or is held for absent, has none.
        if order.state not in {*_NEVER_SENT, "presumed_absent", "rejected"}:
            findings.lost.append(f"{order.order_id} is {order.state}, and the broker does not have it")
    elif row["status"] not in _AT_THE_BROKER.get(order.state, set()):
        findings.lost.append(f"{order.order_id} is {order.state}, and the broker has it as {row['status']}")
    elif row["filled_quantity"] != order.filled:
        findings.lost.append(
            f"{order.order_id}: the broker filled {row['filled_quantity']}, the log has {order.filled}"
        )


def _check_executions(story: Story, findings: Findings) -> None:
    told = Counter(
        (f"{row['segment']}:{row['trade_id']}:{row['order_id']}", row["quantity"], row["price_e4"])
        for book in story.books.values()
        for row in book["trades"]
    )
    logged = Counter(
        (
            f"{event.body['venue_segment']}:{event.body['venue_trade_number']}:{event.body['venue_order_id']}",
            event.body["last_quantity"],
            event.body["last_price_e4"],
        )
        for event in story.events
        if _kind(event) == "order.filled"
    )
    findings.lost += [f"the execution {each} is not in the log" for each in told - logged]
    for each in logged - told:
        where = findings.duplicates if each in told else findings.differences
        where.append(f"the log has the execution {each} more often than the broker")
    findings.differences += [
        f"the execution at {event.sequence} was taken for a stranger's"
        for event in story.events
        if _kind(event) == "trade.foreign_fill"
    ]


# --- What is shown ----------------------------------------------------------------------------------------------------


def _check_views(story: Story, orders: Mapping[str, Order], findings: Findings) -> None:
    held = _fold_positions(story.events)
    for account_id, rows in story.positions.items():
        logged = {
            key: quantity for (owner, *key_), quantity in held.items() if owner == account_id for key in [(*key_,)]
        }
        book = story.books.get(broker_client_of(account_id), {})
        for name, found in (("shown", rows), ("the broker's", book.get("positions", ()))):
            quantities = {
                (row["segment"], row["security_id"], row["product"]): row["net_quantity"]
                for row in found
                if row["net_quantity"]
            }
            if quantities != logged:
                findings.differences.append(f"{account_id} holds {logged} by the log; {name}: {quantities}")
    for account_id, rows in story.orders.items():
        shown = Counter((row["order_id"], row["status"], row["cumulative_quantity"]) for row in rows)
        folded = Counter(
            (order.order_id, order.state, order.filled) for order in orders.values() if order.account_id == account_id
        )
        findings.differences += [f"{account_id} is shown the order {each}" for each in shown - folded]
        findings.differences += [f"{account_id} is not shown the order {each}" for each in folded - shown]


def _fold_positions(events: Iterable[Event]) -> dict[tuple[str, str, str, str], int]:
    """Return what each account holds of what, flat ones left out: (account, segment, security, product)."""
    held: Counter[tuple[str, str, str, str]] = Counter()
    for event in events:
        if _kind(event) in {"order.filled", "trade.foreign_fill"}:
            body = event.body
            key = (_account(event), body["instrument"]["segment"], body["instrument"]["security_id"], body["product"])
            held[key] += body["last_quantity"] * (1 if body["side"] == "BUY" else -1)
    return {key: quantity for key, quantity in held.items() if quantity}
