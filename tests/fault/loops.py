"""Which of a loop's turns are taken: each in torture, else a few, drawn by the name of the loop, so that they are the same
in each run."""

import os
import random

TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))


def turns(name, first, end, few, often=None):
    """Of first to end - 1; the few of those before `often`, where later ones are seldom reached."""
    if TORTURE:
        return range(first, end)
    every = range(first, often or end)
    return sorted(random.Random(name).sample(every, min(few, len(every))))
