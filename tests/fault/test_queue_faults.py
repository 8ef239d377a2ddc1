"""smtpd-queue under every kind of failure, alone with its peers played: killed at the Nth call of
each system call that writes, each fallible call failed once, a disk without space. Before: messages
were acknowledged. After: each of them is there, whole, and goes out; what was refused is not.

STAFFETTA_TORTURE=1 takes every N, else a few."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import time

import pytest
from house import BUILD
from loops import TORTURE, failing, strace, turns
from one_queue import (
    BODY, CONFIG, DONE, QUEUE_COMMITTED, QUEUE_REFUSED, RELAY_DONE, RELAY_TEMPORARY, TEMPORARY,
    Queue, Refused)

pytestmark = [
    pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-queue").exists(),
                       reason="smtpd-queue is not built"),
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
]
BOB = "bob@test.example"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 5000


class Client:
    """Submits messages and delivers them until told to stop or the queue is gone."""

    delivers_each = 3

    def __init__(self, queue):
        self.queue = queue
        self.acknowledged, self.refused, self.delivered = {}, {}, set()
        self.waiting = {}  # request: (id, body)
        self.changed = []  # ids of what was delivered with another body

    @staticmethod
    def body_of(number):
        return LARGE if number % 5 == 4 else BODY + b"x" * (number * 977 % 30000) + b"\r\n"

    def submit(self, number):
        session, body = self.queue.session, self.body_of(number)
        try:
            send = session.send if len(body) <= 65536 else session.send_large
            request, identity = send([BOB], body=body)
        except (OSError, Refused):  # OSError: the session finds the disk full
            if len(body) <= 65536:
                raise
            session.forget()
            self.refused[session.last_id] = body
            return
        self.waiting[request] = identity, body

    def take_answer(self):
        """One answer; False: the queue is gone."""
        session = self.queue.session
        got = session.answers.pop(0) if session.answers else session.receive()
        if got is None:
            return False
        kind, request, _, _ = got
        identity, body = self.waiting.pop(request)
        assert kind in (QUEUE_COMMITTED, QUEUE_REFUSED)
        (self.acknowledged if kind == QUEUE_COMMITTED else self.refused)[identity] = body
        return True

    def run(self, messages):
        """Submits so many, waiting for each; delivers each third at once. False: it is gone."""
        with contextlib.suppress(OSError, AssertionError):
            for number in range(messages):
                self.submit(number)
                while self.waiting:
                    if not self.take_answer():
                        return False
                if number % self.delivers_each == self.delivers_each - 1:
                    self.deliver_what_came()
            return True
        return False

    def deliver_what_came(self):
        if not self.queue.deliver:
            self.queue.answer_target(BOB)
        with contextlib.suppress(AssertionError):
            while True:
                delivery = self.queue.next_delivery(seconds=0.02)
                self.queue.result(delivery, (DONE, "2.1.5", 0, 0))
                self.delivered.add(delivery.id)
                if self.acknowledged.get(delivery.id, delivery.body) != delivery.body:
                    self.changed.append(delivery.id)


class LongClient(Client):
    """Bodies in files, so many at once that files are kept for them (smtpd/queue/store/spare_files.h), then delivered: the next
    ones get those. `inodes` are those that were seen."""

    at_once = 12

    def __init__(self, queue, directory=None):
        super().__init__(queue)
        self.directory, self.inodes = directory, set()

    @staticmethod
    def body_of(number):
        return b"Subject: %d\r\n\r\n" % number + b"%08d" % number * (9000 + number * 7 % 40 * 100) + b"\r\n"

    def run(self, messages):
        with contextlib.suppress(OSError, AssertionError):
            for first in range(0, messages, self.at_once):
                for number in range(first, first + self.at_once):
                    self.submit(number)
                while self.waiting:
                    if not self.take_answer():
                        return False
                self.deliver_what_came()
            return True
        return False

    def deliver_what_came(self):
        if self.directory:
            self.inodes |= {entry.inode() for entry in os.scandir(self.directory / "spool")}
        deadline = time.monotonic() + 5  # until all is on disk, and its record dropped
        while self.queue.role.counts()[1] > 0 and time.monotonic() < deadline:
            super().deliver_what_came()


class Patience:
    """Whether the queue has messages left; as long as they get fewer it may take its time."""

    def __init__(self, queue, seconds=30):
        self.queue, self.seconds = queue, seconds
        self.least = None

    def __call__(self):
        left = self.queue.role.counts()[1]
        if self.least is None or left < self.least:
            self.least, self.deadline = left, time.monotonic() + self.seconds
        assert time.monotonic() < self.deadline, f"{self.queue.role.counts()} left"
        return left > 0


def deliver_all(queue):
    """{id: body} of everything the queue has; afterwards it is empty."""
    found = {}
    messages_left = Patience(queue)
    while messages_left():
        if not queue.deliver:
            queue.answer_target(BOB)
        try:
            delivery = queue.next_delivery(seconds=0.1)
        except AssertionError:
            continue
        found[delivery.id] = delivery.body
        queue.result(delivery, (DONE, "2.1.5", 1, 0))
    return found


def verify(directory, client):
    """The next life has all that was acknowledged and not yet delivered, and nothing refused. What
    was not answered at all may be there."""
    queue = Queue(directory, CONFIG)
    assert not client.changed, client.changed
    try:
        found = deliver_all(queue)
        lost = set(client.acknowledged) - set(found) - client.delivered
        assert not lost, f"{len(lost)} of {len(client.acknowledged)} lost"
        assert not set(found) & set(client.refused), "refused, and there all the same"
        for identity, body in client.acknowledged.items():
            assert found.get(identity, body) == body
        queue.wait_for_spool(directory, 0)
        assert min(queue.session.next_id() for _ in range(2)) > max([*found, 0])
        queue.session.accept([BOB])  # it is open for business
    finally:
        queue.end()


def traced(directory, inject):
    """A queue in which a system call fails: strace's inject=... Its log is short (DB_CONFIG is Berkeley
    DB's own), so that it goes on in the next file, which the second thread made, again and again."""
    (directory / "DB_CONFIG").write_text("set_lg_max 262144\n")
    return Queue(directory, CONFIG, wrap=strace(inject))


def end(queue):
    """However it ended: strace, and the role below it."""
    with contextlib.suppress(Exception):
        queue.end()


CALLS = {"fdatasync": 60, "pwrite64": 80, "write": 60, "io_submit": 10, "io_getevents": 10, "linkat": 10, "openat": 60,
         "unlinkat": 12, "renameat": 4, "renameat2": 4, "sendmsg": 80, "fcntl": 60}
KILLS = [(call, at) for call, most in CALLS.items()
         for at in turns(call, 1, most, 1)]


@pytest.mark.parametrize("call,at", KILLS)
def test_killed_at_a_system_call(tmp_path, call, at):
    client = None
    try:
        queue = traced(tmp_path, f"{call}:signal=KILL:when={at}")
    except (AssertionError, OSError):
        pass  # before it was ready: nothing was acknowledged
    else:
        client = Client(queue)
        client.run(40)
        end(queue)
    if client:
        verify(tmp_path, client)
    else:
        Queue(tmp_path, CONFIG).end()


LONG_MESSAGES = 24


def test_files_are_used_again_by_such_a_client(tmp_path):
    """What the next tests rest on, also where strace slows it."""
    queue = traced(tmp_path, "rmdir:error=EIO:when=1")
    client = LongClient(queue, tmp_path)
    client.run(LONG_MESSAGES)
    end(queue)
    assert len(client.acknowledged) == LONG_MESSAGES
    assert len(client.inodes) < LONG_MESSAGES
    verify(tmp_path, client)


# How often a thread makes the call; half of that before the first file is used again.
LONG_CALLS = {"pwrite64": 90, "renameat": 14, "openat": 130, "fcntl": 90, "fdatasync": 60, "syncfs": 24, "io_submit": 24,
              "unlinkat": 12}
LONG_KILLS = [(call, at) for call, most in LONG_CALLS.items()
              for at in turns(f"long {call}", 1 + most // 2, most, 1)]


def run_long(tmp_path, injection):
    """Long messages one after the other, while calls fail or kill; then what was acknowledged is there."""
    try:
        queue = traced(tmp_path, injection)
    except (AssertionError, OSError):
        Queue(tmp_path, CONFIG).end()
        return
    client = LongClient(queue)
    client.run(LONG_MESSAGES)
    end(queue)
    verify(tmp_path, client)


@pytest.mark.parametrize("call,at", LONG_KILLS)
def test_killed_while_files_are_used_again(tmp_path, call, at):
    run_long(tmp_path, f"{call}:signal=KILL:when={at}")


LONG_FAILURES = [("pwrite64", "EIO", "50+7"), ("pwrite64", "ENOSPC", "50+4"), ("openat", "EMFILE", "70+7"),
                 ("openat", "EIO", "70+5"), ("fcntl", "EAGAIN", "50+3"), ("fcntl", "EIO", "50+5"),
                 ("renameat", "EIO", "2+2"), ("renameat", "ENOSPC", "2+1"), ("newfstatat", "EIO", "70+5"),
                 ("sync_file_range", "EIO", "10+1"), ("unlinkat", "EIO", "2+1")]


@pytest.mark.parametrize("call,code,when", LONG_FAILURES)
def test_calls_fail_while_files_are_used_again(tmp_path, call, code, when):
    """Of the first number on each so manieth, also in the midst of a file that is wiped. What it hits
    is refused or done otherwise; a process that ends for it leaves all that was acknowledged."""
    run_long(tmp_path, f"{call}:error={code}:when={when}")


# The call, the error, whether the process goes on afterwards.
FAILURES = [("fdatasync", errno.EIO, False), ("fsync", errno.EIO, True),
            ("io_submit", errno.EAGAIN, True),
            ("linkat", errno.EIO, True), ("pwrite", errno.ENOSPC, True),
            ("pwrite", errno.EIO, True), ("syncfs", errno.EIO, True),
            ("unlinkat", errno.EIO, True), ("open", errno.EMFILE, True),
            ("fcntl", errno.EMFILE, True), ("sendmsg", errno.ENOBUFS, True),
            ("statvfs", errno.EIO, True), ("malloc", errno.ENOMEM, True)]


@pytest.mark.parametrize("call,code,goes_on", FAILURES)
def test_a_call_fails_once(tmp_path, call, code, goes_on):
    """What hit it is refused for a time, or tried again unseen; the next message is taken. Only a
    failed flush of the database ends the process: what is on disk, the next one finds out."""
    for at in turns(f"{call} {code}", 1, 100, 2, often=6):
        directory = tmp_path / f"{call}{at}"
        directory.mkdir()
        queue = Queue(directory, CONFIG, environment=failing(call, code, at))
        client = Client(queue)
        alive = client.run(12)
        if goes_on:
            assert alive, f"{call} number {at} ended it"
            client.submit(0)
            assert client.take_answer()
        if not alive:
            assert queue.role.wait() > 0
        end(queue)
        verify(directory, client)


def test_a_stop_waits_for_the_second_thread(tmp_path):
    """Which would else go on in memory that is not there any more: here it is at the log's next file."""
    queue = traced(tmp_path, "fsync:delay_enter=400000")
    client, unfinished = Client(queue), tmp_path / "next-log.part"
    for number in range(200):
        client.submit(number)
        assert client.take_answer()
        if unfinished.exists():
            break
    queue.stop()
    assert (tmp_path / "next-log").exists() and not unfinished.exists()
    verify(tmp_path, client)


class Courier(Client):
    """The same to other domains: `sent` is what the relay said is done, `deferred` what is not."""

    def __init__(self, queue):
        super().__init__(queue)
        self.relay = queue.relay()
        self.sent, self.deferred, self.twice = set(), set(), set()

    def submit(self, number):
        body = BODY + b"x" * (number * 977 % 30000) + b"\r\n"
        names = [f"{name}@d{number % 7}.example" for name in ("x", "y")]
        request, identity = self.queue.submission.send_foreign(names, body=body)
        self.waiting[request] = identity, body

    def take_answer(self):
        got = self.queue.submission.receive()
        if got is None:
            return False
        kind, request, _, _ = got
        identity, body = self.waiting.pop(request)
        assert kind in (QUEUE_COMMITTED, QUEUE_REFUSED)
        (self.acknowledged if kind == QUEUE_COMMITTED else self.refused)[identity] = body
        return True

    def deliver_what_came(self):
        with contextlib.suppress(AssertionError):
            while True:
                self.take_one(self.relay.next(seconds=0.02))

    def take_one(self, message):
        assert message.body == self.acknowledged.get(message.id, message.body)
        outcomes = []
        for name in message.recipients:
            key = message.id, name
            if name[0] == "y" and key not in self.deferred:
                self.deferred.add(key)
                outcomes.append((RELAY_TEMPORARY, "4.2.2 later\n450 4.2.2 later\nmx"))
                continue
            outcomes.append((RELAY_DONE, "2.0.0 sent"))
            (self.twice if key in self.sent else self.sent).add(key)
        self.relay.result(message, *outcomes, window=4)

    def finish(self, queue):
        """In the next life: all of it goes out."""
        self.queue, self.relay = queue, queue.relay()
        messages_left = Patience(queue)
        while messages_left():
            self.deliver_what_came()

    def verify(self, directory):
        """Both recipients of each message that was acknowledged got it; none of one refused did. One
        that the relay had done may come again, no more often than there were deaths."""
        queue = Queue(directory, CONFIG)
        try:
            self.finish(queue)
            wanted = {(identity, name) for identity in self.acknowledged for name in "xy"}
            got = {(identity, name[0]) for identity, name in self.sent}
            assert not wanted - got, f"{len(wanted - got)} of {len(wanted)} lost"
            assert not {identity for identity, _ in got} & set(self.refused)
            return len(self.twice)
        finally:
            queue.end()


RELAY_CALLS = {"fdatasync": 60, "pwrite64": 80, "sendmsg": 120, "recvmsg": 120}
RELAY_KILLS = [(call, at) for call, most in RELAY_CALLS.items()
               for at in turns(f"relay {call}", 1, most, 1)]


@pytest.mark.parametrize("call,at", RELAY_KILLS)
def test_relaying_is_killed_at_a_system_call(tmp_path, call, at):
    try:
        queue = traced(tmp_path, f"{call}:signal=KILL:when={at}")
    except (AssertionError, OSError):
        Queue(tmp_path, CONFIG).end()  # before it was ready
        return
    courier = Courier(queue)
    courier.run(40)
    end(queue)
    assert courier.verify(tmp_path) <= 10  # what was under way at its death, or when it was ended


@pytest.mark.parametrize("call,code,goes_on", [
    ("fdatasync", errno.EIO, False), ("pwrite", errno.ENOSPC, True), ("pwrite", errno.EIO, True),
    ("sendmsg", errno.ENOBUFS, True), ("malloc", errno.ENOMEM, True)])
def test_a_call_fails_once_while_relaying(tmp_path, call, code, goes_on):
    for at in turns(f"relay {call} {code}", 1, 100, 1, often=31):
        directory = tmp_path / f"{call}{at}"
        directory.mkdir()
        queue = Queue(directory, CONFIG, environment=failing(call, code, at))
        courier = Courier(queue)
        alive = courier.run(12)
        # Without memory for a new peer a role ends; here they come before the first message.
        assert not goes_on or alive or not courier.acknowledged, f"{call} number {at} ended it"
        end(queue)
        courier.verify(directory)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL])
def test_killed_at_random(tmp_path, signal_number):
    """Many lives on one directory."""
    acknowledged = {}
    for life in range(25 if TORTURE else 6):
        queue = Queue(tmp_path, CONFIG)
        client = Client(queue)
        for number in range(200):
            client.submit(number)
        deadline = time.monotonic() + 0.02 * (life + 1)
        while client.waiting and time.monotonic() < deadline:
            assert client.take_answer()
        os.kill(queue.role.pid, signal_number)
        with contextlib.suppress(OSError, AssertionError):
            while client.waiting and client.take_answer():
                pass
        acknowledged.update(client.acknowledged)
        queue.end()
    queue = Queue(tmp_path, CONFIG)
    found = deliver_all(queue)
    queue.end()
    assert not set(acknowledged) - set(found)
    assert all(found[identity] == body for identity, body in acknowledged.items())


@pytest.fixture
def small_disk(tmp_path):
    """24 MiB, of which a ballast takes the half."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24M", "none", disk])
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    (disk / "ballast").write_bytes(bytes(12 << 20))
    (disk / "queue").mkdir()
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk):
    fd = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, bytes(4096))
    os.close(fd)


def test_full_disk(small_disk):
    """Refused with 451 while it is full, and taken again once there is space, without a restart."""
    directory = small_disk / "queue"
    queue = Queue(directory, CONFIG)
    client = Client(queue)
    number = 0
    while not client.refused:
        client.submit(number)
        number += 1
        assert not client.waiting or client.take_answer(), "a full disk ended it"
        assert number < 5000
    for number in range(number, number + 20):  # it stays full, and stays up
        client.submit(number)
        assert not client.waiting or client.take_answer(), "a full disk ended it"
    # Deliveries go on, though nothing can be written down.
    queue.answer_target(BOB)
    for _ in range(10):
        delivery = queue.next_delivery()
        assert delivery.body == client.acknowledged[delivery.id]
        queue.result(delivery, (DONE, "2.1.5", 1, 0))
        client.delivered.add(delivery.id)
    (small_disk / "ballast").unlink()
    deadline = time.monotonic() + 10
    while True:
        before = len(client.acknowledged)
        client.submit(0)
        assert client.take_answer()
        if len(client.acknowledged) > before:
            break
        assert time.monotonic() < deadline, "still refused with space on the disk"
        time.sleep(0.1)
    end(queue)
    verify(directory, client)


def test_full_disk_at_start(small_disk):
    """No start without space for recovery, nothing set aside, and all is there afterwards."""
    directory = small_disk / "queue"
    queue = Queue(directory, CONFIG)
    client = Client(queue)
    client.run(30)
    end(queue)
    fill(small_disk)
    with contextlib.suppress(AssertionError, OSError):
        Queue(directory, CONFIG).end()
    assert not [name for name in os.listdir(directory) if name.startswith("corrupt-")]
    (small_disk / "filler").unlink()
    verify(directory, client)


def test_relayed_while_the_disk_is_full(small_disk):
    """What came of it is written, or waits in memory until there is space; nothing goes twice."""
    directory = small_disk / "queue"
    queue = Queue(directory, CONFIG)
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example", "y@far.example"])
    message = relay.next()
    fill(small_disk)
    relay.result(message, (RELAY_DONE, "2.0.0"), (RELAY_TEMPORARY, "4.2.2 later"))
    time.sleep(0.3)
    assert queue.role.counts()[1] == 1
    (small_disk / "filler").unlink()
    assert relay.one().recipients == ["y@far.example"]
    queue.wait_for_counts(0)
    end(queue)


def test_deferred_while_the_disk_is_full(small_disk):
    """An outcome that cannot be written waits, and is written later."""
    directory = small_disk / "queue"
    queue = Queue(directory, CONFIG)
    identity = queue.session.accept([BOB])
    fill(small_disk)
    queue.answer_target(BOB)
    queue.deliver_one(TEMPORARY, "4.2.2 full", 0)
    time.sleep(0.3)
    assert queue.role.counts()[1] == 1
    (small_disk / "filler").unlink()
    assert queue.deliver_one(DONE).id == identity
    queue.wait_for_counts(0)
    end(queue)
