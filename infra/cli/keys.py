"""`khata keys`."""

import sys


def keys() -> None:
    """Show which keys this installation has, and what losing them loses; make them if there are none."""
    from infra.home import Home
    from infra.keys import WHAT_LOSS_MEANS, ensure_keys
    from infra.settings import load

    home = Home(load().home)
    home.prepare()
    found = home.keys.exists()
    installation = ensure_keys(home).installation
    if found:
        sys.stdout.write(WHAT_LOSS_MEANS.format(folder=home.keys))
    sys.stdout.write(f"Installation {installation}: all keys are there, and nobody else may read them.\n")
