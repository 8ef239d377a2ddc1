"""Several sessions, deliveries and other programs on one mailbox: what each session is told, and when
(RFC 3501 5.2, 7.4.1, RFC 2177, RFC 2180). imapd-mailbox alone."""

import os
import pathlib
import random
import re
import select
import signal
import time

import pytest

from mailbox_role import MESSAGE, Mailbox, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox


@pytest.fixture
def two(mailbox):
    """Two sessions on INBOX with three messages; the first was told of them as recent."""
    for _ in range(3):
        mailbox.store()
    with mailbox.connect() as first, mailbox.connect() as second:
        first.ok("SELECT INBOX")
        second.ok("SELECT INBOX")
        yield first, second


def test_recent_is_for_one_session(two):
    """RFC 3501 2.3.2"""
    first, second = two
    assert first.ok("SEARCH RECENT") == [b"* SEARCH 1 2 3"]
    assert second.ok("SEARCH RECENT") == [b"* SEARCH"]


def test_next_view_is_of_the_folder_as_it_is(two):
    """It begins with the numbers that the last one had, if nothing has gone since."""
    first, second = two
    for change, uids in (("NOOP", b"1 2 3"), (r"STORE 2 +FLAGS.SILENT (\Deleted)", b"1 2 3"), ("EXPUNGE", b"1 3")):
        second.ok("UNSELECT")
        first.ok(change)
        told = b"".join(second.ok("SELECT INBOX"))
        assert b"* %d EXISTS" % len(uids.split()) in told
        assert second.ok("UID SEARCH ALL") == [b"* SEARCH " + uids]
    second.ok("UNSELECT")
    first.ok("STORE 1:* +FLAGS.SILENT (\\Seen)")
    assert not any(b"UNSEEN" in line for line in second.ok("SELECT INBOX"))
    first.ok("STORE 2 -FLAGS.SILENT (\\Seen)")
    assert any(b"[UNSEEN 2]" in line for line in second.ok("SELECT INBOX"))
    first.ok("UNSELECT")
    second.ok("STORE 1 -FLAGS.SILENT (\\Seen)")
    assert any(b"[UNSEEN 1]" in line for line in first.ok("SELECT INBOX"))


def test_flags_are_told(two):
    """RFC 3501 5.2, 7.4.2; silent is so for whom asked, 6.4.6."""
    first, second = two
    assert first.ok(r"STORE 2 +FLAGS.SILENT (\Flagged)") == []
    assert second.ok("NOOP") == [rb"* 2 FETCH (FLAGS (\Flagged))"]
    assert second.ok("NOOP") == []
    second.ok("STORE 1 +FLAGS.SILENT (new-word)")
    assert first.ok("UID SEARCH 2")[1:] == [
        rb"* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded new-word)",
        rb"* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded new-word \*)]"
        rb" These flags are kept",
        rb"* 1 FETCH (UID 1 FLAGS (new-word \Recent))"]


def test_expunge_waits(two):
    """RFC 3501 7.4.1: not during FETCH, STORE or SEARCH, whose numbers would be others."""
    first, second = two
    first.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    assert b"* 1 EXPUNGE" in first.ok("EXPUNGE")
    assert second.ok("SEARCH ALL") == [b"* SEARCH 2 3"]
    assert second.ok("FETCH 1:3 UID") == [b"* 1 FETCH (UID 1)", b"* 2 FETCH (UID 2)", b"* 3 FETCH (UID 3)"]
    assert second.ok(r"STORE 3 +FLAGS.SILENT (\Seen)") == []
    lines, tagged = second.command("FETCH 1 FLAGS")
    assert lines == [] and tagged.startswith(b"NO [EXPUNGEISSUED]")  # RFC 5530 3
    lines, tagged = second.command("STORE 1 FLAGS ()")
    assert lines == [] and tagged.startswith(b"NO [EXPUNGEISSUED]")
    lines, tagged = second.command("STORE 1 FLAGS.SILENT ()")
    assert lines == [] and tagged.startswith(b"OK [EXPUNGEISSUED]")  # RFC 2180 4.2.1
    assert second.ok("UID FETCH 2 UID") == [b"* 2 FETCH (UID 2)", b"* 1 EXPUNGE"]
    assert second.ok("FETCH 1:* UID") == [b"* 1 FETCH (UID 2)", b"* 2 FETCH (UID 3)"]


def test_idle_tells_at_once(mailbox, two):
    """RFC 2177: new mail, flags, expunges; DONE and what is pipelined behind it in one packet."""
    first, second = two
    second.talk("""
        C: a IDLE
        S: + idling""")
    started = time.monotonic()
    mailbox.store()
    second.talk("S: * 4 EXISTS")
    assert time.monotonic() - started < 1
    second.talk("S: * 1 RECENT")
    first.ok(r"STORE 2 FLAGS (\Deleted)")
    second.talk(r"S: * 2 FETCH (FLAGS (\\Deleted))")
    first.ok("EXPUNGE")
    second.talk("S: * 2 EXPUNGE")
    second.send(b"DONE\r\nb SEARCH ALL\r\n")
    second.talk("""
        S: a OK *
        S: * SEARCH 1 2 3
        S: b OK *""")


def test_idle_in_any_state(client):
    """RFC 2177 3; and what is not DONE."""
    client.talk("""
        C: a IDLE
        S: + idling
        C: done
        S: a OK *
        C: b IDLE
        S: + idling
        C: NOOP
        S: b BAD *
        C: c IDLE now
        S: c BAD *""")


def test_idle_is_fast(mailbox, client):
    """Issue: an idle client is told within a millisecond or two (without a sanitizer)."""
    client.ok("SELECT INBOX")
    client.talk("""
        C: a IDLE
        S: + idling""")
    waits = []
    for number in range(50):
        started = time.monotonic()
        mailbox.store()
        client.talk(f"S: * {number + 1} EXISTS")
        waits.append(time.monotonic() - started)
        client.talk(f"S: * {number + 1} RECENT")
    assert sorted(waits)[25] < 0.1


@pytest.mark.parametrize("verb", ["COPY", "MOVE"])
def test_the_target_is_deleted_under_a_command(mailbox, two, verb):
    """What is copied in slices is not said to be in a mailbox that was deleted between two of them."""
    first, second = two
    for _ in range(297):
        mailbox.store()
    mailbox.eventually(lambda: first.ok("NOOP") and False or first.ok("SEARCH ALL")[-1].endswith(b" 300"))
    first.ok("CREATE target")
    os.kill(mailbox.role.pid, signal.SIGSTOP)  # so that both commands are there in one turn
    mailbox.eventually(lambda: pathlib.Path(f"/proc/{mailbox.role.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    second.send(b"x DELETE target\r\n")
    first.send(b"x UID %s 1:* target\r\n" % verb.encode())  # most often heard first: libev begins at the end
    os.kill(mailbox.role.pid, signal.SIGCONT)
    _, tagged = first.answer()
    assert tagged.startswith(b"NO [TRYCREATE]"), tagged
    assert second.answer()[1].startswith(b"OK")
    left = next(line for line in first.ok("UID SEARCH ALL") if line.startswith(b"* SEARCH")).split()[2:]
    assert len(left) == 300 or (verb == "MOVE" and left)


# ---- other programs


def test_another_program_changes_flags(mailbox, two):
    first, second = two
    cur = mailbox.maildir / "cur"
    name = mailbox.files()[1]
    (cur / name).rename(cur / (name + "FS"))
    mailbox.eventually(lambda: first.ok("NOOP") == [rb"* 2 FETCH (FLAGS (\Flagged \Seen \Recent))"])
    second.ok(r"STORE 2 -FLAGS.SILENT (\Flagged)")
    assert mailbox.files()[1].endswith(":2,S")


def test_another_program_changes_flags_unseen(mailbox, two):
    """A STORE that comes before the change was noticed keeps both."""
    first, _ = two
    cur = mailbox.maildir / "cur"
    name = mailbox.files()[1]
    os.kill(mailbox.role.pid, 19)
    first.send(b"a STORE 2 +FLAGS.SILENT (\\Answered)\r\n")
    (cur / name).rename(cur / (name + "S"))
    os.kill(mailbox.role.pid, 18)
    first.talk("S: ...\nS: a OK *")
    assert mailbox.files()[1].endswith(":2,RS")


def test_another_program_removes_a_message(mailbox, two):
    first, second = two
    (mailbox.maildir / "cur" / mailbox.files()[0]).unlink()
    mailbox.eventually(lambda: b"* 1 EXPUNGE" in first.ok("NOOP"))
    assert first.ok("SEARCH ALL")[0] == b"* SEARCH 1 2"
    assert second.ok("UID FETCH 1:* UID")[-1] == b"* 1 EXPUNGE"


def test_another_program_puts_a_message_into_cur(mailbox, two):
    """Without a UID of this folder, or with one that is not believed: it gets the next."""
    first, _ = two
    validity = re.search(rb"U=(\d+)\.", mailbox.files()[0].encode())[1].decode()
    mailbox.store(place="cur", name="1.foreign.host:2,S")
    mailbox.store(place="cur", name=f"2.liar.host,U={validity}.1:2,")
    mailbox.store(place="cur", name="3.other.host,U=12.4:2,")
    mailbox.eventually(lambda: first.ok("NOOP") and False or len(mailbox.files()) == 6
                       and first.ok("UID SEARCH ALL")[0] == b"* SEARCH 1 2 3 4 5 6")
    assert len({re.search(r"U=\d+\.(\d+)", name)[1] for name in mailbox.files()}) == 6


def test_a_message_moved_by_hand_is_another(mailbox, two):
    """A UID names its UIDVALIDITY: in another folder it is foreign."""
    first, second = two
    name = mailbox.files()[2]
    (mailbox.maildir / "cur" / name).rename(mailbox.folder("Archive") / "cur" / name)
    mailbox.eventually(lambda: b"* 3 EXPUNGE" in first.ok("NOOP"))
    second.ok("SELECT Archive")
    assert second.ok("UID SEARCH ALL") == [b"* SEARCH 1"]


def test_a_folder_renamed_by_another_program_is_the_same(mailbox, client):
    """Two ideas of one directory would give UIDs twice."""
    client.ok("CREATE one")
    client.ok("SELECT one")
    (mailbox.maildir / ".one").rename(mailbox.maildir / ".two")
    with mailbox.connect() as other:
        other.ok("SELECT two")
        for _ in range(4):
            client.append(MESSAGE, "two")
            other.append(MESSAGE, "two")
        mailbox.store(folder="two")
        mailbox.eventually(lambda: other.ok("NOOP") and False
                           or other.ok("UID SEARCH ALL")[0] == b"* SEARCH 1 2 3 4 5 6 7 8 9")
    assert len({re.search(r"U=\d+\.(\d+)", name)[1] for name in mailbox.files("two")}) == 9


def test_two_files_with_one_uid(mailbox, client):
    mailbox.store()
    client.ok("SELECT INBOX")
    client.ok("UNSELECT")
    name = mailbox.files()[0]
    os.link(mailbox.maildir / "cur" / name, mailbox.maildir / "tmp" / "x")
    copy = (mailbox.maildir / "tmp" / "x").read_bytes()
    os.unlink(mailbox.maildir / "tmp" / "x")
    mailbox.store(copy, place="cur", name=name.replace("Q", "Z"))
    mailbox.restart()
    with mailbox.connect() as again:
        again.ok("SELECT INBOX")
        assert again.ok("UID SEARCH ALL") == [b"* SEARCH 1 2"]


def test_a_lost_record_means_a_new_uidvalidity(mailbox, client):
    """Design, Storage: record lost: new UIDVALIDITY."""
    mailbox.store()
    before = client.ok("STATUS INBOX (UIDVALIDITY)")
    mailbox.role.stop()
    (mailbox.maildir / "staffetta-folder").unlink()
    mailbox.start()
    with mailbox.connect() as again:
        assert again.ok("STATUS INBOX (UIDVALIDITY)") != before
        assert again.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 1)"]


def test_a_damaged_record_is_set_aside(mailbox):
    mailbox.store()
    mailbox.role.stop()
    (mailbox.maildir / "staffetta-folder").write_bytes(b"\0garbage")
    mailbox.start()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert client.ok("SEARCH ALL") == [b"* SEARCH 1"]
    assert (mailbox.maildir / "staffetta-folder.broken").exists()


# ---- all at once


class Model:
    """One client's idea of the mailbox, from nothing but what it was told."""

    NUMBERED = ("FETCH", "STORE", "SEARCH")

    def __init__(self, mailbox, seed):
        self.client = mailbox.connect()
        self.random = random.Random(seed)
        self.uids = []  # None: not asked yet
        lines = self.client.ok("SELECT INBOX")
        self.told(lines, "SELECT")
        self.learn()

    def learn(self):
        """Asks for what is new; every answer must fit what is known."""
        if self.uids:
            self.told(self.client.command("UID FETCH 1:* (UID FLAGS)")[0], "UID FETCH")

    def told(self, lines, command):
        for line in lines:
            if found := re.fullmatch(rb"\* (\d+) EXPUNGE", line):
                assert not command.startswith(self.NUMBERED), command
                number = int(found[1])
                assert 1 <= number <= len(self.uids)
                del self.uids[number - 1]
            elif found := re.fullmatch(rb"\* (\d+) EXISTS", line):
                assert int(found[1]) >= len(self.uids), "EXISTS must not shrink, RFC 3501 7.3.1"
                self.uids += [None] * (int(found[1]) - len(self.uids))
            elif found := re.match(rb"\* (\d+) FETCH \(.*\bUID (\d+)", line):
                number, uid = int(found[1]), int(found[2])
                assert self.uids[number - 1] in (None, uid), (self.uids, line)
                self.uids[number - 1] = uid
            elif found := re.match(rb"\* (\d+) FETCH", line):
                assert 1 <= int(found[1]) <= len(self.uids)
        known = [uid for uid in self.uids if uid]
        assert known == sorted(set(known))

    def act(self):
        number = self.random.randint(1, max(len(self.uids), 1))
        choices = ["NOOP", "UID FETCH 1:* (UID)", "SEARCH ALL", "EXPUNGE"]
        if self.uids:
            choices += [rf"STORE {number} +FLAGS (\Deleted)", rf"STORE {number} FLAGS.SILENT (\Seen)",
                        f"FETCH {number}:* (UID FLAGS)", f"COPY {number} INBOX",
                        f"UID MOVE {self.uids[number - 1] or 1} INBOX", "UID SEARCH NOT SEEN"] * 2
        choices.append(None)
        command = self.random.choice(choices)
        if command is None:
            lines, tagged = self.client.append(MESSAGE)
            command = "APPEND"
        else:
            lines, tagged = self.client.command(command)
        assert tagged.startswith((b"OK", b"NO")), (command, tagged)
        self.told(lines, command)


def meddle(mailbox, chance):
    """What another program may do."""
    files = mailbox.files()
    if chance < 0.3 or not files:
        mailbox.store()
        return
    name = files[int(chance * 1000) % len(files)]
    path = mailbox.maildir / "cur" / name
    try:
        if chance < 0.6:
            path.unlink()
        else:
            path.rename(mailbox.maildir / "cur" / (name.split(":2,")[0] + ":2,F"))
    except FileNotFoundError:
        pass


@pytest.mark.parametrize("seed", range(3))
def test_every_view_keeps_the_rules(mailbox, seed):
    """RFC 3501 7.4.1, with sessions, deliveries and another program at once."""
    for _ in range(10):
        mailbox.store()
    chances = random.Random(seed)
    models = [Model(mailbox, seed * 100 + number) for number in range(5)]
    end = time.monotonic() + 4
    while time.monotonic() < end:
        models[chances.randrange(len(models))].act()
        if chances.random() < 0.1:
            meddle(mailbox, chances.random())
    mailbox.eventually(lambda: not mailbox.files(place="new"))
    time.sleep(0.1)
    for model in models:
        model.told(model.client.ok("NOOP"), "NOOP")
        model.learn()
    on_disk = sorted(int(re.search(r"U=\d+\.(\d+)", name)[1]) for name in mailbox.files())
    for model in models:
        assert model.uids == on_disk
        model.client.close()


def test_a_killed_process_loses_nothing(mailbox):
    """UIDs that were shown never mean another message, whatever is killed whenever."""
    shown, chances = {}, random.Random(5)
    for round_number in range(6):
        for _ in range(5):
            mailbox.store(MESSAGE.replace(b"mtg", b"%d" % random.getrandbits(60)))
        with mailbox.connect() as client:
            client.ok("SELECT INBOX")
            for line in client.ok("UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]"):
                uid = int(re.search(rb"UID (\d+)", line)[1])
                subject = re.search(rb"Subject: ([^\r]*)", line)[1]
                assert shown.setdefault(uid, subject) == subject
            uid = chances.choice(list(shown))
            client.send(b"a UID STORE %d +FLAGS (\\Deleted)\r\nb EXPUNGE\r\n" % uid)
            if chances.random() < 0.5:
                select.select([client.socket], [], [], 0.01)
            mailbox.kill()
        mailbox.start()
