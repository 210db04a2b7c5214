import asyncio
import time
from collections.abc import Iterator

import pytest

from adapters.security.passwords import Argon2Hasher
from commands.ports import HasherBusy

PASSWORD = "a slow monsoon evening"


@pytest.fixture(scope="module")
def hasher() -> Iterator[Argon2Hasher]:
    made = Argon2Hasher(waiting_max=2)
    yield made
    made.close()


async def test_a_password_is_right_for_its_own_hash_only(hasher: Argon2Hasher) -> None:
    kept = await hasher.hash(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hasher.verify(kept, PASSWORD)
    assert not await hasher.verify(kept, PASSWORD + " ")


async def test_nobody_has_no_password_and_it_takes_as_long_to_say_so(hasher: Argon2Hasher) -> None:
    kept = await hasher.hash(PASSWORD)

    async def fastest_s(password_hash: str | None) -> float:
        times = []
        for _ in range(3):
            before = time.perf_counter()
            assert not await hasher.verify(password_hash, "another password")
            times.append(time.perf_counter() - before)
        return min(times)

    assert await fastest_s(None) > await fastest_s(kept) / 3


async def test_a_flood_is_turned_away_and_leaves_room_afterwards(hasher: Argon2Hasher) -> None:
    answers = await asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(9)), return_exceptions=True)
    turned_away = [answer for answer in answers if isinstance(answer, HasherBusy)]
    assert len(turned_away) == 5
    assert await hasher.hash(PASSWORD)
