"""`khata keys`."""

import sys
from typing import Annotated

import typer


def keys(
    *,
    public: Annotated[
        bool, typer.Option(help="Print the public key that anchors are checked with, and no more.")
    ] = False,
) -> None:
    """Show which keys this installation has, and what losing them loses; make them if there are none."""
    from infra.home import Home
    from infra.keys import WHAT_LOSS_MEANS, ensure_keys
    from infra.settings import load

    home = Home(load().home)
    home.prepare()
    found = home.keys.exists()
    installed = ensure_keys(home)
    if public:
        from adapters.security.anchors import AnchorKey

        sys.stdout.write(AnchorKey(installed.signing_pem).public_pem().decode())
        return
    if found:
        sys.stdout.write(WHAT_LOSS_MEANS.format(folder=home.keys))
    sys.stdout.write(f"Installation {installed.installation}: all keys are there, and nobody else may read them.\n")
