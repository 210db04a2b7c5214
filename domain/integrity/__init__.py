"""Proof that nobody touched the log: what is checked of it, and what anchors outside of it say."""
