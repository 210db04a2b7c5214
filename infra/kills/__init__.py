"""Kills: a whole engine under load, whose processes and servers die by SIGKILL, and a judge that has no code of ours.

`house.py` is the engine, `victims.py` who may be killed, `crowd.py` the people, who ask again under the same key until
they have an answer, `probe.py` tells when a trader sees the engine whole again, `evidence.py` brings together what was
told, logged, booked and shown, and `judge.py` holds one against the other. `khata bench kill` and the tests play it.
"""
