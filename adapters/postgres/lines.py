"""Lines to PostgreSQL: connections on which a question need not wait for the answers to those before it.

A driver that lends a connection to one asker at a time costs many times what a short question does: for each it takes
a connection, begins, waits, reads one answer after another, commits, waits again. Here the loop watches the socket, and
a question is a few messages in libpq's pipeline mode: what it may see, the statement by its prepared name, and a Sync.

Between two Syncs lies one transaction. So the settings of a question hold for its own statement and for no other, they
come before it, and where one of the two fails the other does too. A question whose asker is gone is answered anyhow.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from projections.tasks import end

SILENCE_S = 10.0
"""A line is broken on which nothing came for so long while somebody waits: no statement may take half of it."""
PREPARED_MAX = 256
BUSY = 8
"""With so many questions under way on each line another one is opened, as long as there may be more."""
RETRY_S = 0.1

# Say what the statement behind it may see, for row security: to the end of its transaction.
_MAY_SEE = b"SELECT set_config($1, $2, true)"
_MAY_SEE_NAME = b"may_see"

Parameters = Sequence[bytes | None]
Values = tuple[bytes | None, ...]
Connection = psycopg.AsyncConnection[Any]


class Statement(NamedTuple):
    """A statement that answers one row, with its parameters as `$1` and so on, in their text form."""

    text: str
    parameters: Parameters


def text_of(value: object) -> bytes | None:
    """Return a number or a text as a parameter, None for NULL.

    Raises:
        ValueError: the text has a zero byte, which PostgreSQL cannot take.
    """
    if value is None:
        return None
    text = str(value)
    if "\0" in text:
        raise ValueError(f"received {text[:40]!r}, expected a text without zero bytes")
    return text.encode()


class Line:
    """One connection, which from now on belongs to nobody else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pg: PGconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._asked: deque[_Asked] = deque()
        self._prepared: OrderedDict[str, bytes] = OrderedDict()
        self._made = 0
        self._heard = 0
        self._watch: asyncio.TimerHandle | None = None
        self._is_writing = False
        self._socket = self._pg.socket
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._pg.send_prepare(_MAY_SEE_NAME, _MAY_SEE)
        self._loop.add_reader(self._socket, self._read)

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._socket >= 0 and self._pg.status == ConnStatus.OK

    @property
    def waiting(self) -> int:
        """How many questions are under way."""
        return len(self._asked)

    async def ask(self, settings: Mapping[str, str], statement: Statement) -> Values:
        """Return the row that *statement* answers under *settings*, its values in their text form.

        Raises:
            psycopg.Error: what the server says, or OperationalError where the line broke.
        """
        is_new = statement.text not in self._prepared
        asked = _Asked(self._loop.create_future(), statement.text if is_new else None)
        try:
            name = self._name_of(statement.text)
            for setting, value in settings.items():
                self._pg.send_query_prepared(_MAY_SEE_NAME, [setting.encode(), text_of(value)])
            self._pg.send_query_prepared(name, statement.parameters)
            self._pg.pipeline_sync()
            self._asked.append(asked)
            self._flush()
        except psycopg.OperationalError as error:
            self.break_off(error)
            raise
        if self._watch is None:
            self._watch = self._loop.call_later(SILENCE_S, self._look, self._heard)
        return await asked.answer

    def break_off(self, cause: psycopg.OperationalError) -> None:
        """Close it; whoever waits learns the *cause*."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._socket >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = -1
            self._pg.finish()
        while self._asked:
            self._asked.popleft().fail(cause)

    # --- Out ----------------------------------------------------------------------------------------------------------

    def _name_of(self, text: str) -> bytes:
        """Return under which name a statement is prepared here; one that is not goes out to be."""
        name = self._prepared.get(text)
        if name is not None:
            self._prepared.move_to_end(text)
            return name
        if len(self._prepared) >= PREPARED_MAX:
            _, oldest = self._prepared.popitem(last=False)
            self._pg.send_close_prepared(oldest)
        self._made += 1
        name = self._prepared[text] = b"q%d" % self._made
        self._pg.send_prepare(name, text.encode())
        return name

    def _flush(self) -> None:
        is_left = bool(self._pg.flush())
        if is_left is not self._is_writing:
            self._is_writing = is_left
            if is_left:
                self._loop.add_writer(self._socket, self._write)
            else:
                self._loop.remove_writer(self._socket)

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.OperationalError as error:
            self.break_off(error)

    # --- In -----------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            self._pg.consume_input()
            self._heard += 1
            self._take()
            if self._is_writing:
                self._flush()
        except psycopg.OperationalError as error:
            self.break_off(error)

    def _take(self) -> None:
        """Take in what has come whole."""
        is_between = False
        while self._asked and not self._pg.is_busy():
            result = self._pg.get_result()
            if result is None:
                if is_between:  # Behind the results of a command comes one of these. After two nothing comes at all.
                    raise psycopg.OperationalError("the connection is lost")
                is_between = True
                continue
            is_between = False
            if result.status == ExecStatus.PIPELINE_SYNC:
                asked = self._asked.popleft()
                if asked.is_refused and asked.prepares is not None:
                    self._prepared.pop(asked.prepares, None)  # That may be what failed.
                asked.tell()
            else:
                self._asked[0].take(result)

    def _look(self, heard: int) -> None:
        """Break a line off that went silent since a look at it, when *heard* pieces had come."""
        self._watch = None
        if not self._asked:
            return
        if self._heard == heard:
            self.break_off(psycopg.OperationalError(f"no answer within {SILENCE_S:.0f} s"))
        else:
            self._watch = self._loop.call_later(SILENCE_S, self._look, self._heard)


class _Asked:
    """A question under way. *prepares* is its statement, where that goes out with it to be prepared."""

    __slots__ = ("_error", "_row", "answer", "prepares")

    def __init__(self, answer: "asyncio.Future[Values]", prepares: str | None) -> None:
        self.answer = answer
        self.prepares = prepares
        self._row: PGresult | None = None
        self._error: PGresult | None = None

    @property
    def is_refused(self) -> bool:
        return self._error is not None

    def take(self, result: PGresult) -> None:
        """Take in one result: the last that has rows is the answer, the first that says no is why there is none."""
        if result.status == ExecStatus.TUPLES_OK:
            self._row = result
        elif result.status == ExecStatus.FATAL_ERROR and self._error is None:
            self._error = result

    def tell(self) -> None:
        """Answer, unless nobody waits any more."""
        if self.answer.done():
            return
        if self._error is not None:
            self.answer.set_exception(psycopg.errors.error_from_result(self._error))
        elif self._row is None or self._row.ntuples != 1:
            self.answer.set_exception(psycopg.DataError("expected a statement that answers one row"))
        else:
            row = self._row
            self.answer.set_result(tuple([row.get_value(0, column) for column in range(row.nfields)]))

    def fail(self, cause: psycopg.OperationalError) -> None:
        """Tell that no answer will come."""
        if not self.answer.done():
            error = psycopg.OperationalError(str(cause))
            error.__cause__ = cause
            self.answer.set_exception(error)


class Lines:
    """At most *size* lines, opened by *connect* as they are needed, and again where they broke."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, size: int, wait_s: float) -> None:
        """Describe them. While none is open, a question waits *wait_s* seconds for one."""
        self._connect = connect
        self._size = size
        self._wait_s = wait_s
        self._lines: list[Line] = []
        self._opening: asyncio.Task[Line] | None = None

    async def ask(self, settings: Mapping[str, str], statement: Statement) -> Values:
        """Return what `Line.ask` returns, on the line on which the fewest wait. Raises as it does."""
        line = min(self._lines, key=_waiting, default=None)
        if line is None or not line.is_open or line.waiting >= BUSY:
            line = await self._another(line)
        return await line.ask(settings, statement)

    async def close(self) -> None:
        """Hang up."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await end(opening)
        lines, self._lines = self._lines, []
        for line in lines:
            line.break_off(psycopg.OperationalError("the lines are closed"))

    async def _another(self, busy: Line | None) -> Line:
        """Open another line where there may be more; meanwhile *busy* will do, if there is any."""
        self._lines = [line for line in self._lines if line.is_open]
        if len(self._lines) < self._size and self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="line to the views")
            self._opening.add_done_callback(self._opened)
        if busy is not None and busy.is_open:
            return busy
        if self._lines:
            return min(self._lines, key=_waiting)
        assert self._opening is not None, "none is open, so one is being opened"
        return await asyncio.shield(self._opening)

    async def _open(self) -> Line:
        ends = monotonic() + self._wait_s
        while True:
            try:
                return Line(await self._connect())
            except psycopg.OperationalError:
                # A server that is just coming back is waited for, as long as a pool would.
                if monotonic() >= ends:
                    raise
            await asyncio.sleep(RETRY_S)

    def _opened(self, opening: asyncio.Task[Line]) -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._lines.append(opening.result())


def _waiting(line: Line) -> int:
    return line.waiting
