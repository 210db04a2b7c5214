import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adapters.clock import SystemClock
from adapters.security.tokens import AUDIENCE, ISSUER, TOKEN_TYPE, Ed25519Tokens, key_id_of
from commands.ports import TokenExpired, TokenInvalid
from domain.ids import UserId
from tests.support.security import ManualClock

KEY = Ed25519PrivateKey.generate()
KID = key_id_of(KEY.public_key())
ASHA = UserId("usr_asha")
NOW_S = SystemClock().wall_ns() // 1_000_000_000
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": ASHA,
    "iat": NOW_S,
    "exp": NOW_S + 600,
    "jti": "one",
}


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def tokens(key: Ed25519PrivateKey = KEY, **options: Any) -> Ed25519Tokens:
    return Ed25519Tokens(pem(key), clock=options.pop("clock", SystemClock()), **options)


def signed(claims: dict[str, Any], *, key: Any = KEY, algorithm: str = "EdDSA", **header: str) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": KID, "typ": TOKEN_TYPE, **header})


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'kid': KID, 'typ': TOKEN_TYPE})}.{part(CLAIMS)}."


def with_another_subject() -> str:
    header, _, signature = signed(CLAIMS).split(".")
    return f"{header}.{part({**CLAIMS, 'sub': 'usr_ravi'})}.{signature}"


def signed_with_the_public_key_as_a_secret() -> str:
    """The classic confusion: a verifier that believes the header takes the public key for an HMAC secret."""
    header = part({"alg": "HS256", "kid": KID, "typ": TOKEN_TYPE})
    body = f"{header}.{part(CLAIMS)}"
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(body.encode(), public)
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


FORGED = {
    "no algorithm": unsigned("none"),
    "no algorithm, spelled otherwise": unsigned("None"),
    "the public key as a secret": signed_with_the_public_key_as_a_secret(),
    "another key under our name": signed(CLAIMS, key=Ed25519PrivateKey.generate()),
    "another kind of key": signed(CLAIMS, key=generate_private_key(SECP256R1()), algorithm="ES256"),
    "an unknown key name": signed(CLAIMS, kid="nobody"),
    "another kind of token": signed(CLAIMS, typ="JWT"),
    "a changed subject": with_another_subject(),
    "another issuer": signed({**CLAIMS, "iss": "elsewhere"}),
    "another audience": signed({**CLAIMS, "aud": "elsewhere"}),
    "issued in the future": signed({**CLAIMS, "iat": NOW_S + 3600}),
    **{f"without {name}": signed({k: v for k, v in CLAIMS.items() if k != name}) for name in CLAIMS},
    "no token": "",
    "not a token": "a.b.c",
    "a null": "\0.\0.\0",
    "a lone surrogate": "\ud800.x.y",
}


def test_an_issued_token_names_its_user_and_its_life() -> None:
    token, expires_in = tokens().issue(ASHA)
    assert (tokens().verify(token), expires_in) == (ASHA, 600)


def test_no_two_tokens_are_alike() -> None:
    assert tokens().issue(ASHA) != tokens().issue(ASHA)


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_invalid(token: str) -> None:
    with pytest.raises(TokenInvalid):
        tokens().verify(token)


def test_an_old_token_is_expired_and_not_merely_invalid() -> None:
    token, _ = tokens(clock=ManualClock((NOW_S - 606) * 1_000_000_000)).issue(ASHA)
    with pytest.raises(TokenExpired):
        tokens().verify(token)


def test_an_old_forged_token_is_invalid_and_not_expired() -> None:
    with pytest.raises(TokenInvalid) as raised:
        tokens().verify(signed({**CLAIMS, "exp": NOW_S - 60}, key=Ed25519PrivateKey.generate()))
    assert not isinstance(raised.value, TokenExpired)


def test_tokens_of_the_former_key_are_believed_while_it_is_accepted() -> None:
    former = Ed25519PrivateKey.generate()
    token, _ = tokens(former).issue(ASHA)
    assert tokens(also_accepted=[former.public_key()]).verify(token) == ASHA
    with pytest.raises(TokenInvalid):
        tokens().verify(token)


def test_a_signing_key_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="expected Ed25519"):
        Ed25519Tokens(pem(generate_private_key(SECP256R1())), clock=SystemClock())


def test_a_token_that_was_checked_is_known_until_it_expires() -> None:
    clock = ManualClock(NOW_S * 1_000_000_000)
    former = Ed25519PrivateKey.generate()
    token, expires_in = tokens(former, clock=clock).issue(ASHA)
    checking = tokens(clock=clock, also_accepted=[former.public_key()])
    assert checking.verify(token) == ASHA
    del checking._accepted[key_id_of(former.public_key())]
    assert checking.verify(token) == ASHA  # Its signature is not checked a second time …
    clock.advance_s(expires_in + 1)
    with pytest.raises(TokenInvalid):
        checking.verify(token)  # … but what is over is read anew, and told as ever.


def test_a_token_that_proves_nothing_is_not_remembered() -> None:
    checking = tokens()
    for token in FORGED.values():
        with pytest.raises(TokenInvalid):
            checking.verify(token)
    assert not checking._known


def test_so_many_tokens_are_known_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.security.tokens.KNOWN_MAX", 2)
    checking = tokens()
    for number in range(4):
        assert checking.verify(signed({**CLAIMS, "jti": str(number)})) == ASHA
    assert len(checking._known) == 2
