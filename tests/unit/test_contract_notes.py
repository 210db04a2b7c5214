"""When the broker's statements are asked for, and that what they tell is recorded once."""

import asyncio
from collections.abc import Sequence
from datetime import date

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from adapters.memory.event_store import MemoryEventStore
from commands.contract_notes import WATERMARK, ContractNotes, ContractNoteSettings
from commands.ports import AppendOutcomeUnknown, BrokerUnavailable, StoreUnavailable
from domain.account import contract_notes
from domain.account.commands import RecordForeignFill
from domain.account.events import ContractNoteReceived, ForeignFillAllocated
from domain.contract_note import Cause, Match, NotedFill
from domain.envelope import RecordedEvent
from domain.ids import AccountId, TradeId, VenueFillId, VenueOrderId
from domain.market import NS_PER_S, trading_day
from domain.order import Product, Side
from tests.support.desk import Desk
from tests.support.eventually import eventually
from tests.support.specimens import ACCOUNT, DAY_NS, NOW_NS, reliance
from tests.support.statements import as_told
from tests.support.tariffs import TARIFFS

HOUR_NS = 3600 * NS_PER_S
MORNING_NS = NOW_NS + 20 * HOUR_NS
"""06:00 of the next day: what executes does at 10:00."""
ELSEWHERE = AccountId("acc_elsewhere")
RETRY_MS = 60_000


def day_of(days_later: int = 0) -> str:
    return trading_day(NOW_NS + days_later * DAY_NS).isoformat()


class Office:
    """The broker's back office, which has what the test gives it. Implements `commands.ports.Statements`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[AccountId, str], list[NotedFill]] = {}
        self.asked: list[tuple[AccountId, str]] = []
        self.is_away = False

    async def charged_fills(self, account_id: AccountId, day: date) -> Sequence[NotedFill]:
        self.asked.append((account_id, day.isoformat()))
        if self.is_away:
            raise BrokerUnavailable("no answer")
        return self.rows.get((account_id, day.isoformat()), [])

    def asked_now(self) -> list[tuple[AccountId, str]]:
        """Return what was asked for since the last call."""
        asked, self.asked = self.asked, []
        return asked


class Trading:
    """A desk on which orders execute, a back office, and a process that looks for notes."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.desk.clock.step_ns = 0
        self.desk.clock.tick_ns = NS_PER_S
        self.office = Office()
        self.notes = self.another_process()

    def another_process(self, **settings: int) -> ContractNotes:
        """Return a new process, which knows nothing but the log."""
        return ContractNotes(
            accounts=self.desk.another_process(),
            statements=self.office,
            store=self.desk.store,
            marks=self.desk.marks,
            clock=self.desk.clock,
            watermarks=self.desk.watermarks,
            instruments=self.desk.instruments,
            tariffs=TARIFFS,
            settings=ContractNoteSettings(**{"retry_ms": RETRY_MS, **settings}),
        )

    async def execute(
        self, number: int, *, days_later: int = 0, account_id: AccountId = ACCOUNT, part: int = 1
    ) -> None:
        """Let ten units of an order execute; the office does not have it yet."""
        if not self.desk.events(account_id):
            await self.desk.open_account(account_id)
        command = RecordForeignFill(
            adopted_as=TradeId(f"trd_{days_later}"),
            venue_fill_id=VenueFillId(f"NSE_EQ:{number}.{part}:order-{number}"),
            instrument=reliance,
            product=Product.INTRADAY,
            side=Side.BUY,
            quantity=10,
            price_e4=2_850_0000,
            filled_at_ns=NOW_NS + days_later * DAY_NS,
        )
        await self.desk.do(command, account_id=account_id)

    def tell(self, days_later: int = 0, *, account_id: AccountId = ACCOUNT) -> list[NotedFill]:
        """Let the office have a day as we have it, in a row for each execution; return its rows, to be changed."""
        day = day_of(days_later)
        rows = [
            NotedFill(
                venue_order_id=VenueOrderId(fill.venue_order_id or ""),
                instrument=fill.instrument,
                product=fill.product,
                side=fill.side,
                quantity=fill.last_quantity,
                price_e4=fill.last_price_e4,
                charges=as_told(fill.charges),
            )
            for fill in self.desk.events(account_id)
            if isinstance(fill, ForeignFillAllocated) and fill.trading_day == day
        ]
        self.office.rows[account_id, day] = rows
        return rows

    def at(self, now_ns: int) -> None:
        """Let it be another time, for the market and for pauses."""
        self.desk.clock.tick_ns += max(now_ns - self.desk.marks.now_ns, 0)
        self.desk.marks.now_ns = now_ns

    def recorded(self, account_id: AccountId = ACCOUNT) -> list[ContractNoteReceived]:
        return [event for event in self.desk.events(account_id) if isinstance(event, ContractNoteReceived)]

    def days_recorded(self) -> list[tuple[str, int]]:
        return [(note.trading_day, note.number) for note in self.recorded()]


@pytest.fixture
def trading() -> Trading:
    return Trading()


# --- When ---


async def test_the_statement_is_asked_for_from_six_in_the_next_morning_on(trading: Trading) -> None:
    await trading.execute(1)
    trading.tell()
    trading.at(MORNING_NS - 1)
    await trading.notes.look_if_due()
    assert trading.office.asked_now() == []
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    assert trading.office.asked_now() == [(ACCOUNT, day_of())]
    (note,) = trading.recorded()
    assert (note.trading_day, note.number, note.part, note.part_count) == (day_of(), 1, 1, 1)
    assert [(order.venue_order_id, order.match) for order in note.orders] == [("order-1", Match.BOTH)]
    assert all(line.difference_e4 == 0 for line in note.lines)


async def test_what_is_whole_is_asked_for_once_a_morning(trading: Trading) -> None:
    await trading.execute(1)
    trading.tell()
    for hours in range(24):
        trading.at(MORNING_NS + hours * HOUR_NS)
        await trading.notes.look_if_due()
    assert trading.office.asked_now() == [(ACCOUNT, day_of())]
    trading.at(MORNING_NS + DAY_NS)
    await trading.notes.look_if_due()
    assert trading.office.asked_now() == [(ACCOUNT, day_of())]
    assert trading.days_recorded() == [(day_of(), 1)]


async def test_a_statement_that_is_not_ready_is_asked_for_again(trading: Trading) -> None:
    await trading.execute(1)
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    await trading.notes.look_if_due()
    assert len(trading.office.asked_now()) == 1
    assert trading.notes.status() == {"looked_for": day_of(), "awaited": 1, "recorded": 0}
    trading.at(MORNING_NS + RETRY_MS * 1_000_000)
    trading.tell()
    await trading.notes.look_if_due()
    assert len(trading.office.asked_now()) == 1
    assert trading.days_recorded() == [(day_of(), 1)]
    assert trading.notes.status() == {"looked_for": day_of(), "awaited": 0, "recorded": 1}


async def test_a_broker_that_is_away_is_asked_again(trading: Trading) -> None:
    await trading.execute(1)
    trading.tell()
    trading.office.is_away = True
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    assert trading.recorded() == []
    trading.office.is_away = False
    trading.at(MORNING_NS + HOUR_NS)
    await trading.notes.look_if_due()
    assert trading.days_recorded() == [(day_of(), 1)]


async def test_a_note_that_lacks_an_order_is_recorded_and_replaced_when_the_order_is_there(trading: Trading) -> None:
    await trading.execute(1)
    await trading.execute(2)
    late = trading.tell().pop()
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    assert [order.match for order in trading.recorded()[0].orders] == [Match.BOTH, Match.NOT_IN_THEIRS]
    trading.at(MORNING_NS + HOUR_NS)
    await trading.notes.look_if_due()
    assert trading.days_recorded() == [(day_of(), 1)], "nothing new came"
    trading.office.rows[ACCOUNT, day_of()].append(late)
    trading.at(MORNING_NS + 2 * HOUR_NS)
    await trading.notes.look_if_due()
    assert trading.days_recorded() == [(day_of(), 1), (day_of(), 2)]
    assert trading.notes.status()["awaited"] == 0


async def test_a_statement_that_is_corrected_later_makes_another_note(trading: Trading) -> None:
    await trading.execute(1)
    (row,) = trading.tell()
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    corrected = replace(row, charges=replace(row.charges, stt_e4=5_0000))
    trading.office.rows[ACCOUNT, day_of()] = [corrected]
    trading.at(MORNING_NS + DAY_NS)
    await trading.notes.look_if_due()
    first, second = trading.recorded()
    assert (first.number, second.number) == (1, 2)
    causes = [share.cause for line in second.lines for share in line.shares]
    assert causes == [Cause.NO_LINE]
    trading.office.rows[ACCOUNT, day_of()] = [row]
    trading.at(MORNING_NS + 2 * DAY_NS)
    await trading.notes.look_if_due()
    third = trading.recorded()[2]
    assert (third.number, third.lines) == (3, first.lines), "taking it back is another one too"


async def test_an_execution_that_we_learn_of_later_makes_another_note(trading: Trading) -> None:
    await trading.execute(1)
    await trading.execute(2)
    told = trading.tell()
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    await trading.execute(1, part=2)
    told.append(replace(told[0], quantity=10))
    trading.at(MORNING_NS + DAY_NS)
    await trading.notes.look_if_due()
    assert [order.our_quantity for order in trading.recorded()[-1].orders] == [20, 10]


async def test_what_nothing_explains_is_said_in_the_log(trading: Trading) -> None:
    await trading.execute(1)
    await trading.execute(2)
    told = trading.tell()
    told[1] = replace(told[1], charges=replace(told[1].charges, stamp_duty_e4=9_0000))
    trading.at(MORNING_NS)
    with capture_logs() as logs:
        await trading.notes.look_if_due()
    (line,) = [each for each in logs if each["log_level"] == "warning"]
    assert (line["account_id"], line["day"], line["rupees"]) == (ACCOUNT, day_of(), "8.14")


# --- Days and accounts ---


async def test_days_that_were_missed_are_caught_up_with(trading: Trading) -> None:
    for days_later in (0, 1, 4):
        await trading.execute(days_later, days_later=days_later)
        trading.tell(days_later)
    await trading.execute(1, days_later=4, account_id=ELSEWHERE)
    trading.tell(4, account_id=ELSEWHERE)
    trading.at(MORNING_NS + 4 * DAY_NS)
    await trading.notes.look_if_due()
    assert trading.days_recorded() == [(day_of(0), 1), (day_of(1), 1), (day_of(4), 1)]
    assert [note.trading_day for note in trading.recorded(ELSEWHERE)] == [day_of(4)]


async def test_a_day_that_lies_too_far_back_is_not_asked_for(trading: Trading) -> None:
    for days_later in range(4):
        await trading.execute(days_later, days_later=days_later)
    trading.at(MORNING_NS + 3 * DAY_NS)
    await trading.another_process(days_max=2).look_if_due()
    assert trading.office.asked_now() == [(ACCOUNT, day_of(2)), (ACCOUNT, day_of(3))]


async def test_what_is_awaited_is_given_up_when_it_is_too_old(trading: Trading) -> None:
    notes = trading.another_process(days_max=2)
    await trading.execute(1)
    for days in range(4):
        trading.at(MORNING_NS + days * DAY_NS)
        await notes.look_if_due()
    assert len(trading.office.asked_now()) == 2
    assert notes.status()["awaited"] == 0


async def test_the_account_whose_statement_fails_keeps_no_other_from_its_own(trading: Trading) -> None:
    await trading.execute(1)
    await trading.execute(1, account_id=ELSEWHERE)
    trading.tell()
    trading.tell(account_id=ELSEWHERE)
    trading.desk.store.fail_next(StoreUnavailable("down"))
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    assert [len(trading.recorded(each)) for each in (ACCOUNT, ELSEWHERE)] == [0, 1]
    trading.at(MORNING_NS + HOUR_NS)
    await trading.notes.look_if_due()
    assert [len(trading.recorded(each)) for each in (ACCOUNT, ELSEWHERE)] == [1, 1]


async def test_a_statement_that_breaks_us_stops_nothing_else(trading: Trading) -> None:
    await trading.execute(1)
    await trading.execute(1, account_id=ELSEWHERE)
    (row,) = trading.tell()
    trading.tell(account_id=ELSEWHERE)
    trading.office.rows[ACCOUNT, day_of()] = [replace(row, quantity=None)]  # type: ignore[arg-type]
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    assert [len(trading.recorded(each)) for each in (ACCOUNT, ELSEWHERE)] == [0, 1]
    assert trading.notes.status()["awaited"] == 1


# --- Once ---


async def test_a_process_that_begins_anew_records_nothing_again(trading: Trading) -> None:
    await trading.execute(1)
    trading.tell()
    trading.at(MORNING_NS)
    for _ in range(3):
        await trading.another_process().look_if_due()
    assert len(trading.office.asked_now()) == 3
    assert trading.days_recorded() == [(day_of(), 1)]


async def test_a_note_whose_answer_was_lost_is_recorded_once(trading: Trading) -> None:
    await trading.execute(1)
    trading.tell()
    trading.desk.store.fail_next(AppendOutcomeUnknown("lost"), is_stored=True)
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    assert trading.notes.recorded == 0
    trading.at(MORNING_NS + HOUR_NS)
    await trading.notes.look_if_due()
    await trading.another_process().look_if_due()
    assert trading.days_recorded() == [(day_of(), 1)]


async def test_two_processes_that_read_the_log_before_either_records_make_one_note(trading: Trading) -> None:
    await trading.execute(1)
    trading.tell()
    trading.at(MORNING_NS)
    one, other = trading.another_process(), trading.another_process()
    await asyncio.gather(one.look_if_due(), other.look_if_due())
    assert trading.days_recorded() == [(day_of(), 1)]
    assert one.recorded + other.recorded == 1


async def test_the_watermark_lies_before_the_first_fill_that_is_still_asked_for(trading: Trading) -> None:
    await trading.execute(1)
    before = len(trading.desk.store.events)
    await trading.execute(2, days_later=1)
    await trading.execute(3, days_later=2)
    notes = trading.another_process(days_max=2)
    trading.at(MORNING_NS + 2 * DAY_NS)
    await notes.look_if_due()
    assert trading.desk.watermarks.kept[WATERMARK] == before
    trading.at(MORNING_NS + 9 * DAY_NS)
    await notes.look_if_due()
    assert trading.desk.watermarks.kept[WATERMARK] == len(trading.desk.store.events)


class LogWithGaps(MemoryEventStore):
    """A log that cannot be read for a while, and tells when somebody has tried to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.was_tried = asyncio.Event()

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        if self.is_away:
            self.was_tried.set()
            raise StoreUnavailable("down")
        return await super().read_all(after_sequence=after_sequence, limit=limit)


async def test_it_goes_on_after_the_log_was_away(trading: Trading) -> None:
    trading.desk.store = store = LogWithGaps()
    trading.desk.accounts = trading.desk.another_process()
    await trading.execute(1)
    trading.tell()
    trading.at(MORNING_NS)
    store.is_away = True
    task = asyncio.create_task(trading.another_process(pace_ms=1).run())
    await store.was_tried.wait()
    store.is_away = False
    await eventually(trading.recorded)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert trading.days_recorded() == [(day_of(), 1)]


# --- Size ---


async def test_a_note_of_many_orders_comes_in_parts(trading: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_notes, "ORDERS_A_PART", 2)
    for number in range(5):
        await trading.execute(number)
    trading.tell()
    trading.at(MORNING_NS)
    await trading.notes.look_if_due()
    parts = trading.recorded()
    assert [(note.part, note.part_count, len(note.orders)) for note in parts] == [(1, 3, 2), (2, 3, 2), (3, 3, 1)]
    assert len({note.fingerprint for note in parts}) == 1
    assert parts[0].lines == parts[2].lines
