import pytest

from domain.account.events import AccountMode
from domain.ids import AccountId, UserId
from domain.user.decide import (
    ACCOUNTS_MAX,
    AccountsTooMany,
    AddAccount,
    ChangePassword,
    ChangeProfile,
    EraseUser,
    LinkBroker,
    RegisterUser,
    UnlinkBroker,
    UserUnknown,
    decider,
)
from domain.user.events import (
    AccountAdded,
    BrokerLinked,
    BrokerUnlinked,
    ProfileChanged,
    RiskProfile,
    Sealed,
    UserErased,
    UserEvent,
    UserRegistered,
)

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


# --- What a person changes --------------------------------------------------------------------------------------------

NEW_NAME = Sealed(b"n3", b"c3")
CLIENT = Sealed(b"n4", b"c4")
link = LinkBroker(user_id=UserId("usr_1"), account_id=AccountId("acc_live"), client_id=CLIENT)
added_live = AccountAdded(user_id=UserId("usr_1"), account_id=AccountId("acc_live"), mode=AccountMode.LIVE)
linked = BrokerLinked(user_id=UserId("usr_1"), account_id=AccountId("acc_live"), client_id=CLIENT)
unlink = UnlinkBroker(user_id=UserId("usr_1"))
unlinked = BrokerUnlinked(user_id=UserId("usr_1"), account_id=AccountId("acc_live"))


def test_a_profile_is_kept_in_what_is_named() -> None:
    change = ChangeProfile(user_id=UserId("usr_1"), name=NEW_NAME, risk_profile=RiskProfile.BALANCED)
    changed = ProfileChanged(user_id=UserId("usr_1"), name=NEW_NAME, risk_profile=RiskProfile.BALANCED)
    assert decider.decide(change, decider.fold([registered])) == (changed,)
    same = ChangeProfile(user_id=UserId("usr_1"), risk_profile=RiskProfile.BALANCED)
    assert decider.decide(same, decider.fold([registered, changed])) == ()


def test_the_first_link_makes_the_live_account_and_later_ones_keep_it() -> None:
    assert decider.decide(link, decider.fold([registered])) == (added_live, linked)
    again = LinkBroker(user_id=UserId("usr_1"), account_id=AccountId("acc_other"), client_id=CLIENT)
    assert decider.decide(again, decider.fold([registered, added_live, linked, unlinked])) == (linked,)


def test_only_what_is_linked_is_unlinked() -> None:
    assert decider.decide(unlink, decider.fold([registered])) == ()
    assert decider.decide(unlink, decider.fold([registered, added_live, linked])) == (unlinked,)
    assert decider.decide(unlink, decider.fold([registered, added_live, linked, unlinked])) == ()


@pytest.mark.parametrize("history", [(), (registered, erased)], ids=["nobody", "erased"])
def test_who_is_not_there_changes_nothing(history: tuple[UserEvent, ...]) -> None:
    state = decider.fold(history)
    for command in (
        ChangeProfile(user_id=UserId("usr_1"), name=NEW_NAME),
        ChangePassword(user_id=UserId("usr_1")),
        AddAccount(user_id=UserId("usr_1"), account_id=AccountId("acc_2")),
        link,
        unlink,
    ):
        with pytest.raises(UserUnknown):
            decider.decide(command, state)


def test_accounts_have_an_end_that_a_link_meets_as_well() -> None:
    many = [
        AccountAdded(user_id=UserId("usr_1"), account_id=AccountId(f"acc_{number}"), mode=AccountMode.PAPER)
        for number in range(2, ACCOUNTS_MAX + 1)
    ]
    add = AddAccount(user_id=UserId("usr_1"), account_id=AccountId("acc_more"))
    assert len(decider.decide(add, decider.fold([registered, *many[:-1]]))) == 1
    for command in (add, link):
        with pytest.raises(AccountsTooMany):
            decider.decide(command, decider.fold([registered, *many]))
