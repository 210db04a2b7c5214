"""The story of one world, for a person who wants to understand it: what happened when, as it was told."""

import asyncio


class Story:
    """Lines with their times in seconds, in the order in which they were told; none where nobody `is_listening`."""

    def __init__(self, *, is_listening: bool) -> None:
        self.is_listening = is_listening
        self.lines: list[tuple[float, str]] = []

    def tell(self, text: str) -> None:
        """Add a line, told now."""
        if self.is_listening:
            self.lines.append((asyncio.get_running_loop().time(), text))


UNTOLD = Story(is_listening=False)
"""The story of a world of which nobody wants to hear."""
