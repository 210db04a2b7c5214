"""Which implementation stands behind which port. Nothing else chooses: read this package to know what runs.

`process` makes the parts that several roles share; the other modules make what one role needs, and are imported by that
role alone, so that a process loads only what it runs.
"""
