"""The story of one world, for a person who wants to understand it: what happened when, as it was told."""


class Story:
    """Lines with their times in seconds, in the order in which they were told."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str]] = []

    def tell(self, at_s: float, text: str) -> None:
        """Add a line."""
        self.lines.append((at_s, text))
