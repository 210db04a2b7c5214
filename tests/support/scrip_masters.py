"""Small scrip masters, row by row, in Dhan's layouts."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from adapters.dhan.scrip_master import read_scrip_master
from adapters.instrument_store.definitions import MasterRead

COMPACT = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,"
    "SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)
DETAILED = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,SYMBOL_NAME,DISPLAY_NAME,"
    "INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,MTF_LEVERAGE"
)
WITH_LIMITS = f"{DETAILED},SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY"
DAY = date(2025, 9, 26)

RELIANCE = "NSE,E,2885,EQUITY,0,RELIANCE,1.0,Reliance Industries,,,,10.0000,NA,ES,EQ,RELIANCE INDUSTRIES LTD"
TCS = "NSE,E,11536,EQUITY,0,TCS,1.0,Tata Consultancy Services,,,,10.0000,NA,ES,EQ,TATA CONSULTANCY SERV LT"
RELAXO = "NSE,E,3032,EQUITY,0,RELAXO,1.0,Relaxo Footwears,,,,5.0000,NA,ES,EQ,RELAXO FOOT LTD"
NIFTYBEES = "NSE,E,10576,EQUITY,0,NIFTYBEES,1.0,Nippon Nifty 50 ETF,,,,1.0000,NA,ETF,EQ,NIP IND ETF NIFTY BEES"
RELIANCE_AT_BSE = "BSE,E,500325,EQUITY,0,RELIANCE,1.0,Reliance Industries,,,,5.0000,NA,ES,A,RELIANCE INDUSTRIES LTD."
ZEAL_AT_BSE = "BSE,E,539963,EQUITY,0,ZEAL,1.0,Zeal Aqua,,,,1.0000,NA,ES,M,ZEAL AQUA LTD"
NIFTY = "NSE,I,13,INDEX,0,NIFTY,1.0,Nifty 50,,7.00000,,1.0000,NA,INDEX,X,NIFTY"
SENSEX = "BSE,I,51,INDEX,0,SENSEX,1.0,Sensex,,,,1.0000,NA,INDEX,X,SENSEX"
GOVERNMENT_BOND = "NSE,E,1000,EQUITY,0,656MH32,100.0,SDL MH 6.56% 2032,,,,1.0000,NA,DBT,SG,SDL MH 6.56% 2032"
TEST_SHARE = "NSE,E,14747,EQUITY,0,011NSETEST,1.0,011NSETEST,,,,5.0000,NA,Other,EQ,011NSETEST"
TEST_FUTURE = (
    "NSE,D,36687,FUTSTK,0,011NSETEST-Nov2036-FUT,50.0,011NSETEST 27 NOV FUT,2036-11-27 14:30:00,-0.01000,XX,5.0000,W,"
    "FUT,,"
)
RELIANCE_FUTURE = (
    "NSE,D,52509,FUTSTK,0,RELIANCE-Oct2025-FUT,500.0,RELIANCE OCT FUT,2025-10-28 14:30:00,-0.01000,XX,10.0000,M,FUT,,"
)
SENSEX_PUT = (
    "BSE,D,1100001,OPTIDX,0,SENSEX-Oct2025-80000-PE,20.0,SENSEX 09 OCT 80000 PUT,2025-10-09 15:30:00,80000.00000,PE,"
    "5.0000,W,OPTIDX,,BSXOPT"
)
DOLLAR_CALL = (
    "NSE,C,10000,OPTCUR,0,USDINR-Mar2026-83.25-CE,1.0,USDINR 27 MAR 83.25 CALL,2026-03-27 14:30:00,83.25000,CE,0.2500,"
    "M,CUR OP,,"
)
GOLD_FUTURE = (
    "MCX,M,440939,FUTCOM,0,GOLD-03Oct2025-FUT,1.0,GOLD OCT FUT,2025-10-03 00:00:00,0.00000,XX,100.0000,M,FUTCOM,2,GOLD"
)
KAPAS_FUTURE = (
    "MCX,M,442172,FUTCOM,0,KAPAS-28Nov2025-FUT,1.0,KAPAS NOV FUT,2025-11-28 00:00:00,0.00000,XX,50.0000,M,FUTCOM,3,"
    "KAPAS"
)


def nifty_call(security_id: int, last_day: date, strike: int = 25_000) -> str:
    """Return a call on the NIFTY; those of one month share the exchange's symbol."""
    month = f"{last_day:%b%Y}"
    return (
        f"NSE,D,{security_id},OPTIDX,0,NIFTY-{month}-{strike}-CE,75.0,NIFTY {last_day:%d %b} {strike} CALL,"
        f"{last_day} 14:30:00,{strike}.00000,CE,5.0000,W,OP,,"
    )


WEEKLY_CALLS = (nifty_call(38387, date(2025, 10, 7)), nifty_call(42673, date(2025, 10, 14)))
WHOLE = (
    RELIANCE, TCS, RELAXO, NIFTYBEES, RELIANCE_AT_BSE, ZEAL_AT_BSE, NIFTY, SENSEX, GOVERNMENT_BOND, TEST_SHARE,
    TEST_FUTURE, RELIANCE_FUTURE, SENSEX_PUT, DOLLAR_CALL, GOLD_FUTURE, KAPAS_FUTURE, *WEEKLY_CALLS,
)  # fmt: skip


def write_master(folder: Path, *rows: str, header: str = COMPACT, name: str = "master.csv") -> Path:
    """Write a scrip master and return where it lies."""
    path = folder / name
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def read_master(folder: Path, rows: Iterable[str], *, header: str = COMPACT, on: date = DAY) -> MasterRead:
    """Write a scrip master and read it."""
    return read_scrip_master(write_master(folder, *rows, header=header), on=on)
