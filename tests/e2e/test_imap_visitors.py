"""What a visitor can do in another account's mailbox beside reading and writing its messages (RFC 4314 4), each
extension by its RFC. A whole house, as in test_imap_shared.py: the owner's process alone decides."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import struct
import termios
import time

import pytest

import mailbox_role
from house import BUILD, House
from test_imap_shared import MASTER_VISITS, MESSAGE, ROLE_NO_VISIT, UNKNOWN, Client, Pair, eventually, heard, record_of, refused, way

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(),
                                reason="imapd-mailbox is not built")


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    made = House(settings={"imap": {"shared-mailboxes": "Shared"}, "timeouts": {"linger": "300ms"},
                           "limits": {"annotations": "10", "annotation": "32K", "account-annotations": "64K", "message-size": "1M"}}, services=("imap",))
    made.start()
    yield made
    made.stop()
    assert not made.sanitizer_reports()
    made.remove()


@pytest.fixture
def pair(sharing):
    made = Pair(sharing)
    yield made
    made.close()


# ---- METADATA (RFC 5464)

def test_private_annotations_are_of_each_and_shared_ones_of_all(pair):
    """RFC 5464 3.3, 4.2, 4.3"""
    pair.share("lrw")
    carol = pair.house.new_account()
    pair.share("lr", carol)
    pair.owner.ok('SETMETADATA Work (/private/comment "mine" /shared/comment "ours")')
    pair.other.talk(rf"""
        C: a GETMETADATA {pair.name} (/private/comment /shared/comment)
        S: * METADATA {pair.name} (/shared/comment "ours" /private/comment NIL)
        S: a OK *
        C: b SETMETADATA {pair.name} (/private/comment {{6+}}\r\nbob\r\n! /Shared/Comment "both")\r\n
        S: b OK *
        C: c GETMETADATA (DEPTH infinity) {pair.name} (/private /shared)
        S: * METADATA {pair.name} (/private/comment {{6}}
        S: bob
        S: ! /shared/comment "both")
        S: c OK *
        C: d GETMETADATA {pair.name} (MAXSIZE 5) /private/comment
        S: d OK [METADATA LONGENTRIES 6] *""")
    assert pair.owner.ok("GETMETADATA (DEPTH infinity) Work (/private /shared)") == [
        b'* METADATA Work (/private/comment "mine" /shared/comment "both")']
    with Client(pair.house, carol) as third:
        assert third.ok(f"GETMETADATA (DEPTH infinity) {pair.name} (/private /shared)") == [
            f'* METADATA {pair.name} (/shared/comment "both")'.encode()]
        third.ok(f'SETMETADATA {pair.name} (/private/comment "c")')
        refused(third, f'SETMETADATA {pair.name} (/private/comment NIL /shared/comment "c")', b"NOPERM")
        assert b'"c"' in third.ok(f"GETMETADATA {pair.name} /private/comment")[0]  # all or nothing
    pair.owner.ok("RENAME Work Labour")  # they go where the mailbox goes
    name = pair.name.replace("Work", "Labour")
    assert pair.other.ok(f"GETMETADATA {name} /private/comment") == [f"* METADATA {name} (/private/comment {{6}}\r\nbob\r\n!)".encode()]
    pair.other.ok(f"SETMETADATA {name} (/private/comment NIL)")
    assert pair.other.ok(f"GETMETADATA {name} /private/comment") == [f"* METADATA {name} (/private/comment NIL)".encode()]


def test_annotations_need_rights(pair):
    """RFC 5464 3.3: "the "l" right and any one of the "r", "s", "w", "i", or "p" rights"; to set a shared one "w", too."""
    commands = [f"GETMETADATA {pair.name} /shared/comment", f'SETMETADATA {pair.name} (/private/comment "x")',
                f'SETMETADATA {pair.name} (/shared/comment "x")']
    pair.share("r", folder="Sent")  # so the owner is asked
    for rights, codes in (("x", ["NONEXISTENT"] * 3), ("rswip", ["NONEXISTENT"] * 3), ("lkxtea", ["NOPERM"] * 3), ("lp", ["", "", "NOPERM"]),
                          ("lw", ["", "", ""])):
        pair.share(rights)
        for command, code in zip(commands, codes):
            if code:
                refused(pair.other, command, code.encode())
            else:
                pair.other.ok(command)
    assert pair.owner.ok("GETMETADATA Work (/private/comment /shared/comment)") == [
        b'* METADATA Work (/shared/comment "x" /private/comment NIL)']
    for bad in (f"GETMETADATA {pair.name}", f"GETMETADATA (DEPTH 7) {pair.name} /shared/a", f"SETMETADATA {pair.name} (/other/x NIL)"):
        assert pair.other.command(bad)[1].startswith(b"BAD")


def test_annotations_of_visitors_are_bounded(pair):
    """Each has as many in a mailbox as its owner; all of theirs together leave him a half (limits.account-annotations)."""
    pair.share("lr")
    for number in range(10):
        pair.other.ok(f'SETMETADATA {pair.name} (/private/{number} "x")')
    refused(pair.other, f'SETMETADATA {pair.name} (/private/more "x")', b"METADATA TOOMANY")
    pair.owner.ok('SETMETADATA Work (/private/comment "x")')
    pair.share("lrw")
    for number in range(9):
        pair.other.ok(f'SETMETADATA {pair.name} (/shared/{number} "x")')
    refused(pair.other, f'SETMETADATA {pair.name} (/shared/more "x")', b"METADATA TOOMANY")  # it would be the owner's eleventh
    value = "{20000+}\r\n" + "x" * 20000
    pair.other.ok(f"SETMETADATA {pair.name} (/private/1 {value})")
    refused(pair.other, f"SETMETADATA {pair.name} (/private/2 {value})", b"METADATA TOOMANY")
    pair.owner.ok(f"SETMETADATA Work (/private/comment {value})")
    refused(pair.other, f"SETMETADATA {pair.name} (/private/2 {{40000+}}\r\n{'x' * 40000})", b"METADATA MAXSIZE 32768")


def test_private_annotations_end_with_the_last_right(pair):
    """RFC 5464 3.3: nobody could remove what is private to who has no right there; it is not there again with the next one."""
    carol = pair.house.new_account()
    file = pair.house.maildir(pair.alice) / ".Work" / "staffetta-metadata"
    pair.owner.ok('SETMETADATA Work (/private/comment "mine" /shared/comment "ours")')
    for take in (f"DELETEACL Work {pair.bob}", f'SETACL Work {pair.bob} ""', f"SETACL Work {pair.bob} -lrx", f"SETACL Work -{pair.bob} lrx", "DELETEACL Work anyone"):
        for identifier in (pair.bob, f"-{pair.bob}"):
            pair.owner.ok(f"DELETEACL Work {identifier}")
        pair.share("lr", "anyone" if "anyone" in take else pair.bob)
        pair.share("lr", carol)
        with Client(pair.house, carol) as third:
            for client in (pair.other, third):
                client.ok(f'SETMETADATA {pair.name} (/private/comment "x")')
        pair.share("+x", "anyone" if "anyone" in take else pair.bob)  # as long as he has some right they stay
        assert file.read_text().count("private:") == 2
        pair.owner.ok(take)
        assert pair.bob not in file.read_text() and f"/private:{carol}/comment" in file.read_text()
    pair.share("lr")
    assert pair.other.ok(f"GETMETADATA {pair.name} (/private/comment /shared/comment)") == [
        f'* METADATA {pair.name} (/shared/comment "ours" /private/comment NIL)'.encode()]
    # What INBOX is renamed to has the same annotations (RFC 5464 4.1), and is not shared.
    pair.share("lr", folder="INBOX")
    pair.other.ok(f'SETMETADATA Shared/{pair.alice}/INBOX (/private/comment "x")')
    pair.owner.ok('SETMETADATA INBOX (/private/comment "mine")')
    pair.owner.ok("RENAME INBOX Old")
    assert "private:" not in (pair.house.maildir(pair.alice) / ".Old" / "staffetta-metadata").read_text()
    assert pair.owner.ok("GETMETADATA Old /private/comment") == [b'* METADATA Old (/private/comment "mine")']


# ---- QUOTA (RFC 9208)

def test_the_owners_quota(sharing):
    """RFC 9208 4.1.2: of the owner's account, by another name than the visitor's own, which is ""."""
    pair = Pair(sharing, ":quota=1M")
    top = f"Shared/{pair.alice}"
    refused(pair.other, f"GETQUOTAROOT {pair.name}", b"NONEXISTENT")
    pair.share("l")
    refused(pair.other, f"GETQUOTAROOT {pair.name}", b"NOPERM")
    pair.share("lr")
    pair.other.talk(rf"""
        C: a GETQUOTAROOT {pair.name}
        S: * QUOTAROOT {pair.name} {top}
        S: * QUOTA {top} (STORAGE 1 1024)
        S: a OK *
        C: b GETQUOTA {top}
        S: * QUOTA {top} (STORAGE 1 1024)
        S: b OK *
        C: c GETQUOTA ""
        S: * QUOTA "" (STORAGE 0 1024)
        S: c OK *
        C: d GETQUOTA Shared/nobody@test.example
        S: d NO [NONEXISTENT] *""")
    refused(pair.other, f"GETQUOTA {top}/Work", b"NONEXISTENT")
    # 10: who may not have it by GETQUOTAROOT has it by GETQUOTA neither, nor learns whether there is one.
    unlimited = Pair(sharing)
    for one in (pair, unlimited):
        for rights, code in (("l", b"NOPERM"), ("p", b"NONEXISTENT"), ('""', b"NONEXISTENT")):
            one.owner.ok(f"SETACL Work {pair.bob} {rights}")
            refused(pair.other, f"GETQUOTA Shared/{one.alice}", code)
        one.owner.ok(f"SETACL Sent {pair.bob} r")  # by any of the mailboxes
    assert pair.other.ok(f"GETQUOTA {top}") == [f"* QUOTA {top} (STORAGE 1 1024)".encode()]
    refused(pair.other, f"GETQUOTA Shared/{unlimited.alice}", b"NONEXISTENT")
    unlimited.close()
    refused(pair.other, f"SETQUOTA {top} (STORAGE 1)", b"NOPERM")
    pair.close()


# ---- ACL (RFC 4314)

def test_a_command_that_has_lost_its_right(pair):
    """RFC 4314 4: "r". A FETCH that the client draws out shows nothing of the mailbox any more."""
    pair.share("lr")
    pair.owner.append(MESSAGE + b"x" * 900_000, "Work")
    pair.owner.ok("SELECT Work")
    for _ in range(5):
        pair.owner.ok("COPY 3:* Work")
        pair.owner.ok("NOOP")
    pair.other.ok(f"SELECT {pair.name}")
    pair.other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    pair.other.send(b"x FETCH 3:* BODY.PEEK[]\r\n")
    pair.other.read_octets(100_000)
    with Client(pair.house, pair.bob) as second:  # between its responses others of his go on
        second.ok(f"STATUS {pair.name} (MESSAGES)")
    pair.share("lx")
    octets, tail = 0, b""
    while part := pair.other.read_some():
        octets, tail = octets + len(part), (tail + part)[-200:]
    assert octets < 25_000_000 and re.search(rb"\* BYE [^\r]*\r\n$", tail), (octets, tail)


# ---- LIST (RFC 5258)

def test_list_returns_what_others_have(pair):
    """RFC 5819 2, RFC 9590 3, RFC 8440 3; what is not allowed is left out. RFC 6154 2: no special use of another's."""
    owner, other, top = pair.owner, pair.other, f"Shared/{pair.alice}"
    pair.share("lrw")
    for folder, rights in (("Sent", "lr"), ("Drafts", "l"), ("Trash", "lkx"), ("Junk", "lp")):
        pair.share(rights, folder=folder)
    owner.ok('SETMETADATA Work (/shared/comment {3+}\r\na"b)')
    owner.ok('SETMETADATA Junk (/shared/comment "bin")')
    other.ok(f'SETMETADATA {pair.name} (/private/comment "x")')
    eventually(lambda: len(other.ok(f'LIST "" {top}/*')) == 5)
    other.talk(rf"""
        C: a LIST "" {top}/* RETURN (STATUS (MESSAGES UIDNEXT MAILBOXID) SPECIAL-USE MYRIGHTS METADATA (MAXSIZE 9) ({{16}}
        S: + *
        C: /private/comment /shared/comment))
        S: * LIST () "/" {top}/Drafts
        S: * MYRIGHTS {top}/Drafts l
        S: * LIST () "/" {top}/Junk
        S: * MYRIGHTS {top}/Junk lp
        S: * METADATA {top}/Junk (/shared/comment "bin" /private/comment NIL)
        S: * LIST () "/" {top}/Sent
        S: * MYRIGHTS {top}/Sent lr
        S: * METADATA {top}/Sent (/private/comment NIL /shared/comment NIL)
        S: * STATUS {top}/Sent (MESSAGES 0 UIDNEXT 1 MAILBOXID (*))
        S: * LIST () "/" {top}/Trash
        S: * MYRIGHTS {top}/Trash lkxc
        S: * LIST () "/" {top}/Work
        S: * MYRIGHTS {top}/Work lrw
        S: * METADATA {top}/Work (/shared/comment "a\\"b" /private/comment "x")
        S: * STATUS {top}/Work (MESSAGES 2 UIDNEXT 3 MAILBOXID (*))
        S: a OK *""")
    # While it is selected, and with the client's own mailboxes among them.
    other.ok(f"SELECT {pair.name}")
    owner.append(MESSAGE, "Work")
    lines = other.ok('LIST "" (INBOX Shared/*/Work) RETURN (STATUS (MESSAGES))')
    assert [line for line in lines if b"STATUS" in line] == [b"* STATUS INBOX (MESSAGES 0)", f"* STATUS {pair.name} (MESSAGES 3)".encode()]
    # Rights are those of the moment, though the house's list of names may be late.
    owner.ok(f"SETACL Work {pair.bob} l")
    assert not any(b"STATUS" in line for line in other.ok('LIST "" Shared/*/Work RETURN (STATUS (MESSAGES))'))


def test_list_of_several_owners(pair, sharing):
    """Each is asked once; names with other letters than ASCII (RFC 3501 5.1.3, RFC 6855 3)."""
    second = Pair(sharing)
    second.owner.ok("CREATE Entw&APw-rfe")
    for one, folder in ((pair, "Work"), (pair, "INBOX"), (second, "Work"), (second, "Entw&APw-rfe")):
        one.owner.ok(f"SETACL {folder} {pair.bob} lr")
    eventually(lambda: len(pair.other.ok('LIST "" Shared/%/*')) == 4)
    for enable, name in (("NOOP", "Entw&APw-rfe"), ("ENABLE UTF8=ACCEPT", 'Entwürfe"')):
        pair.other.ok(enable)
        lines = pair.other.ok('LIST "" Shared/%/* RETURN (STATUS (MESSAGES))')
        told = [line.split(b"/")[-1].decode() for line in lines if line.startswith(b"* STATUS")]
        assert told == ["INBOX (MESSAGES 0)", "Work (MESSAGES 2)", f"{name} (MESSAGES 0)", "Work (MESSAGES 2)"]
    second.close()


def test_list_without_who_hangs(pair, sharing):
    """RFC 5819 2: what cannot be told is left out, and the log has whose; all names, and what all others have, are told."""
    before = set(sharing.pids("imapd-mailbox"))
    hanging = sharing.new_account()
    owner = Client(sharing, hanging)
    pid = (set(sharing.pids("imapd-mailbox")) - before).pop()
    last = Pair(sharing)
    owner.ok(f"SETACL Sent {pair.bob} lr")
    for one in (pair, last):
        one.owner.ok(f"SETACL Work {pair.bob} lr")
    eventually(lambda: len(pair.other.ok('LIST "" Shared/%/*')) == 3)
    sent = f"Shared/{hanging}/Sent"
    os.kill(pid, signal.SIGSTOP)
    try:
        lines = pair.other.ok('LIST "" Shared/%/* RETURN (STATUS (MESSAGES))')
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [line.split()[-1].decode() for line in lines if line.startswith(b"* LIST")] == sorted([pair.name, sent, last.name])
    assert [line.decode() for line in lines if line.startswith(b"* STATUS")] == [f"* STATUS {name} (MESSAGES 2)" for name in sorted((pair.name, last.name))]
    assert sharing.wait_for_event("shared_left_out", owner=hanging) and sharing.wait_for_event("visit_lost", owner=hanging)
    os.kill(pid, signal.SIGKILL)  # one that is dead is there again
    eventually(lambda: f"* STATUS {sent} (MESSAGES 0)".encode() in pair.other.ok('LIST "" Shared/%/* RETURN (STATUS (MESSAGES))'))
    owner.close()
    last.close()


# ---- CATENATE (RFC 4469)

LONG = b"".join(b"%04d " % number + b"z" * 73 + b"\r\n" for number in range(5000))
TWO_PARTS = (b"Subject: two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n"
             b"--b\r\nContent-Type: text/plain\r\n\r\n" + LONG + b"\r\n--b--\r\n")


def test_pieces_of_anothers_messages(pair):
    """RFC 4469 3: a URL of a mailbox in which the client may read; of the one that is selected, too (RFC 5092 7.2)."""
    pair.share("lr")
    pair.owner.append(TWO_PARTS, "Work")
    uidvalidity = b"".join(pair.owner.ok("STATUS Work (UIDVALIDITY)")).split()[-1].rstrip(b")").decode()
    encoded = pair.name.replace("@", "%40")
    other = pair.other
    head = b"Subject: mine\r\n\r\n"
    other.ok(rf'APPEND Drafts (\Flagged) CATENATE (TEXT {{{len(head)}+}}\r\n{head.decode()} URL "/{encoded};UIDVALIDITY={uidvalidity}/;UID=3/;SECTION=2" '
             rf'URL "/{pair.name}/;UID=1/;SECTION=HEADER.FIELDS%20(Subject)" URL "/{pair.name}/;UID=3/;SECTION=1/;PARTIAL=1.3")'.replace(r"\r\n", "\r\n"))
    other.ok(f"SELECT {pair.name}")
    other.ok('APPEND Drafts CATENATE (URL "/;UID=1/;SECTION=HEADER" URL ";UID=2/;SECTION=TEXT")')
    other.ok("SELECT Drafts")
    lines = other.ok("FETCH 1:* BODY.PEEK[]")
    assert lines[0].split(b"\r\n", 1)[1] == head + LONG + b"Subject: hello\r\n\r\nirs)"
    assert lines[1].split(b"\r\n", 1)[1] == MESSAGE + b")"


@pytest.mark.parametrize("rights", ["l", ""])
def test_pieces_that_may_not_be_read(pair, rights):
    """RFC 4314 4, RFC 4469 4.2: BADURL, whatever is the matter; what was begun is not kept."""
    pair.share("r", folder="Sent")
    pair.share("lr" if not rights else rights)
    path = f"/{pair.name}/;UID=1"
    bad = [path] if rights else [path + "/;SECTION=7", path.replace("UID=1", "UID=9"), f"/{pair.name};UIDVALIDITY=1/;UID=1", f"/Shared/{pair.alice}/Nothing/;UID=1",
                                 f"/Shared/{pair.bob}/INBOX/;UID=1", "/Shared/nobody@test.example/INBOX/;UID=1", "/Shared/;UID=1", "/Shared/x/;UID=1",
                                 f"/Shared/{pair.alice}/INBOX/;UID=1"]
    for url in bad:
        refused(pair.other, f'APPEND Drafts CATENATE (TEXT {{3+}}\r\nabc URL "{url}")', b"BADURL " + url.encode())
    pair.other.send(f'x APPEND Drafts CATENATE (URL "{bad[0]}" TEXT {{3}}\r\n'.encode())
    assert pair.other.answer()[1].startswith(b"NO [BADURL")
    assert pair.other.ok("STATUS Drafts (MESSAGES)") == [b"* STATUS Drafts (MESSAGES 0)"]


def test_pieces_for_anothers_mailbox(pair, sharing):
    """RFC 4469 4: of the client's own mail, of the owner's, of a third's; literals that wait and that do not, several messages (RFC 3502); flags as the rights are."""
    third = Pair(sharing)
    third.owner.ok(f"SETACL Work {pair.bob} lr")
    pair.share("lris")
    other, name = pair.other, pair.name
    other.append(TWO_PARTS, "Drafts")
    other.talk(rf"""
        C: a APPEND {name} (\\Seen \\Flagged $Work) "11-Jan-2024 10:00:00 +0000" CATENATE (TEXT {{14}}
        S: + *
        C: Subject: a\r\n\r\n URL "/Drafts/;UID=1/;SECTION=2" URL {{{len(third.name) + 22}}}\r\n
        S: + *
        C: /{third.name}/;UID=1/;SECTION=TEXT URL "/{name}/;UID=1/;SECTION=TEXT") (\\Seen) CATENATE (TEXT {{3+}}\r\nabc) {{4+}}\r\nlast\r\n
        S: a OK [APPENDUID * 3:5] *
        C: b SELECT {name}
        S: ...
        S: b OK *""")
    lines = other.ok("FETCH 3:5 (FLAGS INTERNALDATE BODY.PEEK[])")
    assert [rb"\Seen" in line.split(b"BODY")[0] for line in lines] == [True, True, False]
    assert rb"\Flagged" not in lines[0] and b'"11-Jan-2024 10:00:00 +0000"' in lines[0]
    assert lines[0].split(b"}\r\n", 1)[1] == b"Subject: a\r\n\r\n" + LONG + b"body\r\nbody\r\n)"
    assert lines[1].endswith(b"{3}\r\nabc)") and lines[2].endswith(b"{4}\r\nlast)")
    # Nothing is left at home.
    assert not any((sharing.maildir(pair.bob) / "tmp").iterdir()) and other.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
    third.close()


def test_pieces_for_anothers_mailbox_are_bounded(pair, sharing):
    """No quota of the client's bounds what is put together for another account: limits.message-size does, for all of a command."""
    pair.share("i")
    pair.other.append(MESSAGE + b"x" * 400_000, "Drafts")
    pieces = 'CATENATE (URL "/Drafts/;UID=1")'
    pair.other.ok(f"APPEND {pair.name} {pieces} {pieces}")
    refused(pair.other, f"APPEND {pair.name} {pieces} {pieces} {pieces}", b"TOOBIG")
    assert pair.owner.ok("STATUS Work (MESSAGES)") == [b"* STATUS Work (MESSAGES 4)"]
    assert not any((sharing.maildir(pair.bob) / "tmp").iterdir())


def test_pieces_for_who_does_not_want_them(pair):
    """RFC 4314 4: "i"; the owner's process refuses. What is not there is BADURL before it is asked."""
    text = "CATENATE (TEXT {3+}\r\nabc)"
    refused(pair.other, f"APPEND {pair.name} {text}", b"NONEXISTENT")
    pair.share("lr")
    refused(pair.other, f"APPEND {pair.name} {text}", b"NOPERM")
    refused(pair.other, f'APPEND {pair.name} CATENATE (URL "/Drafts/;UID=9")', b"BADURL /Drafts/;UID=9")
    pair.share("li")
    refused(pair.other, f"APPEND Shared/{pair.alice}/Nothing {text}", b"NONEXISTENT")
    refused(pair.other, f"APPEND Shared/{pair.bob}/INBOX {text}", b"NONEXISTENT")
    for bad in (f"APPEND {pair.name} CATENATE TEXT", f"APPEND {pair.name} CATENATE (TEXT {{3+}}\r\nabc", f"APPEND {pair.name} {text} x"):
        assert pair.other.command(bad)[1].startswith(b"BAD"), bad
    pair.other.ok(f"APPEND {pair.name} {text}")
    assert pair.owner.ok("STATUS Work (MESSAGES)") == [b"* STATUS Work (MESSAGES 3)"]


# ---- URLAUTH (RFC 4467)

def test_urls_that_let_in_stop_at_the_account(pair):
    """RFC 4467 2, 7: NO, never a URL that would not work; a copy put together by CATENATE has one, without an octet for the client to carry."""
    pair.share("lr")
    other, bob = pair.other, pair.bob.replace("@", "%40")
    theirs = f"imap://{bob}@mail.test.example/{pair.name.replace('@', '%40')}/;uid=1;urlauth=authuser"
    for command in (f'GENURLAUTH "{theirs}" INTERNAL', f"RESETKEY {pair.name}"):
        refused(other, command, b"CANNOT")
    assert other.ok(f'URLFETCH "{theirs}:internal:{"0" * 32}"')[0].endswith(b" NIL")
    uid = re.search(rb"APPENDUID \d+ (\d+)", other.command(f'APPEND Drafts CATENATE (URL "/{pair.name}/;UID=1")')[1])[1].decode()
    url = other.ok(f'GENURLAUTH "imap://{bob}@mail.test.example/Drafts/;uid={uid};urlauth=authuser" INTERNAL')[0].split()[-1].decode()
    assert MESSAGE in other.ok(f"URLFETCH {url}")[0]


# ---- NOTIFY (RFC 5465)

ALL = "(MessageNew MessageExpunge FlagChange MailboxName MailboxMetadataChange)"


def test_news_of_anothers_mailboxes(pair):
    """RFC 5465 3.1, 5.1 to 5.6, 6.6: at once, whatever is selected, with the rights of the moment."""
    owner, other, name = pair.owner, pair.other, pair.name
    pair.share("lrswite")
    owner.ok("CREATE Closed")
    other.talk(rf"""
        C: a NOTIFY SET STATUS (selected (MessageNew MessageExpunge)) (mailboxes (INBOX {name} Shared/{pair.alice}/Closed Shared/nobody@test.example/x) {ALL})
        S: * STATUS INBOX (MESSAGES 0 *)
        S: * STATUS {name} (MESSAGES 2 *)
        S: a OK *""")
    owner.append(MESSAGE, "Work")
    assert other.read_line().startswith(f"* STATUS {name} (MESSAGES 3 UIDNEXT 4".encode())
    owner.append(MESSAGE, "Closed")
    owner.ok("SELECT Work")
    owner.ok(r"STORE 1 +FLAGS.SILENT (\Seen)")
    assert b"UNSEEN 2" in other.read_line()
    owner.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    owner.ok("EXPUNGE")
    while b"MESSAGES 2" not in (line := other.read_line()):
        assert line.startswith(f"* STATUS {name} (".encode())
    owner.ok('SETMETADATA Work (/private/comment "mine" /shared/comment "ours")')
    assert other.read_line() == f"* METADATA {name} /shared/comment".encode()
    owner.ok('SETMETADATA Work (/private/comment "mine")')
    # RFC 5465 5.4: "l" is given and taken away, the mailbox is renamed and deleted.
    owner.ok(f"SETACL Closed {pair.bob} lr")
    closed = f"Shared/{pair.alice}/Closed"
    other.talk(rf"""
        S: * LIST () "/" {closed}
        S: * STATUS {closed} (MESSAGES 1 *
        C: b NOOP
        S: b OK *""")
    owner.ok(f"DELETEACL Closed {pair.bob}")
    assert other.read_line() == f'* LIST (\\NonExistent) "/" {closed}'.encode()
    owner.append(MESSAGE, "Closed")
    owner.ok("RENAME Work Labour")
    assert other.read_line() == f'* LIST () "/" Shared/{pair.alice}/Labour ("OLDNAME" ({name}))'.encode()
    assert other.ok("NOOP") == []
    other.ok("NOTIFY NONE")
    owner.append(MESSAGE, "Labour")
    assert other.ok("NOOP") == []


@pytest.mark.parametrize("filters", ["subtree Shared", "subtree Shared/{alice}", "subtree (Drafts {name})", "subscribed"])
def test_news_of_all_that_is_below(pair, filters):
    """RFC 5465 6.4, 6.5; what is shared later belongs to it, and what the owner makes there for himself does not."""
    owner, other, name = pair.owner, pair.other, pair.name
    pair.share("lrk")
    other.ok(f"SUBSCRIBE {name}")
    eventually(lambda: other.ok('LIST "" Shared/*'))
    other.ok(f"NOTIFY SET ({filters.format(name=name, alice=pair.alice)} {ALL}) (selected (MessageNew MessageExpunge))")
    owner.append(MESSAGE, "Work")
    assert other.read_line().startswith(f"* STATUS {name} (MESSAGES 3 ".encode())
    owner.ok("CREATE Work/Own")
    owner.append(MESSAGE, "Work/Own")
    owner.append(MESSAGE, "INBOX")
    if filters.startswith("subtree"):
        with Client(pair.house, pair.bob) as second:
            second.ok(f"CREATE {name}/A")
            assert other.read_line() == f'* LIST () "/" {name}/A'.encode()
            owner.append(MESSAGE, "Work/A")
            while b"MESSAGES 1" not in (line := other.read_line()):
                assert line.startswith((f"* STATUS {name}/A (".encode(), f'* LIST () "/" {name}'.encode()))
    lines = other.ok("NOOP")
    assert not any(b"INBOX" in line or b"Own" in line for line in lines), lines


@pytest.mark.parametrize("filters", ["subtree Shared", "mailboxes ({name} {name}/A {name}/B {top}/Apart/Own {top}/Both {top}/Both/Own)"])
@pytest.mark.parametrize("events", ["(MailboxName)", ALL])
def test_news_of_names_alone(pair, filters, events):
    """RFC 5465 5.4, RFC 4314 4 ("l"): given and taken, made, renamed with what is above it, deleted; of what cannot be looked up nothing."""
    owner, other, name, top = pair.owner, pair.other, pair.name, f"Shared/{pair.alice}"
    pair.share("lk")
    for folder in ("Apart", "Apart/Own", "Apart/Hidden", "Both", "Both/Own"):
        owner.ok(f"CREATE {folder}")
    for folder in ("Apart/Own", "Both", "Both/Own"):
        pair.share("l", folder=folder)
    eventually(lambda: len(other.ok('LIST "" Shared/%/*')) == 5)
    other.ok(f"NOTIFY SET ({filters.format(name=name, top=top)} {events})")

    def next_name():
        while (line := other.read_line()).startswith(b"* STATUS"):
            pass
        return line.decode()

    def told(*lines):
        assert [next_name() for line in lines] == [f"* LIST {line}" for line in lines]
        assert not [line for line in other.ok("NOOP") if not line.startswith(b"* STATUS")]

    def gone(*names):
        return told(*(rf'(\NonExistent) "/" {gone}' for gone in names))

    owner.ok(f"SETACL Work {pair.bob} +lr")
    owner.ok(f"SETACL Apart/Hidden {pair.bob} r")
    owner.ok(f"SETACL Work {pair.bob} -r")
    owner.ok("CREATE Work/Own")
    told()
    owner.ok(f"SETACL Work {pair.bob} -l")
    gone(name)
    owner.ok("SETACL Work anyone l")
    told(f'() "/" {name}')
    owner.ok("DELETEACL Work anyone")
    gone(name)
    pair.share("lkx")
    told(f'() "/" {name}')
    with Client(pair.house, pair.bob) as second:
        second.ok(f"CREATE {name}/A")
        told(f'() "/" {name}/A')
        second.ok(f"RENAME {name}/A {name}/B")
        told(f'() "/" {name}/B ("OLDNAME" ({name}/A))')
    owner.ok("RENAME Apart Else")  # none of the client's business but what is below it
    told(f'() "/" {top}/Else/Own ("OLDNAME" ({top}/Apart/Own))')
    owner.ok("RENAME Both Two")
    told(f'() "/" {top}/Two ("OLDNAME" ({top}/Both))', f'() "/" {top}/Two/Own ("OLDNAME" ({top}/Both/Own))')
    owner.ok("DELETE Work/B")
    gone(f"{name}/B")
    owner.ok("DELETE Work")
    gone(name)
    owner.ok("CREATE Work")
    told()
    pair.share("lr")
    told(f'() "/" {name}')
    other.ok("NOTIFY NONE")
    owner.ok("DELETE Work")
    assert other.ok("NOOP") == []


def test_news_of_superiors(pair):
    """RFC 5465 5.4, RFC 4314 4: what a visitor's CREATE or RENAME makes above a mailbox has the rights of what is above that, and is told."""
    other, name = pair.other, pair.name
    pair.share("lkx")
    other.ok(f"NOTIFY SET (subtree {name} (MailboxName))")

    def told(*lines):
        assert [other.read_line().decode() for _ in lines] == [f'* LIST {line}' for line in lines]

    with Client(pair.house, pair.bob) as second:
        second.ok(f"CREATE {name}/C/D")
        told(f'() "/" {name}/C', f'() "/" {name}/C/D')
        second.ok(f"RENAME {name}/C/D {name}/E/D")
        told(f'() "/" {name}/E', f'() "/" {name}/E/D ("OLDNAME" ({name}/C/D))')
        for folder in ("E/D", "E", "C"):
            second.ok(f"DELETE {name}/{folder}")
            told(rf'(\NonExistent) "/" {name}/{folder}')
    assert other.ok("NOOP") == []


def test_news_of_subscriptions(pair):
    """RFC 5465 5.5: to another account's mailbox, too, which is none of "personal"; whether it is there its owner's process alone knows."""
    other, name = pair.other, pair.name
    pair.share("lr")
    eventually(lambda: other.ok('LIST "" Shared/*'))
    with Client(pair.house, pair.bob) as second:
        for filters in (f"mailboxes ({name} Drafts)", "subtree Shared", f"subtree Shared/{pair.alice}"):
            other.ok(f"NOTIFY SET ({filters} (SubscriptionChange))")
            second.ok(f"SUBSCRIBE {name}")
            assert other.read_line() == f'* LIST (\\Subscribed) "/" {name}'.encode()
            second.ok(f"UNSUBSCRIBE {name}")
            assert other.read_line() == f'* LIST () "/" {name}'.encode()
        other.ok("NOTIFY SET (personal (SubscriptionChange))")
        second.ok(f"SUBSCRIBE {name}")
        assert other.ok("NOOP") == []
        second.ok("UNSUBSCRIBE Drafts")
        assert other.read_line() == rb'* LIST (\HasNoChildren) "/" Drafts'


def test_news_of_the_selected_mailbox(pair):
    """RFC 5465 6.1: of another account's, too, at once, whether it is selected before NOTIFY or behind it; with the data that is wanted (5.2)."""
    pair.share("lrswite")
    other, owner, name = pair.other, pair.owner, pair.name
    owner.ok("SELECT Work")
    for commands in ([f"SELECT {name}", "{notify}"], ["{notify}", f"SELECT {name}"], [f"SELECT {name}"], ["SELECT INBOX", f"SELECT {name}"]):
        for command in commands:
            other.ok(command.format(notify="NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (Subject)]) MessageExpunge FlagChange))"))
        owner.append(MESSAGE, "Work")
        other.talk(r"""
            S: * 3 EXISTS
            S: ...
            S: * 3 FETCH (UID {uid} BODY[HEADER.FIELDS (Subject)] {18}
            S: Subject: hello
            S: 
            S: )""")
        owner.ok(r"STORE 3 +FLAGS.SILENT (\Deleted)")
        assert b"\\Deleted" in other.read_line()
        assert other.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
        owner.ok("EXPUNGE")
        assert other.read_line() == b"* 3 EXPUNGE"
        assert [line for line in other.ok("FETCH 1:* UID") if b"RECENT" not in line] == [b"* 1 FETCH (UID 1)", b"* 2 FETCH (UID 2)"]
        other.values.clear()
    # Changes of the client's own, COPY, IDLE, what was not asked for.
    assert b"\\Flagged" in other.ok(r"STORE 1 +FLAGS (\Flagged)")[0]
    assert other.command("COPY 1 Drafts")[1].startswith(b"OK [COPYUID")
    owner.ok(r"STORE 2 +FLAGS.SILENT (\Answered)")
    assert b"\\Answered" in other.read_line()
    other.talk("C: i IDLE\nS: + *")
    owner.ok(r"STORE 2 -FLAGS.SILENT (\Answered)")
    assert b"FLAGS" in other.read_line()
    other.send(b"DONE\r\n")
    other.answer(b"i")
    other.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge))")
    owner.ok(r"STORE 2 +FLAGS.SILENT (\Deleted)")
    owner.ok("EXPUNGE")
    other.talk(r"""
        C: a FETCH 1 UID
        S: * 1 FETCH (UID 1)
        S: a OK *
        C: b NOOP
        S: * 2 EXPUNGE
        S: b OK *""")
    other.ok("NOTIFY SET (selected (MessageNew MessageExpunge))")
    other.ok("CLOSE")
    owner.append(MESSAGE, "Work")
    assert other.ok("NOOP") == []
    # Without "r" nothing more is told.
    other.ok(f"SELECT {name}")
    pair.share("l")
    owner.append(MESSAGE, "Work")
    assert other.ok("NOOP") == []


def test_an_owners_process_that_dies(sharing):
    """RFC 5465 5.8: the client knows that it misses something, and says NOTIFY again; what is its own goes on."""
    bob, alice = sharing.new_account(), sharing.new_account()
    other = Client(sharing, bob)
    before = set(sharing.pids("imapd-mailbox"))
    owner = Client(sharing, alice)
    pid = (set(sharing.pids("imapd-mailbox")) - before).pop()
    owner.ok(f"SETACL Sent {bob} lri")
    other.ok("SELECT INBOX")
    name = f"Shared/{alice}/Sent"
    notify = f"NOTIFY SET (mailboxes {name} {ALL}) (selected (MessageNew MessageExpunge))"
    other.ok(notify)
    os.kill(pid, signal.SIGKILL)
    assert other.read_line().startswith(b"* OK [NOTIFICATIONOVERFLOW] ")
    assert other.ok("SEARCH ALL") == [b"* SEARCH"]
    eventually(lambda: other.command(notify)[1].startswith(b"OK"))
    other.append(MESSAGE, name)
    assert other.read_line().startswith(f"* STATUS {name} (MESSAGES 1 ".encode())
    owner.close()
    other.close()


def test_personal_mailboxes_are_ones_own(pair):
    """RFC 5465 6.3, 6.2: "inboxes" and "personal" mean no other account's."""
    pair.share("lr")
    pair.other.ok(f"SUBSCRIBE {pair.name}")
    for filters in ("inboxes", "personal"):
        pair.other.ok(f"NOTIFY SET ({filters} {ALL})")
        pair.owner.append(MESSAGE, "Work")
        assert pair.other.ok("NOOP") == []
    for bad in (f"NOTIFY SET (mailboxes {pair.name} (MessageNew))", f"NOTIFY SET (subtree-one {pair.name} (MessageNew MessageExpunge))"):
        assert pair.other.command(bad)[1].startswith(b"BAD")
    assert pair.other.command(f"NOTIFY SET (mailboxes {pair.name} (Nothing))")[1].startswith(b"NO [BADEVENT (")


def test_no_news_without_rights(pair):
    """RFC 4314 4: "l" and "r"; who has neither is told OK as if there were no such mailbox, and hears nothing."""
    pair.share("r", folder="Sent")
    for rights in ("l", "r", "lswipkxtea", ""):
        pair.other.ok("NOTIFY NONE")
        pair.owner.ok(f'SETACL Work {pair.bob} "{rights}"')
        assert pair.other.ok(f"NOTIFY SET STATUS (mailboxes {pair.name} {ALL})") == []
        pair.owner.append(MESSAGE, "Work")
        assert pair.other.ok("NOOP") == []


# ---- ESEARCH (RFC 7377)

def found(client, command):
    """What it finds in each mailbox, which have the right UIDVALIDITY."""
    lines, tagged = client.command(command)
    assert tagged.startswith(b"OK"), tagged
    told = {}
    for line in lines:
        parts = re.fullmatch(rb'\* ESEARCH \(TAG "x" MAILBOX (\S+) UIDVALIDITY (\d+)\) UID (.*)', line)
        name = parts[1].decode()
        assert name not in told and b"UIDVALIDITY " + parts[2] in b"".join(client.ok(f"STATUS {name} (UIDVALIDITY)"))
        told[name] = parts[3].decode()
    return told


def test_searching_what_others_share(pair, sharing):
    """RFC 7377 2.1, 2.2: "mailboxes", "subtree", "subtree-one", "subscribed" mean what the client may read there; "personal" does not."""
    owner, other, name, top = pair.owner, pair.other, pair.name, f"Shared/{pair.alice}"
    third = Pair(sharing)
    third.owner.ok(f"SETACL Work {pair.bob} lr")
    owner.ok("CREATE Work/Closed")
    owner.ok("CREATE Work/Open")
    for folder in ("Work/Closed", "Work/Open", "INBOX"):
        owner.append(MESSAGE, folder)
    pair.share("lr")
    pair.share("l", folder="Work/Closed")
    pair.share("lr", folder="Work/Open")
    other.append(MESSAGE, "Drafts")
    other.ok(f"SUBSCRIBE {name}")
    eventually(lambda: len(other.ok('LIST "" Shared/%/*')) == 4)
    work, below, far = {name: "ALL 1:2"}, {f"{name}/Open": "ALL 1"}, {third.name: "ALL 1:2"}
    mine = {"Drafts": "ALL 1"}
    for sources, expected in ((f"mailboxes (Drafts {name} {name}/Closed {name}/Nothing Shared/nobody@test.example/x Shared {top} {top}/INBOX)", mine | work),
                              (f"subtree Shared", work | below | far), (f"subtree-one {top}", work), (f"subtree-one {name}", work | below),
                              (f"subtree {top} subtree {third.name} mailboxes {name}", work | below | far), ("subscribed", mine | work), ("personal", mine),
                              (f"mailboxes Shared/{pair.bob}/Drafts", {})):
        assert found(other, f"ESEARCH IN ({sources}) SUBJECT hello") == expected, sources
    # RETURN (RFC 4731 3.1, RFC 9394), CONDSTORE (RFC 7162 3.1.10), literals.
    assert found(other, f"ESEARCH IN (mailboxes {name}) RETURN (MIN MAX COUNT) CHARSET UTF-8 SUBJECT {{5+}}\r\nhello") == {name: "MIN 1 MAX 2 COUNT 2"}
    assert found(other, f"ESEARCH IN (mailboxes {name}) RETURN (PARTIAL 1:1) ALL") == {name: "PARTIAL (1:1 1)"}
    assert found(other, f"ESEARCH IN (mailboxes {name}) MODSEQ 1") == {name: "ALL 1:2 MODSEQ 3"}
    assert found(other, f"ESEARCH IN (mailboxes {name}) SUBJECT nothing") == {}
    for bad in (f"ESEARCH IN (mailboxes {name}) RETURN (SAVE) ALL", f"ESEARCH IN (mailboxes {name}) NOTHING"):
        assert other.command(bad)[1].startswith(b"BAD")
    assert other.command(f"ESEARCH IN (mailboxes {name}) CHARSET X-Y SUBJECT a")[1].startswith(b"NO [BADCHARSET")
    third.close()


def test_searching_while_one_of_them_is_selected(pair):
    """RFC 7377 2.2: "selected" is the other account's mailbox then; without "r" any more nothing is found."""
    pair.share("lr")
    pair.other.append(MESSAGE, "Drafts")
    pair.other.ok(f"SELECT {pair.name}")
    work = {pair.name: "ALL 1:2"}
    for sources, expected in (("", work), ("IN (selected) ", work), ("IN (selected mailboxes Drafts) ", work | {"Drafts": "ALL 1"})):
        assert found(pair.other, f"ESEARCH {sources}ALL") == expected
    assert pair.other.ok("ESEARCH RETURN (SAVE) FLAGGED") == [] and pair.other.ok("FETCH $ UID") == [b"* 2 FETCH (UID 2)"]
    pair.share("l")
    for sources in ("", "IN (selected mailboxes Drafts) "):
        assert pair.name.encode() not in b"".join(pair.other.command(f"ESEARCH {sources}ALL")[0])


def test_searching_tells_not_how_many_mailboxes_there_are(make_module_house):
    """RFC 4314 6: how far a search is (INPROGRESS, RFC 9585) would tell a visitor of those that he may not look up."""
    house = make_module_house(settings={"imap": {"shared-mailboxes": "Shared", "progress": "1ms"}}, services=("imap",))
    pair = Pair(house)
    pair.share("lr")
    for _ in range(3):
        pair.owner.append(MESSAGE + (b"x" * 70 + b"\r\n") * 10000, "Work")
    pair.other.ok(f"SELECT {pair.name}")
    told = [line for line in pair.other.ok("ESEARCH TEXT nowhere") if b"INPROGRESS" in line]
    assert told and all(b" NIL NIL)] " in line for line in told)
    pair.close()


# ---- who lies: imapd-mailbox alone, and this process plays the master and the other account's process

MASTER_SHARED, ROLE_SHARED = 118, 29
ALICE = b"alice@test.example"
WORK = b"Shared/alice@test.example/Work"


@pytest.fixture(scope="module")
def visitor(tmp_path_factory):
    """One for all: whatever another account's process says, this one lives on."""
    made = mailbox_role.Mailbox(tmp_path_factory.mktemp("mailbox"), "imap { shared-mailboxes = Shared }")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    made = mailbox_role.Mailbox(tmp_path_factory.mktemp("mailbox"), "imap { shared-mailboxes = Shared }\ntimeouts { write = 300ms }")
    yield made
    made.stop()


def share_names(visitor, *folders):
    """The answer to the next MASTER_SHARED."""
    request = record_of(visitor, MASTER_SHARED)[1]
    lines = b"".join(b"lrw u@test.example\t" + folder + b"\n" for folder in folders)
    for account, text in ((ALICE, lines), (b"", b"")):
        visitor.role.master.send(ROLE_SHARED, struct.pack("=II", len(account), 0) + account + text, request=request)


@pytest.mark.parametrize("lie", [
    b"* 5 EXISTS\r\n", b"* BYE x\r\n", b"* OK [ALERT] x\r\n", b'* LIST () "/" Sent\r\n', b"* STATUS INBOX (MESSAGES 9)\r\n",
    b"* STATUS Shared/alice@test.example/Other (MESSAGES 9)\r\n", b"* STATUS Shared/alice@test.example/Work (MESSAGES 9) x\r\n",
    b"* STATUS Shared/alice@test.example/Work (MESSAGES 9)\n* BYE x\r\n", b"* STATUS Shared/alice@test.example/Work (MESSAGES \"9\")\r\n",
    b'* METADATA Shared/alice@test.example/Work (/shared/x "y")\r\n', b"* STATUS {99}\r\n" + b"x" * 99 + b" (MESSAGES 9)\r\n", b"x OK done\r\n", b"",
    b"* " + b"x" * 1100000 + b"\r\n",
], ids=lambda lie: lie[:70].decode().strip() or "nothing")
def test_what_list_asks_is_answered_or_left_out(visitor, lie):
    """RFC 5819 2: nothing but the STATUS that was asked for reaches the client, and the command ends."""
    with visitor.connect() as client:
        client.send(b'x LIST "" (INBOX Shared/*/%) RETURN (STATUS (MESSAGES))\r\n')
        share_names(visitor, b"Work", b"Work/A")
        owner = way(visitor)
        heard(owner, b"c STATUS Shared/alice@test.example/Work (MESSAGES)\r\n")
        with contextlib.suppress(OSError):
            owner.sendall(lie)
        if lie.startswith(b"*") and len(lie) < 1000000:
            owner.sendall(b"c OK done\r\n")
            heard(owner, b"c STATUS Shared/alice@test.example/Work/A (MESSAGES)\r\n")
            owner.sendall(b"* STATUS Shared/alice@test.example/Work/A (MESSAGES 4)\r\n* STATUS Shared/alice@test.example/Work/A (MESSAGES 5)\r\nc OK done\r\n")
        owner.close()
        lines, tagged = client.answer()
        assert tagged == b"OK Listed"
        told = [line for line in lines if not line.startswith(b"* LIST")]
        assert told[0] == b"* STATUS INBOX (MESSAGES 0)"
        assert told[1:] in ([], [b"* STATUS Shared/alice@test.example/Work/A (MESSAGES 4)"])
        assert [line.split()[-1] for line in lines if line.startswith(b"* LIST")] == [
            b"INBOX", b"Shared/alice@test.example/Work", b"Shared/alice@test.example/Work/A"]
        assert client.ok("NOOP") == []


def test_list_does_not_wait_for_who_says_nothing(impatient):
    """Nor are the owner's other mailboxes asked any more."""
    visitor = impatient
    with visitor.connect() as client:
        client.send(b'x LIST "" Shared/*/% RETURN (STATUS (MESSAGES) METADATA (/shared/x))\r\n')
        share_names(visitor, b"Work", b"Work/A")
        owner = way(visitor)
        lines, tagged = client.answer()
        assert tagged == b"OK Listed" and len(lines) == 2
        heard(owner, b"c GETMETADATA Shared/alice@test.example/Work (/shared/x)\r\n")
        assert owner.recv(100) == b""
        owner.close()


@pytest.mark.parametrize("answer, code", [
    (b"* BYE x\r\n* OK [ALERT] y\r\n* 1 FETCH (UID 7 BODY[] {3}\r\nabc)\r\n* 2 FETCH (BODY[] {3}\r\nxyz)\r\nc OK done\r\n", b"OK"),
    (b"* 1 FETCH (BODY[] \"\" UID 7)\r\nc OK done\r\n", b"OK"),
    (b"* 1 FETCH (UID 7 BODY[] {99999999999}\r\nabc", b"NO [BADURL"),
    (b"* 1 FETCH (UID 7 BODY[] {3}\r\na\0c)\r\nc OK done\r\n", b"NO [BADURL"),
    (b"* 1 FETCH (UID 7 BODY[] NIL)\r\nc OK done\r\n", b"NO [BADURL"),
    (b"* OK BODY[] {3}\r\nabc\r\nc OK done\r\n", b"NO [BADURL"),
    (b"c OK done\r\n", b"NO [BADURL"), (b"c NO done\r\n", b"NO [BADURL"),
    (b"* 1 FETCH (UID 7 BODY[] {3}\r\nab", b"NO [UNAVAILABLE]"), (b"x OK done\r\n", b"NO [UNAVAILABLE]"),
    (b"* " + b"x" * 1100000, b"NO [UNAVAILABLE]"),
], ids=lambda value: value[:60].decode() if len(value) > 20 else "")
def test_a_piece_is_what_was_asked_for(visitor, answer, code):
    """RFC 4469 4.2: of what another account's process says nothing reaches the client, and nothing the message but the octets of that message."""
    before = visitor.files("Drafts")
    with visitor.connect() as client:
        client.send(b'x APPEND Drafts CATENATE (TEXT {1+}\r\n> URL "/Shared/alice@test.example/Work;UIDVALIDITY=5/;UID=7")\r\n')
        owner = way(visitor)
        heard(owner, b"c EXAMINE Shared/alice@test.example/Work\r\n")
        owner.sendall(b"* OK [UIDVALIDITY 5] x\r\n* 9 EXISTS\r\nc OK done\r\n")
        heard(owner, b"c UID FETCH 7 (BODY.PEEK[])\r\n")
        with contextlib.suppress(OSError):  # what is too long is not read to its end
            owner.sendall(answer)
        owner.close()
        lines, tagged = client.answer()
        assert lines == [] and tagged.startswith(code)
        stored = [file.read_bytes() for file in (visitor.folder("Drafts") / "cur").iterdir() if file.name not in before]
        assert stored == ([b">abc" if b"abc" in answer else b">"] if code == b"OK" else [])
        assert not any((visitor.folder("Drafts") / "tmp").iterdir())


@pytest.mark.parametrize("answer, code", [
    (b"* BYE x\r\n+ go on\r\n", b"OK [APPENDUID 1 1]"), (b"c OK [APPENDUID 1 1] early\r\n", b"NO [UNAVAILABLE]"), (b"c NO [OVERQUOTA] full\r\n", b"NO [OVERQUOTA] full"),
    (b"x OK done\r\n", b"NO [UNAVAILABLE]"), (b"", b"NO [UNAVAILABLE]"),
], ids=["news before it", "an answer before the message", "refused", "another command's answer", "nothing"])
def test_a_message_for_another_account_waits_until_it_is_wanted(visitor, answer, code):
    """RFC 3501 7.5; the octets are said behind "+" alone."""
    with visitor.connect() as client:
        client.send(b"x APPEND Shared/alice@test.example/Work (\\Seen $a) CATENATE (TEXT {3+}\r\nabc)\r\n")
        owner = way(visitor)
        heard(owner, b'" {3}\r\n')
        owner.sendall(answer)
        if b"+" in answer:
            assert heard(owner, b"\r\n") == b"abc\r\n"
            owner.sendall(b"c OK [APPENDUID 1 1] done\r\n")
        else:
            owner.shutdown(socket.SHUT_WR)
            assert owner.recv(100) == b""
        owner.close()
        lines, tagged = client.answer()
        assert lines == [] and tagged.startswith(code)
        assert not any((visitor.maildir / "tmp").iterdir())


PIECE = 'CATENATE (TEXT {1+}\r\n> URL "/Shared/alice@test.example/Work/;UID=7")'
OPENED, WANTED = (b"c EXAMINE Shared/alice@test.example/Work\r\n", b"* 9 EXISTS\r\nc OK done\r\n"), b"c UID FETCH 7 (BODY.PEEK[])\r\n"
ANNOUNCED = b'" {1}\r\n'


SILENCE = [  # what the client says, and what he hears from there before it falls silent
    (f"APPEND Drafts {PIECE}", [OPENED[:1]]), (f"APPEND Drafts {PIECE}", [OPENED, (WANTED,)]),
    (f"APPEND Drafts {PIECE}", [OPENED, (WANTED, b"* 1 FETCH (BODY[] {9}\r\nabc")]),
    ("APPEND Shared/alice@test.example/Work CATENATE (TEXT {1+}\r\n>)", [(ANNOUNCED,)]),
    ("APPEND Shared/alice@test.example/Work CATENATE (TEXT {1+}\r\n>)", [(ANNOUNCED, b"+ go on\r\n"), (b">\r\n",)]),
]


def test_who_never_answers_is_not_waited_for(impatient):
    """timeouts.write: NO, a line in the log, and nothing is kept; RFC 4469 4.2"""
    impatient.role.events()
    begun = []
    for command, exchange in SILENCE:
        client = impatient.connect()
        client.send(f"x {command}\r\n".encode())
        owner = way(impatient)
        for said in exchange:
            heard(owner, said[0])
            for answer in said[1:]:
                owner.sendall(answer)
        begun.append((client, owner))
    for client, owner in begun:
        lines, tagged = client.answer()
        assert lines == [] and tagged.startswith(b"NO [UNAVAILABLE]")
        assert owner.recv(100) == b""
        assert client.ok("NOOP") == []
        client.close()
        owner.close()
    events = [event for event in impatient.role.events() if b"visit_lost" in event]
    assert len(events) == len(SILENCE) and all(b"did not answer in time" in event for event in events)
    assert not any(any((impatient.folder(name) / place).iterdir()) for name in ("Drafts", "INBOX") for place in ("tmp", "cur"))


def select(mailbox, client):
    """Alice's Work; her end."""
    client.send(b"x SELECT Shared/alice@test.example/Work\r\n")
    owner = way(mailbox)
    heard(owner, b"x SELECT Shared/alice@test.example/Work\r\n")
    owner.sendall(b"* 1 EXISTS\r\nx OK [READ-WRITE] done\r\n")
    assert client.answer()[1].startswith(b"OK")
    return owner


def test_no_command_waits_for_who_never_answers(impatient):
    """timeouts.write, for the mailbox that is selected and for others (RFC 5530 3)."""
    begun = []
    for command in (b"SELECT %s", b"STATUS %s (MESSAGES)", b"APPEND %s {1}", b"APPEND %s {1+}\r\nx"):
        client = impatient.connect()
        client.send(b"x " + command.replace(b"%s", WORK) + b"\r\n")
        begun.append((client, way(impatient), b"x NO [UNAVAILABLE]"))
    for command in (b"FETCH 1 BODY[]", b"NOOP", b"COPY 1 Drafts", b"NOTIFY SET (selected (MessageNew MessageExpunge))"):
        client = impatient.connect()
        owner = select(impatient, client)
        client.send(b"x " + command + b"\r\n")
        heard(owner, b"\r\n")
        if command.startswith(b"COPY"):  # to the client's own account, by a way to itself
            record_of(impatient, MASTER_VISITS)
        begun.append((client, owner, b"* BYE "))
    for client, owner, answer in begun:
        assert client.read_line().startswith(answer)
        assert answer.startswith(b"*") or client.ok("NOOP") == []
        owner.close()
        client.close()
    with impatient.connect() as client:
        assert client.ok("NOOP") == []


def test_silence_that_is_no_answer_is_waited_out(impatient):
    """Between commands, in IDLE (RFC 2177) and while the client listens (RFC 5465) nobody has to say anything."""
    with impatient.connect() as client:
        owner = select(impatient, client)

        def be_silent():
            with pytest.raises(TimeoutError):
                client.read_some(0.4)

        be_silent()
        client.send(b"i IDLE\r\n")
        heard(owner, b"i IDLE\r\n")
        owner.sendall(b"+ idling\r\n")
        assert client.read_line() == b"+ idling"
        be_silent()
        owner.sendall(b"* 2 EXISTS\r\n")
        assert client.read_line() == b"* 2 EXISTS"
        client.send(b"DONE\r\n")
        heard(owner, b"DONE\r\n")
        owner.sendall(b"i OK done\r\n")
        assert client.answer(b"i")[1] == b"OK done"
        client.send(b"x NOTIFY SET (selected (MessageNew MessageExpunge))\r\n")
        heard(owner, b"\r\n")
        owner.sendall(b"c OK done\r\n")
        assert client.answer()[1].startswith(b"OK")
        be_silent()
        owner.sendall(b"* 3 EXISTS\r\n")
        assert client.read_line() == b"* 3 EXISTS"
        client.send(b"x IDLE\r\n")
        heard(owner, b"IDLE\r\n")
        owner.sendall(b"+ idling\r\n")
        assert client.read_line() == b"+ idling"
        client.send(b"DONE\r\n")
        assert client.read_line().startswith(b"* BYE ")
        owner.close()


def test_who_answers_slowly_is_waited_for(impatient):
    """It is the silence that counts, not the time of all."""
    with impatient.connect() as client:
        client.send(f"x APPEND Sent {PIECE}\r\n".encode())
        owner = way(impatient)
        heard(owner, OPENED[0])
        owner.sendall(OPENED[1])
        heard(owner, WANTED)
        for octets in (b"* 1 FETCH (BODY[] {4}\r\n", b"a", b"b", b"c", b"d)\r\n", b"c OK done\r\n"):
            with pytest.raises(TimeoutError):
                owner.settimeout(0.1)
                owner.recv(1)
            owner.sendall(octets)
        assert client.answer()[1].startswith(b"OK [APPENDUID")
        owner.close()


BODY_BEGINS, PIECE_OF_BODY = b"* 1 FETCH (BODY[] {9000000}\r\n", b"z" * 16384


def begin_body(mailbox, most):
    """A body that Alice's process begins to say to a client who reads nothing: of so many pieces at most those that are taken at once."""
    client = mailbox.connect()
    owner = select(mailbox, client)
    client.send(b"x FETCH 1 BODY[]\r\n")
    heard(owner, b"x FETCH 1 BODY[]\r\n")
    owner.sendall(BODY_BEGINS)
    taken = 0
    while taken < most:
        owner.sendall(PIECE_OF_BODY)
        deadline = time.monotonic() + 0.1
        while fcntl.ioctl(owner, termios.TIOCOUTQ, b"1234") != bytes(4):
            if time.monotonic() > deadline:
                return client, owner, taken
            time.sleep(0.001)
        taken += 1
    return client, owner, taken


def test_the_time_of_a_slow_client_is_not_the_owners(tmp_path):
    """timeouts.write: while he takes nothing she is not heard, and has all of it from then on."""
    mailbox = mailbox_role.Mailbox(tmp_path, "imap { shared-mailboxes = Shared }\ntimeouts { write = 1s }")
    client, owner, fits = begin_body(mailbox, 100)
    client.close()
    owner.close()
    client, owner, taken = begin_body(mailbox, fits - 2)  # all is with the process, which holds back some
    said_at = time.monotonic()
    assert taken == fits - 2
    time.sleep(0.7)
    left = len(BODY_BEGINS) + taken * len(PIECE_OF_BODY)
    while left > 0:
        left -= len(client.read_some())
    time.sleep(said_at + 1.3 - time.monotonic())
    owner.sendall(b"more")
    assert client.read_some() == b"more"
    owner.close()
    client.close()
    mailbox.stop()


def listening(visitor, client):
    """The client's NOTIFY about Alice's Work, up to her process's answer."""
    client.send(b"x NOTIFY SET (mailboxes " + WORK + b" (MessageNew MessageExpunge MailboxName SubscriptionChange))\r\n")
    owner = way(visitor)
    assert heard(owner, b"\r\n").endswith(b"c NOTIFY SET (mailboxes (" + WORK + b") (MessageNew MessageExpunge MailboxName))\r\n")
    return owner


def test_news_are_of_the_mailboxes_of_who_tells_them(visitor):
    """RFC 5465 5: of all that another account's process says nothing else reaches the client, and it ends no more than NOTIFY."""
    with visitor.connect() as client:
        owner = listening(visitor, client)
        owner.sendall(b"* 5 EXISTS\r\n* BYE x\r\nc OK done\r\n")
        assert client.answer() == ([], b"OK Listen")
        owner.sendall(b"* 5 EXISTS\r\n* 1 EXPUNGE\r\n* 1 FETCH (BODY[] {3}\r\nabc)\r\n* BYE x\r\n* OK [ALERT] x\r\n+ x\r\n* STATUS INBOX (MESSAGES 7)\r\n"
                      b"* STATUS Shared/bob@test.example/Work (MESSAGES 7)\r\n* STATUS Shared (MESSAGES 7)\r\n* LIST () \"/\" Sent\r\n* METADATA \"\" /shared/x\r\n"
                      b"* STATUS " + WORK + b" (MESSAGES 7) \r\n* STATUS " + WORK + b" (MESSAGES 8)\r\n")
        assert client.read_line() == b"* STATUS " + WORK + b" (MESSAGES 8)"
        owner.sendall(b"* STATUS " + WORK + b" (MESS")  # half a line is nobody's yet
        assert client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
        owner.sendall(b"AGES 9)\r\n")
        assert client.read_line() == b"* STATUS " + WORK + b" (MESSAGES 9)"
        # It cannot be read faster than the client reads.
        lines = b"* STATUS " + WORK + b" (MESSAGES 1)\r\n"
        owner.sendall(lines * 3000)
        for _ in range(3000):
            assert client.read_line() == lines.strip()
        owner.close()
        assert client.read_line().startswith(b"* OK [NOTIFICATIONOVERFLOW] ")
        assert client.ok("NOOP") == []


@pytest.mark.parametrize("lie", [b"c OK again\r\n", b"x OK done\r\n", b"\r\n", b"* " + b"x" * 1100000 + b"\r\n",
                                 b"* OK [NOTIFICATIONOVERFLOW] x\r\n"],
                         ids=["a second answer", "another's answer", "no line", "a line without end", "nothing more"])
def test_who_tells_no_more_is_not_listened_to(visitor, lie):
    """RFC 5465 5.8: the client knows that it misses something."""
    with visitor.connect() as client:
        owner = listening(visitor, client)
        owner.sendall(b"c OK done\r\n")
        client.answer()
        with contextlib.suppress(OSError):
            owner.sendall(lie)
        assert client.read_line().startswith(b"* OK [NOTIFICATIONOVERFLOW] ")
        owner.close()


@pytest.mark.parametrize("answer, code", [(b"c NO [NOTIFICATIONOVERFLOW] x\r\n", b"NO [NOTIFICATIONOVERFLOW]"), (b"", b"NO [UNAVAILABLE]"),
                                          (b"y OK x\r\n", b"NO [UNAVAILABLE]")], ids=["refused", "closed", "another's answer"])
def test_who_cannot_be_listened_to(visitor, answer, code):
    """What held before holds on."""
    with visitor.connect() as client, visitor.connect() as second:
        client.ok("NOTIFY SET (mailboxes Trash (MessageNew MessageExpunge))")
        owner = listening(visitor, client)
        owner.sendall(answer)
        owner.close()
        assert client.answer()[1].startswith(code)
        second.append(MESSAGE, "Trash")
        assert client.read_line().startswith(b"* STATUS Trash (")


@pytest.mark.parametrize("kind, outcome, code", [(ROLE_NO_VISIT, UNKNOWN, b"NO [NONEXISTENT]"), (ROLE_NO_VISIT, 2, b"NO [UNAVAILABLE]"), (27, 0, b"NO [UNAVAILABLE]")])
def test_a_mailbox_that_cannot_be_selected_with_notify(visitor, kind, outcome, code):
    with visitor.connect() as client:
        client.ok("NOTIFY SET (selected (MessageNew MessageExpunge))")
        client.send(b"x SELECT " + WORK + b"\r\n")
        way(visitor, kind, outcome).close()
        assert client.answer()[1].startswith(code)
        assert client.command("FETCH 1 UID")[1].startswith(b"BAD")
        client.ok("SELECT INBOX")


def test_who_shares_nothing_is_passed_over(visitor):
    """RFC 5465 6: mailboxes that are not there."""
    with visitor.connect() as client:
        client.send(b"x NOTIFY SET (mailboxes " + WORK + b" (MessageNew MessageExpunge))\r\n")
        way(visitor, ROLE_NO_VISIT, UNKNOWN).close()
        assert client.answer() == ([], b"OK Listen")


@pytest.mark.parametrize("lie", [
    b"* SEARCH 1\r\n", b"* BYE x\r\n", b'* ESEARCH (TAG "x") UID ALL 1\r\n', b'* ESEARCH (TAG "y" MAILBOX ' + WORK + b' UIDVALIDITY 1) UID ALL 1\r\n',
    b'* ESEARCH (TAG "x" MAILBOX INBOX UIDVALIDITY 1) UID ALL 1\r\n', b'* ESEARCH (TAG "x" MAILBOX ' + WORK + b' UIDVALIDITY 1) UID ALL 1 x\r\n',
    b'* ESEARCH (TAG "x" MAILBOX ' + WORK + b' UIDVALIDITY 1) UID ALL "1"\r\n', b'* ESEARCH (TAG "x" MAILBOX Shared/bob@test.example/Work UIDVALIDITY 1) UID ALL 1\r\n',
])
def test_what_is_found_is_of_who_was_asked(visitor, lie):
    """RFC 7377 2.1"""
    with visitor.connect() as client:
        client.append(MESSAGE, "Junk")
        client.send(b"x ESEARCH IN (mailboxes (Junk " + WORK + b")) ALL\r\n")
        owner = way(visitor)
        heard(owner, b"x ESEARCH IN (mailboxes (" + WORK + b")) ALL\r\n")
        true = b'* ESEARCH (TAG "x" MAILBOX ' + WORK + b" UIDVALIDITY 7) UID COUNT 3 ALL 1:3,7 PARTIAL (1:9 NIL) MODSEQ 18446744073709551615"
        owner.sendall(lie + true + b"\r\nx OK done\r\n")
        lines, tagged = client.answer()
        assert tagged == b"OK Searched" and lines[1:] == [true] and b"MAILBOX Junk" in lines[0]
        owner.close()


@pytest.mark.parametrize("answer", [b"x NO [LIMIT] y\r\n", b"", b"c OK done\r\n"], ids=["refused", "nothing", "another's answer"])
def test_what_cannot_be_searched_is_not_called_empty(visitor, answer):
    with visitor.connect() as client:
        client.send(b"x ESEARCH IN (mailboxes " + WORK + b") ALL\r\n")
        owner = way(visitor)
        heard(owner, b" ALL\r\n")
        owner.sendall(answer)
        owner.close()
        assert client.answer() == ([], b"NO [UNAVAILABLE] Not all of others' mailboxes can be searched")


def select_with_news(visitor, client):
    """The owner's end of a selected mailbox whose news are told at once."""
    client.ok("NOTIFY SET (selected (MessageNew MessageExpunge))")
    client.send(b"a SELECT " + WORK + b"\r\n")
    owner = way(visitor)
    heard(owner, b"c NOTIFY SET (selected (MessageNew MessageExpunge))\r\n")
    owner.sendall(b"c OK done\r\n")
    heard(owner, b"a SELECT " + WORK + b"\r\n")
    owner.sendall(b"a OK [READ-WRITE] done\r\n")
    assert client.answer(b"a")[1].startswith(b"OK")
    return owner


def test_news_of_the_selected_mailbox_come_whole(visitor):
    """RFC 5465 6.1: between the client's commands; one that comes in the middle of it is not answered within it."""
    with visitor.connect() as client:
        owner = select_with_news(visitor, client)
        owner.sendall(b"* 1 EXISTS\r\n* 2 EXISTS\r\n* 2 FETCH (BODY[] {8}\r\nab")
        assert client.read_line() == b"* 1 EXISTS" and client.read_line() == b"* 2 EXISTS"
        assert client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
        client.send(b"x NOOP\r\n")
        heard(owner, b"x NOOP\r\n")
        owner.sendall(b"c OK\r\n)\r\n* 3 EXISTS\r\nx OK done\r\n* 4 EXISTS\r\n")
        assert client.answer() == ([b"* 2 FETCH (BODY[] {8}\r\nabc OK\r\n)", b"* 3 EXISTS"], b"OK done")
        assert client.read_line() == b"* 4 EXISTS"
        owner.sendall(b"* 5 EXISTS\r\n" * 20000)
        for _ in range(20000):
            assert client.read_line() == b"* 5 EXISTS"
        assert client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
        owner.sendall(b"c OK nothing was asked\r\n")
        assert client.read_line().startswith(b"* BYE ")
        owner.close()


def test_a_selected_mailbox_that_is_lost_under_the_next_command(visitor):
    """Its news were too many to be heard while LIST waited; behind them is what ends the session, not the process."""
    with visitor.connect() as client, visitor.connect() as other:
        owner = select_with_news(visitor, client)
        client.send(b'b LIST "" Drafts\r\nc NOOP\r\n')
        owner.sendall(b"* 5 EXISTS\r\n" * 6000 + b"c OK nothing was asked\r\n")
        assert [other.ok("NOOP") for _ in range(20)] == [[]] * 20  # by then they were read
        share_names(visitor)
        assert client.answer(b"b")[1] == b"OK Listed"
        while (line := client.read_line()) == b"* 5 EXISTS":
            pass
        assert line.startswith(b"* BYE ")
        assert other.ok("NOOP") == []
        owner.close()
