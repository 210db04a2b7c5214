"""Faults: a small engine core on real servers, seeded schedules of what goes wrong, and the oracle that judges.

`points.py` names the places at which something may go wrong, `injections.py` makes it go wrong there, `core.py` is what
it goes wrong under, `clients.py` are those who must not notice, `oracle.py` compares what they were told with the log
and everything that follows from it. `schedules.py` puts them together; `khata bench faults` and the tests play them.
"""
