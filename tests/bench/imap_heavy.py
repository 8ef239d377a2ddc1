"""What one user of imapd can ask for that is heavy, and what it costs his neighbours: for each deed
how long it takes, the memory of his process at its most, and how long others wait meanwhile for a
message of 4 KiB: another session of the same account, and another account."""

import contextlib
import imaplib
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

from house import children_of

LARGE_OCTETS = 200 << 20
FOLDERS = 1000
SUBSCRIPTIONS = 100_000
BUSY_OCTETS = 32 << 20  # a write and a flush, again and again
PAUSE_S = 0.005  # between two questions of a neighbour
BUSY_WRITER = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
while True:
    os.pwrite(file, os.urandom(1 << 20) * (int(sys.argv[2]) >> 20), 0)
    os.fsync(file)
"""
SMALL = b"Subject: small\r\n\r\n" + b"x" * 78 * 50 + b"\r\n"

imaplib._MAXLINE = 1 << 26


def visit(client, over, results):
    """One message again and again, until the deed is over."""
    took = []
    while not over.wait(PAUSE_S):
        begun = time.monotonic()
        client.fetch("1", "(BODY.PEEK[])")
        took.append((time.monotonic() - begun) * 1000)
    results.send(sorted(took) or [0])


class Neighbour:
    """In a process of his own, for nothing that is done here may delay him."""

    def __init__(self, client):
        context = multiprocessing.get_context("fork")
        self.over = context.Event()
        self.results, results = context.Pipe(False)
        self.process = context.Process(target=visit, args=(client, self.over, results))
        self.process.start()

    def waits(self):
        """The 99th percentile and the longest, in ms."""
        self.over.set()
        took = self.results.recv()
        self.process.join()
        return f"{took[int(len(took) * 0.99) - 1]:.1f} / {took[-1]:.0f}"


class Heavy:
    def __init__(self, server, accounts, password):
        self.server, self.account, self.password = server, accounts[0], password
        self.log_in(self.account).logout()  # which makes its Maildir
        self.fill_subscriptions()
        self.neighbours = [self.log_in(name) for name in accounts[:2]]
        for neighbour in self.neighbours:
            neighbour.append("INBOX", None, None, SMALL)
            neighbour.select()
        self.client = self.log_in(self.account)

    def log_in(self, name):
        client = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"], timeout=300)
        client.login(name, self.password)
        return client

    def process(self):
        """The mailbox of the account: the one that has its Maildir as root."""
        maildir = self.server.maildir(self.account)
        for pid, name in children_of(self.server.roots()[0]).items():
            with contextlib.suppress(OSError):
                root = pathlib.Path(f"/proc/{pid}/root").resolve()
                if name == "imapd-mailbox" and (root == maildir or root in maildir.parents) and root != pathlib.Path("/"):
                    return pid
        raise RuntimeError("the account has no process")

    def high_water_mib(self):
        status = pathlib.Path(f"/proc/{self.process()}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def line(self, name, deed):
        pathlib.Path(f"/proc/{self.process()}/clear_refs").write_text("5")  # VmHWM begins anew
        neighbours = [Neighbour(client) for client in self.neighbours]
        begun = time.monotonic()
        deed()
        took = time.monotonic() - begun
        memory = self.high_water_mib()
        return name, f"{took:.2f} s", f"{memory:.0f} MiB", *(each.waits() for each in neighbours)

    # --- Deeds

    def append_large(self):
        """Not by imaplib, which takes longer than the server to look at it."""
        part = (b"x" * 78 + b"\r\n") * 13107
        head, parts = b"Subject: large\r\n\r\n", LARGE_OCTETS // len(part)
        self.client.send(b"x APPEND INBOX {%d+}\r\n%s" % (len(head) + parts * len(part), head))
        for _ in range(parts):
            self.client.send(part)
        self.client.send(b"\r\n")
        while not (line := self.client.readline()).startswith(b"x "):
            pass
        assert line.startswith(b"x OK"), line

    def fetch_large(self):
        self.client.select()
        self.client.fetch("*", "(BODY.PEEK[])")

    def search_large(self):
        self.client.search(None, "BODY", '"no such text"')

    def read_slowly(self):
        """Half a megabyte a second of what goes on for 200."""
        with socket.create_connection(("127.0.0.1", self.server.ports["imap"]), 60) as slow:
            slow.sendall(b"a LOGIN %s %s\r\nb SELECT INBOX\r\nc FETCH 1:* (BODY.PEEK[])\r\n"
                         % (self.account.encode(), self.password.encode()))
            for _ in range(30):
                slow.recv(51200)
                time.sleep(0.1)

    def make_folders(self):
        for number in range(FOLDERS):
            self.client.create(f"Folder/{number // 50}/{number}")

    def list_folders(self):
        self.client.list()

    def list_status(self):
        self.client._simple_command("LIST", '""', '"*"', "RETURN", "(STATUS (MESSAGES UNSEEN UIDNEXT SIZE))")

    def subscribe(self):
        self.client.subscribe("Folder/new")

    def list_subscribed(self):
        self.client.lsub()

    def fill_subscriptions(self):
        """The next process of the account reads them."""
        path = self.server.maildir(self.account) / "staffetta-subscriptions"
        with path.open("a") as names:
            names.writelines(f"Older/{number:06}\n" for number in range(SUBSCRIPTIONS))
        os.kill(self.process(), signal.SIGTERM)
        time.sleep(1)  # it ends; a client that came meanwhile would be turned away

    @contextlib.contextmanager
    def slow_disk(self):
        """Others keep it busy: a flush waits for what they wrote."""
        writer = subprocess.Popen(
            [sys.executable, "-c", BUSY_WRITER, str(self.server.mail / "busy"), str(BUSY_OCTETS)])
        time.sleep(1)  # until its first flushes are under way
        try:
            yield
        finally:
            writer.terminate()
            writer.wait()

    def store(self):
        for number in range(10):
            self.client.store("1", "+FLAGS", f"keyword{number}")
            self.client.append("INBOX", None, None, SMALL)


def measure(server, accounts, password):
    """Rows: deed, time, memory, and per neighbour the 99th percentile / the longest wait in ms."""
    heavy = Heavy(server, accounts, password)
    yield heavy.line(f"APPEND of {LARGE_OCTETS >> 20} MiB", heavy.append_large)
    yield heavy.line("FETCH of it", heavy.fetch_large)
    yield heavy.line("SEARCH BODY in it", heavy.search_large)
    yield heavy.line("FETCH of it, read slowly for 3 s", heavy.read_slowly)
    yield heavy.line(f"CREATE of {FOLDERS} folders", heavy.make_folders)
    yield heavy.line("LIST of them", heavy.list_folders)
    yield heavy.line("LIST with STATUS of them", heavy.list_status)
    yield heavy.line(f"SUBSCRIBE where there are {SUBSCRIPTIONS}", heavy.subscribe)
    yield heavy.line("LSUB of them", heavy.list_subscribed)
    with heavy.slow_disk():
        yield heavy.line("10 STORE, 10 APPEND, the disk busy", heavy.store)
