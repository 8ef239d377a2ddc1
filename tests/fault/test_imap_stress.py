"""Twenty sessions with random commands on one mailbox, each with what it may believe: what it was told.
Every response is held against the rules at once (RFC 9051 7.5.1, RFC 7162): numbers that fit, EXPUNGE
only where it may come, a UID for one message for ever and all that does not change of it, MODSEQs that
never go back, keywords that FLAGS has named, \\Recent for one session, a STORE that is told as it was
meant, a SEARCH that finds what must be there. At the end all see the same. The same with the process
killed under them: clients come back, with QRESYNC where they have it, and go on. And in a whole house,
where mail comes by SMTP and POP3 sessions take some away.

STAFFETTA_TORTURE=1 takes a minute, STAFFETTA_STRESS=300 so many seconds, else a few."""

import contextlib
import os
import poplib
import random
import re
import selectors
import smtplib
import time

import pytest
from house import PASSWORD
from mailbox_role import Client, Mailbox, needs_mailbox
from talk import Conversation

pytestmark = needs_mailbox
TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))
SECONDS = int(os.environ.get("STAFFETTA_STRESS") or (60 if TORTURE else 3))
SESSIONS = 20
STILL = 20  # seconds without an answer are too many

FETCHED = re.compile(rb"\* (\d+) FETCH \((.*)\)", re.S)
# By sequence numbers: those who said them must find the same messages behind them (RFC 9051 5.5).
NUMBERED = ("FETCH", "STORE", "SEARCH", "SORT", "THREAD")
SYSTEM_FLAGS = {rb"\Answered", rb"\Flagged", rb"\Deleted", rb"\Seen", rb"\Draft", rb"\Recent"}
CONSTANT = "INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE"  # RFC 9051 2.3.1.1: "MUST NOT change"


def numbers_of(text):
    """A sequence set as numbers; b"" is none."""
    for part in text.split(b",") if text else ():
        first, _, last = part.partition(b":")
        yield from range(int(first), int(last or first) + 1)


def set_of(numbers):
    return ",".join(str(number) for number in sorted(numbers))


class Truth:
    """What all sessions were told, and so must stay true."""

    def __init__(self):
        self.subjects = {}  # by UID
        self.constants = {}
        self.recent = {}  # UID: the selection, of a session, that it is recent in
        self.missing = set()  # UIDs that a SEARCH did not find: they must have been gone
        self.last_uid = 0
        self.gone = set()  # UIDs that someone saw expunged
        self.modseq = 1  # the highest that someone saw
        self.validity = None


class Session:
    """One client. `uids` are the messages by number, None: not asked yet. `flags` and `modseqs` are
    what was told of each UID; `mine` says where this session's own keyword, that nobody else touches,
    must be; None: not known."""

    def __init__(self, stress, number):
        self.stress, self.truth = stress, stress.truth
        self.random = random.Random(stress.seed * 1000 + number)
        self.keyword = f"k{number}"
        self.qresync = number % 4 == 0
        self.condstore = self.qresync or number % 2 == 0
        self.uids, self.flags, self.modseqs, self.mine = [], {}, {}, {}
        self.highest = 0  # HIGHESTMODSEQ of this session's own view, to come back with
        self.selection = 0
        self.connect()

    # ---- the wire

    def connect(self):
        client = self.stress.mailbox.connect()
        self.socket, self.pending = client.socket, client.pending
        self.flying = []  # (tag, command, its own notes), in the order they were sent
        self.counter = 0
        self.idling = False
        self.heard = time.monotonic()
        self.stress.selector.register(self.socket, selectors.EVENT_READ, self)
        if self.qresync:
            self.send("ENABLE QRESYNC")
        self.select()

    def send(self, command, octets=b"", notes=None):
        self.counter += 1
        tag = b"t%d" % self.counter
        self.flying.append((tag, command, notes or {}))
        with contextlib.suppress(BrokenPipeError):  # what it said before it died is still read
            self.socket.sendall(tag + b" " + command.encode() + octets + b"\r\n")

    def select(self):
        self.selection += 1
        self.keywords, self.permanent, self.recent = set(), set(), None
        notes = {"gone": set(self.truth.gone), "modseq": self.truth.modseq,
                 "next": self.truth.last_uid}
        known = [uid for uid in self.uids if uid]
        if self.qresync and self.highest and known == self.uids and known and self.random.random() < 0.8:
            # RFC 7162 3.2.5: what was known then; the answer has what changed, of those that are listed.
            notes["resumed"] = True
            only = f" {set_of(known)}" if self.random.random() < 0.5 else ""
            self.send(f"SELECT INBOX (QRESYNC ({self.truth.validity} {self.highest}{only}))", notes=notes)
        else:
            self.flags, self.modseqs = {}, {}
            self.send("SELECT INBOX (CONDSTORE)" if self.condstore else "SELECT INBOX", notes=notes)

    def read(self):
        """False: the connection is gone."""
        try:
            got = self.socket.recv(1 << 18)
        except ConnectionResetError:
            got = b""
        if not got:
            return False
        self.pending += got
        self.heard = time.monotonic()
        while response := self.cut_response():
            self.on_response(response)
        return True

    def cut_response(self):
        end = 0
        while True:
            end = self.pending.find(b"\r\n", end)
            if end < 0:
                return None
            literal = re.search(rb"\{(\d+)\}$", self.pending[:end])
            if not literal:
                break
            end += 2 + int(literal[1])
        response, self.pending = self.pending[:end], self.pending[end + 2:]
        return response

    def close(self):
        self.stress.selector.unregister(self.socket)
        self.socket.close()

    # ---- what is told

    def fail(self, why, response):
        raise AssertionError(f"{self.keyword}: {why}: {response!r} during {self.flying[:3]}, "
                             f"{len(self.uids)} messages")

    def on_response(self, response):
        if response.startswith(b"+ "):
            return
        if not response.startswith(b"* "):
            self.on_tagged(response)
        elif found := re.fullmatch(rb"\* (\d+) EXPUNGE", response):
            self.on_expunge(int(found[1]), response)
        elif found := re.fullmatch(rb"\* VANISHED (\(EARLIER\) )?([\d:,]*)", response):
            self.on_vanished(found[1], set(numbers_of(found[2])), response)
        elif found := re.fullmatch(rb"\* (\d+) EXISTS", response):
            self.on_exists(int(found[1]), response)
        elif found := FETCHED.fullmatch(response):
            self.on_fetch(int(found[1]), found[2], response)
        elif found := re.fullmatch(rb"\* (\d+) RECENT", response):
            self.recent = int(found[1])
        elif found := re.fullmatch(rb"\* (OK \[PERMANENT)?FLAGS \(([^)]*)\)(?:\] .*)?", response):
            self.on_flags(bool(found[1]), set(found[2].split()), response)
        elif found := re.fullmatch(rb"\* (?:SORT|THREAD)([ \d()]*)(?: \(MODSEQ \d+\))?", response):
            self.on_order([int(number) for number in re.findall(rb"\d+", found[1])], response)
        elif found := re.fullmatch(rb"\* SEARCH([ \d]*)(?: \(MODSEQ \d+\))?", response):
            self.on_search([int(number) for number in found[1].split()], response)
        elif found := re.match(rb"\* OK \[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ|CLOSED)\b ?(\d*)", response):
            self.on_code(found[1].decode(), int(found[2] or 0), response)
        elif response.startswith((b"* BAD", b"* NO", b"* BYE")):
            self.fail("refused", response)

    def now(self, response):
        """The command that is in progress; without one nothing is told (RFC 9051 7)."""
        if not self.flying:
            self.fail("nothing was asked", response)
        return self.flying[0][1]

    def on_expunge(self, number, response):
        if self.now(response).startswith(NUMBERED):
            self.fail("EXPUNGE under numbers", response)
        if self.qresync:
            self.fail("EXPUNGE instead of VANISHED", response)
        if not 1 <= number <= len(self.uids):
            self.fail("no such number", response)
        uid = self.uids.pop(number - 1)
        if uid:
            self.truth.gone.add(uid)

    def on_vanished(self, earlier, uids, response):
        if not self.qresync or (self.now(response).startswith(NUMBERED) and not earlier):
            self.fail("VANISHED", response)
        resumed = "exists" in self.flying[0][2]
        if resumed and not earlier:
            self.flying[0][2]["exists"] -= len(uids)
        for uid in sorted(uids):
            if uid in self.uids:
                self.uids.remove(uid)
            elif not earlier and not resumed:
                self.remove_unknown(uid, response)
        self.truth.gone |= {uid for uid in uids if uid <= self.truth.last_uid}

    def remove_unknown(self, uid, response):
        """It has no number here yet, so it is one of those that were not asked, between its neighbours."""
        below = max((at for at, known in enumerate(self.uids) if known and known < uid), default=-1)
        if below + 1 >= len(self.uids) or self.uids[below + 1] is not None:
            self.fail(f"{uid} vanished, which was never there", response)
        del self.uids[below + 1]

    def on_exists(self, count, response):
        if self.flying and "next" in self.flying[0][2] and not self.flying[0][2].get("resumed"):
            self.uids = [None] * count
            return
        self.now(response)
        if self.flying[0][2].get("resumed"):
            # What has gone is told behind it (RFC 7162 3.2.5.1): numbers are for the end.
            self.flying[0][2]["exists"] = count
            return
        if count < len(self.uids):
            self.fail("EXISTS shrinks", response)
        self.uids += [None] * (count - len(self.uids))

    def on_flags(self, permanent, flags, response):
        """RFC 9051 7.3.1: what is told of a message was told here before; what is kept, too."""
        keywords = {flag for flag in flags if not flag.startswith(b"\\")}
        if permanent:
            self.permanent = keywords
        else:
            self.keywords = keywords
            lost = {flag for uid in self.uids for flag in self.flags.get(uid, ()) if not flag.startswith(b"\\")} - keywords
            if lost:
                self.fail(f"{lost} are on messages", response)
        if not self.permanent <= self.keywords:
            self.fail(f"{self.permanent - self.keywords} are not among FLAGS", response)
        if flags - keywords - {rb"\*"} - SYSTEM_FLAGS:
            self.fail("no such flags", response)

    def on_order(self, numbers, response):
        """Each message once, and only such as there are."""
        if len(numbers) != len(set(numbers)):
            self.fail("twice", response)
        if not self.now(response).startswith("UID") and numbers and max(numbers) > len(self.uids):
            self.fail("no such number", response)

    def on_fetch(self, number, items, response):
        self.now(response)
        uid = re.search(rb"\bUID (\d+)", items)
        resumed = "exists" in self.flying[0][2]
        if not resumed and not 1 <= number <= len(self.uids):
            self.fail("no such number", response)
        if uid:
            uid = int(uid[1])
            if not resumed and self.uids[number - 1] not in (None, uid):
                self.fail(f"number is UID {self.uids[number - 1]}", response)
            if resumed:
                self.flying[0][2].setdefault("fetched", {})[number] = uid
            else:
                self.uids[number - 1] = uid
        elif not resumed:
            uid = self.uids[number - 1]
        if uid:
            self.learn(uid, items, response)

    def learn(self, uid, items, response):
        if subject := re.search(rb"Subject: (\S+)\r\n", items):
            if self.truth.subjects.setdefault(uid, subject[1]) != subject[1]:
                self.fail(f"UID was {self.truth.subjects[uid]}", response)
        if constant := re.search(rb"INTERNALDATE .*", items, re.S):
            if self.truth.constants.setdefault(uid, constant[0]) != constant[0]:
                self.fail(f"it was {self.truth.constants[uid]}", response)
        self.truth.last_uid = max(self.truth.last_uid, uid)
        modseq = re.search(rb"MODSEQ \((\d+)\)", items)
        flags = re.search(rb"FLAGS \(([^)]*)\)", items)
        flags = self.look_at_flags(uid, frozenset(flags[1].split()), response) if flags else None
        if modseq:
            modseq = int(modseq[1])
            self.truth.modseq = max(self.truth.modseq, modseq)
            before = self.modseqs.get(uid, 0)
            if modseq < before:
                self.fail(f"MODSEQ was {before}", response)
            if modseq == before and flags is not None and self.flags.get(uid, flags) != flags:
                self.fail(f"flags were {self.flags[uid]} at the same MODSEQ", response)
            self.modseqs[uid] = modseq
            if flags is None:
                self.flags.pop(uid, None)  # a silent STORE: another's change may be in it
        if flags is None:
            return
        if modseq or uid not in self.modseqs:
            self.flags[uid] = flags
        writing = any("mine" in notes for _, _, notes in self.flying)
        expected = self.mine.get(uid)
        if not writing and expected is not None and (self.keyword.encode() in flags) != expected:
            self.fail(f"own keyword should be {expected}", response)

    def look_at_flags(self, uid, flags, response):
        unknown = {flag for flag in flags if not flag.startswith(b"\\")} - self.keywords
        if unknown:
            self.fail(f"FLAGS has not named {unknown}", response)
        if rb"\Recent" in flags:
            here = (self.keyword, self.selection)
            if self.truth.recent.setdefault(uid, here) != here:
                self.fail(f"recent in {self.truth.recent[uid]} already", response)
        self.flying[0][2].setdefault("told", {})[uid] = flags
        return flags - {rb"\Recent"}

    def on_search(self, numbers, response):
        command = self.now(response)
        if numbers != sorted(set(numbers)):
            self.fail("not ascending", response)
        if command.startswith("SEARCH"):
            if numbers and numbers[-1] > len(self.uids):
                self.fail("no such number", response)
            numbers = [self.uids[number - 1] for number in numbers]
        if "KEYWORD" in command:
            wrong = {uid for uid in numbers if uid and self.mine.get(uid) is False}
            if wrong:
                self.fail(f"not with the keyword: {wrong}", response)
            self.truth.missing |= {uid for uid in self.uids if uid and self.mine.get(uid)} - set(numbers)

    def on_code(self, name, value, response):
        notes = self.flying[0][2] if self.flying else {}
        if name == "UIDVALIDITY":
            if self.truth.validity not in (None, value):
                self.fail("another UIDVALIDITY", response)
            self.truth.validity = value
        elif name == "UIDNEXT" and value <= notes["next"]:
            self.fail(f"UID {notes['next']} was seen", response)
        elif name == "HIGHESTMODSEQ":
            if "modseq" in notes and value < notes["modseq"]:
                self.fail(f"MODSEQ {notes['modseq']} was seen", response)
            notes["highest"] = value

    def on_tagged(self, response):
        if not self.flying or not response.startswith(self.flying[0][0] + b" "):
            self.fail("whose tag", response)
        tag, command, notes = self.flying.pop(0)
        status = response[len(tag) + 1:]
        if not status.startswith((b"OK", b"NO")):
            self.flying.insert(0, (tag, command, notes))
            self.fail("refused", response)
        found = re.search(rb"\[HIGHESTMODSEQ (\d+)\]", status)
        self.highest = max(self.highest, notes.get("highest", 0), int(found[1]) if found else 0)
        if "mine" in notes:
            wanted, uids = notes["mine"]
            if "SILENT" not in command and status.startswith(b"OK"):
                self.check_told(wanted, set(uids) & set(self.uids), notes.get("told", {}), response)
            for uid in uids:
                self.mine[uid] = wanted if status.startswith(b"OK") and uid in self.uids else None
        if notes.get("resumed"):
            self.end_resumption(notes, response)
        if "gone" in notes:
            self.send("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])", notes={"look": notes})
        if "look" in notes:
            self.end_look(notes["look"], response)
        if "last" in notes:
            self.looked = notes.get("told", {})

    def check_told(self, wanted, uids, told, response):
        """RFC 9051 6.4.6: a FETCH for each, with the flags as they are now."""
        wrong = {uid for uid in uids - {None} if (self.keyword.encode() in told.get(uid, ())) != wanted or uid not in told}
        if wrong:
            self.fail(f"{wrong} should be told with {wanted}, {told}", response)

    def end_resumption(self, notes, response):
        """Those that did not vanish, what has changed, and new ones are as many as EXISTS said."""
        fetched = {uid for uid in notes.get("fetched", {}).values() if uid not in self.truth.gone}
        self.uids = sorted({*self.uids, *fetched})
        if len(self.uids) > notes["exists"]:
            self.fail(f"{len(self.uids)} are left of {notes['exists']}", response)
        self.uids += [None] * (notes["exists"] - len(self.uids))

    def end_look(self, notes, response):
        back = notes["gone"] & set(self.uids)
        if back:
            self.fail(f"expunged ones are back: {sorted(back)}", response)
        known = [uid for uid in self.uids if uid]
        if known != sorted(set(known)):
            self.fail("UIDs do not ascend", response)

    # ---- what is said

    def act(self):
        """The next command, or a few in one packet."""
        if self.idling:
            self.idling = False
            self.socket.sendall(b"DONE\r\n")
            return
        if self.random.random() < 0.2:
            for _ in range(3):  # only what has no numbers, or what leaves them alone, may be pipelined
                self.say(self.random.choice([self.uid_fetch, self.uid_store, self.uid_search, self.copy]))
        else:
            self.say(self.random.choice([
                self.noop, self.fetch, self.fetch, self.uid_fetch, self.store, self.store,
                self.uid_store, self.search, self.uid_search, self.order, self.copy, self.move,
                self.append, self.expunge, self.uid_expunge, self.idle, self.reselect]))

    def say(self, what):
        what(self.random.randint(1, max(len(self.uids), 1)))

    def some_uids(self):
        known = [uid for uid in self.uids if uid] or [1]
        return self.random.sample(known, min(len(known), self.random.randint(1, 4)))

    def items(self):
        return "(UID FLAGS MODSEQ)" if self.condstore else "(UID FLAGS)"

    def noop(self, _):
        self.send(self.random.choice(["NOOP", "CHECK"]))

    def fetch(self, number):
        if self.uids:
            self.send(f"FETCH {number}:* {self.items()}")

    def uid_fetch(self, _):
        since = ""
        if self.condstore and self.random.random() < 0.3:
            since = f" (CHANGEDSINCE {max(1, self.highest - 20)})"
        items = self.items() if since or self.random.random() < 0.7 else f"(UID {CONSTANT})"
        self.send(f"UID FETCH {set_of(self.some_uids())} {items}{since}")

    def change(self):
        """Flags to set, and whether they are this session's own keyword."""
        own = self.random.random() < 0.5
        flag = self.keyword if own else self.random.choice([r"\Seen", r"\Flagged", r"\Deleted", r"\Deleted"])
        sign = self.random.choice("+-")
        silent = self.random.choice(["", ".SILENT"])
        return f"{sign}FLAGS{silent} ({flag})", (sign == "+") if own else None

    def store(self, number):
        if not self.uids:
            return
        change, mine = self.change()
        notes = {} if mine is None else {"mine": (mine, [self.uids[number - 1]])}
        self.send(f"STORE {number} {change}", notes=notes)

    def uid_store(self, _):
        uids = self.some_uids()
        change, mine = self.change()
        self.send(f"UID STORE {set_of(uids)} {change}", notes={} if mine is None else {"mine": (mine, uids)})

    def search(self, _):
        self.send(self.random.choice(["SEARCH ALL", f"SEARCH KEYWORD {self.keyword}", "SEARCH UNSEEN"]))

    def uid_search(self, _):
        self.send(self.random.choice(["UID SEARCH ALL", f"UID SEARCH KEYWORD {self.keyword}"]))

    def order(self, _):
        by = self.random.choice(["SORT (REVERSE SUBJECT) UTF-8 ALL", "SORT (SIZE ARRIVAL) UTF-8 UNSEEN",
                                 "THREAD REFERENCES UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL"])
        self.send(self.random.choice(["", "UID "]) + by)

    def copy(self, _):
        self.send(f"UID COPY {set_of(self.some_uids())} {self.random.choice(['INBOX', 'Archive'])}")

    def move(self, _):
        self.send(f"UID MOVE {set_of(self.some_uids())} {self.random.choice(['INBOX', 'Archive'])}")

    def append(self, _):
        message = b"Subject: s%d\r\n\r\nText\r\n" % self.random.getrandbits(60)
        self.send("APPEND INBOX ", b"{%d+}\r\n" % len(message) + message)

    def expunge(self, _):
        self.send("EXPUNGE")

    def uid_expunge(self, _):
        self.send(f"UID EXPUNGE {set_of(self.some_uids())}")

    def idle(self, _):
        self.send("IDLE")
        self.idling = True

    def reselect(self, _):
        self.send("UNSELECT")
        self.select()


class HouseClient(Client):
    def __init__(self, house, account):
        Conversation.__init__(self, "127.0.0.1", house.ports["imap"])
        self.ok(f"LOGIN {account} {PASSWORD}")


class Account:
    """Of a whole house, in the place of a Mailbox."""

    def __init__(self, house):
        self.house, self.name = house, house.new_account()
        self.sessions = 0

    def connect(self):
        return HouseClient(self.house, self.name)

    def store(self, octets):
        with smtplib.SMTP("127.0.0.1", self.house.ports["smtp"]) as client:
            client.sendmail("x@elsewhere.example", [self.name], octets)

    def changed(self):
        """Deliver tells it."""

    def files(self, place="cur"):
        return os.listdir(self.house.maildir(self.name) / place)

    def eventually(self, condition):
        end = time.monotonic() + STILL
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    def read_by_pop3(self, chance):
        """A session that reads a few messages and deletes one: octets are as LIST says (RFC 1939 11)."""
        client = poplib.POP3("127.0.0.1", self.house.ports["pop3"], timeout=STILL)
        client.user(self.name)
        client.pass_(PASSWORD)
        count, octets = client.stat()
        sizes = {int(number): int(size) for number, size in (line.split() for line in client.list()[1])}
        assert len(sizes) == count == len(client.uidl()[1]) and sum(sizes.values()) == octets
        for number in chance.sample(sorted(sizes), min(count, 3)):
            with contextlib.suppress(poplib.error_proto):  # an IMAP session was faster
                assert sum(len(line) + 2 for line in client.retr(number)[1]) == sizes[number]
        if count:
            client.dele(chance.randint(1, count))
        with contextlib.suppress(poplib.error_proto):
            client.quit()
        self.sessions += 1

    def stop(self):
        assert self.sessions > 0


class Stress:
    def __init__(self, mailbox, seed, beside=None):
        self.seed = seed
        self.random = random.Random(seed)
        self.mailbox, self.beside = mailbox, beside
        self.truth = Truth()
        self.selector = selectors.DefaultSelector()
        for number in range(30):
            self.deliver(number)
        self.sessions = [Session(self, number) for number in range(SESSIONS)]

    def deliver(self, number=0):
        self.mailbox.store(b"Subject: d%d-%d\r\n\r\nText\r\n" % (number, self.random.getrandbits(40)))
        self.mailbox.changed()

    def listen(self, seconds):
        for key, _ in self.selector.select(seconds):
            if not key.data.read():
                raise AssertionError(f"{key.data.keyword} was closed, {key.data.flying[:3]}")

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.listen(0.02)
            for session in self.sessions:
                if not session.flying or (session.idling and session.random.random() < 0.1):
                    session.act()
                assert not session.flying or session.idling \
                    or time.monotonic() - session.heard < STILL, session.flying
            if self.random.random() < 0.05:
                self.deliver()
            if self.beside and self.random.random() < 0.05:
                self.beside(self.random)

    def settle(self):
        """All is quiet: everyone looks, and must see the same, which is what lies on the disk."""
        for session in self.sessions:
            if session.idling:
                session.act()
        self.wait_until_quiet()
        self.mailbox.eventually(lambda: not self.mailbox.files(place="new"))
        for _ in range(2):
            for session in self.sessions:
                session.send("NOOP")
                session.send(f"UID FETCH 1:* {session.items()}", notes={"last": True})
            self.wait_until_quiet()
        on_disk = {int(re.search(r"U=\d+\.(\d+)", name)[1]): set(name.rpartition(",")[2]) & set("FST")
                   for name in self.mailbox.files()}
        letters = {rb"\Flagged": "F", rb"\Seen": "S", rb"\Deleted": "T"}
        first = self.sessions[0].looked
        for session in self.sessions:
            assert session.uids == sorted(on_disk), session.keyword
            assert session.keywords == self.sessions[0].keywords, session.keyword
            for uid, flags in session.looked.items():
                told = {letters[flag] for flag in flags if flag in letters}
                assert told == on_disk[uid], (session.keyword, uid)
                assert flags - {rb"\Recent"} == first[uid] - {rb"\Recent"}, (session.keyword, uid)
            assert session.recent == sum(rb"\Recent" in flags for flags in session.looked.values()), session.keyword
        assert not self.truth.missing & set(on_disk), "not found by those who set the keyword"

    def wait_until_quiet(self):
        end = time.monotonic() + STILL
        while any(session.flying for session in self.sessions):
            self.listen(0.1)
            assert time.monotonic() < end, [session.flying for session in self.sessions if session.flying]

    def kill(self):
        """The process dies; what it had still said is heard, then everyone comes back."""
        self.mailbox.kill()
        for session in self.sessions:
            while session.read():
                pass
            session.close()
            for _, _, notes in session.flying:
                for uid in notes.get("mine", (None, ()))[1]:
                    session.mine[uid] = None
        self.mailbox.start()
        self.truth.recent.clear()  # what was said of it nobody has heard
        for session in self.sessions:
            session.connect()

    def stop(self):
        for session in self.sessions:
            session.close()
        self.mailbox.stop()


SEED = int(os.environ.get("STAFFETTA_SEED", "1"))


@pytest.fixture
def stress(tmp_path):
    made = Stress(Mailbox(tmp_path), SEED)
    yield made
    made.stop()


def test_twenty_sessions(stress):
    stress.run(SECONDS)
    stress.settle()


def test_twenty_sessions_with_kills(stress):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        stress.run(stress.random.uniform(0.2, 1.5))
        stress.kill()
    stress.run(0.5)
    stress.settle()


def test_twenty_sessions_with_pop3_and_smtp(make_house):
    account = Account(make_house(services=("smtp", "imap", "pop3")))
    stress = Stress(account, SEED, beside=account.read_by_pop3)
    stress.run(SECONDS)
    stress.settle()
    stress.stop()
