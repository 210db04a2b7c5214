"""The broker's words: rows, refusals, answers."""
