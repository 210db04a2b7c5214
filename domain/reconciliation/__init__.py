"""The venue's books held against ours: pure, and told by one function for each part of them.

`compare` says what is otherwise at one look. It says so of things that stood still while the books were read: what
moved in our books meanwhile is left to the next look. What could still be a matter of moments (a position that was read
just after a fill) has to be seen twice: who calls decides when, `is_sure_at_once` tells of which kinds once is enough.
"""

from domain.reconciliation.comparison import Comparison, compare, is_sure_at_once

__all__ = ["Comparison", "compare", "is_sure_at_once"]
