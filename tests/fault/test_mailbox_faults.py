"""imapd-mailbox under every kind of failure: killed at the Nth call of each system call, each fallible
call failed once. Whatever was answered OK is so afterwards; no message is ever lost or twice in a
folder; a UID that was shown never means another message; and what failed is answered with NO, after
which all goes on.

STAFFETTA_TORTURE=1 takes every N, else a few."""

import contextlib
import errno
import os
import re
import shutil

import pytest
from loops import failing, strace, turns
from mailbox_role import Mailbox, needs_mailbox
from test_imap_shared import heard, way

pytestmark = needs_mailbox
DELIVERED = 6


def text(number):
    return b"Subject: m%d\r\n\r\n" % number + b"x" * 60 + b"\r\n"


class Life:
    """One client, and what it may rely on."""

    def __init__(self, place, **options):
        self.place = place
        self.answers = []  # of each command, True where it was OK
        self.shown = {}  # (folder, UIDVALIDITY, UID): subject
        self.client = None
        self.mailbox = Mailbox(place, **options)

    def command(self, words, octets=None):
        """Whether it was answered with OK; OSError or AssertionError where the process is gone."""
        line = words.encode()
        if octets is not None:
            line += b" {%d+}\r\n" % len(octets) + octets
        lines, tagged = self.client.command(line)
        self.answers.append(tagged.startswith(b"OK"))
        return lines, tagged.startswith(b"OK")

    def look(self, folder):
        """{UID: (subject, flags)}; None where it was refused."""
        lines, selected = self.command(f"SELECT {folder}")
        if not selected:
            return None
        validity = next(re.search(rb"UIDVALIDITY (\d+)", line)[1] for line in lines
                        if b"UIDVALIDITY" in line)
        found = {}
        lines, fetched = self.command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])")
        for line in lines:
            if not (subject := re.search(rb"Subject: m(\d+)", line)):
                continue
            uid = int(re.search(rb"UID (\d+)", line)[1])
            assert self.shown.setdefault((folder, validity, uid), subject[1]) == subject[1]
            found[uid] = (int(subject[1]), re.search(rb"FLAGS \(([^)]*)\)", line)[1])
        return found if fetched else None

    def connect(self):
        self.client = self.mailbox.connect()

    def stop(self):
        if self.client:
            self.client.close()
        self.mailbox.stop()

    def deliver(self):
        for number in range(1, DELIVERED + 1):
            self.mailbox.store(text(number), name=f"{1700000000 + number}.Q{number}.host")

    def act(self):
        """The commands, and what their OK promises: (check, number) of the message."""
        promises = []
        uids = {number: uid for uid, (number, _) in (self.look("INBOX") or {}).items()}

        def promise(words, check, number, octets=None):
            if octets is None and number not in uids:
                return False  # it could not be given a UID yet
            done = self.command(words.format(uids.get(number)), octets)[1]
            if done and check:
                promises.append((check, number))
            return done

        promise(r"UID STORE {} +FLAGS.SILENT (\Flagged)", "flagged", 1)
        promise("APPEND Sent", "in Sent", 11, text(11))
        promise("UID COPY {} Sent", "in Sent", 2)
        promise("UID MOVE {} Trash", "in Trash only", 3)
        if promise(r"UID STORE {} +FLAGS.SILENT (\Deleted)", None, 4):
            promise("UID EXPUNGE {}", "gone", 4)
        promise("APPEND INBOX", "in INBOX", 12, text(12))
        promise("UID STORE {} +FLAGS.SILENT (a-keyword)", "keyword", 5)
        if self.command("CREATE new/folder")[1]:
            promise("UID MOVE {} new/folder", "in new/folder only", 6)
        return promises

    def verify(self, promises, kept):
        """By another life of the same mailbox, without failures. `kept`: messages that nobody asked
        to remove."""
        folders = {folder: self.look(folder) for folder in ("INBOX", "Sent", "Trash", "new/folder")}
        where = {}
        for folder, messages in folders.items():
            numbers = [number for number, _ in (messages or {}).values()]
            assert len(numbers) == len(set(numbers)), f"twice in {folder}: {numbers}"
            for number in numbers:
                where.setdefault(number, []).append(folder)
        assert set(where) >= kept, f"lost: {kept - set(where)}"
        flags = {number: flags for number, flags in folders["INBOX"].values()}
        for check, number in promises:
            if check == "gone":
                assert number not in where
            elif check == "flagged":
                assert b"\\Flagged" in flags[number]
            elif check == "keyword":
                assert b"a-keyword" in flags[number]
            else:
                folder, _, only = check.removeprefix("in ").partition(" ")
                assert folder in where[number]
                assert not only or where[number] == [folder]


def live_again(first, promises):
    """What the client saw and was promised stands."""
    again = Life(first.place)
    again.shown = first.shown
    again.connect()
    again.verify(promises, set(range(1, DELIVERED + 1)) - {4})
    again.stop()


def kills(calls):
    return [(call, at) for call, most in calls.items()
            for at in turns(call, 1, most, 1)]


# About as many calls of each as the life below makes.
CALLS = {"renameat": 60, "openat": 150, "fsync": 80, "io_submit": 6, "io_getevents": 6, "unlinkat": 12, "linkat": 4, "mkdirat": 24,
         "newfstatat": 60, "write": 40, "sendmsg": 24}


@pytest.mark.parametrize("call,at", kills(CALLS))
def test_killed(tmp_path, call, at):
    promises, life = [], None
    with contextlib.suppress(AssertionError, OSError, TypeError):
        life = Life(tmp_path, wrap=strace(f"{call}:signal=KILL:when={at}"))
        life.connect()
        life.deliver()
        promises = life.act()
    if life is None:  # it never came up: furnishing a new account goes on the next time
        life = Life(tmp_path)
        life.connect()
        life.deliver()
    with contextlib.suppress(AssertionError, OSError):
        life.stop()
    life.mailbox.role.kill()
    if not list(life.mailbox.maildir.glob("*/17*")):  # killed before the mail came
        life.mailbox.start()
        life.connect()
        life.deliver()
        life.stop()
    live_again(life, promises)


# The call and its error. Memory that is short is an error like any other.
FAILURES = [("open", errno.EMFILE), ("open", errno.ENOSPC), ("write", errno.ENOSPC),
            ("write", errno.EIO), ("renameat", errno.EIO), ("renameat", errno.ENOSPC),
            ("mkdirat", errno.ENOSPC), ("fsync", errno.EIO), ("unlinkat", errno.EIO),
            ("linkat", errno.ENOSPC), ("pread", errno.EIO), ("malloc", errno.ENOMEM),
            ("realloc", errno.ENOMEM)]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    """A new account costs many flushes: once is enough."""
    life = Life(tmp_path_factory.mktemp("furnished"))
    life.connect()
    life.stop()
    return life.place


def serves(life, call):
    """All goes on. The failure may fall into this; it comes once."""
    with contextlib.suppress(AssertionError, OSError):
        try:
            life.connect()
        except OSError:
            assert call == "realloc"
            life.mailbox.start()
            life.connect()
        return life.look("INBOX") is not None and life.command("APPEND Drafts", text(99))[1]
    return False


@pytest.mark.parametrize("call,code", FAILURES)
def test_a_call_fails_once(tmp_path, furnished, call, code):
    for at in turns(f"{call} {code}", 1, 80, 2, often=18):
        place = tmp_path / f"{at}"
        shutil.copytree(furnished, place)
        life = Life(place, environment=failing(call, code, at))
        promises = []
        life.deliver()
        # Without memory a connection may end; libev ends the process, and the master starts it again.
        with contextlib.suppress(AssertionError, OSError):
            life.connect()
            promises = life.act()
        assert any(serves(life, call) for _ in range(3)), f"{call} number {at}"
        life.stop()
        live_again(life, promises)


def append_at_once(mailbox, sessions, each):
    """Messages of several clients that do not wait for one another: {number: the answer's code or None}."""
    clients = [mailbox.connect() for _ in range(sessions)]
    for at, client in enumerate(clients):
        client.send(b"".join(b"x APPEND Sent {%d+}\r\n%s\r\n" % (len(text(number)), text(number))
                             for number in range(at * each, (at + 1) * each)))
    answers = {}
    for at, client in enumerate(clients):
        for number in range(at * each, (at + 1) * each):
            _, tagged = client.answer()
            assert tagged.startswith((b"OK", b"NO [UNAVAILABLE]")), tagged
            answers[number] = re.search(rb"APPENDUID \d+ (\d+)", tagged)
        client.close()
    return answers


@pytest.mark.parametrize("at", turns("flush", 1, 17, 2, often=10))
def test_a_flush_fails_among_several(tmp_path, furnished, at):
    """Who shares a flush shares its directory's failure, and no other file's. What was refused is not there, and
    what was taken is, under the UID that was told."""
    place = tmp_path / "place"
    shutil.copytree(furnished, place)
    life = Life(place, environment=failing("fsync", errno.EIO, at))
    answers = append_at_once(life.mailbox, 4, 3)
    refused = {number for number, told in answers.items() if not told}
    assert 1 <= len(refused) <= 4
    life.connect()
    for again in (False, True):
        found = {uid: int(subject) for uid, (subject, _) in life.look("Sent").items()}
        assert found == {int(told[1]): number for number, told in answers.items() if told}
        if not again:
            life.stop()
            life.mailbox.start()
            life.connect()
    life.stop()


def test_a_keyword_that_cannot_be_written_down_is_nobodys(tmp_path):
    """What is expunged keeps its keywords. Where the record of what is kept could not be written, the next message with
    that keyword has it written: no letter in a name is without a keyword in the record."""
    armed = tmp_path / "armed"
    life = Life(tmp_path, environment=failing("fsync", errno.EIO, 1, armed))
    life.deliver()
    life.connect()
    assert life.look("INBOX")
    for uids, keyword in (("1", "first"), ("2:3", "second")):
        assert life.command(rf"UID STORE {uids} +FLAGS.SILENT (\Deleted {keyword})")[1]
        if keyword == "second":
            armed.touch()
        life.command(f"UID EXPUNGE {uids}")
    kept = life.mailbox.maildir / "staffetta-expunged"
    record = (kept / "staffetta-folder").read_text()
    letters = {letter for file in (kept / "cur").iterdir() for letter in file.name.partition(":2,")[2] if letter.islower()}
    assert letters == {"a", "b"} and "keyword a first" in record and "keyword b second" in record
    life.stop()


def test_what_is_kept_is_flushed_before_an_expunge_is_answered(tmp_path):
    """The folder's new/ and cur/, the tombstones' tmp/, and the cur/ where the message went."""
    armed = tmp_path / "armed"
    life = Life(tmp_path, environment=failing("fsync", errno.EIO, 4, armed))
    life.deliver()
    life.connect()
    assert life.look("INBOX")
    for uid, answer in ((1, True), (2, False)):  # with the first the directory is made
        assert life.command(rf"UID STORE {uid} +FLAGS.SILENT (\Deleted)")[1]
        if uid == 2:
            armed.touch()
        assert life.command(f"UID EXPUNGE {uid}")[1] == answer
    life.stop()


def test_memory_fails_as_a_command_begins(tmp_path):
    """It is answered, with its tag: without one the client would wait for ever. Under sanitizers no malloc fails here."""
    armed = tmp_path / "armed"
    life = Life(tmp_path, environment=failing("malloc", errno.ENOMEM, 1, armed))
    life.connect()
    armed.touch()
    _, tagged = life.client.command(b"NOOP")
    assert tagged.startswith((b"NO [UNAVAILABLE]", b"OK"))
    assert life.command("NOOP")[1]
    life.stop()


def test_memory_fails_while_uids_are_parted(tmp_path, furnished):
    """Of two files with one UID the second gets one of its own. Without memory for that the folder is not opened, and
    the next time it is. Under sanitizers no malloc fails here."""
    place = tmp_path / "place"
    shutil.copytree(furnished, place)
    life = Life(place)
    life.connect()
    for number in (1, 2):
        assert life.command("APPEND Sent", text(number))[1]
    life.stop()
    sent = life.mailbox.folder("Sent") / "cur"
    for file in list(sent.iterdir()):
        shutil.copy(file, sent / file.name.replace(".A", ".B"))
    for at in range(1, 25):
        tried = tmp_path / f"{at}"
        shutil.copytree(place, tried)
        armed = tried / "armed"
        life = Life(tried, environment=failing("malloc", errno.ENOMEM, at, armed))
        life.connect()
        armed.touch()
        found = []
        for _ in range(3):  # without memory a connection may end, too
            with contextlib.suppress(AttributeError, AssertionError, OSError):
                found = sorted(subject for subject, _ in life.look("Sent").values())
                break
            life.connect()
        assert set(found) == {1, 2}, f"malloc number {at}"  # a second one may have to wait for its UID
        life.stop()


@pytest.mark.parametrize("octets", [0, 20])
def test_what_a_power_cut_left_of_an_append_is_set_aside(tmp_path, furnished, octets):
    """The name is there, the octets are not, and nobody was told OK: the file was never flushed."""
    place = tmp_path / "place"
    shutil.copytree(furnished, place)
    life = Life(place)
    life.connect()
    for number in (1, 2, 3):
        assert life.command("APPEND Sent", text(number))[1]
    life.stop()
    sent = life.mailbox.folder("Sent")
    cut = next(file for file in (sent / "cur").iterdir() if b"m2" in file.read_bytes())
    os.truncate(cut, octets)
    (sent / "staffetta-changes").unlink()  # what a kill leaves is believed, and needs no look
    life.mailbox.start()
    life.connect()
    assert [subject for subject, _ in life.look("Sent").values()] == [1, 3]
    assert not cut.exists()
    (aside,) = (life.mailbox.maildir / "staffetta-damaged").iterdir()
    assert aside.name == cut.name and aside.stat().st_size == octets
    life.stop()


@pytest.mark.parametrize("target", ["Drafts", "Shared/alice@test.example/Work"])
def test_a_full_disk_ends_what_comes_from_another_account(tmp_path, target):
    """RFC 4469 with a URL of another account's mailbox: NO at once, though the rest has not come; nothing is kept."""
    armed = tmp_path / "armed"
    made = Mailbox(tmp_path, "imap { shared-mailboxes = Shared }", environment=failing("write", errno.ENOSPC, 1, armed))

    def fetch(client):
        client.send(f'x APPEND {target} CATENATE (URL "/Shared/alice@test.example/Other/;UID=7")\r\n'.encode())
        owner = way(made)
        heard(owner, b"c EXAMINE Shared/alice@test.example/Other\r\n")
        owner.sendall(b"c OK done\r\n")
        heard(owner, b"c UID FETCH 7 (BODY.PEEK[])\r\n")
        owner.sendall(b"* 7 FETCH (UID 7 BODY[] {200000}\r\n" + b"x" * 100_000)
        return owner

    with made.connect() as client:
        owner = fetch(client)
        made.eventually(lambda: any(file.stat().st_size for name in ("Drafts", "INBOX") for file in (made.folder(name) / "tmp").iterdir()))
        armed.touch()
        with contextlib.suppress(OSError):  # what came before may have failed already
            owner.sendall(b"x" * 50_000)
        lines, tagged = client.answer()
        assert lines == [] and tagged.startswith(b"NO [") and any(b"command_failed" in event for event in made.role.events())
        with contextlib.suppress(OSError):
            assert owner.recv(100) == b""
        owner.close()
        assert not any(any((made.folder(name) / place).iterdir()) for name in ("Drafts", "INBOX") for place in ("tmp", "cur"))
        owner = fetch(client)
        owner.sendall(b"x" * 100_000 + b")\r\nc OK done\r\n")
        if target != "Drafts":
            owner.close()
            owner = way(made)
            heard(owner, b"{200000}\r\n")
            owner.sendall(b"+ go on\r\n")
            assert heard(owner, b"x\r\n") == b"x" * 200_000 + b"\r\n"
            owner.sendall(b"c OK [APPENDUID 1 1] done\r\n")
        assert client.answer()[1].startswith(b"OK [APPENDUID")
        owner.close()
    made.stop()
