"""Deliveries and removals under every kind of failure: smtpd-deliver and pop3d-maildrop alone, killed at
the Nth call of each system call, each fallible call failed once, a disk without space. The queue (this
process) then does what queue does: it tries again what was not answered. Each message is there once
and whole, or was removed by its owner and stays so.

STAFFETTA_TORTURE=1 takes every N, else a few."""

import contextlib
import errno
import os
import shutil
import subprocess

import pytest
from house import BUILD
from loops import failing, strace, turns
from test_deliver import BODY, DELIVER_MESSAGE, DONE, GONE, TEMPORARY, Deliverer, message
from test_maildrop import Maildrop

PROGRAMS = [BUILD / "libexec" / name for name in ("smtpd-deliver", "pop3d-maildrop")]
pytestmark = [
    pytest.mark.skipif(not all(program.exists() for program in PROGRAMS),
                       reason="smtpd-deliver or pop3d-maildrop is not built"),
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
]
MESSAGES = 5


def content(number):
    return BODY + b"message %d\r\n" % number + b"x" * 70 + b"\r\n"


def send(deliverer, number, again):
    """The status, or None: the process died over it."""
    with contextlib.suppress(AssertionError, OSError):
        deliverer.queue.send(DELIVER_MESSAGE, message([(1, number, "u1@test.example", again)],
                                                      body=content(number)))
        return deliverer.result()[1][0][0]
    return None


def end(role_owner):
    """However it ended: strace, and the role below it."""
    with contextlib.suppress(Exception):
        role_owner.end()


def numbers_there(place):
    """Which messages lie in the Maildir; they must be whole, and there once."""
    found = []
    maildir = place / "test.example" / "u1" / "Maildir"
    for part in ("new", "cur"):
        for file in (maildir / part).iterdir() if (maildir / part).is_dir() else ():
            octets = file.read_bytes()
            number = int(octets.rsplit(b"message ", 1)[1].split(b"\r\n")[0])
            assert octets.endswith(content(number)), file
            found.append(number)
    assert len(found) == len(set(found)), f"twice: {sorted(found)}"
    return sorted(found)


def try_again(place, numbers):
    """What queue does with those it has no answer for: {number: status}."""
    deliverer = Deliverer(place)
    statuses = {number: send(deliverer, number, again=1) for number in numbers}
    end(deliverer)
    return statuses


def kills(calls):
    return [(call, at) for call, most in calls.items()
            for at in turns(call, 1, most, 1)]


# Most calls of each until the fifth message is delivered, or a session with QUIT has ended.
DELIVERING = {"openat": 50, "mkdirat": 7, "write": 8, "writev": 7, "renameat": 7, "close": 60,
              "sendmsg": 12, "fsync": 4}
REMOVING = {"openat": 40, "unlinkat": 6, "linkat": 6, "newfstatat": 12, "renameat": 4, "fsync": 4,
            "sendmsg": 20, "close": 60, "sendto": 6}


@pytest.mark.parametrize("call,at", kills(DELIVERING))
def test_deliver_killed(tmp_path, call, at):
    """Before: five messages, none flushed. After: those answered are there, and so are the others once
    they were tried again, all of them once."""
    unanswered = list(range(1, MESSAGES + 1))
    with contextlib.suppress(AssertionError, OSError):  # it may die before it is ready
        deliverer = Deliverer(tmp_path, wrap=strace(f"{call}:signal=KILL:when={at}"))
        for number in range(1, MESSAGES + 1):
            if send(deliverer, number, again=0) == DONE:
                unanswered.remove(number)
        end(deliverer)
    answered = set(range(1, MESSAGES + 1)) - set(unanswered)
    assert answered <= set(numbers_there(tmp_path))
    assert set(try_again(tmp_path, unanswered).values()) <= {DONE}
    assert numbers_there(tmp_path) == list(range(1, MESSAGES + 1))
    # all of them were answered, and queue died before it wrote that down
    assert set(try_again(tmp_path, range(1, MESSAGES + 1)).values()) == {DONE}
    assert numbers_there(tmp_path) == list(range(1, MESSAGES + 1))


def fill(place):
    deliverer = Deliverer(place)
    for number in range(1, MESSAGES + 1):
        assert send(deliverer, number, again=0) == DONE
    end(deliverer)


@pytest.mark.parametrize("call,at", kills(REMOVING))
def test_maildrop_killed(tmp_path, call, at):
    """Before: five messages that queue still has, three of them marked as deleted. After: whatever was
    removed does not come back, whatever was not is there."""
    fill(tmp_path)
    confirmed = False
    with contextlib.suppress(AssertionError, OSError):
        maildrop = Maildrop(tmp_path, wrap=strace(f"{call}:signal=KILL:when={at}"))
        maildrop.ask("RETR 5")
        maildrop.lines()
        for number in (1, 2, 3):
            maildrop.ask(f"DELE {number}")
        confirmed = maildrop.ask("QUIT") == "+OK Bye, 3 messages removed"
    with contextlib.suppress(NameError):
        end(maildrop)
    left = numbers_there(tmp_path)
    assert set(left) >= {4, 5}
    assert not confirmed or left == [4, 5]
    statuses = try_again(tmp_path, range(1, MESSAGES + 1))
    for number, status in statuses.items():
        assert status == (DONE if number in left else GONE), number
    assert numbers_there(tmp_path) == left


# The call and its error; a delivery that met it is refused for a time, and nothing of it is left.
FAILURES = [("open", errno.EMFILE), ("open", errno.ENOSPC), ("writev", errno.ENOSPC),
            ("writev", errno.EIO), ("renameat", errno.EIO), ("mkdirat", errno.ENOSPC),
            ("fsync", errno.EIO), ("pread", errno.EIO), ("malloc", errno.ENOMEM)]


@pytest.mark.parametrize("call,code", FAILURES)
def test_deliver_a_call_fails_once(tmp_path, call, code):
    for at in turns(f"{call} {code}", 1, 40, 2, often=6):
        place = tmp_path / f"{at}"
        place.mkdir()
        deliverer = Deliverer(place, environment=failing(call, code, at))
        failed = [number for number in range(1, MESSAGES + 1)
                  if send(deliverer, number, again=0) != DONE]
        assert len(failed) <= 1, f"{call} number {at}"
        there = set(numbers_there(place))
        # A refused message may be there already: its file or directory could not be flushed.
        assert there >= set(range(1, MESSAGES + 1)) - set(failed)
        for number in failed:
            assert send(deliverer, number, again=1) == DONE, f"{call} number {at}"
        assert numbers_there(place) == list(range(1, MESSAGES + 1))
        end(deliverer)


REMOVAL_FAILURES = [("unlinkat", errno.EIO), ("linkat", errno.EIO), ("linkat", errno.EMLINK),
                    ("open", errno.EMFILE), ("open", errno.ENOSPC), ("fsync", errno.EIO),
                    ("renameat", errno.EIO), ("malloc", errno.ENOMEM)]


@pytest.mark.parametrize("call,code", REMOVAL_FAILURES)
def test_maildrop_a_call_fails_once(tmp_path, call, code):
    """QUIT says what was not removed, and that is still there; nothing that is gone comes back."""
    for at in turns(f"maildrop {call} {code}", 1, 40, 2, often=6):
        place = tmp_path / f"{at}"
        place.mkdir()
        fill(place)
        reply = remove_three(place, failing(call, code, at))
        left = numbers_there(place)
        if reply is None:
            assert left in ([1, 2, 3, 4, 5], [4, 5])
        elif reply.startswith("+OK"):
            assert left == [4, 5]
        else:
            assert reply.startswith("-ERR [SYS/TEMP]")
            assert len(left) == 2 + int(reply.split()[2])
        for number, status in try_again(place, range(1, MESSAGES + 1)).items():
            assert status == (DONE if number in left else GONE)


def remove_three(place, environment):
    """The answer to QUIT; None where the session ended before that, for want of memory."""
    maildrop = None
    try:
        maildrop = Maildrop(place, environment=environment)
        for number in (1, 2, 3):
            maildrop.ask(f"DELE {number}")
        return maildrop.ask("QUIT", "")
    except (AssertionError, OSError):
        return None
    finally:
        if maildrop:
            end(maildrop)


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "none", disk]).returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_full_disk(small_disk):
    """Refused with 4.3.1 while it is full; reading and removing go on; then taken without a restart."""
    deliverer = Deliverer(small_disk)
    for number in range(1, MESSAGES + 1):
        assert send(deliverer, number, again=0) == DONE
    filler = os.open(small_disk / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, bytes(4096))
    for number in range(6, 12):
        status, _, _, text = deliverer.deliver_one(number=number, body=content(number))
        assert (status, text[:5]) == (TEMPORARY, "4.3.1")
    assert os.listdir(small_disk / "test.example/u1/Maildir/tmp") == []
    maildrop = Maildrop(small_disk)
    maildrop.ask("RETR 1")
    maildrop.lines()
    maildrop.ask("DELE 1")
    maildrop.quit()
    end(maildrop)
    os.ftruncate(filler, 0)
    os.close(filler)
    assert send(deliverer, 6, again=1) == DONE
    assert send(deliverer, 1, again=1) == GONE
    assert numbers_there(small_disk) == [2, 3, 4, 5, 6]
    end(deliverer)
