"""Where the answers recorded from the broker itself lie, beside the tree, on machines that have them."""

import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dhan_api"


def recorded() -> list[dict[str, Any]]:
    """Return the recorded pairs of request and answer."""
    with gzip.open(FOLDER / "http_recorded.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
