"""Makes it go wrong, at each point in its own way, while clients are at work.

Every injection is a context around a wave of commands: it lets its fault come true within, heals what does not heal by
itself, and notes that the point was reached. One that is not reached is an error: the schedule would prove less than it
says.
"""

from infra.faults.injections.mirroring import MIRRORING
from infra.faults.injections.projecting import PROJECTING
from infra.faults.injections.shared import Injection
from infra.faults.injections.writing import WRITING
from infra.faults.points import Point

INJECTIONS: dict[Point, Injection] = {**WRITING, **MIRRORING, **PROJECTING}
