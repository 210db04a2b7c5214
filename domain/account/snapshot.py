"""The account's state as bytes, for a cache of it: what a fold led to, so that it need not begin at the beginning.

`SCHEMA` names both the shape of the state and what `evolve` makes of events. Whoever changes either gives it a new
name: snapshots of another name are passed over, and the state is folded from the log. A contract test holds the name
against a stored snapshot.
"""

import msgspec

from domain.account.state import Account

SCHEMA = "account.v6"

# JSON, because a dictionary's order is part of the state (orders and trades lie oldest first) and stays so in it.
encode = msgspec.json.Encoder().encode
"""Return the bytes of a state."""

decode = msgspec.json.Decoder(Account).decode
"""Return the state of the bytes; raises `msgspec.DecodeError` where they are none."""
