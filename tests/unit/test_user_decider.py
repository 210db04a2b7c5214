from domain.ids import AccountId, UserId
from domain.user.decide import RegisterUser, decider
from domain.user.events import Sealed, UserRegistered

EMAIL, NAME = Sealed(b"n1", b"c1"), Sealed(b"n2", b"c2")
register = RegisterUser(user_id=UserId("usr_1"), account_id=AccountId("acc_1"), email=EMAIL, name=NAME)
registered = UserRegistered(user_id=UserId("usr_1"), account_id=AccountId("acc_1"), email=EMAIL, name=NAME)


def test_registering_lets_a_person_log_in() -> None:
    assert decider.decide(register, decider.initial) == (registered,)


def test_registering_twice_changes_nothing() -> None:
    assert decider.decide(register, decider.fold([registered])) == ()


def test_a_users_default_account_is_the_one_that_came_with_the_registration() -> None:
    assert decider.fold([registered]).default_account == "acc_1"
