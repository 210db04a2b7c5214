"""Signatures of anchors: Ed25519 with the installation's signing key, checked with its public half alone."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from domain.integrity.anchors import Anchor, SignedAnchor


class AnchorKey:
    """Implements `projections.integrity.ports.AnchorSigner`: signs with one key and believes that one."""

    def __init__(self, signing_pem: bytes) -> None:
        key = load_pem_private_key(signing_pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            message = f"received a {type(key).__name__} as signing key, expected Ed25519"
            raise TypeError(message)
        self._signing = key
        self._public = AnchorPublicKey(self.public_pem())

    def sign(self, anchor: Anchor) -> SignedAnchor:
        """Return *anchor* signed."""
        return SignedAnchor(anchor=anchor, signature=self._signing.sign(anchor.signed_bytes()))

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is by this key."""
        return self._public.verify(message, signature)

    def public_pem(self) -> bytes:
        """Return the public half, for whoever is to check anchors without being able to make any."""
        return self._signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class AnchorPublicKey:
    """The public half, which is enough to check anchors.

    Raises:
        ValueError: *public_pem* is no Ed25519 public key in PEM.
    """

    def __init__(self, public_pem: bytes) -> None:
        key = load_pem_public_key(public_pem)
        if not isinstance(key, Ed25519PublicKey):
            message = f"received a {type(key).__name__}, expected an Ed25519 public key"
            raise ValueError(message)  # noqa: TRY004 - a file's content, no argument of a wrong type
        self._key = key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is by this key."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True
