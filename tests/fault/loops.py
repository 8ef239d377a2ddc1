"""Which of a loop's turns are taken: each in torture, else a few, drawn by the name of the loop, so that they are the same
in each run; and how strace is told what happens to a system call."""

import os
import random
import shutil

import pytest

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
