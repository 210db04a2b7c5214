"""The accountant: what fills come to, reckoned from plain lists, in fractions where the engine rounds."""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from domain.ids import TradeId


@dataclass(slots=True)
class Book:
    """One trade's fills in the order of their recording. Amounts in paise, exact."""

    quantity: int = 0
    cash_paise: int = 0
    entered: int = 0
    fills: int = 0
    exact_cost: Fraction = field(default_factory=Fraction)

    def take(self, sign: int, quantity: int, price_e4: int, *, is_entry: bool) -> None:
        """Book *quantity* units bought (sign 1) or sold (sign -1) at *price_e4*."""
        worth = round(Fraction(price_e4 * quantity, 100))  # Python rounds a half to even, as the engine does.
        self.cash_paise -= sign * worth
        self.entered += quantity if is_entry else 0
        self.fills += 1
        after = self.quantity + sign * quantity
        if self.quantity * sign >= 0:
            self.exact_cost += sign * worth
        elif after * self.quantity > 0:
            self.exact_cost *= Fraction(after, self.quantity)
        else:  # Closed or turned round: what is left was opened by this very fill.
            self.exact_cost = sign * Fraction(worth * abs(after), quantity)
        self.quantity = after

    def scale(self, quantity: int) -> None:
        """Put the quantity where a split or bonus left it; what it cost stays."""
        self.quantity = quantity


class Books:
    """Every trade's book of an account."""

    def __init__(self) -> None:
        self.of: defaultdict[TradeId, Book] = defaultdict(Book)

    def held(self, trade_id: TradeId) -> int:
        """Return what a trade holds, signed."""
        return self.of[trade_id].quantity
