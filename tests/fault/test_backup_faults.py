"""`staffetta backup` while something dies or is full: what is called DIRECTORY is whole, or is not there;
the house goes on, and the next backup has everything. And the history on a full disk: mail goes on."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from house import BUILD, ENVIRONMENT
from loops import TORTURE

WAITING = 120  # messages in the queue
BODY = b"x" * 70 + b"\r\n"

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")


def block(house, account):
    """Nothing gets into the Maildir: a file stands in its way, and mail waits in the queue."""
    place = house.mail / account.split("@")[1]
    shutil.rmtree(place, ignore_errors=True)
    place.write_text("")
    return place


def send(house, account, subject, lines=1):
    house.send(account, f"Subject: {subject}\r\n\r\n".encode() + BODY * lines)


def subjects(house, account):
    found = []
    for file in house.messages(account):
        with open(file, "rb") as message:
            found += [line[9:].strip().decode() for line in message if line.startswith(b"Subject:")]
    return found


def make_full_house(make_house):
    """({subject} of what waits, the account, what is in its way, the house)"""
    house = make_house(services=("smtp",), settings={"queue": {"retry": "1s"}})
    account = house.new_account()
    place = block(house, account)
    sent = {f"m{number}" for number in range(WAITING)}
    for subject in sent:
        send(house, account, subject, lines=400 if subject.endswith("5") else 2000 if subject.endswith("7") else 1)
    return sent, account, place, house


def restore_and_count(house, account, place, backup, sent):
    """The machine is gone; each message that was acknowledged before the backup is there, once."""
    house.stop()
    for path in (house.directory / "state", house.directory / "etc"):
        shutil.rmtree(path)
    house.config.unlink()
    place.unlink()
    house.command("restore", str(backup))
    house.start()
    house.wait_for_messages(account, len(sent))
    deadline = time.monotonic() + 20
    while "queue: 0 messages" not in house.command("status").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert sorted(subjects(house, account)) == sorted(sent)


# Where the command is killed: its Nth call of that kind, as it is made.
KILLS = ["mkdir:1", "connect:1", "recvfrom:1", "read:20", "openat:12", "write:2", "write:40", "syncfs:1", "rename:1", "fsync:1"]


@needs_strace
def test_a_command_that_is_killed_leaves_no_half(make_house):
    sent, account, place, house = make_full_house(make_house)
    backup, partial = house.directory / "backup", house.directory / "backup.partial"
    killed = 0
    for kill in KILLS:
        call, number = kill.split(":")
        done = subprocess.run(
            ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}",
             BUILD / "staffetta", "-c", house.config, "backup", str(backup)],
            env={**ENVIRONMENT, "ASAN_OPTIONS": "detect_leaks=0"}, capture_output=True, timeout=60)
        killed += done.returncode != 0
        if backup.exists():  # whole, though nobody was told
            assert sorted(os.listdir(backup)) == ["files", "journal", "queue"] and not partial.exists()
            shutil.rmtree(backup)
        shutil.rmtree(partial, ignore_errors=True)
        send(house, account, f"after {kill}")
        sent.add(f"after {kill}")
    assert killed >= 7
    house.command("backup", str(backup))
    assert not (house.directory / "state/queue/backup").exists()
    restore_and_count(house, account, place, backup, sent)


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path]).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@needs_root
def test_a_target_that_is_full(make_house):
    sent, account, place, house = make_full_house(make_house)
    with small_disk(house.directory / "disk", "1M") as disk:
        answer = house.command("backup", str(disk / "backup"), check=False)
        assert answer.returncode == 1 and "No space left on device" in answer.stderr
        assert os.listdir(disk) == []
    for part in ("queue", "journal"):
        assert not (house.directory / "state" / part / "backup").exists()
    send(house, account, "after")
    house.command("backup", str(house.directory / "backup"))
    restore_and_count(house, account, place, house.directory / "backup", sent | {"after"})


def test_a_queue_or_journal_that_dies_while_it_copies(make_house):
    sent, account, place, house = make_full_house(make_house)
    house.deaths_expected = True
    dice = random.Random(4)
    begun = time.monotonic()
    house.command("backup", str(house.directory / "first"))
    lasts = time.monotonic() - begun
    failed = 0
    for number in range(12 if TORTURE else 6):
        role = ("smtpd-queue", "journal")[number % 2]
        backup = house.directory / f"backup-{number}"
        asking = subprocess.Popen([BUILD / "staffetta", "-c", house.config, "backup", backup], env=ENVIRONMENT,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(dice.random() * lasts)
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(house.pids(role)[0], signal.SIGKILL)
        error = asking.communicate(timeout=60)[1].decode()
        assert backup.exists() == (asking.returncode == 0), error
        assert not (house.directory / f"backup-{number}.partial").exists(), error
        failed += asking.returncode != 0
        if backup.exists():
            shutil.rmtree(backup)
        deadline = time.monotonic() + 20
        while house.command("queue", "--all", check=False).returncode != 0 or \
                house.command("statistics", check=False).returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.3)  # to ask takes a process each
        send(house, account, f"after {number}")
        sent.add(f"after {number}")
    house.command("backup", str(house.directory / "backup"))
    for part in ("queue", "journal"):
        assert not (house.directory / "state" / part / "backup").exists()
    restore_and_count(house, account, place, house.directory / "backup", sent)


@needs_root
def test_mail_goes_on_while_the_history_has_no_space(make_house):
    house = make_house(start=False, services=("smtp",))
    (house.directory / "state").mkdir(mode=0o755)
    with small_disk(house.directory / "state" / "journal", "3M") as disk:
        filler = disk / "filler"
        house.start()
        account = house.new_account()
        send(house, account, "first")
        house.wait_for_messages(account, 1)
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        sent = 1
        while not house.events("history_lost"):
            send(house, account, f"m{sent}")
            sent += 1
            assert sent < 300
        for _ in range(50):
            send(house, account, f"m{sent}")
            sent += 1
        house.wait_for_messages(account, sent)
        assert "No space left" in house.wait_for_event("history_lost")["error"]
        assert len(house.events("history_lost")) == 1  # not for each event
        filler.unlink()
        send(house, account, "last")
        deadline = time.monotonic() + 90  # at the worst it is opened again
        while True:
            identity = house.events("queued")[-1]["queue_id"]
            if "delivered" in house.command("why", identity, check=False).stdout:
                break
            assert time.monotonic() < deadline, house.log_text()[-3000:]
            time.sleep(1)
            send(house, account, "again")
        house.stop()
