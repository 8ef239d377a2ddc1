"""What is expunged is kept for a while, in a mailbox from which a client moves it back (section `undo`
of the configuration, storage/expunged.h). imapd-mailbox and pop3d-maildrop alone."""

import os
import re
import time

import pytest

from mailbox_role import MESSAGE, Mailbox, client_of_shared, needs_mailbox, shared  # noqa: F401
from test_maildrop import Maildrop

pytestmark = needs_mailbox
client = client_of_shared()
other = client_of_shared()
KEPT = "staffetta-expunged"
FLAGGED = b"Subject: kept\r\n\r\nbody\r\n"


def subjects(client, folder):
    client.ok(f"SELECT {folder}")
    lines = client.ok("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    return sorted(re.search(rb"Subject: (.*)\r\n", line)[1] for line in lines if b"Subject" in line)


def listed(client, pattern="*"):
    return [line for line in client.ok(f'LIST "" "{pattern}"')]


def expunge(client, folder, octets=FLAGGED, flags=""):
    client.append(octets, folder, f"({flags}) " if flags else "")
    client.ok(f"SELECT {folder}")
    client.ok("STORE * +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")


def refused(client, command, code):
    _, tagged = client.command(command)
    assert tagged.startswith(b"NO [" + code + b"]"), tagged


def subject(text):
    return b"Subject: " + text.encode() + b"\r\n\r\nbody\r\n"


@pytest.fixture
def folder(client, request):
    """One of the test's own, and its name."""
    name = request.node.name[5:40]
    client.ok(f"CREATE {name}")
    return name


# ---- messages ----

def test_what_is_expunged_can_be_moved_back(client, folder):
    """RFC 6851: with its flags, keywords, INTERNALDATE and EMAILID, and a new UID; \\Deleted is gone."""
    client.append(subject(folder), folder, '(\\Flagged \\Seen $Forwarded blue) "17-Jul-1996 02:44:25 -0700" ')
    client.ok(f"SELECT {folder}")
    before = client.ok("FETCH 1 (EMAILID INTERNALDATE)")[0]
    client.ok("STORE 1 +FLAGS (\\Deleted)")
    assert b"* 1 EXPUNGE" in client.ok("EXPUNGE")
    assert subject(folder)[9:].split(b"\r\n")[0] in subjects(client, "Expunged")
    number = int(client.ok(f'SEARCH SUBJECT "{folder}"')[0].split()[-1])
    line = client.ok(f"FETCH {number} (EMAILID INTERNALDATE FLAGS SAVEDATE)")[0]
    for word in (b"\\Flagged", b"\\Seen", b"$Forwarded", b"blue"):
        assert word in line
    assert b"\\Deleted" not in line
    for item in (rb"EMAILID \((\w+)\)", rb'INTERNALDATE ("[^"]+")'):
        assert re.search(item, line)[1] == re.search(item, before)[1]
    saved = re.search(rb'SAVEDATE "([^"]+)"', line)[1].decode()
    assert str(time.gmtime().tm_year) in saved
    answer = client.ok(f"MOVE {number} {folder}")
    assert any(b"[COPYUID " in line and line.split(b"]")[0].endswith(b" 2") for line in answer)
    client.ok(f"SELECT {folder}")
    line = client.ok("FETCH 1 (UID EMAILID INTERNALDATE FLAGS)")[0]
    assert b"UID 2 " in line and b"blue" in line and b"\\Flagged" in line
    assert re.search(rb"EMAILID \((\w+)\)", line)[1] == re.search(rb"EMAILID \((\w+)\)", before)[1]


@pytest.mark.parametrize("how", ["CLOSE", "UID EXPUNGE 1", "REPLACE"])
def test_each_way_to_expunge_keeps(client, how, request):
    """RFC 9051 6.4.2, 6.4.9, RFC 8508."""
    name = "way-" + how.split()[0]
    client.ok(f"CREATE {name}")
    client.append(subject(name), name)
    client.ok(f"SELECT {name}")
    if how == "REPLACE":
        client.ok(f"REPLACE 1 {name} {{3+}}\r\nnew")
    else:
        client.ok("STORE 1 +FLAGS (\\Deleted)")
        client.ok(how)
    assert name.encode() in subjects(client, "Expunged")


def test_a_move_and_a_copy_that_failed_leave_nothing(client, folder):
    """A MOVE takes nothing away; the copies of a COPY that was undone were never there."""
    client.append(subject(folder), folder)
    client.ok(f"SELECT {folder}")
    client.ok("MOVE 1 Archive")
    assert folder.encode() not in subjects(client, "Expunged")


def test_what_is_kept_has_one_record(tmp_path):
    """A keyword that is written into it later takes no UID back that a client was shown meanwhile."""
    made = Mailbox(tmp_path)
    with made.connect() as client:
        expunge(client, "INBOX", flags="first")
        client.ok("SELECT Expunged")
        assert b"UID 1" in client.ok("FETCH 1 UID")[0]
        for number in range(70):
            client.ok(f"CREATE other{number}")

        def is_forgotten():  # it is not in memory any more, and its watermark was lowered
            for number in range(70):
                client.ok(f"SELECT other{number}")
            return watermark(made) == 2

        made.eventually(is_forgotten)  # not while it is read for the index, which waits for a quiet moment
        expunge(client, "INBOX", flags="second")
        assert watermark(made) == 2
    made.stop()


def watermark(mailbox):
    return int(re.search(r"uid-watermark (\d+)", (mailbox.maildir / KEPT / "staffetta-folder").read_text())[1])


def test_expunged_there_is_gone(client, folder, shared):
    expunge(client, folder, subject(folder))
    client.ok("SELECT Expunged")
    number = int(client.ok(f'SEARCH SUBJECT "{folder}"')[0].split()[-1])
    count = len(os.listdir(shared.maildir / KEPT / "cur"))
    client.ok(f"STORE {number} +FLAGS (\\Deleted)")
    client.ok("EXPUNGE")
    assert len(os.listdir(shared.maildir / KEPT / "cur")) == count - 1
    assert folder.encode() not in subjects(client, "Expunged")


def test_another_session_sees_it_come(client, other, folder):
    expunge(client, folder, subject(folder + "0"))
    other.ok("SELECT Expunged")
    expunge(client, folder, subject(folder))
    deadline = time.monotonic() + 10
    while not any(b"EXISTS" in line for line in other.ok("NOOP")):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("command,code", [
    ("APPEND Expunged {1+}\r\nx", b"CANNOT"),
    ("APPEND Expunged/x {1+}\r\nx", b"CANNOT"),
    ("COPY 1 Expunged", b"CANNOT"),
    ("MOVE 1 Expunged", b"CANNOT"),
    ("REPLACE 1 Expunged {1+}\r\nx", b"CANNOT"),
    ("CREATE Expunged", b"CANNOT"),
    ("CREATE Expunged/x", b"CANNOT"),
    ("DELETE Expunged", b"CANNOT"),
    ("RENAME Expunged x", b"CANNOT"),
    ("RENAME Sent Expunged/Sent", b"CANNOT")])
def test_nothing_is_put_there(client, command, code):
    """RFC 5530: CANNOT, "the operation violates some invariant of the server"."""
    client.empty_inbox()
    client.append(MESSAGE)
    client.ok("SELECT INBOX")
    refused(client, command, code)


def test_it_is_listed_not_subscribed(client, folder):
    """RFC 9051 6.3.9; a name that only begins like it is another one."""
    expunge(client, folder)
    assert any(line.endswith(b'"/" "Expunged"') or line.endswith(b'"/" Expunged')
               for line in listed(client))
    assert not any(b"Expunged" in line for line in client.ok('LSUB "" "*"'))
    assert client.ok("MYRIGHTS Expunged") == [b"* MYRIGHTS Expunged lrswxtecd"]
    client.ok("CREATE Expunged2")
    client.ok("DELETE Expunged2")


# ---- folders ----

def test_a_deleted_folder_comes_back_whole(client, folder):
    """RFC 9051 6.3.6: by RENAME, with what is below it, with UIDVALIDITY, UIDs and MAILBOXID."""
    client.ok(f"CREATE {folder}/below")
    client.append(subject("above"), folder)
    client.append(subject("below"), f"{folder}/below", "(green) ")
    before = client.ok(f"STATUS {folder}/below (UIDVALIDITY MAILBOXID)")
    client.ok(f"DELETE {folder}")
    client.ok(f"DELETE {folder}/below")
    assert subjects(client, f"Expunged/{folder}/below") == [b"below"]
    assert b"green" in client.ok("FETCH 1 FLAGS")[0]
    client.ok(f"RENAME Expunged/{folder} {folder}")
    assert subjects(client, folder) == [b"above"] and subjects(client, f"{folder}/below") == [b"below"]
    assert client.ok(f"STATUS {folder}/below (UIDVALIDITY MAILBOXID)") == before
    assert not any(f"Expunged/{folder}".encode() in line for line in listed(client))


def test_its_messages_can_be_moved_out(client, folder):
    client.append(subject("m"), folder)
    client.ok(f"DELETE {folder}")
    client.ok(f"SELECT Expunged/{folder}")
    client.ok("MOVE 1 Archive")
    assert b"m" in subjects(client, "Archive")


def test_two_of_one_name_are_both_kept(client, folder):
    for text in ("first", "second"):
        client.append(subject(text), folder)
        client.ok(f"DELETE {folder}")
        client.ok(f"CREATE {folder}")
    assert subjects(client, f"Expunged/{folder}") == [b"first"]
    assert subjects(client, f"Expunged/{folder}-2") == [b"second"]
    _, tagged = client.command(f"RENAME Expunged/{folder} {folder}")
    assert tagged.startswith(b"NO"), tagged


def test_an_empty_one_is_not_kept_and_a_kept_one_goes_for_good(client, folder):
    client.ok(f"DELETE {folder}")
    assert not any(f"Expunged/{folder}".encode() in line for line in listed(client))
    client.ok(f"CREATE {folder}")
    client.append(subject("m"), folder)
    client.ok(f"DELETE {folder}")
    client.ok(f"DELETE Expunged/{folder}")
    assert not any(f"Expunged/{folder}".encode() in line for line in listed(client))


# ---- what it costs, and when it goes ----

def test_it_does_not_count_and_counts_again(tmp_path):
    """RFC 9208: the quota of the account is for what is there."""
    made = Mailbox(tmp_path, quota_octets=10000)
    with made.connect() as client:
        body = b"Subject: big\r\n\r\n" + b"x" * 6000 + b"\r\n"
        expunge(client, "INBOX", body)
        expunge(client, "INBOX", body)
        usage = client.ok("GETQUOTAROOT INBOX")
        assert any(b"STORAGE 0 " in line for line in usage), usage
        client.ok("SELECT Expunged")
        client.ok("MOVE 1 INBOX")
        _, tagged = client.command("MOVE 1 INBOX")
        assert tagged.startswith(b"NO [OVERQUOTA]"), tagged
        assert any(b"STORAGE 6 " in line or b"STORAGE 5 " in line
                   for line in client.ok("GETQUOTAROOT INBOX"))
    made.stop()


def test_the_oldest_go_first_beyond_its_quota(tmp_path):
    made = Mailbox(tmp_path, "undo { quota = 1M }\n")
    with made.connect() as client:
        for number in range(4):
            expunge(client, "INBOX", b"Subject: %d\r\n\r\n" % number + b"x" * 400000)
            oldest = min((made.maildir / KEPT / "cur").iterdir(), key=lambda path: path.name)
            if number == 0:  # older than the others, which are of one second
                oldest.rename(oldest.with_name(re.sub(r"^\d+", "1", oldest.name)))
        made.eventually(lambda: len(os.listdir(made.maildir / KEPT / "cur")) == 2)
        assert b"0" not in subjects(client, "Expunged")
    made.stop()


def test_what_is_old_goes_and_sessions_see_it(tmp_path):
    made = Mailbox(tmp_path, "undo { keep = 1s }\n")
    with made.connect() as client:
        expunge(client, "INBOX")
        client.ok("CREATE Old")
        client.append(FLAGGED, "Old")
        client.ok("DELETE Old")
        client.ok("SELECT Expunged")
        gone = []
        made.eventually(lambda: gone.extend(client.ok("NOOP")) or b"* 1 EXPUNGE" in gone)
        made.eventually(lambda: os.listdir(made.maildir / KEPT / "cur") == []
                        and not (made.maildir / KEPT / ".Old").exists())
    made.stop()


def test_off_nothing_is_kept_and_what_was_goes(tmp_path):
    made = Mailbox(tmp_path)
    with made.connect() as client:
        expunge(client, "INBOX")
        assert (made.maildir / KEPT).exists()
    made.role.stop()
    made.config = "undo { keep = 0 }\n"
    made.start()
    with made.connect() as client:
        made.eventually(lambda: not (made.maildir / KEPT).exists())
        expunge(client, "INBOX")
        client.ok("CREATE Expunged")
        client.append(FLAGGED, "Expunged")
        client.ok("DELETE Expunged")
        assert not (made.maildir / KEPT).exists()
    made.stop()


def test_a_folder_that_has_the_name_already_is_not_hidden(tmp_path):
    made = Mailbox(tmp_path, "undo { keep = 0 }\n")
    with made.connect() as client:
        client.ok("CREATE Expunged")
        client.append(subject("own"), "Expunged")
    made.role.stop()
    made.config = ""
    made.start()
    with made.connect() as client:
        assert subjects(client, "Expunged") == [b"own"]
        expunge(client, "INBOX")
        assert subjects(client, "Expunged") == [b"own"]
    assert any(b"expunged_hidden" in event for event in made.role.events())
    made.stop()


def test_a_kill_or_a_restart_keeps_it(tmp_path):
    made = Mailbox(tmp_path)
    with made.connect() as client:
        expunge(client, "INBOX", subject("kept"), "red")
    made.kill()
    made.start()
    with made.connect() as client:
        assert subjects(client, "Expunged") == [b"kept"]
        assert b"red" in client.ok("FETCH 1 FLAGS")[0]
    made.stop()


# ---- POP3 ----

def test_pop3_keeps_too(tmp_path):
    """RFC 1939 6: what QUIT removes is kept, delivered today or not; its tombstone is there."""
    home = tmp_path / "test.example" / "u1" / "Maildir"
    drop = Maildrop(tmp_path)
    drop.ask("QUIT")
    drop.client.close()
    name = "1700000000.Q0123456789ABCR1.host"
    (home / "new" / f"{name},S={len(MESSAGE)},W={len(MESSAGE)}").write_bytes(MESSAGE)
    drop = Maildrop(tmp_path)
    drop.ask("DELE 1")
    assert drop.ask("QUIT").startswith("+OK Bye, 1 ")
    kept = os.listdir(home / KEPT / "cur")
    assert len(kept) == 1 and ".Q0123456789ABCR1E" in kept[0] and kept[0].endswith(":2,")
    assert (home / "tmp" / f"{name}.gone").exists()
