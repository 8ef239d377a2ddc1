"""SIGKILL of any one process, or of all, at random moments of a stream of mail: what was answered
250 is there exactly once and whole, what a client expunged does not come back, and a killed role is
there again at once while the others go on. STAFFETTA_TORTURE=1 runs the loops whole."""

import os
import random
import signal
import time

import pytest
from house import is_sanitized
from stream import Reader, Stream

TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))
SEED = int(os.environ.get("STAFFETTA_SEED", "1"))
ROLES = ["smtpd-queue", "smtpd-deliver", "smtpd-session", "smtpd-filter", "auth", "check", "journal",
         "keys", "imapd-mailbox", "imapd-login"]
SAMPLE = ["smtpd-queue", "smtpd-deliver", "imapd-mailbox"]
RESTART_SECONDS = 0.1
PATIENCE = 10 if is_sanitized() else 1  # sanitizers start slowly


def kill_one(house, role, chance):
    """True where there was one to be killed."""
    pids = house.pids(role)
    if not pids:
        return False
    try:
        os.kill(chance.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("role", ROLES if TORTURE else SAMPLE)
def test_kill_one_role(make_house, role):
    house = make_house()
    accounts = [house.new_account() for _ in range(3)]
    chance = random.Random(f"{SEED} {role}")
    kills, wanted = 0, 25 if TORTURE else 4
    with Reader(house, accounts[0]) as reader, Stream(house, accounts) as stream:
        deadline = time.monotonic() + (120 if TORTURE else 20)
        while kills < wanted and time.monotonic() < deadline:
            time.sleep(chance.uniform(0.05, 1.0))
            kills += kill_one(house, role, chance)
        while len(stream.acknowledged) <= 20 and time.monotonic() < deadline + 40:
            time.sleep(0.1)  # a busy machine is slow to take mail between and after the kills
    assert kills >= wanted / 2, f"{role} was there {kills} times only"
    assert len(stream.acknowledged) > 20, dict(stream.replies)
    stream.verify(reader.removed | (reader.unsure & missing(stream)))
    assert not reader.wrong, reader.wrong[:5]


def missing(stream):
    return set(stream.acknowledged) - set(stream.stored()[0])


def test_kill_everything(make_house):
    """The whole house at once, and started again."""
    house = make_house()
    accounts = [house.new_account() for _ in range(3)]
    chance = random.Random(SEED)
    with Stream(house, accounts) as stream:
        for _ in range(20 if TORTURE else 3):
            time.sleep(chance.uniform(0.3, 1.5))
            house.kill_everything()
            house.start(wait=False)
        time.sleep(1)
    stream.verify()
    assert len(stream.acknowledged) > 10, dict(stream.replies)


@pytest.fixture(scope="module")
def bereft(make_module_house):
    """A house that loses each of its roles once."""
    return make_module_house()


@pytest.mark.parametrize("role", ["auth", "smtpd-session", "smtpd-filter", "smtpd-queue", "journal",
                                  "keys", "check", "imapd-login", "pop3d-login"])
def test_killed_role_is_back_and_the_others_unharmed(bereft, role):
    house = bereft
    before = house.processes()
    (victim,) = house.pids(role)[:1]
    os.kill(victim, signal.SIGKILL)
    start = time.monotonic()
    while not set(house.pids(role)) - set(before):
        assert time.monotonic() - start < RESTART_SECONDS * PATIENCE, house.log_text()
        time.sleep(0.002)
    time.sleep(0.3)
    after = house.processes()
    assert {pid for pid, name in before.items() if pid != victim} <= set(after)
    account = house.new_account()
    house.send(account, "Subject: still here\n\nyes\n")
    house.wait_for_messages(account, 1)
