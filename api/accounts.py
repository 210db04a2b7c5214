"""The accounts that one is a member of, and who else is."""

from collections.abc import Sequence as Rows
from enum import StrEnum

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body, read_optional_body
from api.callers import Authenticated, Caller, context_of, is_id, member
from api.fields import Sequence, Time, time_text_us
from api.freshness import Fresh
from api.idempotency import REPLAY_HEADER, mandatory_key, optional_key, request_hash
from api.openapi import answers, key_header, optional_body, request_body
from api.requests import AccountRequest, MemberRequest
from api.services import services_of
from domain.account.events import AccountMode, Role
from domain.account.refusals import MemberNotFound
from domain.ids import UserId
from domain.refusals import NotFound
from domain.user.decide import UserUnknown
from projections.memberships import MembershipRow
from projections.queries import ReadModelBehind
from projections.risk import RiskRow

router = APIRouter(prefix="/api/accounts", tags=["accounts"])


class Gate(StrEnum):
    """Whether orders get through to the venue."""

    OPEN = "open"
    SHUT = "shut"
    """Live trading does not run yet: every order is denied with `ACCOUNT_GATE_SHUT`."""


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """One member of an account. `is_opener`: they opened it, and are its owner for good."""

    user_id: str
    role: Role
    is_opener: bool
    since: Time

    @classmethod
    def of(cls, row: MembershipRow) -> "MemberView":
        """Return what is shown of *row*, which is a member's."""
        return cls(
            user_id=row.user_id,
            role=row.role or Role.VIEWER,
            is_opener=row.is_opener,
            since=time_text_us(row.since_us),
        )


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """One account, and what you are in it. `is_default`: requests that name no account act on it."""

    account_id: str
    mode: AccountMode
    currency: str
    role: Role
    is_default: bool
    gate: Gate
    kill_switch_engaged: bool
    opened_at: Time

    @classmethod
    def of(cls, row: RiskRow, role: Role, caller: Caller) -> "AccountView":
        """Return what is shown of *row* to a caller who is a member as *role*."""
        return cls(
            account_id=row.account_id,
            mode=row.mode,
            currency=row.currency,
            role=role,
            is_default=row.account_id == caller.account_id,
            gate=Gate.OPEN if row.mode is AccountMode.PAPER else Gate.SHUT,
            kill_switch_engaged=row.kill_switch_engaged,
            opened_at=time_text_us(row.opened_at_us),
        )


class AccountsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts that you are a member of, the default one first."""

    accounts: list[AccountView]
    sequence: Sequence


class AccountAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One account and its members, the longest first."""

    account: AccountView
    members: list[MemberView]
    sequence: Sequence


class AccountMadeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The account is open from `sequence` on."""

    account_id: str
    mode: AccountMode
    sequence: Sequence


class MemberAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is in an account from `sequence` on; `role` null: no member."""

    account_id: str
    user_id: str
    role: Role | None
    sequence: Sequence


class UserNotFound(NotFound):
    """Nobody has this id. The caller sees 404; nothing is stored."""

    code = "USER_NOT_FOUND"


@router.get("", responses=answers(AccountsAnswer, "Your accounts", 401, 409, 422, 503))
async def list_accounts(request: Request, caller: Authenticated, _: Fresh) -> Response:
    """List the accounts that you are a member of."""
    queries = services_of(request).queries
    memberships = await queries.memberships_of(caller.user_id)
    roles = {row.account_id: row.role for row in memberships.value if row.role is not None}
    found = await queries.accounts(list(roles))
    views = [AccountView.of(row, roles[row.account_id], caller) for row in found.value]
    views.sort(key=lambda view: (not view.is_default, view.account_id))
    return answer(AccountsAnswer(accounts=views, sequence=min(memberships.sequence, found.sequence)))


@router.post(
    "",
    status_code=201,
    openapi_extra=optional_body(AccountRequest, is_key_mandatory=True),
    responses=answers(AccountMadeAnswer, "Opened, and durable", 400, 401, 409, 422, 503, status=201),
)
async def open_account(request: Request, caller: Authenticated) -> Response:
    """Open another paper account, which is yours."""
    key = mandatory_key(request)
    body = await read_optional_body(request, AccountRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    made = await services_of(request).profiles.add_account(caller.user_id, context)
    headers = {"Location": f"/api/accounts/{made.account_id}"} | ({REPLAY_HEADER: "true"} if made.repeated else {})
    shown = AccountMadeAnswer(account_id=made.account_id, mode=AccountMode.PAPER, sequence=made.last_sequence)
    return answer(shown, status=201, headers=headers)


@router.get("/{account_id}", responses=answers(AccountAnswer, "The account", 401, 404, 409, 422, 503))
async def show_account(request: Request, caller: Authenticated, _: Fresh, account_id: str) -> Response:
    """Show an account and who its members are."""
    acting = await member(request, caller, account_id, Role.VIEWER)
    queries = services_of(request).queries
    members = await queries.members(acting.account_id)
    found = await queries.accounts([acting.account_id])
    sequence = min(members.sequence, found.sequence)
    role = _role_in(members.value, caller.user_id)
    if role is None or not found.value:
        # The log knows the account and the member: the views do not yet.
        raise ReadModelBehind(wanted=sequence + 1, sequence=sequence)
    shown = AccountAnswer(
        account=AccountView.of(found.value[0], role, caller),
        members=[MemberView.of(row) for row in members.value],
        sequence=sequence,
    )
    return answer(shown)


@router.put(
    "/{account_id}/members/{user_id}",
    openapi_extra=request_body(MemberRequest, is_key_mandatory=False),
    responses=answers(MemberAnswer, "A member, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def set_member(request: Request, caller: Authenticated, account_id: str, user_id: str) -> Response:
    """Make a user a member of the account, or give a member another role."""
    acting = await member(request, caller, account_id, Role.OWNER)
    key = optional_key(request)
    body = await read_body(request, MemberRequest)
    services = services_of(request)
    member_id = await _known_user(request, user_id)
    context = context_of(request, acting, key=key, request_hash=request_hash(request, body))
    outcome = await services.accounts.set_member(acting.account_id, caller.user_id, member_id, body.role, context)
    shown = MemberAnswer(account_id=acting.account_id, user_id=user_id, role=body.role, sequence=outcome.last_sequence)
    return answer(shown, headers=command_headers(request, outcome))


@router.delete(
    "/{account_id}/members/{user_id}",
    openapi_extra=key_header(is_mandatory=False),
    responses=answers(MemberAnswer, "No member any more, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def remove_member(request: Request, caller: Authenticated, account_id: str, user_id: str) -> Response:
    """Let somebody be a member no more. Owners may do that to others, and everybody to themselves. Takes no body."""
    is_leaving = user_id == caller.user_id
    acting = await member(request, caller, account_id, Role.VIEWER if is_leaving else Role.OWNER)
    key = optional_key(request)
    if not is_id(user_id):
        raise MemberNotFound("the account has no such member")
    context = context_of(request, acting, key=key, request_hash=request_hash(request))
    accounts = services_of(request).accounts
    outcome = await accounts.remove_member(acting.account_id, caller.user_id, UserId(user_id), context)
    shown = MemberAnswer(account_id=acting.account_id, user_id=user_id, role=None, sequence=outcome.last_sequence)
    return answer(shown, headers=command_headers(request, outcome))


async def _known_user(request: Request, user_id: str) -> UserId:
    unknown = UserNotFound(f"received user {user_id[:80]!r}, expected one who is registered")
    if not is_id(user_id):
        raise unknown
    try:
        await services_of(request).users.default_account(UserId(user_id))
    except UserUnknown:
        raise unknown from None
    return UserId(user_id)


def _role_in(members: Rows[MembershipRow], user_id: UserId) -> Role | None:
    return next((row.role for row in members if row.user_id == user_id), None)
