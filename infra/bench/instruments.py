"""Bench `instruments`: a master of 181,900 rows is read, opened by a process of the engine, looked up and searched."""

import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from adapters.dhan.scrip_master import read_scrip_master
from adapters.instrument_store.merging import history_of, merge
from adapters.instrument_store.search import Search
from adapters.instrument_store.store import InstrumentStore
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import NS_PER_S
from infra.bench.run import Bench

ROWS = 181_900
SHARES, BONDS, UNDERLYINGS = 5_000, 9_000, 200
DAY = date(2025, 9, 26)
NOW_NS = 1_758_862_800 * NS_PER_S
"""The morning of that day in India."""
LOOKUPS, LOOKUPS_QUICK = 10_000, 5_000
ROUNDS, ROUNDS_QUICK = 5, 3
LOAD_S_MAX, RSS_MB_MAX, LOOKUP_US_MAX = 1.5, 300, 5.0
_US_PER_S, _MS_PER_S, _KB_PER_MB = 1_000_000, 1_000, 1_024
_HEADER = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,"
    "SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)
_QUERIES = ("share 17", "SHARE42", "share42 510 ce", "oct fut share7", "shaer company 42", "bond", "share100 put oct")

# What is measured in a process of its own, so that nothing of another is in its memory.
_IN_A_PROCESS = """
import json, sys, time
from pathlib import Path
{work}
began, used = time.perf_counter(), time.process_time()
done = work(Path(sys.argv[1]))
took = time.perf_counter() - began, time.process_time() - used
# Not getrusage: its maximum has in it what the process was before it became this program.
status = Path("/proc/self/status").read_text()
print(json.dumps([*took, int(status.partition("VmHWM:")[2].split()[0]), len(done)]))
"""
_READ = """
from datetime import date
from adapters.dhan.scrip_master import read_scrip_master
work = lambda path: read_scrip_master(path, on=date(2025, 9, 26)).frame
"""
_READ_BY_ROWS = """
import csv, gzip
def work(path):
    with gzip.open(path, "rt", newline="") as file:
        return {(r["SEM_EXM_EXCH_ID"], r["SEM_SEGMENT"], r["SEM_SMST_SECURITY_ID"]): r for r in csv.DictReader(file)}
"""
_OPEN = """
from adapters.instrument_store.store import InstrumentStore
def work(folder):
    master = InstrumentStore(folder).master()
    return [master.by_symbol("SHARE42", market_time_ns=1758862800 * 10**9)]
"""


async def run(bench: Bench) -> None:
    """Measure."""
    rounds = ROUNDS_QUICK if bench.is_quick else ROUNDS
    report = bench.report
    task = bench.progress.add_task("measuring", total=6)
    with tempfile.TemporaryDirectory(prefix="khata-bench-") as place:
        path, folder = Path(place) / "master.csv.gz", Path(place) / "instruments"
        path.write_bytes(gzip.compress(scrip_master(bench.seed).encode(), compresslevel=6))
        bench.progress.advance(task)

        load_s, load_cpu_s, load_kb, rows = _in_a_process(_READ, path, rounds)
        report.check(f"all {ROWS:,} rows become definitions", holds=rows == ROWS)
        bench.progress.advance(task)
        plain_s, plain_cpu_s, plain_kb, _ = _in_a_process(_READ_BY_ROWS, path, rounds)
        report.add("load_s", load_s, unit="s", better="lower", yardstick=plain_s)
        report.add("load_cpu_s", load_cpu_s, unit="s of CPU", better="lower", yardstick=plain_cpu_s)
        report.add("rss_mb", load_kb / _KB_PER_MB, unit="MB", better="lower", yardstick=plain_kb / _KB_PER_MB)
        bench.progress.advance(task)

        read = read_scrip_master(path, on=DAY)
        began = time.process_time()
        history = merge(history_of(()), read, on=DAY, version=1).history
        store = InstrumentStore(folder)
        store.use(store.write(history, version=1, day=DAY.isoformat()))
        report.add("store_cpu_s", time.process_time() - began, unit="s of CPU", better="lower")
        open_s, _, open_kb, _ = _in_a_process(_OPEN, folder, rounds)
        report.add("open_ms", open_s * _MS_PER_S, unit="ms", better="lower")
        report.add("open_rss_mb", open_kb / _KB_PER_MB, unit="MB", better="lower")
        bench.progress.advance(task)

        _measure_lookups(bench, store, path, rounds)
        bench.progress.advance(task)
        search = Search(history)
        found = [search.keys(query, day=DAY, limit=20) for query in _QUERIES]
        report.check("every search finds something", holds=all(found))
        search_s = _best(lambda: [search.keys(query, day=DAY, limit=20) for query in _QUERIES], rounds)
        report.add("search_ms", search_s / len(_QUERIES) * _MS_PER_S, unit="ms of CPU", better="lower")
        bench.progress.advance(task)
    report.note("master", f"{ROWS:,} rows of the compact layout, gzipped; made up, for the same seed the same")
    report.note("yardstick", "csv.DictReader into a dict by key; looked up there, and the row made an Instrument")
    report.note("time", f"the best of {rounds} rounds in a process of its own; look-ups and searches: CPU time")
    report.note("targets", f"load under {LOAD_S_MAX} s and {RSS_MB_MAX} MB, a look-up under {LOOKUP_US_MAX} us")


def scrip_master(seed: int) -> str:
    """Return a compact scrip master of `ROWS` rows: shares, bonds, futures, options; the same for the same *seed*."""
    chance = random.Random(seed)  # noqa: S311 - data of a bench
    lines = [_HEADER]
    for number in range(SHARES):
        name = f"Share {chance.choice(('Company', 'Industries', 'Bank', 'Steel'))} {number}"
        lines.append(f"NSE,E,{number},EQUITY,0,SHARE{number},1.0,{name},,,,10.0000,NA,ES,EQ,{name.upper()} LTD")
    lines += [
        f"NSE,E,{10_000 + number},EQUITY,0,{number}GS33,100.0,Bond {number} 2033,,,,1.0000,NA,DBT,GS,BOND"
        for number in range(BONDS)
    ]
    last_days = [DAY + timedelta(days=4 + 28 * month) for month in range(3)]
    for number in range(UNDERLYINGS):
        for month, last_day in enumerate(last_days):
            lines.append(
                f"NSE,D,{200_000 + number * 3 + month},FUTSTK,0,SHARE{number}-{last_day:%b%Y}-FUT,500.0,"
                f"SHARE{number} {last_day:%b} FUT,{last_day} 14:30:00,-0.01000,XX,10.0000,M,FUT,,"
            )
    for number in range(ROWS + 1 - len(lines)):
        which, last_day = number % UNDERLYINGS, last_days[number // UNDERLYINGS % 3]
        strike, right = 500 + 10 * (number // UNDERLYINGS // 6), ("CE", "PE")[number // UNDERLYINGS // 3 % 2]
        lines.append(
            f"NSE,D,{300_000 + number},OPTSTK,0,SHARE{which}-{last_day:%b%Y}-{strike}-{right},500.0,"
            f"SHARE{which} {last_day:%d %b} {strike} {right},{last_day} 14:30:00,{strike}.00000,{right},5.0000,M,OP,,"
        )
    return "\n".join(lines) + "\n"


def _in_a_process(work: str, path: Path, rounds: int) -> tuple[float, float, int, int]:
    """Return seconds and CPU seconds of the best round, the most KB of memory of any, and how much was done."""
    found = []
    for _ in range(rounds):
        command = [sys.executable, "-c", _IN_A_PROCESS.replace("{work}", work), str(path)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - it is our own code
        found.append(json.loads(ran.stdout))
    seconds, cpu_seconds, memory, done = zip(*found, strict=True)
    return min(seconds), min(cpu_seconds), max(memory), done[0]


def _measure_lookups(bench: Bench, store: InstrumentStore, path: Path, rounds: int) -> None:
    """Measure look-ups by symbol and key of instruments that were asked for before, and of such as were not."""
    chance = random.Random(bench.seed)  # noqa: S311 - data of a bench
    master = store.master()
    assert master is not None, "it was just written"
    wanted = chance.sample(range(ROWS - SHARES - BONDS - 3 * UNDERLYINGS), LOOKUPS_QUICK if bench.is_quick else LOOKUPS)
    keys = [InstrumentKey(Segment.NSE_FNO, str(300_000 + number)) for number in wanted]
    first_s = _timed(lambda: [master.by_key(key, market_time_ns=NOW_NS) for key in keys])
    symbols = [master.by_key(key, market_time_ns=NOW_NS).symbol for key in keys]
    first_s += _timed(lambda: [master.by_symbol(symbol, market_time_ns=NOW_NS) for symbol in symbols])

    def look_up() -> None:
        for key, symbol in zip(keys, symbols, strict=True):
            by_key = master.by_key(key, market_time_ns=NOW_NS)
            by_symbol = master.by_symbol(symbol, market_time_ns=NOW_NS)
            assert by_key.key == by_symbol.key, "both name the same"

    rows = _rows_by_key(path)
    names = [("NSE", "D", key.security_id) for key in keys]
    plain_s = _best(lambda: [_as_instrument(rows[name]) for name in names], rounds)
    lookup_us = _best(look_up, rounds) / len(keys) / 2 * _US_PER_S
    bench.report.add(
        "lookup_us", lookup_us, unit="us of CPU", better="lower", yardstick=plain_s / len(names) * _US_PER_S
    )
    bench.report.add("first_lookup_us", first_s / len(keys) / 2 * _US_PER_S, unit="us of CPU", better="lower")


def _rows_by_key(path: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return {
            (row["SEM_EXM_EXCH_ID"], row["SEM_SEGMENT"], row["SEM_SMST_SECURITY_ID"]): row
            for row in csv.DictReader(file)
        }


def _as_instrument(row: dict[str, str]) -> Instrument:
    return Instrument(
        key=InstrumentKey(Segment.NSE_FNO, row["SEM_SMST_SECURITY_ID"]),
        symbol=row["SEM_TRADING_SYMBOL"],
        name=row["SEM_CUSTOM_SYMBOL"],
        tradable=True,
        tick_e4=round(float(row["SEM_TICK_SIZE"]) * 100),
        lot=int(float(row["SEM_LOT_UNITS"])),
        expires_on=row["SEM_EXPIRY_DATE"][:10],
        strike_e4=round(float(row["SEM_STRIKE_PRICE"]) * 10_000),
    )


def _best(work: Callable[[], object], rounds: int) -> float:
    return min(_timed(work) for _ in range(rounds))


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
