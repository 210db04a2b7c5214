from domain.ids import AccountId, UserId
from domain.user.decide import EraseUser, RegisterUser, decider
from domain.user.events import Sealed, UserErased, UserRegistered

EMAIL, NAME = Sealed(b"n1", b"c1"), Sealed(b"n2", b"c2")
register = RegisterUser(user_id=UserId("usr_1"), account_id=AccountId("acc_1"), email=EMAIL, name=NAME)
registered = UserRegistered(user_id=UserId("usr_1"), account_id=AccountId("acc_1"), email=EMAIL, name=NAME)
erase = EraseUser(user_id=UserId("usr_1"))
erased = UserErased(user_id=UserId("usr_1"))


def test_registering_lets_a_person_log_in() -> None:
    assert decider.decide(register, decider.initial) == (registered,)


def test_registering_twice_changes_nothing() -> None:
    assert decider.decide(register, decider.fold([registered])) == ()


def test_a_users_default_account_is_the_one_that_came_with_the_registration() -> None:
    assert decider.fold([registered]).default_account == "acc_1"


def test_erasing_is_said_once() -> None:
    assert decider.decide(erase, decider.fold([registered])) == (erased,)
    assert decider.decide(erase, decider.fold([registered, erased])) == ()


def test_nobody_can_be_erased_who_never_was() -> None:
    assert decider.decide(erase, decider.initial) == ()


def test_an_erased_user_keeps_their_account() -> None:
    assert decider.fold([registered, erased]).default_account == "acc_1"
