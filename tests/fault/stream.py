"""A stream of mail that remembers what was acknowledged, and afterwards looks whether each message
that got a 250 is there exactly once and whole. What became of a connection that broke between the
final dot and the reply is nobody's promise (RFC 5321 4.5.4.1): such a message may be there or not,
once at most for each time it was sent."""

import collections
import contextlib
import hashlib
import imaplib
import os
import poplib
import random
import re
import smtplib
import threading
import time

from house import PASSWORD


def make_message(name, octets):
    """Its own digest stands in it, so that a message can be judged without the sender."""
    filler = random.Random(name).randbytes(octets // 2).hex()
    body = "\r\n".join(filler[at : at + 76] for at in range(0, len(filler), 76)) + "\r\n"
    digest = hashlib.sha256(body.encode()).hexdigest()
    return (f"From: sender@elsewhere.example\r\nSubject: {name}\r\nX-Digest: {digest}\r\n"
            f"\r\n{body}").encode()


def judge(octets):
    """(name, whether it is whole) of a stored message; (None, False) where it has no name."""
    header, _, body = octets.partition(b"\r\n\r\n")
    name = re.search(rb"^Subject: (\S+)\r?$", header, re.M)
    digest = re.search(rb"^X-Digest: (\S+)\r?$", header, re.M)
    if not name or not digest:
        return None, False
    return name[1].decode(), hashlib.sha256(body).hexdigest() == digest[1].decode()


class Stream:
    """Threads that send, with a pause of so many seconds behind each message; `with Stream(...)`
    stops them at its end. While `has_power` is false nothing that is said is believed: a
    machine without power says nothing, and a flush that its end interrupts may return anything."""

    def __init__(self, house, accounts, senders=4, sizes=(500, 4000, 20000, 150000), pause=0):
        self.house, self.accounts, self.sizes, self.pause = house, accounts, sizes, pause
        self.has_power = True
        self.acknowledged = {}  # name: account
        self.unsure = {}  # name: account; the reply to the final dot never came
        self.refused = 0
        self.replies = collections.Counter()
        self.wrong = []  # replies that no failure excuses
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True)
                        for number in range(senders)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    def run(self, number):
        serial, client = 0, None
        chance = random.Random(number)
        while not self.ending.is_set():
            serial += 1
            name, account = f"m{number}-{serial}", chance.choice(self.accounts)
            try:
                if client is None:
                    client = smtplib.SMTP("127.0.0.1", self.house.ports["smtp"], timeout=30)
                self.send_one(client, name, account, make_message(name, chance.choice(self.sizes)))
                time.sleep(self.pause)
            except (OSError, smtplib.SMTPException) as error:
                self.count(error)
                client = None
                time.sleep(0.02)

    def send_one(self, client, name, account, message):
        client.ehlo_or_helo_if_needed()
        for step in (lambda: client.mail("sender@elsewhere.example"), lambda: client.rcpt(account)):
            code, text = step()
            if code >= 400:
                self.refuse(code, text)
                client.rset()
                time.sleep(0.02)
                return
        with self.lock:
            self.unsure[name] = account
        code, text = client.data(message)
        with self.lock:
            if self.has_power:
                del self.unsure[name]
            if code == 250 and self.has_power:
                self.acknowledged[name] = account
        if code != 250:
            self.refuse(code, text)
            time.sleep(0.02)

    def refuse(self, code, text):
        with self.lock:
            self.refused += 1
            self.replies[code] += 1
            if code >= 500:
                self.wrong.append(f"{code} {text!r}")

    def count(self, error):
        with self.lock:
            self.replies[type(error).__name__] += 1
            code = getattr(error, "smtp_code", 0)
            if code >= 500:
                self.wrong.append(repr(error))

    # --- Afterwards

    def stored(self):
        """{name: how often}, and the names of files that are not whole."""
        counts, broken = collections.Counter(), []
        for account in self.accounts:
            for file in self.house.messages(account):
                name, whole = judge(file.read_bytes())
                counts[name] += 1
                if not whole:
                    broken.append(f"{account} {file.name} ({name})")
        return counts, broken

    def wait_until_settled(self, removed=(), seconds=60):
        """Until all that was acknowledged is there, less what was removed."""
        deadline = time.monotonic() + seconds
        wanted = set(self.acknowledged) - set(removed)
        while wanted - set(self.stored()[0]) and time.monotonic() < deadline:
            time.sleep(0.1)

    def verify(self, removed=()):
        """Every promise at once; `removed` are the names that a client expunged."""
        self.wait_until_settled(removed)
        time.sleep(0.5)  # what comes twice would come now
        counts, broken = self.stored()
        lost = sorted(set(self.acknowledged) - set(removed) - set(counts))
        twice = sorted(name for name, count in counts.items() if count > 1)
        back = sorted(set(removed) & set(counts))
        strangers = sorted(set(counts) - set(self.acknowledged) - set(self.unsure))
        assert not broken, f"not whole: {broken[:5]}; lost: {lost[:5]}"
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} lost: {lost[:5]}"
        assert not twice, f"more than once: {twice[:5]}"
        assert not back, f"expunged, and back: {back[:5]}"
        assert not strangers, f"refused, and delivered all the same: {strangers[:5]}"
        assert not self.wrong, f"permanent refusals: {self.wrong[:3]}"


class Removals:
    """A client that removes some of an account's mail meanwhile, and remembers which. Only what the
    server confirmed counts as removed; whatever it was shown must be whole, and keep its UID."""

    def __init__(self, house, account, pause=0.05):
        self.house, self.account, self.pause = house, account, pause
        self.removed, self.unsure = set(), set()
        self.has_power = True  # as of Stream
        self.shown = {}  # (UIDVALIDITY, UID): name
        self.wrong = []  # what no client may see
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(60)

    def take_name(self, octets, key=None):
        """The name of a message that was shown."""
        name, whole = judge(octets)
        if not whole:
            self.wrong.append(f"{name} is not whole ({len(octets)} octets)")
        if name in self.removed:
            known = [shown for shown, its_name in self.shown.items() if its_name == name]
            self.wrong.append(f"{name} was removed, and is back as {key}, shown as {known} before")
        if key and self.shown.setdefault(key, name) != name:
            self.wrong.append(f"{key} was {self.shown[key]}, and is {name}")
        return name


class Reader(Removals):
    """Over IMAP, one EXPUNGE for each message."""

    def run(self):
        client = None
        while not self.ending.is_set():
            try:
                if client is None:
                    client = imaplib.IMAP4("127.0.0.1", self.house.ports["imap"], timeout=30)
                    client.login(self.account, PASSWORD)
                    client.select("INBOX")
                self.expunge_one(client)
            except (OSError, imaplib.IMAP4.error):
                client = None
            time.sleep(self.pause)

    def expunge_one(self, client):
        client.noop()
        _, found = client.uid("SEARCH", "1:*")
        uids = found[0].split() if found and found[0] else []
        if not uids:
            return
        uid = random.choice(uids).decode()
        _, data = client.uid("FETCH", uid, "(BODY.PEEK[])")
        if not data or not isinstance(data[0], tuple):
            return
        (validity,) = client.untagged_responses["UIDVALIDITY"][-1:]
        name = self.take_name(data[0][1], (validity, uid))
        self.unsure.add(name)
        stored, _ = client.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)")
        expunged, _ = client.expunge()
        if (stored, expunged) == ("OK", "OK") and self.has_power:
            self.removed.add(name)
            self.unsure.discard(name)


class PopReader(Removals):
    """Over POP3, a few messages a session."""

    MESSAGES = 3

    def run(self):
        while not self.ending.is_set():
            with contextlib.suppress(OSError, poplib.error_proto):
                client = poplib.POP3("127.0.0.1", self.house.ports["pop3"], timeout=30)
                client.user(self.account)
                client.pass_(PASSWORD)
                self.remove_some(client)
            time.sleep(self.pause)

    def remove_some(self, client):
        names = set()
        for number in range(1, min(client.stat()[0], self.MESSAGES) + 1):
            lines = client.retr(number)[1]
            names.add(self.take_name(b"\r\n".join(lines) + b"\r\n"))
            client.dele(number)
        self.unsure |= names
        client.quit()
        if self.has_power:
            self.removed |= names
            self.unsure -= names


def wait_until_files_are_used_again(state, house, seconds=60):
    """A file of queue's spool has got another name: it holds another body. Whoever only has a path
    of it (O_PATH) is no hindrance to that, and keeps the number of its inode from being given away."""
    held = {}
    deadline = time.monotonic() + seconds
    try:
        while True:
            assert time.monotonic() < deadline, house.log_text()
            for entry in os.scandir(state / "queue/spool"):
                with contextlib.suppress(FileNotFoundError):
                    fd = os.open(entry.path, os.O_PATH | os.O_NOFOLLOW)
                    inode = os.fstat(fd).st_ino
                    if held.setdefault(inode, (entry.name, fd))[1] != fd:
                        os.close(fd)
                    if held[inode][0] != entry.name:
                        return
    finally:
        for _, fd in held.values():
            os.close(fd)
