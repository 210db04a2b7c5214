"""Whether this process lives, and whether it can serve."""

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.openapi import answers
from api.services import ReadinessCheck, services_of

CHECK_DEADLINE_S = 2.0

router = APIRouter(tags=["health"])


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Each thing the API depends on, and whether it answered in time."""

    ready: bool
    checks: dict[str, bool]


@router.get("/healthz", responses=answers(Health, "The process lives"), summary="Is the process alive?")
async def healthz() -> Response:
    """Answer as long as the process can."""
    return answer(Health())


@router.get("/readyz", responses=answers(Readiness, "It can serve", also={503: "It cannot: `checks` says why"}))
async def readyz(request: Request) -> Response:
    """Ask everything the API depends on, and tell what answered within two seconds."""
    checks = services_of(request).readiness
    results = await asyncio.gather(*(_is_ready(check) for check in checks.values()))
    ready = all(results)
    return answer(Readiness(ready, dict(zip(checks, results, strict=True))), status=200 if ready else 503)


async def _is_ready(check: ReadinessCheck) -> bool:
    try:
        async with asyncio.timeout(CHECK_DEADLINE_S):
            return await check()
    except Exception:  # noqa: BLE001 - whatever it is that does not answer, it is not ready
        return False
