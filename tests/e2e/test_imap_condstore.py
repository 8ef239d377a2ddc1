"""CONDSTORE and QRESYNC (RFC 7162). imapd-mailbox alone."""

import os
import re
import struct

import pytest

from mailbox_role import MESSAGE, client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox

LOG = "staffetta-changes"


def number(lines, pattern):
    """The one number that the pattern finds in these lines."""
    found = [int(one) for line in lines for one in re.findall(pattern, line)]
    assert len(found) == 1, lines
    return found[0]


def highest(client, folder="INBOX"):
    return number(client.ok(f"STATUS {folder} (HIGHESTMODSEQ)"), rb"HIGHESTMODSEQ (\d+)\)$")


def modseqs(client, numbers="1:*"):
    lines = client.ok(f"UID FETCH {numbers} (MODSEQ)")
    return {int(uid): int(modseq) for line in lines
            for uid, modseq in re.findall(rb"UID (\d+) MODSEQ \((\d+)\)", line)}


def uidvalidity(lines):
    return number(lines, rb"UIDVALIDITY (\d+)")


def arrive(mailbox, client):
    mailbox.store()
    mailbox.eventually(lambda: any(b"EXISTS" in line for line in client.ok("NOOP")))


@pytest.fixture
def three(mailbox, client):
    """INBOX with three messages, selected, CONDSTORE and QRESYNC enabled."""
    for _ in range(3):
        mailbox.store()
    client.ok("ENABLE CONDSTORE QRESYNC")
    client.ok("SELECT INBOX")
    return client


# ---- CONDSTORE (3.1) ----

def test_select_tells_the_highest(mailbox, client):
    """3.1.2.1; 1 at least (7), and no FETCH says MODSEQ before it is asked for."""
    first = number(client.ok("SELECT INBOX"), rb"\[HIGHESTMODSEQ (\d+)\]")
    assert first >= 1
    arrive(mailbox, client)
    assert client.ok(r"STORE 1 +FLAGS (\Seen)") == [rb"* 1 FETCH (FLAGS (\Seen \Recent))"]
    assert number(client.ok("SELECT INBOX (CONDSTORE)"), rb"\[HIGHESTMODSEQ (\d+)\]") > first
    assert re.match(rb"\* 1 FETCH \(FLAGS \(\) MODSEQ \(\d+\)\)$",
                    client.ok(r"STORE 1 FLAGS ()")[0])


@pytest.mark.parametrize("command", [
    "ENABLE CONDSTORE", "STATUS INBOX (HIGHESTMODSEQ)", "FETCH 1 MODSEQ",
    "FETCH 1 FLAGS (CHANGEDSINCE 1)", "SEARCH MODSEQ 1", "STORE 1 (UNCHANGEDSINCE 1) FLAGS ()"])
def test_enabling_commands(mailbox, client, command):
    """3.1: the first of them tells the HIGHESTMODSEQ of what is selected."""
    mailbox.store()
    client.ok("SELECT INBOX")
    lines, _ = client.command(command)
    assert sum(line.startswith(b"* OK [HIGHESTMODSEQ ") for line in lines) == 1
    assert b"MODSEQ (" in client.ok(r"STORE 1 FLAGS (\Answered)")[0]


def test_every_change_has_a_higher_one(mailbox, three):
    before = modseqs(three)
    assert sorted(before) == [1, 2, 3]
    three.ok(r"STORE 2 +FLAGS (\Flagged)")
    after = modseqs(three)
    assert after[2] > max(before.values()) and (after[1], after[3]) == (before[1], before[3])
    three.ok(r"STORE 2 +FLAGS (\Flagged)")
    assert modseqs(three) == after  # nothing changed
    three.ok("STORE 1 +FLAGS (keyword)")
    assert modseqs(three)[1] > after[2] and highest(three) == modseqs(three)[1]
    arrive(mailbox, three)
    assert modseqs(three)[4] > modseqs(three)[1]


def test_conditional_store(mailbox, three):
    """3.1.3: a message that another client has changed since is left as it is."""
    known = highest(three)
    with mailbox.connect() as other:
        other.ok("SELECT INBOX")
        other.ok(r"STORE 2 +FLAGS.SILENT (\Flagged)")
    three.ok("NOOP")
    lines, tagged = three.command(rf"STORE 1:3 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\Deleted)")
    assert tagged.startswith(b"OK [MODIFIED 2]")
    assert [re.sub(rb"\d+\)\)$", b"n))", line) for line in lines] == [
        b"* 1 FETCH (UID 1 MODSEQ (n))", b"* 3 FETCH (UID 3 MODSEQ (n))"]  # "even if .SILENT"
    lines, tagged = three.command(rf"UID STORE 1:3 (UNCHANGEDSINCE {known}) FLAGS ()")
    assert tagged.startswith(b"OK [MODIFIED 1:3]") and lines == []
    assert three.ok("SEARCH DELETED") == [b"* SEARCH 1 3"]
    lines, tagged = three.command("STORE 1 (UNCHANGEDSINCE 0) FLAGS ()")
    assert tagged.startswith(b"OK [MODIFIED 1]")


def test_changed_since(mailbox, three):
    """3.1.4.1"""
    known = highest(three)
    assert three.ok(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {known})") == []
    three.ok(r"STORE 2 FLAGS.SILENT (\Seen)")
    assert three.ok(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {known})") == [
        rb"* 2 FETCH (MODSEQ (%d) FLAGS (\Seen \Recent))" % highest(three)]
    assert len(three.ok("UID FETCH 1:* (UID) (CHANGEDSINCE 0)")) == 3


def test_search(mailbox, three):
    """3.1.5, 3.1.6"""
    three.ok("STORE 3 FLAGS.SILENT (one)")
    three.ok("STORE 1 FLAGS.SILENT (one)")
    of = modseqs(three)
    assert three.ok(f"SEARCH MODSEQ {of[3]}") == [b"* SEARCH 1 3 (MODSEQ %d)" % of[1]]
    assert three.ok(f'UID SEARCH MODSEQ "/flags/\\\\draft" all {of[1]}') == [
        b"* SEARCH 1 (MODSEQ %d)" % of[1]]
    assert three.ok(f"SEARCH MODSEQ {of[1] + 1}") == [b"* SEARCH"]
    assert three.ok(f"SEARCH NOT MODSEQ {of[3]}") == [b"* SEARCH 2 (MODSEQ %d)" % of[2]]


def test_seen_by_fetch_says_its_modseq(mailbox, three):
    line = three.ok("FETCH 1 BODY[TEXT]")[0]
    assert re.search(rb" FLAGS \(\\Seen \\Recent\) MODSEQ \(\d+\)\)$", line)


@pytest.mark.parametrize("command", [
    "FETCH 1 FLAGS (CHANGEDSINCE)", "FETCH 1 FLAGS (CHANGEDSINCE x)", "FETCH 1 FLAGS ()",
    "FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)", "FETCH 1 FLAGS (VANISHED)",
    "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "UID FETCH 1 FLAGS (VANISHED)",
    "STORE 1 (UNCHANGEDSINCE) FLAGS ()", "STORE 1 (CHANGEDSINCE 1) FLAGS ()",
    "STORE 1 (UNCHANGEDSINCE 1 FLAGS ()", "SEARCH MODSEQ", 'SEARCH MODSEQ "/flags/x" 1',
    'SEARCH MODSEQ "/flags/x" some 1', "SELECT INBOX ()", "SELECT INBOX (CONDSTORE",
    "SELECT INBOX (QRESYNC)", "SELECT INBOX (QRESYNC (0 1))", "SELECT INBOX (QRESYNC (1 1 1:2 1:2))",
    "SELECT INBOX (QRESYNC (1 1) x)"])
def test_bad_arguments(three, command):
    lines, tagged = three.command(command)
    assert tagged.startswith(b"BAD") and lines == []
    assert three.ok("SEARCH ALL") == [b"* SEARCH 1 2 3"]  # and INBOX is still selected


# ---- QRESYNC (3.2) ----

def test_qresync_wants_enable(mailbox, client):
    """3.2.5"""
    mailbox.store()
    client.ok("SELECT INBOX")
    assert client.command("SELECT INBOX (QRESYNC (1 1))")[1].startswith(b"BAD")
    assert client.command("UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)")[1].startswith(b"BAD")


def test_vanished_instead_of_expunge(mailbox, three):
    """3.2.7, 3.2.10, and to others only who enabled it."""
    with mailbox.connect() as plain, mailbox.connect() as other:
        plain.ok("SELECT INBOX")
        other.ok("ENABLE QRESYNC")
        other.ok("SELECT INBOX")
        three.ok(r"STORE 1,3 +FLAGS.SILENT (\Deleted)")
        lines, tagged = three.command("EXPUNGE")
        assert lines[0] == b"* VANISHED 1,3"
        assert int(re.match(rb"OK \[HIGHESTMODSEQ (\d+)\]", tagged).group(1)) == highest(three)
        assert b"* VANISHED 1,3" in other.ok("NOOP")
        lines = plain.ok("NOOP")
        assert b"* 1 EXPUNGE" in lines and b"* 2 EXPUNGE" in lines


def changes_while_away(mailbox, three):
    """What the client knew, and then: 1 is gone, 2 flagged, 4 and 5 came and 5 went again."""
    lines = three.ok("SELECT INBOX")
    known = uidvalidity(lines), number(lines, rb"\[HIGHESTMODSEQ (\d+)\]")
    three.ok("UNSELECT")
    with mailbox.connect() as other:
        other.ok("SELECT INBOX")
        other.ok(r"STORE 2 +FLAGS.SILENT (\Flagged)")
        other.append(MESSAGE)
        other.append(MESSAGE)
        other.ok(r"STORE 1,5 +FLAGS.SILENT (\Deleted)")
        other.ok("EXPUNGE")
    return known


def resync(client, known, more=""):
    lines = client.ok(f"SELECT INBOX (QRESYNC ({known[0]} {known[1]}{more}))")
    return [re.sub(rb"MODSEQ \(\d+\)", b"MODSEQ (n)", line) for line in lines
            if b"VANISHED" in line or b"FETCH" in line]


FLAGGED = rb"* 1 FETCH (UID 2 FLAGS (\Flagged) MODSEQ (n))"
NEW = rb"* 3 FETCH (UID 4 FLAGS () MODSEQ (n))"


def test_resync(mailbox, three):
    """3.2.5"""
    known = changes_while_away(mailbox, three)
    assert resync(three, known) == [b"* VANISHED (EARLIER) 1,5", FLAGGED, NEW]
    assert resync(three, known, " 1:3") == [b"* VANISHED (EARLIER) 1", FLAGGED]
    assert resync(three, known, " 3:* (1,3 1,3)") == [b"* VANISHED (EARLIER) 5", NEW]
    assert resync(three, (known[0] + 1, known[1])) == []  # another mailbox
    assert resync(three, (known[0], highest(three))) == []
    lines = three.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known[1]} VANISHED)")
    assert lines[0] == b"* VANISHED (EARLIER) 1,5" and len(lines) == 3  # 3.2.6


def test_closed(mailbox, three):
    """3.2.11"""
    assert three.ok("SELECT Drafts")[0].startswith(b"* OK [CLOSED]")
    three.ok("UNSELECT")
    assert not any(b"CLOSED" in line for line in three.ok("EXAMINE Drafts"))


# ---- what lasts ----

@pytest.mark.parametrize("end", ["restart", "kill"])
def test_modseqs_outlive_the_process(mailbox, three, end):
    known = changes_while_away(mailbox, three)
    three.ok("SELECT INBOX")
    before = modseqs(three), highest(three)
    if end == "restart":
        mailbox.restart()
    else:
        mailbox.kill()
        mailbox.start()
    with mailbox.connect() as again:
        again.ok("ENABLE QRESYNC")
        assert resync(again, known) == [b"* VANISHED (EARLIER) 1,5", FLAGGED, NEW]
        assert modseqs(again) == before[0] and highest(again) >= before[1]
        again.ok(r"STORE 1 FLAGS ()")
        assert modseqs(again)[2] > before[1]


def test_changes_while_nobody_looks(mailbox, three):
    """Another program flags and removes; MODSEQs tell of it (design, Storage)."""
    known = uidvalidity(three.ok("SELECT INBOX")), highest(three)
    mailbox.role.stop()
    names = mailbox.files()
    os.rename(mailbox.maildir / "cur" / names[0], mailbox.maildir / "cur" / (names[0] + "F"))
    os.unlink(mailbox.maildir / "cur" / names[2])
    mailbox.start()
    with mailbox.connect() as again:
        again.ok("ENABLE QRESYNC")
        assert resync(again, known) == [b"* VANISHED (EARLIER) 3",
                                        rb"* 1 FETCH (UID 1 FLAGS (\Flagged) MODSEQ (n))"]


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "garbage", "zeroes", "foreign"])
def test_a_lost_history(mailbox, three, damage):
    """All messages count as changed, and all that is missing as gone: never an old number."""
    known = changes_while_away(mailbox, three)
    before = highest(three)
    mailbox.role.stop()
    path = mailbox.maildir / LOG
    octets = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": octets[:50], "garbage": os.urandom(len(octets)),
                          "zeroes": octets[:88] + bytes(len(octets) - 88),
                          "foreign": octets[:20] + b"\1\2\3\4" + octets[24:]}[damage])
    mailbox.start()
    with mailbox.connect() as again:
        again.ok("ENABLE QRESYNC")
        lines = resync(again, known, " 1:3,5")
        assert lines[0] == b"* VANISHED (EARLIER) 1,5" and len(lines) == 3
        assert min(modseqs(again).values()) > before
        base = highest(again)
        again.ok(r"STORE 2 FLAGS.SILENT (\Deleted)")
        again.ok("EXPUNGE")
        assert resync(again, (known[0], base)) == [b"* VANISHED (EARLIER) 3"]
    assert mailbox.role.status is None
    mailbox.restart()  # and it is kept from here on
    with mailbox.connect() as again:
        again.ok("ENABLE QRESYNC")
        assert resync(again, (known[0], base)) == [b"* VANISHED (EARLIER) 3"]


def test_a_history_that_cannot_be_kept(mailbox, three):
    """It is said once, clients are served, and MODSEQs go on ascending, over a restart too."""
    mailbox.role.stop()
    (mailbox.maildir / LOG).unlink()
    (mailbox.maildir / LOG).mkdir()
    mailbox.start()
    with mailbox.connect() as again:
        again.ok("ENABLE QRESYNC")
        again.ok("SELECT INBOX")
        before = highest(again)
        again.ok(r"STORE 1 +FLAGS (\Flagged)")
        again.ok(r"STORE 2 +FLAGS (\Deleted)")
        assert again.ok("EXPUNGE")[0] == b"* VANISHED 2"
        after = highest(again)
        assert after > before and modseqs(again)[1] > before
    said = [event for event in mailbox.role.events() if "changes_not_kept" in str(event)]
    assert len(said) == 1
    mailbox.restart()
    with mailbox.connect() as again:
        again.ok("SELECT INBOX")
        assert min(modseqs(again).values()) > after


def reboot(mailbox):
    """As if the host had been started anew: the file says which boot it is of."""
    path = mailbox.maildir / LOG
    octets = path.read_bytes()
    path.write_bytes(octets[:48] + bytes(reversed(octets[48:88])) + octets[88:])


def test_after_a_power_cut(mailbox, three):
    """A log that was sealed is believed, one that was not is not: names may have gone back."""
    known = changes_while_away(mailbox, three)
    three.ok("SELECT INBOX")
    before = modseqs(three)
    mailbox.role.stop()  # sealed
    reboot(mailbox)
    mailbox.start()
    with mailbox.connect() as again:
        again.ok("ENABLE QRESYNC")
        assert resync(again, known) == [b"* VANISHED (EARLIER) 1,5", FLAGGED, NEW]
        assert modseqs(again) == before
        again.ok("STORE 1 FLAGS ()")
        top = highest(again)
        mailbox.kill()
    reboot(mailbox)
    mailbox.start()
    with mailbox.connect() as again:
        again.ok("SELECT INBOX")
        assert min(modseqs(again).values()) > top


def test_the_log_stays_short(mailbox, client):
    """However often flags change."""
    for _ in range(100):
        mailbox.store()
    client.ok("SELECT INBOX (CONDSTORE)")
    for turn in range(300):
        client.ok(rf"STORE 1:* {'+-'[turn % 2]}FLAGS.SILENT (\Flagged)")
    client.ok("UNSELECT")
    assert (mailbox.maildir / LOG).stat().st_size < 24 * 1000


def test_a_long_history_is_forgotten_from_its_old_end(mailbox, three):
    """Ten thousand that have gone are remembered."""
    validity = uidvalidity(three.ok("SELECT INBOX"))
    mailbox.role.stop()
    record, path = mailbox.maildir / "staffetta-folder", mailbox.maildir / LOG
    record.write_text(re.sub(r"(uid|modseq)-watermark \d+", r"\1-watermark 60001",
                             record.read_text()))
    path.write_bytes(path.read_bytes() + b"".join(
        struct.pack("=IIIIQ", uid, 1 << 31, 0, 0, uid + 10) for uid in range(4, 50001)))
    mailbox.start()
    with mailbox.connect() as again:
        again.ok("ENABLE QRESYNC")
        again.ok("STATUS INBOX (MESSAGES)")
        assert path.stat().st_size < 24 * 10100
        assert resync(again, (validity, 40010)) == [b"* VANISHED (EARLIER) 40001:50000"]
        assert resync(again, (validity, 49010)) == [b"* VANISHED (EARLIER) 49001:50000"]
        assert resync(again, (validity, 40009)) == [b"* VANISHED (EARLIER) 4:60000"]
        assert modseqs(again).keys() == {1, 2, 3}
