"""What a kill at each named point of a message's way leaves on disk, and what becomes of that: the
tables of smtpd/queue/README.md and storage/tombstone.h. smtpd-queue, smtpd-deliver, pop3d-maildrop
and imapd-mailbox alone, with this process as their peers. Each row: its name, where the process ends (fail_call.c), what
lies there before the next start, what after it."""

import contextlib
import os
import time

import pytest
from loops import failing
from mailbox_role import Mailbox
from one_queue import BODY, CONFIG, DONE, GONE, QUEUE_COMMITTED, Queue
from test_deliver import DELIVER_MESSAGE, Deliverer, message
from test_maildrop import Maildrop

BOB = "bob@test.example"
BODIES = {"small": BODY, "large": b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 5000}
PATH = "test.example/u1/Maildir"
CHECKPOINT_SECONDS = 1.5  # after which a queue that has nothing to do writes nothing


def ending(directory, call, order, at=1):
    """The environment of a role that ends at that call, counted from arm() on."""
    return failing(call, order, at, directory / "armed")


def arm(directory):
    (directory / "armed").touch()


# --- smtpd-queue

# Name; what body; call, before or after it; then what the client was told, what lies in spool/, and how
# many messages the next start finds.
TAKING = [
    ("a body is sealed, not linked", "large", "linkat", "before", None, 0, 0),
    ("a body is linked, not flushed", "large", "fsync", "before", None, 1, 0),
    ("a body is flushed, its record not written", "large", "pwrite", "before", None, 1, 0),
    ("the record is not written", "small", "pwrite", "before", None, 0, 0),
    ("the record is written, not flushed: a kill, unlike a power cut, leaves it", "small",
     "fdatasync", "before", None, 0, 1),
    ("body and record are committed, nobody told", "large", "fdatasync", "after", None, 1, 1),
    ("the record is committed, nobody told", "small", "sendmsg", "before", None, 0, 1),
    ("the client has its 250, body in the record", "small", "sendmsg", "after", True, 0, 1),
    ("the client has its 250, body in spool/", "large", "sendmsg", "after", True, 1, 1),
]


def submit(queue, body):
    if len(body) > 65536:
        return queue.session.send_large([BOB], body)[1]
    return queue.session.send([BOB], body=body)[1]


def told(queue):
    """True after a 250, None where the queue was gone before it said anything."""
    with contextlib.suppress(OSError, AssertionError):
        while (got := queue.session.receive()) is not None:
            return got[0] == QUEUE_COMMITTED
    return None


def spool(directory):
    return len(os.listdir(directory / "spool"))


def after_the_next_start(directory, body, queued, again):
    """What was queued is delivered, whole and once, and nothing is left."""
    queue = Queue(directory, CONFIG)
    try:
        assert queue.role.counts()[1] == queued
        assert spool(directory) == queued * (len(body) > 65536), "swept but for bodies with a record"
        if queued:
            queue.answer_target(BOB)
            delivery = queue.deliver_one(DONE)
            assert delivery.body == body and delivery.again == [again]
        queue.wait_for_counts(0)
        queue.session.accept([BOB])
    finally:
        queue.end()


@pytest.mark.parametrize("row", TAKING, ids=[row[0] for row in TAKING])
def test_queue_takes(tmp_path, row):
    _, kind, call, order, answer, in_spool, queued = row
    body = BODIES[kind]
    # Before the answer the file of a long body is lent over the same socket.
    at = 2 if call == "sendmsg" and kind == "large" else 1
    queue = Queue(tmp_path, CONFIG, environment=ending(tmp_path, call, order, at))
    queue.session.take_ids()
    time.sleep(CHECKPOINT_SECONDS)
    arm(tmp_path)
    submit(queue, body)
    assert told(queue) is answer
    assert queue.role.wait() == 1
    queue.end()
    assert spool(tmp_path) == in_spool
    after_the_next_start(tmp_path, body, queued, again=1)


def test_queue_takes_a_body_that_is_not_sealed(tmp_path):
    """It has no name yet: nothing is left of it."""
    queue = Queue(tmp_path, CONFIG)
    write_fd, read_fd = queue.session.lend_file(1)
    os.write(write_fd, b"half a body")
    queue.end()
    os.close(write_fd)
    os.close(read_fd)
    assert spool(tmp_path) == 0
    after_the_next_start(tmp_path, BODY, 0, again=0)


# Before the record is dropped deliver has said that it is done; `flushed` as it says then.
GIVING = [
    ("deliver has it, and has not answered", "small", None, None, 1, 0, 1),
    ("deliver has it, and has not answered", "large", None, None, 1, 1, 1),
    ("it is in the Maildir, not flushed", "small", "syncfs", "before", 0, 0, 1),
    ("it is in the Maildir, not flushed", "large", "syncfs", "before", 0, 1, 1),
    ("it is flushed, the record not dropped", "small", "syncfs", "after", 0, 0, 1),
    ("it is flushed, the record not dropped", "large", "syncfs", "after", 0, 1, 1),
    ("the drop is not written", "small", "pwrite", "before", 1, 0, 1),
    ("the drop is not written", "large", "pwrite", "before", 1, 1, 1),
    ("the record is dropped, its body not removed", "large", "unlinkat", "before", 1, 1, 0),
    ("its body is removed", "large", "unlinkat", "after", 1, 0, 0),
]


@pytest.mark.parametrize("row", GIVING, ids=[f"{row[0]}, {row[1]}" for row in GIVING])
def test_queue_gives(tmp_path, row):
    _, kind, call, order, flushed, in_spool, queued = row
    body = BODIES[kind]
    queue = Queue(tmp_path, CONFIG, environment=ending(tmp_path, call, order) if call else None)
    submit(queue, body)
    assert told(queue) is True
    queue.answer_target(BOB)
    delivery = queue.next_delivery()
    assert delivery.again == [0]
    if call:
        arm(tmp_path)
        queue.result(delivery, (DONE, "2.1.5", flushed, 0))
        assert queue.role.wait() == 1
    queue.end()
    assert spool(tmp_path) == in_spool
    after_the_next_start(tmp_path, body, queued, again=1)


# --- smtpd-deliver and the Maildir

def content(number):
    return BODY + b"message %d\r\n" % number


def count(place):
    """Files in tmp/ but for tombstones, tombstones, messages in new/ and cur/."""
    maildir = place / PATH
    temporary = os.listdir(maildir / "tmp")
    graves = [name for name in temporary if name.endswith(".gone")]
    there = [name for part in ("new", "cur") for name in os.listdir(maildir / part)]
    return len(temporary) - len(graves), len(graves), len(there)


def deliver(deliverer, number, again=0):
    """The status; None where the process ended over it."""
    with contextlib.suppress(AssertionError, OSError):
        deliverer.queue.send(DELIVER_MESSAGE, message([(1, number, "u1@test.example", again)],
                                                      body=content(number)))
        return deliverer.result()[1][0][0]
    return None


# Then what queue heard, what lies in tmp/, and how many messages there are (one was there before).
DELIVERING = [
    ("nothing is written", "open", "before", None, 0, 1),
    ("its file is made, empty", "writev", "before", None, 1, 1),
    ("it is written, not renamed", "renameat", "before", None, 1, 1),
    ("it is in new/, queue not told", "renameat", "after", None, 0, 2),
    ("queue is told", "sendmsg", "after", DONE, 0, 2),
]


@pytest.mark.parametrize("row", DELIVERING, ids=[row[0] for row in DELIVERING])
def test_deliver(tmp_path, row):
    _, call, order, answer, in_tmp, there = row
    deliverer = Deliverer(tmp_path, environment=ending(tmp_path, call, order))
    assert deliver(deliverer, 1) == DONE
    arm(tmp_path)
    assert deliver(deliverer, 2) == answer
    assert deliverer.role.wait() == 1
    deliverer.end()
    assert count(tmp_path) == (in_tmp, 0, there)
    deliverer = Deliverer(tmp_path)  # queue does not know what became of it, and asks again
    assert deliver(deliverer, 2, again=1) == DONE
    deliverer.end()
    assert count(tmp_path) == (0, 0, 2)
    assert sum(file.read_bytes().endswith(content(2))
               for file in (tmp_path / PATH / "new").iterdir()) == 1


# A client removes the only message while queue still has its record: whether it is kept for undo, where
# the process ends, what QUIT was answered; tombstones, messages and what is kept before the repeated
# delivery, its outcome, and messages after it.
REMOVING = [
    ("no tombstone is made", False, "open", "before", 1, None, 0, 1, 0, DONE, 1),
    ("the tombstone is made, the message there", False, "unlinkat", "before", 1, None, 1, 1, 0, DONE, 1),
    ("the message is gone, not flushed", False, "unlinkat", "after", 1, None, 1, 0, 0, GONE, 0),
    ("it is flushed, the client not told", False, "fsync", "after", 3, None, 1, 0, 0, GONE, 0),
    ("the tombstone is made, there is nowhere to keep it", True, "mkdirat", "before", 1, None, 1, 1, 0,
     DONE, 1),
    ("it is not kept yet", True, "renameat", "before", 1, None, 1, 1, 0, DONE, 1),
    ("it is kept, not flushed", True, "renameat", "after", 1, None, 1, 0, 1, GONE, 0),
    ("it is kept and flushed, the client not told", True, "fsync", "after", 6, None, 1, 0, 1, GONE, 0),
]


def kept(place):
    directory = place / PATH / "staffetta-expunged" / "cur"
    return len(os.listdir(directory)) if directory.exists() else 0


@pytest.mark.parametrize("row", REMOVING, ids=[row[0] for row in REMOVING])
def test_maildrop_removes(tmp_path, row):
    _, keeps, call, order, at, answer, graves, there, in_kept, outcome, left = row
    deliverer = Deliverer(tmp_path)
    assert deliver(deliverer, 1) == DONE
    deliverer.end()
    maildrop = Maildrop(tmp_path, "" if keeps else "undo { keep = 0 }\n",
                        environment=ending(tmp_path, call, order, at=at))
    maildrop.ask("DELE 1")
    arm(tmp_path)
    assert quit_of(maildrop) is answer
    assert maildrop.role.wait() == 1
    assert count(tmp_path) == (0, graves, there)
    assert kept(tmp_path) == in_kept
    deliverer = Deliverer(tmp_path)
    assert deliver(deliverer, 1, again=1) == outcome
    deliverer.end()
    assert count(tmp_path)[2] == left and kept(tmp_path) == in_kept


# Name; where imapd-mailbox ends while a client expunges a message, or deletes its folder; whether the
# message is in its folder afterwards, else it is kept.
KEEPING = [
    ("an expunged message is there", "EXPUNGE", "renameat", "before", True),
    ("an expunged message is kept", "EXPUNGE", "renameat", "after", False),
    ("it is kept, not flushed", "EXPUNGE", "fsync", "before", False),
    ("a folder is marked, not moved", "DELETE Work", "renameat", "before", True),
    ("a folder is kept, not flushed", "DELETE Work", "renameat", "after", False),
]


@pytest.mark.parametrize("row", KEEPING, ids=[row[0] for row in KEEPING])
def test_mailbox_keeps(tmp_path, row):
    _, command, call, order, there = row
    mailbox = Mailbox(tmp_path)
    with mailbox.connect() as client:
        client.ok("CREATE Work")
        client.append(BODY, "Work", "(\\Deleted) ")
        client.append(BODY, "INBOX", "(\\Deleted) ")
        client.ok("SELECT INBOX")
        client.ok("EXPUNGE")  # what is kept has its place
    mailbox.stop()
    mailbox.start(environment=ending(tmp_path, call, order))
    with mailbox.connect() as client:
        client.ok("SELECT Work")
        arm(tmp_path)
        with contextlib.suppress(AssertionError, OSError):
            client.command(command)
        assert mailbox.role.wait() == 1
    mailbox.start()
    with mailbox.connect() as client:
        assert len(client.ok("STATUS Expunged (MESSAGES)")) == 1
        where = "Work" if there else "Expunged" if command == "EXPUNGE" else "Expunged/Work"
        count_there = 2 if where == "Expunged" else 1
        assert b"MESSAGES %d)" % count_there in client.ok(f"STATUS {where} (MESSAGES)")[0]
        if command == "EXPUNGE":
            assert b"MESSAGES %d)" % there in client.ok("STATUS Work (MESSAGES)")[0]
        else:
            assert client.command("SELECT Work")[1].startswith(b"OK" if there else b"NO")
    mailbox.stop()


def quit_of(maildrop):
    with contextlib.suppress(AssertionError, OSError):
        return maildrop.ask("QUIT", "")
    return None
