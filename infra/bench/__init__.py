"""Benches: what the engine does in a second, beside a yardstick in the same run.

A bench is a module here with one coroutine, `run(bench: Bench) -> None`, and one line in `catalogue.py`. It measures on
servers of its own (`ground.py`), notes what the figures depend on, and hands in measures under names that stay stable.
"""
