"""`staffetta backup` while mail comes and goes, and `staffetta restore` into an empty state."""

import os
import shutil
import smtplib
import threading
import time

import pytest

LARGE = b"x" * 70 + b"\r\n"


@pytest.fixture
def house(make_house):
    """Deliveries fail for as long as the account's place is in the way: mail waits in the queue."""
    made = make_house(services=("smtp",), settings={"queue": {"retry": "1s"}})
    made.deaths_expected = True
    return made


def block(house, account):
    """No mail gets in: a file stands where its domain's directory would be."""
    place = house.mail / account.split("@")[1]
    shutil.rmtree(place, ignore_errors=True)
    place.write_text("")
    return place


def subjects(house, account):
    found = []
    for file in house.messages(account):
        with open(file, "rb") as message:
            found += [line[9:].strip().decode() for line in message if line.startswith(b"Subject:")]
    return sorted(found)


def send(house, account, subject, body=b"hello\r\n"):
    house.send(account, b"Subject: " + subject.encode() + b"\r\n\r\n" + body)


def told(house, count, seconds=10):
    deadline = time.monotonic() + seconds
    while len(house.events("queued")) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wipe(house):
    """The machine is gone: state, configuration and accounts."""
    house.stop()
    for path in (house.directory / "state", house.directory / "etc"):
        shutil.rmtree(path)
    house.config.rename(house.directory / "lost.conf")


def test_what_waited_is_there_again(house):
    account = house.new_account()
    place = block(house, account)
    for number in range(3):
        send(house, account, f"small {number}")
    send(house, account, "large", LARGE * 4000)
    backup = house.directory / "backup"
    house.command("backup", f"{backup}/")
    assert sorted(os.listdir(backup)) == ["files", "journal", "queue"]
    assert not (house.directory / "state/queue/backup").exists()
    assert not (house.directory / "state/journal/backup").exists()
    told(house, 4)
    key = (house.directory / "state/srs-key").read_bytes()
    identity = house.events("queued")[0]["queue_id"]
    wipe(house)
    place.unlink()
    house.command("restore", str(backup))
    house.start()
    house.wait_for_messages(account, 4)
    assert subjects(house, account) == ["large", "small 0", "small 1", "small 2"]
    assert "hello" not in house.command("account", "list").stdout
    assert "taken from 127.0.0.1" in house.command("why", identity).stdout
    assert (house.directory / "state/srs-key").read_bytes() == key
    # Numbers that were given after the backup are not given again.
    send(house, account, "new")
    house.wait_for_messages(account, 5)
    told(house, 5)
    assert house.events("queued")[4]["queue_id"] > house.events("queued")[3]["queue_id"]
    assert not (house.directory / "state/queue/restored").exists()


class Sender(threading.Thread):
    """Sends until told to stop; `acknowledged` are those that got their 250, in order."""

    def __init__(self, house, account, name):
        super().__init__()
        self.house, self.account, self.title = house, account, name
        self.acknowledged = []
        self.ending = threading.Event()

    def run(self):
        with smtplib.SMTP("127.0.0.1", self.house.ports["smtp"], timeout=30) as client:
            while not self.ending.is_set():
                subject = f"{self.title} {len(self.acknowledged)}"
                body = LARGE * 1500 if len(self.acknowledged) % 10 == 9 else b"hello\r\n"
                client.sendmail("x@out.example", [self.account],
                                b"Subject: " + subject.encode() + b"\r\n\r\n" + body)
                self.acknowledged.append(subject)


def test_under_load_nothing_that_was_acknowledged_is_missing(house):
    waits, flows = house.new_account(), house.add_account("flows@test.example")
    # Of one account mail waits, of the other it flows: records and bodies come and go.
    send(house, flows, "first")
    house.wait_for_messages(flows, 1)
    place = house.mail / "test.example" / waits.split("@")[0]
    place.write_text("")
    senders = [Sender(house, waits, "waits"), Sender(house, flows, "flows")]
    for sender in senders:
        sender.start()
    while min(len(sender.acknowledged) for sender in senders) < 40:
        time.sleep(0.05)
    acknowledged = list(senders[0].acknowledged)
    backup = house.directory / "backup"
    house.command("backup", str(backup))
    for sender in senders:
        sender.ending.set()
    for sender in senders:
        sender.join()
    assert len(senders[0].acknowledged) > len(acknowledged), "no mail came during the backup"
    wipe(house)
    place.unlink()
    house.log.unlink()
    house.command("restore", str(backup))
    house.start()
    house.wait_for_messages(waits, len(acknowledged))
    assert set(acknowledged) <= set(subjects(house, waits))
    # A message that was delivered meanwhile comes at most as the one that is there, never broken.
    assert not house.events("unreadable") and not house.events("queue_corrupt")
    deadline = time.monotonic() + 20
    while "queue: 0 messages" not in house.command("status").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(subjects(house, flows)) == len(set(subjects(house, flows)))


def test_what_is_in_the_way_is_left_alone(house):
    backup = house.directory / "backup"
    house.command("backup", str(backup))
    answer = house.command("backup", str(backup), check=False)
    assert answer.returncode == 1 and "is there already" in answer.stderr
    answer = house.command("restore", str(backup), check=False)
    assert answer.returncode == 1 and "staffetta runs" in answer.stderr
    house.stop()
    answer = house.command("restore", str(backup), check=False)
    assert answer.returncode == 1 and "has something in it" in answer.stderr
    shutil.rmtree(house.directory / "state")
    house.accounts_file.write_text("changed\n")
    answer = house.command("restore", str(backup), check=False)
    assert answer.returncode == 1 and "not as in the backup" in answer.stderr
    assert house.accounts_file.read_text() == "changed\n"
    answer = house.command("backup", str(house.directory / "another"), check=False)
    assert answer.returncode == 1 and "does not run" in answer.stderr
    assert not (house.directory / "another.partial").exists()


def test_owners_and_modes_come_back(house):
    backup = house.directory / "backup"
    house.accounts_file.chmod(0o640)
    house.command("backup", str(backup))
    assert backup.stat().st_mode & 0o777 == 0o700
    owners = {path: path.stat().st_uid for part in ("queue", "journal")
              for path in (house.directory / "state" / part).glob("*.db")}
    wipe(house)
    house.command("restore", str(backup))
    assert house.accounts_file.stat().st_mode & 0o777 == 0o640
    assert owners and all(path.stat().st_uid == uid for path, uid in owners.items())


def test_a_hijacked_owner_leads_nobody_elsewhere(house):
    """A link below the queue's directory is not followed by the command, which may be root."""
    backup = house.directory / "backup"
    house.stop()
    (house.directory / "state/queue/backup").symlink_to("/etc")
    house.start()
    house.command("backup", str(backup))
    assert not (house.directory / "state/queue/backup").exists()
    assert not (backup / "queue/passwd").exists() and os.path.exists("/etc/passwd")


def test_without_a_history(make_house):
    house = make_house(services=("smtp",), settings={"log": {"history": "0s"}})
    backup = house.directory / "backup"
    house.command("backup", str(backup))
    assert sorted(os.listdir(backup)) == ["files", "queue"]


def test_a_backup_that_fails_leaves_nothing(house):
    place = house.directory / "state/queue/backup"
    answer = house.command("backup", str(house.directory / "no/such/place"), check=False)
    assert answer.returncode == 1 and "No such file" in answer.stderr and not place.exists()
