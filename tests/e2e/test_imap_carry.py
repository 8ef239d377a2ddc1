"""COPY and MOVE between mailboxes of different accounts (imapd/shared/carry.h): RFC 3501 6.4.7, RFC 4315 3, RFC 6851, RFC 4314 4."""

import contextlib
import os
import re
import signal

import pytest

from house import BUILD, House, looking_into_a_role, replace_file
from test_imap_shared import Client, Pair, flags_of, refused

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(), reason="imapd-mailbox is not built")
DATE = '"17-Jul-1996 02:44:25 -0700"'


def message(text, octets=0):
    body = (b"z" * 70 + b"\r\n") * (octets // 72)
    return f"From: a@b.example\r\nSubject: {text}\r\n\r\n{text}\r\n".encode() + body


@pytest.fixture(scope="module")
def sharing():
    made = House(settings={"imap": {"shared-mailboxes": "Shared"}, "timeouts": {"linger": "300ms"},
                           "limits": {"message-size": "20M"}}, services=("imap",))
    made.start()
    yield made
    made.stop()
    assert not made.sanitizer_reports()
    made.remove()


@pytest.fixture
def pair(sharing):
    made = Pair(sharing)
    made.share("lr")
    yield made
    made.close()


def subjects(client, folder):
    """The messages of a mailbox, with their flags; it is selected afterwards."""
    client.ok(f"SELECT {folder}")
    return [(re.search(rb"Subject: (\S*)", line)[1].decode(), flags_of(line))
            for line in client.ok("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")]


def count(client, folder):
    return int(re.search(rb"MESSAGES (\d+)", client.ok(f"STATUS {folder} (MESSAGES)")[0])[1])


def fill(client, folder, texts, flags=""):
    for text in texts:
        client.append(message(text), folder, f"({flags}) {DATE} ")


def code_of(answer):
    lines, tagged = answer
    return re.search(rb"\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]", b"\r\n".join([*lines, tagged])).groups()


def uidvalidity(client, folder):
    return re.search(rb"UIDVALIDITY (\d+)", client.ok(f"STATUS {folder} (UIDVALIDITY)")[0])[1]


def test_from_another_account(pair):
    """RFC 3501 6.4.7: flags and internal date are kept; RFC 4315 3: COPYUID. RFC 4314 4: "r" is enough."""
    fill(pair.owner, "Work", ("three", "four"), r"\Answered $Forwarded")
    pair.other.ok(f"SELECT {pair.name}")
    answer = pair.other.command("COPY 1,3:4 Archive")
    assert answer[1].startswith(b"OK [COPYUID ") and answer[0] == []
    assert code_of(answer) == (uidvalidity(pair.other, "Archive"), b"1,3:4", b"1:3")
    assert pair.other.ok("NOOP") == []  # it is selected still
    assert code_of(pair.other.command("UID COPY 4,99 Archive"))[1:] == (b"4", b"4")
    assert subjects(pair.other, "Archive") == [("hello", set()), ("three", {b"\\Answered", b"$Forwarded"}),
                                               ("four", {b"\\Answered", b"$Forwarded"}), ("four", {b"\\Answered", b"$Forwarded"})]
    lines = pair.other.ok("FETCH 2 (INTERNALDATE BODY.PEEK[])")
    assert b'"17-Jul-1996 09:44:25 +0000"' in lines[0] and message("three") in lines[0]


def test_to_another_account(pair):
    """RFC 4314 4: "i" in the target; flags as the rights are."""
    pair.share("lrsi")
    other, name = pair.other, pair.name
    fill(other, "INBOX", ("one", "two"), r"\Seen \Flagged")
    other.ok("SELECT INBOX")
    answer = other.command(f"COPY 1:2 {name}")
    assert code_of(answer) == (uidvalidity(other, name), b"1:2", b"3:4")
    assert subjects(other, name)[2:] == [("one", {b"\\Seen"}), ("two", {b"\\Seen"})]
    assert b'"17-Jul-1996 09:44:25 +0000"' in other.ok("FETCH 3 INTERNALDATE")[0]
    assert count(other, "INBOX") == 2


def test_between_two_others(pair):
    """Neither is the client's own."""
    third = Pair(pair.house)
    third.owner.ok(f"SETACL Work {pair.bob} lri")
    pair.other.ok(f"SELECT {pair.name}")
    assert code_of(pair.other.command(f"UID COPY 1:* {third.name}"))[1:] == (b"1:2", b"3:4")
    assert count(third.owner, "Work") == 4
    third.close()


def test_moving_home(pair):
    """RFC 6851 4.3: COPYUID, then EXPUNGE. RFC 4314 4: "t" and "e" in the source, or nothing happens at all."""
    other = pair.other
    for rights in ("lrt", "lre", "lr"):
        pair.share(rights)
        other.ok(f"SELECT {pair.name}")
        assert other.command("MOVE 1 Archive")[1].startswith((b"NO [NOPERM]", b"NO [READ-ONLY]"))
    assert count(other, "Archive") == 0 and count(pair.owner, "Work") == 2
    pair.share("lrte")
    other.ok(f"EXAMINE {pair.name}")
    refused(other, "MOVE 1 Archive", b"READ-ONLY")
    other.ok(f"SELECT {pair.name}")
    lines, tagged = other.command("MOVE 1 Archive")
    assert lines[0].startswith(b"* OK [COPYUID ") and b"* 1 EXPUNGE" in lines[1:] and tagged == b"OK Moved"
    assert count(other, "Archive") == 1 and count(pair.owner, "Work") == 1
    other.ok("ENABLE QRESYNC")
    lines, tagged = other.command("UID MOVE 2 Archive")
    assert b"* VANISHED 2" in lines and count(pair.owner, "Work") == 0


def test_moving_away(pair):
    """The same from the client's own mailbox."""
    pair.share("lri")
    other = pair.other
    fill(other, "INBOX", ("one", "two", "three"))
    other.ok("EXAMINE INBOX")
    refused(other, f"MOVE 1 {pair.name}", b"READ-ONLY")
    other.ok("SELECT INBOX")
    lines, tagged = other.command(f"MOVE 1,3 {pair.name}")
    assert lines[0].startswith(b"* OK [COPYUID ") and tagged == b"OK Moved"
    assert [line for line in lines if b"EXPUNGE" in line] == [b"* 1 EXPUNGE", b"* 2 EXPUNGE"] or \
           [line for line in lines if b"EXPUNGE" in line] == [b"* 3 EXPUNGE", b"* 1 EXPUNGE"]
    assert [subject for subject, _ in subjects(other, "INBOX")] == ["two"]
    assert count(other, pair.name) == 4


def test_what_is_refused_changes_nothing(pair):
    """RFC 3501 6.4.7: "the server MUST restore the destination mailbox to its state before the COPY attempt"."""
    other, name = pair.other, pair.name
    fill(other, "INBOX", ("one", "two"))
    other.ok("SELECT INBOX")
    for command, code in ((f"COPY 1:2 {name}", b"NOPERM"), (f"MOVE 1:2 {name}", b"NOPERM"),
                          (f"COPY 1 Shared/{pair.alice}/Nothing", b"NONEXISTENT"), ("COPY 1 Shared/x/y", b"NONEXISTENT"),
                          ("COPY 1 Shared", b"CANNOT"), (f"COPY 1 Shared/{pair.bob}/INBOX", b"NONEXISTENT")):
        assert other.command(command)[1].startswith(b"NO [" + code), command
    assert other.command(f"COPY 7 {name}")[1].startswith(b"BAD ")
    assert other.command(f"UID COPY 7 {name}") == ([], b"OK There was nothing to do")
    other.ok(f"SELECT {name}")
    refused(other, "COPY 1 Nothing", b"TRYCREATE")
    refused(other, "COPY 1 Expunged", b"CANNOT")
    assert other.command("COPY 7 Archive")[1].startswith(b"BAD ")
    assert other.command("COPY x Archive")[1].startswith(b"BAD ")
    other.append(b"x" * 11 + b"\r\n")
    assert count(pair.owner, "Work") == 2 and count(other, "INBOX") == 3


def test_the_quota_of_the_target_counts(pair):
    """RFC 9208 4: all or nothing."""
    house = pair.house
    lines = house.accounts_file.read_text().splitlines()
    replace_file(house.accounts_file, "\n".join(line + ":quota=1M" * line.startswith(pair.bob) for line in lines) + "\n")
    pair.other.close()
    pair.other = Client(house, pair.bob)
    for text in ("a", "b", "c"):
        pair.owner.append(message(text, 300000), "Work")
    for _ in range(2):
        pair.other.append(message("d", 300000), "INBOX")
    pair.other.ok(f"SELECT {pair.name}")
    refused(pair.other, "UID COPY 1:* INBOX", b"OVERQUOTA")
    assert count(pair.other, "INBOX") == 2
    assert code_of(pair.other.command("UID COPY 1:3 INBOX"))[1] == b"1:3"


def test_large_messages_go_through_as_they_come(pair):
    """More than any buffer on the way; other sessions of both accounts go on."""
    big = [message("big", 9_000_000), message("bigger", 12_000_000)]
    for octets in big:
        pair.owner.append(octets, "Work")
    pair.other.ok(f"SELECT {pair.name}")
    pair.other.send(b"x UID COPY 3:4 Archive\r\n")
    with Client(pair.house, pair.bob) as second:
        assert count(second, "INBOX") == 0
    assert pair.other.answer()[1].startswith(b"OK [COPYUID ")
    pair.other.ok("SELECT Archive")
    for number, octets in enumerate(big, 1):
        assert octets in pair.other.ok(f"FETCH {number} BODY.PEEK[]")[0]


def test_what_is_refused_is_not_sent(pair):
    """RFC 3501 7.5: a literal that the client waits with, to the mailbox that is selected and to another one; the session goes on."""
    other, name = pair.other, pair.name
    pair.owner.ok("CREATE Full")
    pair.owner.ok(f"SETACL Full {pair.bob} lri")
    other.ok(f"SELECT {name}")
    pair.owner.append(message("news"), "Work")
    for mailbox, octets, code in ((name, 7, b"NOPERM"), (f"Shared/{pair.alice}/Full", 30_000_000, b"TOOBIG"), (name, 30_000_000, b"TOOBIG"),
                                  (f"Shared/{pair.alice}/No", 7, b"NONEXISTENT"), (name, 0, b"NOPERM")):
        other.send(f"x APPEND {mailbox} {{{octets}}}\r\n".encode())
        lines, tagged = other.answer()
        assert tagged.startswith(b"NO [" + code + b"]") and not any(line.startswith(b"+") for line in lines), (mailbox, tagged)
        assert other.ok("FETCH 1 UID") == [b"* 1 FETCH (UID 1)"]
    pair.share("lri")
    other.send(f"x APPEND {name} {{4}}\r\n".encode())
    assert other.read_line().startswith(b"+ ")
    other.send(b"x\r\ny {5}\r\n")
    assert other.read_line().startswith(b"+ ")
    other.send(b"x OK\r {30000000}\r\n")
    while (line := other.read_line()) is not None and not line.startswith((b"x ", b"* BYE")):
        pass
    assert line is None or line.startswith((b"* BYE", b"x NO [TOOBIG]", b"x BAD"))
    assert count(pair.owner, "Work") == 3


def test_many_messages(pair):
    """More than one command removes."""
    pair.share("lrswite")
    texts = [f"m{number}" for number in range(1300)]
    pair.owner.ok("CREATE Many")
    pair.owner.ok(f"SETACL Many {pair.bob} lrswite")
    for text in texts:
        octets = message(text)
        pair.owner.send(f"x APPEND Many {{{len(octets)}+}}\r\n".encode() + octets + b"\r\n")
    for _ in texts:
        pair.owner.answer()
    pair.owner.ok("SELECT Many")
    pair.owner.ok("STORE 2,4,6 +FLAGS.SILENT (\\Flagged)")
    pair.other.ok(f"SELECT Shared/{pair.alice}/Many")
    pair.other.ok("SEARCH RETURN (SAVE) UNFLAGGED")
    lines, tagged = pair.other.command("UID MOVE $ Archive")
    assert tagged == b"OK Moved" and sum(line.endswith(b"EXPUNGE") for line in lines) == 1297
    assert count(pair.owner, "Many") == 3 and count(pair.other, "Archive") == 1297


def test_news_of_the_source_are_told(pair):
    """RFC 3501 7.4.1: EXISTS and flags in the answer, as for any command."""
    pair.other.ok(f"SELECT {pair.name}")
    pair.owner.append(message("new"), "Work")
    lines, tagged = pair.other.command("UID COPY 1 Archive")
    assert b"* 3 EXISTS" in lines and tagged.startswith(b"OK [COPYUID ")


def again(house, account):
    """A login that does not meet the process that is dead."""
    while True:
        with contextlib.suppress(AssertionError):
            return Client(house, account)


@pytest.mark.parametrize("killed", ["alice", "bob"])
def test_killed_in_the_middle(pair, killed):
    """Whichever process dies: the target has all or nothing, and the source what it had."""
    house = pair.house
    for number in range(4):
        pair.owner.append(message(f"big{number}", 4_000_000), "Work")
    pair.share("lrte")
    pair.other.ok(f"SELECT {pair.name}")
    pair.other.send(b"x MOVE 1:* Archive\r\n")
    account = getattr(pair, killed)
    with looking_into_a_role():
        places = {pid: {os.readlink(f"/proc/{pid}/{place}") for place in ("root", "cwd")} for pid in house.pids("imapd-mailbox")}
    for pid, place in places.items():
        if str(house.maildir(account)) in place:
            os.kill(pid, signal.SIGKILL)
    with again(house, pair.bob) as bob, again(house, pair.alice) as alice:
        there, here = count(bob, "Archive"), count(alice, "Work")
        assert there in (0, 6) and (here == 6 or there == 6)
    pair.owner, pair.other = Client(house, pair.alice), Client(house, pair.bob)
