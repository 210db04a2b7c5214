"""Requests and answers that were recorded from the venue, beside the checkout where they are there at all."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dhan_api"
Pair = dict[str, Any]
needs_recordings = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded answers at {FOLDER}")


def recorded() -> list[Pair]:
    """Return every pair, those that were made up after the documentation too."""
    with gzip.open(FOLDER / "http_recorded.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def genuine() -> list[Pair]:
    """Return the pairs that came straight from the server."""
    return [pair for pair in recorded() if pair["origin"] == "recorded"]
