"""The IMAP lines of `make bench`: an account of 20 000 messages, written into the Maildirs of both servers, and what
clients do with it. Both are measured in turn, ROUNDS times; the table has the medians."""

import os
import random
import shutil
import statistics
import subprocess
import time

from house import children_of

ROUNDS = 3
USERS_PROCESSES = ("imap", "imapd-mailbox")
WORDS = [f"word{number}" for number in range(2000)]

# line: unit, goal as ratio to Dovecot, whether less is better
LINES = {
    "APPEND of 4 KiB, one client": ("1/s", 3, False),
    "same, ten, to one folder": ("1/s", 8, False),
    "same, ten accounts": ("1/s", 8, False),
    "SELECT, indexes lost": ("ms", 1, True),
    "SELECT, process new": ("ms", 1, True),
    "SELECT, warm": ("ms", 2, True),
    "FETCH FLAGS": ("1/s", 1, False),
    "FETCH ENVELOPE, first": ("1/s", 5, False),
    "FETCH ENVELOPE, warm": ("1/s", 4, False),
    "FETCH ENVELOPE, new mail": ("1/s", 5, False),
    "FETCH BODYSTRUCTURE, first": ("1/s", 5, False),
    "FETCH BODYSTRUCTURE, new mail": ("1/s", 5, False),
    "FETCH BODYSTRUCTURE, warm": ("1/s", 1.3, False),
    "FETCH BODY.PEEK[], 4 KiB": ("MB/s", 2, False),
    "FETCH BODY.PEEK[], 1 MiB": ("MB/s", 2, False),
    "SEARCH SUBJECT, first": ("ms", 1, True),
    "SEARCH SUBJECT, warm": ("ms", 20, True),
    "SEARCH SINCE, warm": ("ms", 20, True),
    "SEARCH BODY, first": ("ms", 1, True),
    "SEARCH BODY, warm": ("ms", 10, True),
    "SEARCH TEXT, warm": ("ms", 10, True),
    "STORE 1:*": ("1/s", 1, False),
    "STORE of one flag": ("ms", 5, True),
    "COPY": ("1/s", 1, False),
    "MOVE": ("1/s", 1, False),
    "EXPUNGE": ("1/s", 1, False),
}


# --- The account


def make_message(number, octets):
    """multipart/alternative, with a header as mail has it."""
    chance = random.Random(number)
    words = chance.choices(WORDS, k=8)
    head = (
        f"Return-Path: <sender{number % 500}@elsewhere.example>\r\n"
        f"Received: from a.elsewhere.example (a.elsewhere.example [192.0.2.1])\r\n"
        f"\tby mail.bench.example with ESMTPS id {number:08x}\r\n"
        f"\tfor <user@bench.example>; Mon, {number % 28 + 1:02} Jan 2024 10:00:00 +0000\r\n"
        f"Date: Mon, {number % 28 + 1:02} Jan 2024 10:00:00 +0000\r\n"
        f"From: Sender {number % 500} <sender{number % 500}@elsewhere.example>\r\n"
        f"To: User <user@bench.example>, Other <other{number % 90}@elsewhere.example>\r\n"
        f"Subject: {' '.join(words[:5])}\r\n"
        f"Message-ID: <{number}.{words[0]}@elsewhere.example>\r\n"
        f"In-Reply-To: <{number - 1}@elsewhere.example>\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/alternative; boundary="=_bench"\r\n\r\n')
    part = '--=_bench\r\nContent-Type: text/{}; charset="utf-8"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n'
    line = " ".join(words) + "\r\n"
    room = max(0, octets - len(head) - 2 * len(part) - 20) // 2
    text = line * (room // len(line))
    return f"{head}{part.format('plain')}{text}{part.format('html')}{text}--=_bench--\r\n".encode()


def write_folder(folder, messages, octets, owner):
    """Files as a delivery leaves them; the messages are spread over a month."""
    made = [folder / part for part in ("new", "cur", "tmp")]
    for directory in made:
        directory.mkdir(parents=True, exist_ok=True)
    begun = 1704100000
    for number in range(messages):
        message = make_message(number, octets)
        size = len(message)
        date = begun + number * 2592000 // messages
        path = folder / "cur" / f"{begun}.M{number}P1.bench,S={size},W={size}:2,S"
        path.write_bytes(message)
        os.utime(path, (date, date))
        os.chown(path, *owner)
    for directory in [folder, *made]:
        os.chown(directory, *owner)


class Account:
    """What the lines have of one server."""

    def __init__(self, server, program, accounts, password, scale):
        self.server, self.program, self.password = server, program, password
        self.name, self.others = accounts[0], accounts
        self.messages = max(100, int(20000 * scale))
        self.moved = max(20, int(1000 * scale))
        self.appended = max(20, int(400 * scale))
        self.large = max(5, int(100 * scale))

    def fill(self):
        self.run("CREATE Large", "CREATE Appended", "CREATE Copied", "CREATE Moved")
        for other in self.others[1:]:
            self.run("CREATE Appended", user=other)
        maildir = self.server.maildir(self.name)
        status = (maildir / "cur").stat()
        owner = (status.st_uid, status.st_gid)
        write_folder(maildir, self.messages, 4096, owner)
        write_folder(maildir / ".Large", self.large, 1 << 20, owner)
        self.run("SELECT INBOX", "SELECT Large")

    def run(self, *commands, user=None):
        """[(seconds, octets)] of the commands that begin with "="."""
        done = subprocess.run([self.program, "run", str(self.server.ports["imap"]), user or self.name,
                               self.password, *commands], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{commands[-1][:60]}: {done.stderr}")
        return [(float(line.split()[0]), int(line.split()[1])) for line in done.stdout.splitlines()]

    def append(self, sessions, messages, folder, *users):
        """Messages a second."""
        done = subprocess.run([self.program, "append", str(self.server.ports["imap"]), str(sessions),
                               str(messages), "4096", folder, self.password, *users],
                              capture_output=True, text=True, check=True)
        return float(done.stdout)

    def append_rate(self, sessions, *users):
        return self.append(sessions, self.appended * (1 if sessions == 1 else 4), "Appended", *users)

    def end_processes(self):
        """Of users: the next connection has a new one."""
        deadline = time.monotonic() + 30
        while True:
            found = [pid for root in self.server.roots() for pid, name in children_of(root).items()
                     if name in USERS_PROCESSES]
            if not found:
                return
            if time.monotonic() > deadline:
                raise RuntimeError("processes of users do not end")
            for pid in found:
                try:
                    os.kill(pid, 15)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    def lose_indexes(self):
        """All that is derived from the messages; their UIDs stay."""
        self.end_processes()
        maildir = self.server.maildir(self.name)
        shutil.rmtree(maildir / "staffetta-index", ignore_errors=True)
        for name in ("staffetta-changes", "staffetta-names", "dovecot.index*"):
            for path in [*maildir.glob(name), *maildir.glob(f".*/{name}")]:
                path.unlink()


# --- The lines


def measure_append(account):
    yield "APPEND of 4 KiB, one client", account.append_rate(1, account.name)
    yield "same, ten, to one folder", account.append_rate(10, account.name)
    yield "same, ten accounts", account.append_rate(10, *account.others)


def measure_select(account):
    account.lose_indexes()
    ((seconds, _),) = account.run("=SELECT INBOX")
    yield "SELECT, indexes lost", seconds * 1000
    time.sleep(1)  # what a process does once its client has gone is done
    account.end_processes()
    cold, warm = account.run("=SELECT INBOX", "UNSELECT", "=20 SELECT INBOX")
    yield "SELECT, process new", cold[0] * 1000
    yield "SELECT, warm", warm[0] * 1000 / 20


def measure_fetch(account):
    for item in ("ENVELOPE", "BODYSTRUCTURE"):
        account.lose_indexes()
        first, warm = account.run("SELECT INBOX", f"=FETCH 1:* {item}", f"=3 FETCH 1:* {item}")
        yield f"FETCH {item}, first", account.messages / first[0]
        yield f"FETCH {item}, warm", account.messages * 3 / warm[0]
    account.run("CREATE New")
    account.append(10, account.appended, "New", account.name)
    time.sleep(2)  # what a process does once its client has gone is done
    for item in ("ENVELOPE", "BODYSTRUCTURE"):
        (first,) = account.run("SELECT New", f"=FETCH 1:* {item}")
        yield f"FETCH {item}, new mail", account.appended / first[0]
    account.run("DELETE New")
    flags, small = account.run("SELECT INBOX", "FETCH 1:* FLAGS", "=10 FETCH 1:* FLAGS", "=FETCH 1:* BODY.PEEK[]")
    yield "FETCH FLAGS", account.messages * 10 / flags[0]
    yield "FETCH BODY.PEEK[], 4 KiB", small[1] / small[0] / 1e6
    (large,) = account.run("SELECT Large", "FETCH 1:* BODY.PEEK[]", "=4 FETCH 1:* BODY.PEEK[]")
    yield "FETCH BODY.PEEK[], 1 MiB", large[1] / large[0] / 1e6


def measure_search(account):
    account.lose_indexes()
    found = account.run("SELECT INBOX", f"=SEARCH SUBJECT {WORDS[7]}x")
    time.sleep(2)  # what it left is written
    found += account.run("SELECT INBOX", f"SEARCH SUBJECT {WORDS[7]}x", f"=3 SEARCH SUBJECT {WORDS[8]}x",
                         "SEARCH SINCE 15-Jan-2024", "=3 SEARCH SINCE 15-Jan-2024", f"=SEARCH BODY {WORDS[9]}x",
                         f"=3 SEARCH BODY {WORDS[10]}x", f"SEARCH TEXT {WORDS[9]}x", f"=3 SEARCH TEXT {WORDS[10]}x")
    milliseconds = [seconds * 1000 for seconds, _ in found]
    yield "SEARCH SUBJECT, first", milliseconds[0]
    yield "SEARCH SUBJECT, warm", milliseconds[1] / 3
    yield "SEARCH SINCE, warm", milliseconds[2] / 3
    yield "SEARCH BODY, first", milliseconds[3]
    yield "SEARCH BODY, warm", milliseconds[4] / 3
    yield "SEARCH TEXT, warm", milliseconds[5] / 3


def measure_store(account):
    all_of_them, one = account.run(
        "SELECT INBOX", "=STORE 1:* +FLAGS (\\Flagged)", "STORE 1:* -FLAGS.SILENT (\\Flagged)",
        "=50 STORE # +FLAGS (\\Answered)", "STORE 1:* -FLAGS.SILENT (\\Answered)")
    yield "STORE 1:*", account.messages / all_of_them[0]
    yield "STORE of one flag", one[0] * 1000 / 50


def measure_transfer(account):
    count = account.moved
    (copied,) = account.run("SELECT INBOX", f"=COPY 1:{count} Copied")
    (moved,) = account.run("SELECT Copied", f"=MOVE 1:{count} Moved")
    (expunged,) = account.run("SELECT Moved", "STORE 1:* +FLAGS.SILENT (\\Deleted)", "=EXPUNGE")
    yield "COPY", count / copied[0]
    yield "MOVE", count / moved[0]
    yield "EXPUNGE", count / expunged[0]


SCENARIOS = {"append": measure_append, "select": measure_select, "fetch": measure_fetch,
             "search": measure_search, "store": measure_store, "transfer": measure_transfer}


def measure(servers, program, accounts, password, scale):
    """[(line, unit, medians of the servers, goal, whether less is better)]. BENCH_IMAP=fetch,store,… chooses."""
    chosen = list(filter(None, os.environ.get("BENCH_IMAP", "").split(","))) or list(SCENARIOS)
    filled = [Account(server, program, accounts, password, scale) for server in servers]
    found = {line: [[] for _ in servers] for line in LINES}
    for account in filled:
        account.fill()
    for scenario in chosen:
        for _ in range(ROUNDS):
            for at, account in enumerate(filled):
                for line, value in SCENARIOS[scenario](account):
                    found[line][at].append(value)
    return [(line, unit, [statistics.median(values) for values in found[line]], goal, less)
            for line, (unit, goal, less) in LINES.items() if found[line][0]]
