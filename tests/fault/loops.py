"""Which of a loop's turns are taken: each in torture, else a few, drawn by the name of the loop, so that they are the same
in each run; and how strace, or fail_call.c in a role, is told what happens to a call."""

import os
import random
import shutil

import pytest
from house import BUILD

TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))


def turns(name, first, end, few, often=None):
    """Of first to end - 1; the few of those before `often`, where later ones are seldom reached."""
    if TORTURE:
        return range(first, end)
    every = range(first, often or end)
    return sorted(random.Random(name).sample(every, min(few, len(every))))


def strace(inject):
    """What a program is started by; only the calls that are meant stop it."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    calls = inject.partition(":")[0]
    return [shutil.which("strace"), "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
            f"inject={inject}"]


def failing(call, what, at, armed=None):
    """The environment of a role of which one call fails (`what`: an errno), or ends it ("before", "after"): the one
    with that number, counted from when the file `armed` is there."""
    library = BUILD / "fault" / "fail_call.so"
    if not library.exists():
        pytest.skip("fail_call.so is not built")
    return {"LD_PRELOAD": str(library), "FAIL_CALL": f"{call}:{what}:{at}",
            "ASAN_OPTIONS": "detect_leaks=0:symbolize=0:verify_asan_link_order=0", **({"FAIL_WHEN": str(armed)} if armed else {})}
