"""Mutants of the decider and its risk table: each is one small fault, and a sentence shall say that it is one."""
