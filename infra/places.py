"""Where things lie that a setting may put outside of the home folder."""

from pathlib import Path

from infra.home import Home
from infra.settings import Settings


def anchors_path(settings: Settings) -> Path:
    """Return where the anchors of the log are."""
    return settings.anchors_file or Home(settings.home).anchors_file


def archive_folder(settings: Settings) -> Path:
    """Return where the archived part of the log is."""
    return settings.archive_folder or Home(settings.home).archive
