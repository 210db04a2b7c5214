"""What every store of users' data keys promises, wherever it lies."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.security.user_key_files import FileUserKeys
from commands.ports import StoreUnavailable
from domain.ids import UserId
from infra.database import DatabaseUrls
from infra.home import PRIVATE, make_folder
from infra.user_keys import UserKeyStore
from tests.support.servers import Servers, fresh_database

ASHA, RAVI = UserId("usr_01J0000000000000000000ASHA"), UserId("usr_01J0000000000000000000RAVI")


@dataclass
class Two:
    """One store as two processes have it."""

    one: UserKeyStore
    other: UserKeyStore


@pytest.fixture(params=["files", "postgres"])
async def stores(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> AsyncIterator[Two]:
    if request.param == "files":
        folder = tmp_path / "user-keys"
        make_folder(folder, PRIVATE)
        yield Two(FileUserKeys(folder), FileUserKeys(folder))
        return
    with fresh_database(servers) as urls:
        async with Database(urls.admin, size=1) as first, Database(urls.admin, size=1) as second:
            two = Two(PostgresUserKeys(first), PostgresUserKeys(second))
            await asyncio.gather(two.one.prepare(), two.other.prepare())  # type: ignore[union-attr]
            yield two


async def test_a_key_is_found_by_everybody_under_its_user_and_purpose(stores: Two) -> None:
    await stores.one.put(ASHA, "personal", b"wrapped")
    await stores.one.put(ASHA, "credentials", b"another")
    assert await stores.other.get(ASHA, "personal") == b"wrapped"
    assert await stores.other.get(ASHA, "credentials") == b"another"
    assert await stores.other.get(RAVI, "personal") is None
    assert await stores.other.names() == [(ASHA, "credentials"), (ASHA, "personal")]


async def test_a_later_key_takes_the_place_of_an_earlier_one(stores: Two) -> None:
    await stores.one.put(ASHA, "personal", b"first")
    await stores.other.put(ASHA, "personal", b"second")
    assert await stores.one.get(ASHA, "personal") == b"second"


async def test_a_destroyed_key_is_gone_for_everybody_and_no_other_is(stores: Two) -> None:
    await stores.one.put(ASHA, "personal", b"wrapped")
    await stores.one.put(RAVI, "personal", b"his")
    await stores.other.delete(ASHA, "personal")
    assert await stores.one.get(ASHA, "personal") is None
    assert await stores.one.names() == [(RAVI, "personal")]


async def test_destroying_what_is_not_there_is_no_fault_however_many_do_it_at_once(stores: Two) -> None:
    await stores.one.delete(ASHA, "personal")
    await stores.one.put(ASHA, "personal", b"wrapped")
    await asyncio.gather(*(store.delete(ASHA, "personal") for store in (stores.one, stores.other) * 10))
    assert await stores.one.names() == []


async def test_many_write_and_read_at_once_and_nobody_sees_half_a_key(stores: Two) -> None:
    keys = [bytes([number]) * 60 for number in range(20)]
    await stores.one.put(ASHA, "personal", keys[0])

    async def write(number: int) -> None:
        store = (stores.one, stores.other)[number % 2]
        await store.put(ASHA, "personal", keys[number])

    async def read() -> bytes | None:
        return await stores.other.get(ASHA, "personal")

    found = await asyncio.gather(*(write(number) for number in range(20)), *(read() for _ in range(40)))
    assert {key for key in found if key is not None} <= set(keys)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


class TestFiles:
    """What only files promise."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "user-keys"
        make_folder(folder, PRIVATE)
        return folder

    async def test_nobody_else_may_read_a_key(self, folder: Path) -> None:
        await FileUserKeys(folder).put(ASHA, "personal", b"wrapped")
        assert [stat.S_IMODE(file.stat().st_mode) for file in files_in(folder)] == [0o600]

    async def test_a_destroyed_keys_bytes_are_overwritten_before_its_file_goes(self, folder: Path) -> None:
        keys = FileUserKeys(folder)
        await keys.put(ASHA, "personal", b"wrapped")
        (file,) = files_in(folder)
        descriptor = os.open(file, os.O_RDONLY)  # Whoever has it open still sees the file that was removed.
        try:
            await keys.delete(ASHA, "personal")
            assert os.pread(descriptor, 100, 0) == bytes(len(b"wrapped"))
        finally:
            os.close(descriptor)
        assert files_in(folder) == []

    async def test_what_a_crash_left_of_a_destruction_or_a_write_is_finished(self, folder: Path) -> None:
        keys = FileUserKeys(folder)
        await keys.put(ASHA, "personal", b"wrapped")
        (folder / f"{ASHA}.personal.key").rename(folder / ".doomed-1")
        (folder / f".new-{ASHA}.personal.key-abc").write_bytes(b"wrapped")
        assert await keys.get(ASHA, "personal") is None
        await FileUserKeys(folder).finish()
        assert [file.name for file in files_in(folder)] == [f".new-{ASHA}.personal.key-abc"]
        await keys.delete(ASHA, "personal")
        assert files_in(folder) == []

    @pytest.mark.parametrize("name", ["../keys/master", "", "a/b", "a.b", "x" * 101])
    async def test_no_name_leads_out_of_the_folder(self, name: str, folder: Path) -> None:
        with pytest.raises(ValueError, match="expected a name"):
            await FileUserKeys(folder).put(UserId(name), "personal", b"wrapped")

    async def test_a_folder_that_is_away_is_told_as_a_fault(self, folder: Path) -> None:
        with pytest.raises(StoreUnavailable):
            await FileUserKeys(folder / "nowhere").put(ASHA, "personal", b"wrapped")


async def test_a_postgres_store_is_made_once_and_kept(database: DatabaseUrls) -> None:
    async with Database(database.admin, size=1) as server:
        keys = PostgresUserKeys(server)
        await keys.prepare()
        await keys.put(ASHA, "personal", b"wrapped")
        await keys.prepare()
        assert await keys.get(ASHA, "personal") == b"wrapped"
