"""What `khata doctor` looks at of what must not be lost or come back: epoch, backups, instruments, users' keys."""

import asyncio
import stat
import time
from pathlib import Path

import psycopg

from adapters.epoch_file import EpochFile
from adapters.instrument_store.store import MasterDamaged
from adapters.security.erasures import ErasureList, ErasuresDamaged
from commands.ports import StoreUnavailable
from domain.epoch import EpochInvalid
from infra.backup.record import KEPT, last_backup
from infra.check import Check
from infra.continuity import HistoryChanged, demand_known_epoch, find_log
from infra.home import Home
from infra.instruments import store_of
from infra.settings import Settings
from infra.user_keys import count_beside_log, open_user_keys

BACKUP_AGE_MAX_DAYS = 7
_NS_PER_HOUR = 3600 * 10**9
_HOURS_PER_DAY = 24


async def check_what_is_kept(settings: Settings, database_url: str | None) -> list[Check]:
    """Return what there is to say; *database_url* is that of a running database, None where none is known to run."""
    home = Home(settings.home)
    checks = [_restore(home), _backup(home, is_ours=settings.database_url is None)]
    erased, erasures = _erasures(home)
    checks.append(erasures)
    checks.append(await asyncio.to_thread(_instruments, settings))
    if home.user_keys.exists() or settings.user_keys_url is not None:
        checks.append(await _user_keys(settings, home, erased))
    if database_url is not None:
        checks += await asyncio.to_thread(_in_database, home, database_url)
    return checks


def _restore(home: Home) -> Check:
    if not home.restore_begun.exists():
        kept = len(list(home.postgres.glob(f"{KEPT}*"))) if home.postgres.is_dir() else 0
        also = f"; {kept} folders of data from before a restore are kept in {home.postgres}" if kept else ""
        return Check(name="restore", ok=True, detail=f"none is under way{also}")
    return Check(
        name="restore",
        ok=False,
        detail="one was begun and did not come to its end",
        remedy="Run `khata restore DIR` again, or `khata restore --accept` to end what it began.",
    )


def _backup(home: Home, *, is_ours: bool) -> Check:
    if not is_ours:
        return Check(name="backup", ok=True, detail="is a matter of the server's own tools")
    record = last_backup(home.last_backup)
    if record is None:
        return Check(name="backup", ok=True, detail="none yet: `khata backup DIR` takes one")
    hours = (time.time_ns() - record.finished_at_ns) // _NS_PER_HOUR
    is_there = Path(record.path).is_dir()
    ok = hours <= BACKUP_AGE_MAX_DAYS * _HOURS_PER_DAY
    where = record.path if is_there else f"{record.path}, which is not there now"
    return Check(
        name="backup",
        ok=ok,
        detail=f"{hours} hours old, up to sequence {record.sequence_min}, in {where}",
        remedy="" if ok else "Take another one: `khata backup DIR`.",
    )


def _erasures(home: Home) -> tuple[frozenset[str], Check]:
    try:
        erased = ErasureList(home.erasures).users()
    except (OSError, ErasuresDamaged) as fault:
        remedy = f"Put {home.erasures} back from a copy: without it a restore brings erased users back."
        return frozenset(), Check(name="erasures", ok=False, detail=str(fault), remedy=remedy)
    return erased, Check(name="erasures", ok=True, detail=f"{len(erased)} users were erased")


def _instruments(settings: Settings) -> Check:
    versions = store_of(settings)
    try:
        current = versions.current()
        if current is not None:
            versions.history(current)
    except MasterDamaged as damaged:
        remedy = f"Put {Home(settings.home).instruments} back from a copy, or import a newer master into an empty one."
        return Check(name="instruments", ok=False, detail=str(damaged), remedy=remedy)
    if current is None:
        return Check(name="instruments", ok=True, detail="those that are shipped: `khata instruments import` has more")
    return Check(name="instruments", ok=True, detail=f"version {current.version}, of {current.day}")


async def _user_keys(settings: Settings, home: Home, erased: frozenset[str]) -> Check:
    name = "user keys"
    if settings.user_keys_url is None and stat.S_IMODE(home.user_keys.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        return Check(
            name=name, ok=False, detail=f"others may read {home.user_keys}", remedy=f"chmod 0700 {home.user_keys}"
        )
    try:
        async with open_user_keys(settings) as store:
            names = await store.names()
    except (StoreUnavailable, psycopg.Error) as fault:
        remedy = "Check KHATA_USER_KEYS_URL and its server, or the folder of the keys."
        return Check(name=name, ok=False, detail=str(fault).splitlines()[0], remedy=remedy)
    back = sorted({user_id for user_id, _ in names if user_id in erased})
    where = "a PostgreSQL of their own" if settings.user_keys_url else str(home.user_keys)
    return Check(
        name=name,
        ok=not back,
        detail=f"{len(names)} in {where}" if not back else f"keys of erased users are there: {', '.join(back[:5])}",
        remedy="" if not back else f"Run `khata erase {back[0]}` again, and so on for each.",
    )


def _in_database(home: Home, url: str) -> list[Check]:
    try:
        found = find_log(url)
        beside = count_beside_log(url)
    except psycopg.OperationalError:
        return []  # That it cannot be reached is said elsewhere.
    if found is None:
        return [Check(name="epoch", ok=True, detail="there is no log yet")]
    try:
        demand_known_epoch(found, EpochFile(home.epoch_file).read())
        epoch = Check(name="epoch", ok=True, detail=f"{found.epoch}, sequence {found.sequence}")
    except HistoryChanged as changed:
        epoch = Check(name="epoch", ok=False, detail=changed.message, remedy=changed.remedy)
    except EpochInvalid as damaged:
        remedy = "`khata restore --accept` writes it anew, where the database is the right one."
        epoch = Check(name="epoch", ok=False, detail=f"{home.epoch_file}: {damaged}", remedy=remedy)
    if not beside:
        return [epoch]
    remedy = "The next start moves them; older backups of the log hold them, remove those in time."
    return [epoch, Check(name="user keys beside the log", ok=False, detail=f"{beside} keys", remedy=remedy)]
