"""Daily bars from files into the store."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.bars.merging import Jump, OnAnotherScale, jumps, merged
from adapters.bars.parquet import ParquetBars
from adapters.bars.reading import BarsRead
from domain.instrument import InstrumentKey
from infra.problems import OperatorProblem
from projections.ports import BarsUnreadable, DailyBar

_FIRST_DAY, _LAST_DAY = "0001-01-01", "9999-12-31"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What is stored of an instrument by now, and how many of its days are new or were changed."""

    bars: int
    first_day: str
    last_day: str
    new: int
    changed: int
    jumps: list[Jump]


async def store_bars(
    bars: ParquetBars, read: BarsRead, *, is_replaced: bool, progress: Callable[[], None]
) -> dict[InstrumentKey, Imported]:
    """Store what was *read* beside what is stored, or in its place. Nothing is written before all of it is merged.

    Raises:
        OperatorProblem: what is stored cannot be read or is on another scale, or the folder cannot be written to.
    """
    series: dict[InstrumentKey, tuple[list[DailyBar], list[DailyBar]]] = {}
    for key, coming in sorted(read.bars.items()):
        try:
            stored = [] if is_replaced else list(await bars.daily(key, first_day=_FIRST_DAY, last_day=_LAST_DAY))
            series[key] = stored, merged(stored, coming, scale=read.scales[key])
        except BarsUnreadable as error:
            raise OperatorProblem(
                f"{error}.", remedy="--replace puts what is imported in its place. Nothing was stored."
            ) from None
        except OnAnotherScale as error:
            raise OperatorProblem(
                f"{key}: {error}.",
                remedy="Import newer files, or the whole history with --replace. Nothing was stored.",
            ) from None
    imported = {}
    for key, (stored, whole) in series.items():
        if whole != stored:
            try:
                bars.write(key, whole)
            except OSError as error:
                raise OperatorProblem(
                    f"The bars of {key} cannot be written: {error.strerror}.",
                    remedy="What was written is whole; import again when there is room.",
                ) from None
        known = {bar.day: bar for bar in stored}
        imported[key] = Imported(
            bars=len(whole),
            first_day=whole[0].day,
            last_day=whole[-1].day,
            new=sum(bar.day not in known for bar in whole),
            changed=sum(bar.day in known and known[bar.day] != bar for bar in whole),
            jumps=jumps(whole),
        )
        progress()
    return imported
