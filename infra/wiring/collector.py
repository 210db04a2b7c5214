"""Python's collector of cycles, in processes that make many objects and few cycles."""

import gc

GARBAGE_THRESHOLD = 50_000


def spare_the_collector() -> None:
    """Let Python look for cycles seldom: batches and requests make objects that live shortly and form few of them."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
