import pytest

from adapters.security.personal_data import KeyMissing, SealBroken, SealedPersonalData
from domain.ids import UserId
from tests.support.security import ManualClock, MemoryUserKeys

ASHA, RAVI = UserId("usr_asha"), UserId("usr_ravi")


def personal_data(
    keys: MemoryUserKeys, clock: ManualClock | None = None, master: bytes = bytes(32)
) -> SealedPersonalData:
    return SealedPersonalData(master_key=master, lookup_key=b"l" * 32, keys=keys, clock=clock or ManualClock())


async def with_keys(keys: MemoryUserKeys, clock: ManualClock | None = None) -> SealedPersonalData:
    data = personal_data(keys, clock)
    await data.create_key(ASHA)
    await data.create_key(RAVI)
    return data


async def test_what_was_sealed_opens_again() -> None:
    data = await with_keys(MemoryUserKeys())
    assert await data.unseal(ASHA, "name", *await data.seal(ASHA, "name", "Āśā ☀")) == "Āśā ☀"


async def test_the_same_text_never_seals_to_the_same_bytes() -> None:
    data = await with_keys(MemoryUserKeys())
    assert await data.seal(ASHA, "name", "Asha") != await data.seal(ASHA, "name", "Asha")


async def test_a_ciphertext_moved_to_another_user_does_not_open() -> None:
    data = await with_keys(MemoryUserKeys())
    sealed = await data.seal(ASHA, "email", "asha@example.in")
    with pytest.raises(SealBroken):
        await data.unseal(RAVI, "email", *sealed)


async def test_a_ciphertext_moved_to_another_field_does_not_open() -> None:
    data = await with_keys(MemoryUserKeys())
    sealed = await data.seal(ASHA, "email", "asha@example.in")
    with pytest.raises(SealBroken):
        await data.unseal(ASHA, "name", *sealed)


async def test_a_ciphertext_with_one_bit_flipped_does_not_open() -> None:
    data = await with_keys(MemoryUserKeys())
    nonce, ciphertext = await data.seal(ASHA, "email", "asha@example.in")
    with pytest.raises(SealBroken):
        await data.unseal(ASHA, "email", nonce, bytes([ciphertext[0] ^ 1]) + ciphertext[1:])


async def test_a_wrapped_key_moved_to_another_user_does_not_open() -> None:
    keys = MemoryUserKeys()
    sealed = await (await with_keys(keys)).seal(ASHA, "email", "asha@example.in")
    keys.wrapped[RAVI, "personal"] = keys.wrapped[ASHA, "personal"]
    with pytest.raises(SealBroken):
        await personal_data(keys).unseal(RAVI, "email", *sealed)


async def test_a_key_wrapped_by_another_master_key_does_not_open() -> None:
    keys = MemoryUserKeys()
    sealed = await (await with_keys(keys)).seal(ASHA, "email", "asha@example.in")
    with pytest.raises(SealBroken):
        await personal_data(keys, master=b"m" * 32).unseal(ASHA, "email", *sealed)


async def test_the_key_store_holds_no_plaintext_key() -> None:
    keys = MemoryUserKeys()
    data = await with_keys(keys)
    await data.seal(ASHA, "email", "asha@example.in")
    ((unwrapped, _),) = data._unwrapped.values()
    assert unwrapped is not None
    assert len(keys.wrapped[ASHA, "personal"]) == 1 + 12 + 32 + 16


async def test_destroying_the_key_erases_what_it_sealed() -> None:
    data = await with_keys(MemoryUserKeys())
    sealed = await data.seal(ASHA, "email", "asha@example.in")
    await data.destroy_key(ASHA)
    assert await data.unseal(ASHA, "email", *sealed) is None


async def test_another_process_forgets_a_destroyed_key_within_five_seconds() -> None:
    keys, clock = MemoryUserKeys(), ManualClock()
    here, elsewhere = await with_keys(keys), personal_data(keys, clock)
    sealed = await here.seal(ASHA, "email", "asha@example.in")
    assert await elsewhere.unseal(ASHA, "email", *sealed) == "asha@example.in"
    await here.destroy_key(ASHA)
    clock.advance_s(5)
    assert await elsewhere.unseal(ASHA, "email", *sealed) is None


async def test_nothing_is_sealed_for_a_user_without_a_key() -> None:
    with pytest.raises(KeyMissing):
        await personal_data(MemoryUserKeys()).seal(ASHA, "email", "asha@example.in")


def test_a_lookup_hash_depends_on_its_kind_and_its_key() -> None:
    data = personal_data(MemoryUserKeys())
    other = SealedPersonalData(master_key=bytes(32), lookup_key=b"o" * 32, keys=MemoryUserKeys(), clock=ManualClock())
    found = data.lookup_hash("email", "asha@example.in")
    assert found == data.lookup_hash("email", "asha@example.in")
    assert found not in {data.lookup_hash("phone", "asha@example.in"), other.lookup_hash("email", "asha@example.in")}


def test_keys_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        personal_data(MemoryUserKeys(), master=b"short")
