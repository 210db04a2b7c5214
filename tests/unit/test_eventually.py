import pytest

from tests.support.eventually import eventually


async def test_it_returns_the_first_true_answer_of_a_plain_or_an_async_check() -> None:
    answers = iter([None, 0, "there"])
    assert await eventually(lambda: next(answers)) == "there"

    async def at_once() -> int:
        return 7

    assert await eventually(at_once) == 7


async def test_what_never_becomes_true_fails_with_the_last_answer() -> None:
    with pytest.raises(AssertionError, match="the last answer was 0"):
        await eventually(lambda: 0, within_s=0.02)
