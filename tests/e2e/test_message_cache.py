"""What imapd-mailbox remembers of messages it read: the same answers with and without the index, whole
or damaged; large messages read in slices. imapd-mailbox alone."""

import os
import re
import shutil
import time

import pytest
from house import BUILD
from mailbox_role import MESSAGE, Mailbox

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(),
                                reason="imapd-mailbox is not built")

PARTS = (b"From: a@x.example\r\nSubject: parts\r\nDate: Thu, 1 Feb 2001 23:30:00 -0500\r\n"
         b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
         b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
         b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
         b"%s\r\n--b--\r\n")
ITEMS = "(UID INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)"


@pytest.fixture
def mailbox(tmp_path):
    made = Mailbox(tmp_path)
    yield made
    made.kill()


def index_of(mailbox):
    return mailbox.maildir / "staffetta-index"


def fetch(mailbox, items=ITEMS):
    with mailbox.connect() as client:
        client.ok("EXAMINE INBOX")
        return client.ok(f"FETCH 1:* {items}")


def spoil(directory):
    for name in os.listdir(directory):
        path = directory / name
        path.write_bytes(b"\x5a" * path.stat().st_size)


def fill(mailbox):
    for message in (MESSAGE, PARTS % b"JVBERi0=", b"no header\r\n", MESSAGE.replace(b"\r\n", b"\n")):
        path = mailbox.store(message)
        if b"\r\n" not in message:  # by another program, which knows no W=
            path.rename(path.with_name("1600000000.P1.host"))
    fetch(mailbox, "UID")
    return fetch(mailbox)


def test_answers_do_not_depend_on_the_index(mailbox):
    read = fill(mailbox)
    assert len(read) == 4 and b'"application" "pdf"' in b"".join(read)
    assert index_of(mailbox).is_dir()
    assert fetch(mailbox) == read  # from the index
    mailbox.restart()
    assert fetch(mailbox) == read
    mailbox.role.stop()
    shutil.rmtree(index_of(mailbox))
    mailbox.start()
    assert fetch(mailbox) == read and index_of(mailbox).is_dir()


def test_damaged_index_is_begun_anew(mailbox):
    read = fill(mailbox)
    mailbox.role.stop()
    spoil(index_of(mailbox))
    mailbox.start()
    assert fetch(mailbox) == read
    mailbox.restart()
    assert fetch(mailbox) == read


def test_no_index_can_be_made(mailbox):
    read = fill(mailbox)
    mailbox.role.stop()
    shutil.rmtree(index_of(mailbox))
    index_of(mailbox).write_text("a file")
    mailbox.start()
    assert fetch(mailbox) == read
    assert any(b"index_not_used" in event for event in mailbox.role.events())


def test_index_is_read_not_the_message(mailbox):
    """The file is replaced under its name: what the index has is what the client was told before."""
    read = fill(mailbox)
    for path in (mailbox.maildir / "cur").iterdir():
        path.write_bytes(b"x" * path.stat().st_size)
    assert fetch(mailbox, "(UID ENVELOPE BODYSTRUCTURE)") == [
        line.replace(line[line.index(b" INTERNALDATE") : line.index(b" ENVELOPE")], b"")
        .replace(line[line.index(b" BODY (") : line.index(b" BODYSTRUCTURE")], b"")
        for line in read]


def test_search_remembers_when_a_message_was_sent(mailbox):
    fill(mailbox)
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        for _ in range(2):
            assert client.ok("SEARCH SENTON 1-Feb-2001") == [b"* SEARCH 3"]
            assert client.ok("SEARCH SENTBEFORE 1-Feb-2001") == [b"* SEARCH 1 2"]
            assert client.ok("SEARCH NOT SENTSINCE 1-Jan-1990") == [b"* SEARCH 4"]
    mailbox.restart()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert client.ok("SEARCH SENTON 1-Feb-2001") == [b"* SEARCH 3"]


def test_messages_that_went_leave_the_index(mailbox):
    fill(mailbox)
    mailbox.role.stop()
    for path in list((mailbox.maildir / "cur").iterdir())[:2]:
        path.unlink()
    mailbox.start()
    assert len(fetch(mailbox)) == 2
    mailbox.store(PARTS % b"bmV3")
    fetch(mailbox, "UID")
    assert len(fetch(mailbox)) == 3


def uids(mailbox):
    """{subject: UID}"""
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        lines = client.ok("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Subject)])")
    return {re.search(rb"Subject: (\S+)", line)[1].decode(): int(re.search(rb"UID (\d+)", line)[1])
            for line in lines}


def lose_uid(mailbox, subject):
    """What a power cut does to a rename that was not flushed: the file lies in new/ again."""
    for path in (mailbox.maildir / "cur").iterdir():
        if b"Subject: %s" % subject.encode() in path.read_bytes():
            return path.rename(mailbox.maildir / "new" / path.name.split(",U=")[0])
    raise AssertionError(f"no {subject}")


def fill_with_subjects(mailbox):
    for subject in (b"one", b"two", b"three", b"four"):
        mailbox.store(b"Subject: %s\r\n\r\n%s\r\n" % (subject, subject))
    return uids(mailbox)


def test_uid_that_a_crash_took_is_given_back(mailbox):
    before = fill_with_subjects(mailbox)
    fetch(mailbox, "ENVELOPE")
    mailbox.role.stop()
    for subject in ("three", "two"):
        lose_uid(mailbox, subject)
    mailbox.start()
    mailbox.store(b"Subject: five\r\n\r\n")
    assert uids(mailbox) == {**before, "five": max(before.values()) + 1}
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert client.ok("UID SEARCH 1:*") == [b"* SEARCH 1 2 3 4 5"]  # in their order


def test_uid_is_given_back_to_its_own_message_alone(mailbox):
    """Another program has used the name again; or another message has the UID by now: a new UID."""
    before = fill_with_subjects(mailbox)
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        client.ok("UID FETCH %d,%d ENVELOPE" % (before["one"], before["two"]))
    mailbox.role.stop()
    other = lose_uid(mailbox, "one")
    octets = other.read_bytes()
    other.write_bytes(octets.replace(b"one", b"eno"))
    os.utime(other, (1600000000, 1600000000))
    taken = lose_uid(mailbox, "two")
    twin = taken.with_name("1600000000.P1.host")
    shutil.copy(taken, twin)
    twin.write_bytes(octets.replace(b"one", b"six"))
    twin.rename(mailbox.maildir / "cur" / f"{twin.name},U={uidvalidity(mailbox)}.{before['two']}:2,")
    mailbox.start()
    after = uids(mailbox)
    assert after["six"] == before["two"] and after["four"] == before["four"]
    assert min(after[subject] for subject in ("eno", "two")) > max(before.values())


def test_uid_of_which_nothing_is_known_is_not_given_back(mailbox):
    before = fill_with_subjects(mailbox)
    mailbox.role.stop()
    shutil.rmtree(index_of(mailbox), ignore_errors=True)
    lose_uid(mailbox, "three")
    mailbox.start()
    assert uids(mailbox)["three"] > max(before.values())


def uidvalidity(mailbox):
    return re.search(r"uidvalidity (\d+)", (mailbox.maildir / "staffetta-folder").read_text())[1]


def test_uid_that_another_program_took_while_all_goes_on_is_not_given_back(mailbox):
    """A client was told that the message is gone: it comes again as a new one."""
    before = fill_with_subjects(mailbox)
    fetch(mailbox, "ENVELOPE")
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        lose_uid(mailbox, "two")
        deadline = time.monotonic() + 5
        while len(client.ok("UID SEARCH 1:*")[-1].split()) != 6 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert uids(mailbox)["two"] > max(before.values())


def index_log(mailbox):
    """What the database's log has: of each record that is removed, what it was."""
    return b"".join(path.read_bytes() for path in sorted(index_of(mailbox).glob("log.*")))


def test_new_messages_are_learnt_before_anybody_asks(mailbox):
    """What FETCH and SEARCH want of them is in the index (imapd/search/learn.h): the file is not read again."""
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        path = mailbox.store((PARTS % b"JVBERi0=").replace(b"parts", b"learnt"))
        mailbox.changed()
        mailbox.eventually(lambda: b"learnt" in index_log(mailbox))
        for path in (mailbox.maildir / "cur").iterdir():
            path.write_bytes(b"x" * path.stat().st_size)
        client.ok("NOOP")
        line, = [line for line in client.ok("FETCH 1 (ENVELOPE BODYSTRUCTURE)") if b"FETCH" in line]
        assert b'"learnt"' in line and b'"application" "pdf"' in line
        for keys, found in ("SUBJECT learnt", b" 1"), ("BODY xxxxxxx", b""), ("TEXT xxxxxxx", b""):
            assert client.ok(f"SEARCH {keys}") == [b"* SEARCH" + found]


def test_what_is_appended_to_a_folder_that_nobody_has_open_is_learnt(mailbox):
    with mailbox.connect() as client:
        client.ok("CREATE work")
        client.append((PARTS % b"JVBERi0=").replace(b"parts", b"learnt"), folder="work")
        mailbox.eventually(lambda: b"learnt" in index_log(mailbox))
        for path in (mailbox.folder("work") / "cur").iterdir():
            path.write_bytes(b"x" * path.stat().st_size)
        client.ok("SELECT work")
        line, = [line for line in client.ok("FETCH 1 (ENVELOPE BODYSTRUCTURE)") if b"FETCH" in line]
        assert b'"learnt"' in line and b'"application" "pdf"' in line


def test_what_another_server_left_is_learnt_when_it_is_taken_over(mailbox):
    path = mailbox.store((PARTS % b"JVBERi0=").replace(b"parts", b"learnt"), place="cur", name="1600000000.M1P1.host:2,S")
    (mailbox.maildir / "dovecot-uidlist").write_text(f"3 V1600000000 N8\n7 :{path.name}\n")
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        mailbox.eventually(lambda: b"learnt" in index_log(mailbox))
        path, = (mailbox.maildir / "cur").iterdir()
        path.write_bytes(b"x" * path.stat().st_size)
        line, = client.ok("UID FETCH 7 ENVELOPE")
        assert b'"learnt"' in line


def test_reading_does_not_touch_files(mailbox):
    """What is read all day is not written: a folder's first FETCH would write each inode else."""
    mailbox.store()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        path, = (mailbox.maildir / "cur").iterdir()
        os.utime(path, (1000000000, 1700000000))
        client.ok("FETCH 1 (ENVELOPE BODY.PEEK[])")
        assert path.stat().st_atime == 1000000000


def test_killed_while_it_learns(mailbox):
    subjects = [b"subject-%d" % number for number in range(200)]
    for round in range(3):
        with mailbox.connect() as client:
            client.ok("SELECT INBOX")
            for subject in subjects[round::3]:
                mailbox.store(b"Subject: %s\r\n\r\n%s\r\n" % (subject, subject))
            mailbox.changed()
            mailbox.eventually(lambda: index_of(mailbox).is_dir())
            mailbox.kill()
        mailbox.start()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        lines = client.ok("FETCH 1:* ENVELOPE")
        assert sorted(line.split(b'"')[1] for line in lines if b"FETCH" in line) == sorted(
            [b"subject-%d" % number for number in range(200)])
        assert len(client.ok("UID SEARCH BODY subject-1")[0].split()) == 2 + 111


def test_deleted_folder_leaves_the_index(mailbox):
    subjects = [b"subject-%04d" % number for number in range(300)]  # more than go in one turn
    with mailbox.connect() as client:
        client.ok("CREATE work")
        for subject in subjects:
            client.append(b"Subject: %s\r\n\r\n" % subject, folder="work")
        client.ok("SELECT work")
        client.ok("FETCH 1:* ENVELOPE")
        client.ok("UNSELECT")
        before = index_log(mailbox)
        client.ok("DELETE work")
        after = index_log(mailbox)
    assert [subject for subject in subjects if after.count(subject) == before.count(subject)] == []


def test_renamed_by_another_program_between(mailbox):
    path = mailbox.store(PARTS % b"JVBERi0=", flags="", place="cur")
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        for flags in "S", "FS", "FRS":
            found, = (mailbox.maildir / "cur").iterdir()
            found.rename(found.with_name(found.name.split(":2,")[0] + ":2," + flags))
            lines = client.ok("FETCH 1 (BODY.PEEK[2] INTERNALDATE)")
            assert any(b"BODY[2] {8}\r\nJVBERi0=" in line for line in lines)
    assert not path.exists()


def test_part_in_pieces(mailbox):
    body = os.urandom(30000).hex().encode()
    mailbox.store(PARTS % body)
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        got = b""
        for offset in range(0, 70000, 7000):
            line, = client.ok(f"FETCH 1 BODY.PEEK[2]<{offset}.7000>")
            head, rest = line.split(b"\r\n", 1)
            got += rest[: int(head[head.rindex(b"{") + 1 : -1])]
        assert got == body


LARGE = PARTS % (b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\r\n" * 600000)


@pytest.mark.parametrize("command", [
    "FETCH 1 BODYSTRUCTURE",
    "FETCH 1 BODY.PEEK[2]<0.10>",
    "SEARCH BODY nowhere",
])
def test_others_go_on_while_a_large_message_is_read(mailbox, command):
    mailbox.store(LARGE)
    with mailbox.connect() as reader, mailbox.connect() as other:
        reader.ok("SELECT INBOX")
        reader.send(b"x " + command.encode() + b"\r\n")
        longest = 0
        for _ in range(20):
            start = time.monotonic()
            other.ok("NOOP")
            longest = max(longest, time.monotonic() - start)
        _, tagged = reader.answer()
        assert tagged.startswith(b"OK")
        assert longest < 0.5
