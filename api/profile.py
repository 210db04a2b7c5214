"""Who one is, and the link to the broker."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.auth import client_of, limits_of
from api.bodies import read_body
from api.callers import Authenticated, context_of
from api.errors import FieldInvalid
from api.fields import Sequence, Time, time_text_us
from api.freshness import Fresh
from api.openapi import answers, request_body
from api.requests import ProfileRequest
from api.services import services_of
from commands.profiles import CLIENT_FIELD, PasswordWrong
from domain.user.events import RiskProfile
from projections.queries import ReadModelBehind

router = APIRouter(prefix="/api/auth", tags=["auth"])


class ProfileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The user behind the token. `email` and `name` are null where they were erased.

    `account_id` is the default account. `live_account_id` came to be when Dhan was linked, null: it never was.
    `credentials_set` says whether there are credentials of that account; what they are, nobody can read back.
    """

    user_id: str
    account_id: str
    live_account_id: str | None
    email: str | None
    name: str | None
    risk_profile: RiskProfile | None
    dhan_client_id: str | None
    credentials_set: bool
    registered_at: Time
    updated_at: Time
    sequence: Sequence


class ProfileChangedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The profile is as it was asked for, from `sequence` on. `log_ins_ended`: no refresh token is good any more."""

    user_id: str
    log_ins_ended: bool
    sequence: Sequence


@router.get("/profile", responses=answers(ProfileAnswer, "The user behind the token", 401, 409, 422, 503))
async def show_profile(request: Request, caller: Authenticated, _: Fresh) -> Response:
    """Tell who is asking."""
    services = services_of(request)
    found = await services.queries.user(caller.user_id)
    if found.value is None:
        # The log knows the user, or they were no caller: the view does not yet.
        raise ReadModelBehind(wanted=found.sequence + 1, sequence=found.sequence)
    row, unseal = found.value, services.personal_data.unseal
    shown = ProfileAnswer(
        user_id=row.user_id,
        account_id=row.account_id,
        live_account_id=row.live_account_id,
        email=await unseal(row.user_id, "email", row.email_nonce, row.email_ciphertext),
        name=await unseal(row.user_id, "name", row.name_nonce, row.name_ciphertext),
        risk_profile=row.risk_profile,
        dhan_client_id=await unseal(row.user_id, CLIENT_FIELD, row.client_id_nonce, row.client_id_ciphertext),
        credentials_set=row.credentials_set,
        registered_at=time_text_us(row.registered_at_us),
        updated_at=time_text_us(row.changed_at_us),
        sequence=found.sequence,
    )
    return answer(shown)


@router.put(
    "/profile",
    openapi_extra=request_body(ProfileRequest),
    responses=answers(ProfileChangedAnswer, "Changed, and durable", 400, 401, 403, 409, 422, 429, 503),
)
async def change_profile(request: Request, caller: Authenticated) -> Response:
    """Change name, risk profile or password, and link Dhan: the live account comes to be with the first link.

    A live account trades when live trading runs, which it does not yet: every order in it is denied until then
    (`ACCOUNT_GATE_SHUT`).
    """
    services, limits, client = services_of(request), limits_of(request), client_of(request)
    body = await read_body(request, ProfileRequest)
    change = body.to_change()
    if change.needs_proof:
        if body.present_password is None:
            raise FieldInvalid("FIELD_MISSING", "expected a field 'present_password'", field="present_password")
        limits.demand_chance(client, caller.user_id)
        try:
            await services.profiles.prove(caller.user_id, body.present_password)
        except PasswordWrong:
            limits.count_failure(client, caller.user_id)
            raise
        limits.forgive(client, caller.user_id)
    context = context_of(request, caller, key=None, request_hash=b"")
    sequence = await services.profiles.change(caller.user_id, change, context)
    has_new_password = change.new_password is not msgspec.UNSET
    return answer(ProfileChangedAnswer(user_id=caller.user_id, log_ins_ended=has_new_password, sequence=sequence))
