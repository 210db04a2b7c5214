"""Who an account's members are, and in which roles."""

from domain.account.commands import RemoveMember, SetMember
from domain.account.events import AccountEvent, MemberRemoved, MemberSet, Role
from domain.account.refusals import MemberNotFound, MembersTooMany, OpenerStays, demand_role
from domain.account.state import Account
from domain.ids import UserId

MEMBERS_MAX = 50


def set_member(command: SetMember, state: Account) -> tuple[AccountEvent, ...]:
    """Make somebody a member, or give a member another role."""
    demand_role(state, command.user_id, Role.OWNER)
    if state.members.get(command.member_id) is command.role:
        return ()  # They are that already.
    _demand_other_than_opener(state, command.member_id)
    if command.member_id not in state.members and len(state.members) >= MEMBERS_MAX:
        raise MembersTooMany(f"the account has {len(state.members)} members, which is as many as it may have")
    return (MemberSet(member_id=command.member_id, role=command.role, set_by=command.user_id),)


def remove_member(command: RemoveMember, state: Account) -> tuple[AccountEvent, ...]:
    """Let somebody be a member no more: an owner says so, or the member leaves."""
    demand_role(state, command.user_id, Role.VIEWER if command.user_id == command.member_id else Role.OWNER)
    _demand_other_than_opener(state, command.member_id)
    if command.member_id not in state.members:
        raise MemberNotFound("the account has no such member")
    return (MemberRemoved(member_id=command.member_id, removed_by=command.user_id),)


def _demand_other_than_opener(state: Account, member_id: UserId) -> None:
    if member_id == state.owner_id:
        raise OpenerStays("who opened the account is its owner for good")
