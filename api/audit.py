"""Telling the audit book what happened at the door."""

from fastapi import Request

from api.services import services_of
from domain.audit import AuditEntry, AuditKind

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def note_login(request: Request, actor: str) -> None:
    """Write down that a user logged in."""
    _note(request, AuditKind.LOGGED_IN, actor=actor)


def note_refusal(request: Request, code: str, *, is_login: bool) -> None:
    """Write down that a command was turned away. Who only reads leaves no entry."""
    if request.method in _READING:
        return
    kind = AuditKind.LOGIN_FAILED if is_login else AuditKind.REFUSED
    _note(request, kind, actor=getattr(request.state, "user_id", ""), code=code)


def _note(request: Request, kind: AuditKind, *, actor: str, code: str = "") -> None:
    route = request.scope.get("route")
    entry = AuditEntry(
        kind=kind,
        code=code,
        actor=actor,
        # The route, not the path: a path may hold what somebody typed.
        route=f"{request.method} {getattr(route, 'path', '')}".strip(),
        correlation_id=request.state.request_id,
        received_at_ns=request.state.received_at_ns,
    )
    services_of(request).audit.note(entry, client=request.client.host if request.client else "")
