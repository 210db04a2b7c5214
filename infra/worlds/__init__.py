"""Simulated worlds: the engine's own code on a made-up clock, judged by the books of a simulated broker."""
