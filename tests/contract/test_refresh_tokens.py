"""What every store of refresh tokens promises, in memory and in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.postgres.database import Database
from adapters.postgres.refresh_tokens import PostgresRefreshTokens
from commands.ports import RefreshTokens, Rotation, RotationOutcome
from domain.ids import UserId
from tests.support.security import MemoryRefreshTokens

ASHA, RAVI = UserId("usr_asha"), UserId("usr_ravi")
FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))
UNKNOWN = Rotation(outcome=RotationOutcome.UNKNOWN)
REUSED = Rotation(outcome=RotationOutcome.REUSED, user_id=ASHA)


def rotated(ends_at_us: int) -> Rotation:
    return Rotation(outcome=RotationOutcome.ROTATED, user_id=ASHA, ends_at_us=ends_at_us)


@pytest.fixture(params=["memory", "postgres"])
def conninfo(request: pytest.FixtureRequest) -> str | None:
    """Return where the tokens lie, None for memory."""
    return None if request.param == "memory" else request.getfixturevalue("database").writer


@pytest.fixture
async def tokens(conninfo: str | None) -> AsyncIterator[RefreshTokens]:
    """A store in which Asha's first token is good from 0 to 100, and her log-in to 1,000."""
    if conninfo is None:
        yield await begun(MemoryRefreshTokens())
        return
    async with Database(conninfo) as database:
        yield await begun(PostgresRefreshTokens(database))


async def begun(store: RefreshTokens) -> RefreshTokens:
    await store.begin("fam_1", ASHA, FIRST, now_us=0, ends_at_us=100, family_ends_at_us=1_000)
    return store


async def rotate(
    store: RefreshTokens, token: bytes, successor: bytes, *, now_us: int, ends_at_us: int = 200, grace_us: int = 10
) -> Rotation:
    return await store.rotate(token, successor, now_us=now_us, ends_at_us=ends_at_us, grace_us=grace_us)


async def test_one_token_follows_another(tokens: RefreshTokens) -> None:
    assert await rotate(tokens, FIRST, SECOND, now_us=99) == rotated(200)
    assert await rotate(tokens, SECOND, THIRD, now_us=199, ends_at_us=5_000) == rotated(1_000)


async def test_a_token_is_good_to_its_end_and_not_a_microsecond_longer(tokens: RefreshTokens) -> None:
    assert await rotate(tokens, FIRST, SECOND, now_us=100) == UNKNOWN
    assert await rotate(tokens, FIRST, SECOND, now_us=99) == rotated(200)
    assert await rotate(tokens, SECOND, THIRD, now_us=200) == UNKNOWN


async def test_a_token_of_nobody_is_unknown(tokens: RefreshTokens) -> None:
    assert await rotate(tokens, SECOND, THIRD, now_us=1) == UNKNOWN


async def test_a_repeat_within_the_grace_is_answered_as_the_first_time(tokens: RefreshTokens) -> None:
    for now_us in (10, 11, 20):
        assert await rotate(tokens, FIRST, SECOND, now_us=now_us) == rotated(200)
    assert await rotate(tokens, SECOND, THIRD, now_us=21) == rotated(200)


async def test_a_repeat_after_the_grace_ends_the_family(tokens: RefreshTokens) -> None:
    await rotate(tokens, FIRST, SECOND, now_us=10)
    assert await rotate(tokens, FIRST, SECOND, now_us=21) == REUSED
    for token in (FIRST, SECOND):
        assert await rotate(tokens, token, THIRD, now_us=22) == UNKNOWN


async def test_a_repeat_after_its_successor_was_used_ends_the_family_within_the_grace(tokens: RefreshTokens) -> None:
    await rotate(tokens, FIRST, SECOND, now_us=10)
    await rotate(tokens, SECOND, THIRD, now_us=11)
    assert await rotate(tokens, FIRST, SECOND, now_us=12) == REUSED
    assert await rotate(tokens, THIRD, b"4" * 32, now_us=13) == UNKNOWN


async def test_of_two_who_use_one_token_at_once_one_is_second(tokens: RefreshTokens) -> None:
    both = await asyncio.gather(*(rotate(tokens, FIRST, SECOND, now_us=10, grace_us=-1) for _ in range(2)))
    assert sorted(each.outcome for each in both) == [RotationOutcome.REUSED, RotationOutcome.ROTATED]


async def test_two_answers_at_once_within_the_grace_are_the_same(tokens: RefreshTokens) -> None:
    both = await asyncio.gather(*(rotate(tokens, FIRST, SECOND, now_us=10) for _ in range(2)))
    assert both == [rotated(200)] * 2


async def test_a_family_ends_alone_and_a_user_with_all_of_theirs(tokens: RefreshTokens) -> None:
    await tokens.begin("fam_2", ASHA, SECOND, now_us=0, ends_at_us=100, family_ends_at_us=1_000)
    await tokens.begin("fam_3", RAVI, THIRD, now_us=0, ends_at_us=100, family_ends_at_us=1_000)
    await tokens.end_family(b"?" * 32)
    await tokens.end_family(FIRST)
    assert await rotate(tokens, FIRST, b"4" * 32, now_us=1) == UNKNOWN
    assert await rotate(tokens, SECOND, b"5" * 32, now_us=1) == rotated(200)
    await tokens.end_all(ASHA)
    assert await rotate(tokens, b"5" * 32, b"6" * 32, now_us=2) == UNKNOWN
    assert (await rotate(tokens, THIRD, b"7" * 32, now_us=2)).user_id == RAVI


async def test_families_whose_time_is_over_are_forgotten(tokens: RefreshTokens) -> None:
    await tokens.begin("fam_2", ASHA, SECOND, now_us=1_000, ends_at_us=1_100, family_ends_at_us=2_000)
    # Had it been kept, it would be good at this time of the past.
    assert await rotate(tokens, FIRST, THIRD, now_us=1) == UNKNOWN
    assert await rotate(tokens, SECOND, THIRD, now_us=1_001) == rotated(200)
