"""What an e-mail address, a name and a password must be."""

import unicodedata

from domain.refusals import InvalidInput

EMAIL_LENGTH_MAX = 254
"""Source: RFC 5321 §4.5.3.1.3, less the angle brackets of a path."""
NAME_LENGTH_MAX = 100
PASSWORD_LENGTH_MIN = 15
"""Source: NIST SP 800-63B-4 for a password that is the only factor (PCI DSS 8.3.6 asks for 12)."""
PASSWORD_LENGTH_MAX = 128
PASSWORD_CHARACTERS_MIN = 5
"""Fewer different characters than these are a pattern, not a password."""

COMMON_PASSWORDS = frozenset(
    {
        "passwordpassword",
        "password1234567",
        "password12345678",
        "password123456789",
        "passw0rdpassw0rd",
        "mypasswordispassword",
        "thisismypassword",
        "thisisapassword",
        "thisisnotapassword",
        "changemechangeme",
        "changemeplease1",
        "administrator123",
        "administratoradministrator",
        "letmeinletmein1",
        "letmeinletmeinletmein",
        "welcomewelcome1",
        "welcomewelcomewelcome",
        "iloveyouiloveyou",
        "iloveyouforever",
        "iloveyouverymuch",
        "qwertyuiopasdfg",
        "qwertyuiopasdfgh",
        "qwertyuiopasdfghjkl",
        "qwertyuiop12345",
        "qwertyuiop123456",
        "qwertyuiop1234567890",
        "qwertyqwertyqwerty",
        "qwerty123qwerty123",
        "1q2w3e4r5t6y7u8",
        "1q2w3e4r5t6y7u8i",
        "1q2w3e4r5t6y7u8i9o0p",
        "1qaz2wsx3edc4rfv",
        "1qaz2wsx3edc4rfv5tgb",
        "123456789012345",
        "1234567890123456",
        "12345678901234567890",
        "1234567890qwerty",
        "1234567890qwertyuiop",
        "123456789abcdef",
        "123456789abcdefg",
        "abcdefghijklmno",
        "abcdefghijklmnop",
        "abcdefghijklmnopqrstuvwxyz",
        "abcd1234abcd1234",
        "abc123abc123abc123",
        "asdfghjklasdfghjkl",
        "zxcvbnmasdfghjkl",
        "zxcvbnmzxcvbnmzxcvbnm",
        "0987654321098765",
        "correcthorsebatterystaple",
        "correct horse battery staple",
        "jaishreeramjaishreeram",
        "indiaindiaindia",
        "tradingtradingtrading",
    }
)
"""Those at the head of every leaked list that are long enough to be let in by length alone."""


class EmailInvalid(InvalidInput):
    """No e-mail address. The caller sees 422; nothing is stored."""

    code = "EMAIL_INVALID"


class NameInvalid(InvalidInput):
    """No name that could be shown. The caller sees 422; nothing is stored."""

    code = "NAME_INVALID"


class PasswordInvalid(InvalidInput):
    """A password that is too short, too long or too easily guessed. The caller sees 422; nothing is stored."""

    code = "PASSWORD_INVALID"


def normalise_email(text: str) -> str:
    """Return the one spelling of an e-mail address under which it is kept and found.

    Raises:
        EmailInvalid: it is not of the form `name@host.domain`.
    """
    email = unicodedata.normalize("NFKC", text).strip().casefold()
    name, at, host = email.rpartition("@")
    labels = host.split(".")
    is_address = (
        len(email) <= EMAIL_LENGTH_MAX
        and bool(name and at)
        and "@" not in name
        and len(labels) > 1
        and all(labels)
        and email.isprintable()
        and " " not in email
    )
    if not is_address:
        raise EmailInvalid("received an e-mail address of another form, expected name@host.domain")
    return email


def normalise_name(text: str) -> str:
    """Return a name without space around it.

    Raises:
        NameInvalid: nothing is left, it is longer than 100 characters, or it has unprintable ones.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name or len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise NameInvalid(f"expected a name of 1 to {NAME_LENGTH_MAX} printable characters")
    return name


def normalise_password(text: str) -> str:
    """Return the one spelling of a password, so that it is the same one from every keyboard (NIST: NFKC)."""
    return unicodedata.normalize("NFKC", text)


def check_password(password: str, *, email: str) -> None:
    """Accept a normalised password, or refuse it; *email* is the normalised address of its owner.

    Raises:
        PasswordInvalid: it is too short, too long, common, a repeated pattern or the e-mail address.
    """
    if len(password) < PASSWORD_LENGTH_MIN:
        raise PasswordInvalid(
            f"received a password of {len(password)} characters, expected {PASSWORD_LENGTH_MIN} or more"
        )
    if len(password) > PASSWORD_LENGTH_MAX:
        raise PasswordInvalid(
            f"received a password of {len(password)} characters, expected {PASSWORD_LENGTH_MAX} or fewer"
        )
    folded = password.casefold()
    if folded in COMMON_PASSWORDS or folded == email or len(set(folded)) < PASSWORD_CHARACTERS_MIN:
        raise PasswordInvalid("received a password that is easily guessed, expected one that only you would choose")
