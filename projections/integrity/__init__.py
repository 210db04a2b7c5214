"""Proof that the log is as it was written: verification of it, and the anchors that verification holds it against."""
