"""The tariff that is shipped, and the worked examples of the page about it, read once for all tests."""

from pathlib import Path

from adapters.tariffs import TariffTable

TARIFFS = TariffTable.load()


def _examples() -> list[dict[str, str]]:
    page = Path(__file__).parents[2] / "docs" / "charges.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    heads, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(heads, row, strict=True)) for row in rows]


EXAMPLES = _examples()
"""The rows of the table by their heads, amounts in rupees."""
