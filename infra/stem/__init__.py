"""The process that roles are forked from, so that a dead one comes back without loading everything anew."""
