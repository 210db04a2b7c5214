"""The person of a world: asks for what the plan holds, and asks again under the same key where the answer was lost."""

import asyncio
from itertools import count

from commands import faults
from commands.accounts import Accounts, CommandContext, Outcome, TradeChange, TradeIntent
from commands.intake import IntentStorm
from commands.ports import Clock
from domain.account.commands import OpenAccount
from domain.account.events import AccountMode, TradeOpened
from domain.ids import AccountId, TradeId, UserId
from domain.order import OrderType, Product, TimeInForce
from domain.refusals import Refusal
from infra.worlds.instruments import PARAMETERS, STOCKS
from infra.worlds.plan import Action, Deed, Entry, Plan
from infra.worlds.story import Story
from infra.worlds.surroundings import WorldMarks

ACCOUNT = AccountId("acc_world")
OWNER = UserId("usr_world")
_NO_TRADE = TradeId("trd_none")
_ASKED_AGAIN_S = 0.3
_ATTEMPTS = 4


class Person:
    """One person and the way to the command side, in a process that does not die."""

    def __init__(self, plan: Plan, accounts: Accounts, marks: WorldMarks, clock: Clock, story: Story) -> None:
        self._plan = plan
        self._accounts = accounts
        self._marks = marks
        self._clock = clock
        self._story = story
        self._trades: list[TradeId] = []
        self._keys = count(1)

    async def open_account(self) -> None:
        """Open the account."""
        command = OpenAccount(
            account_id=ACCOUNT, owner_id=OWNER, mode=AccountMode.PAPER, currency="INR", parameters=PARAMETERS
        )
        for _ in range(_ATTEMPTS):
            try:
                await self._accounts.carry_out(ACCOUNT, command, self._context("open"))
            except faults.OF_THE_LOG:
                continue
            return

    async def act(self) -> None:
        """Ask for everything, each at its time."""
        loop = asyncio.get_running_loop()
        for action in self._plan.actions:
            await asyncio.sleep(max(0.0, action.at_s - loop.time()))
            key = f"key-{next(self._keys)}"
            for _ in range(2 if action.is_repeated else 1):
                await self._ask(action, key)

    async def _ask(self, action: Action, key: str) -> None:
        trade_id = self._trades[int(action.which * len(self._trades))] if self._trades else _NO_TRADE
        for _ in range(_ATTEMPTS):
            try:
                outcome = await self._outcome(action, trade_id, self._context(key))
            except faults.OF_THE_LOG as fault:
                self._story.tell(f"person asks to {action.deed}: {type(fault).__name__}, asks again")
                await asyncio.sleep(_ASKED_AGAIN_S)
            except (Refusal, IntentStorm) as refusal:
                self._story.tell(f"person asks to {action.deed}: {refusal}")
                return
            else:
                self._story.tell(f"person asks to {action.deed}: {len(outcome.events)} events")
                opened = [event.trade_id for event in outcome.events if isinstance(event, TradeOpened)]
                self._trades += [each for each in opened if each not in self._trades]
                return

    def _context(self, key: str) -> CommandContext:
        return CommandContext(actor=OWNER, source="api", received_at_ns=self._clock.wall_ns(), idempotency_key=key)

    async def _outcome(self, action: Action, trade_id: TradeId, context: CommandContext) -> Outcome:  # noqa: PLR0911 - one arm per deed
        accounts = self._accounts
        match action.deed:
            case Deed.OPEN:
                assert action.entry is not None, "what is to be opened is told"
                return await accounts.open_trade(ACCOUNT, OWNER, self._intent(action.entry), context)
            case Deed.CLOSE:
                return await accounts.close_trade(ACCOUNT, OWNER, trade_id, context)
            case Deed.CLOSE_PART:
                quantity = 1 + int(action.which * 10)
                return await accounts.close_trade(ACCOUNT, OWNER, trade_id, context, quantity=quantity)
            case Deed.CLOSE_POSITION:
                stock = STOCKS[int(action.which * len(STOCKS))]
                return await accounts.close_position(ACCOUNT, OWNER, stock.key, Product.INTRADAY, context)
            case Deed.CHANGE:
                return await self._change(action, trade_id, context)
            case Deed.CANCEL:
                return await accounts.cancel_trade(ACCOUNT, OWNER, trade_id, context)
            case Deed.CLOSE_ALL:
                return await accounts.close_all(ACCOUNT, OWNER, context)
            case Deed.KILL:
                reason, mode = "a person says so", action.kill_mode
                return await accounts.engage_kill_switch(ACCOUNT, OWNER, reason, context, mode=mode)
            case Deed.RELEASE:
                return await accounts.release_kill_switch(ACCOUNT, OWNER, context)

    async def _change(self, action: Action, trade_id: TradeId, context: CommandContext) -> Outcome:
        trade = (await self._accounts.present(ACCOUNT)).account.trades.get(trade_id)
        version = 1 if trade is None else trade.version
        stop_e4 = None if trade is None else trade.stop_loss_e4
        change = TradeChange(stop_loss_e4=None if stop_e4 is None else stop_e4 + action.level_shift_e4)
        return await self._accounts.change_trade(
            ACCOUNT, OWNER, trade_id, change, expected_version=version, context=context
        )

    def _intent(self, entry: Entry) -> TradeIntent:
        stock = STOCKS[entry.stock]
        mark = self._marks.mark_of(stock.key)
        assert mark is not None, "a price was printed before anybody acts"
        price_e4, sign = mark.last_price_e4, entry.side.sign
        target = entry.target_distance_e4
        return TradeIntent(
            symbol=stock.symbol,
            side=entry.side,
            quantity=entry.quantity,
            order_type=entry.order_type,
            limit_price_e4=price_e4 if entry.order_type is OrderType.LIMIT else None,
            product=entry.product,
            time_in_force=TimeInForce.DAY,
            stop_loss_e4=price_e4 - sign * entry.stop_distance_e4,
            target_e4=None if target is None else price_e4 + sign * target,
            trailing=entry.trailing,
            protection=entry.protection,
        )
