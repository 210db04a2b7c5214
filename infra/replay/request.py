"""What the command line asks of the log, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from domain.market import EXCHANGE_ZONE
from infra.problems import OperatorProblem
from projections.replay.selection import Selection

Mode = Literal["list", "follow", "step", "state", "invariants"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to see. `at_sequence` and `as_of_us` belong to the mode `state`."""

    mode: Mode
    selection: Selection
    at_sequence: int | None = None
    as_of_us: int | None = None

    @classmethod
    def of(
        cls,
        *,
        streams: Sequence[str | None],
        trade_id: str | None = None,
        order_id: str | None = None,
        names: tuple[str, ...] = (),
        times: tuple[str | None, str | None, str | None] = (None, None, None),
        sequences: tuple[int, int | None, int | None] = (1, None, None),
        mode: Mode = "list",
    ) -> "Wish":
        """Return the wish that options make: one stream at most, times since, until and as of, sequences likewise.

        Raises:
            OperatorProblem: they do not go together, or a time is none.
        """
        named = [stream for stream in streams if stream]
        if len(named) > 1:
            raise OperatorProblem(
                f"Received {len(named)} streams, expected one.", remedy="Name an account, a user or a stream."
            )
        since, until, as_of = (None if text is None else parse_time_us(text) for text in times)
        first, last, at_sequence = sequences
        if mode != "state" and (at_sequence is not None or as_of is not None):
            raise OperatorProblem(
                "--at-sequence and --as-of go with --state.", remedy="Name its stream: --state STREAM."
            )
        if at_sequence is not None and as_of is not None:
            raise OperatorProblem("Received --at-sequence and --as-of, expected one of them.")
        if mode == "step" and not (named or trade_id or order_id):
            raise OperatorProblem(
                "--step goes through one aggregate.", remedy="Name --account, --user, --stream, --trade or --order."
            )
        if mode == "invariants" and not named:
            raise OperatorProblem("--invariants looks at one account.", remedy="Name --account or --stream.")
        return cls(
            mode=mode,
            selection=Selection(
                stream_id=named[0] if named else None,
                trade_id=trade_id,
                order_id=order_id,
                names=names,
                since_us=since,
                until_us=until,
                first_sequence=first,
                last_sequence=last,
            ),
            at_sequence=at_sequence,
            as_of_us=as_of,
        )


def parse_time_us(text: str) -> int:
    """Return the time that *text* means, in UTC microseconds; without an offset it is the exchange's clock.

    Raises:
        OperatorProblem: it is no ISO 8601 time.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise OperatorProblem(
            f"Received time {text!r}, expected ISO 8601 such as 2026-11-20T09:15:00 or 2026-11-20T03:45:00+00:00."
        ) from None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=EXCHANGE_ZONE)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def time_text(time_us: int) -> str:
    """Return a time (UTC microseconds) as the exchange's clock shows it."""
    shown = (_EPOCH + timedelta(microseconds=time_us)).astimezone(EXCHANGE_ZONE)
    return shown.isoformat(sep=" ", timespec="microseconds").removesuffix("+05:30")
