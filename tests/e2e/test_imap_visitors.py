"""What a visitor can do in another account's mailbox beside reading and writing its messages (RFC 4314 4), each
extension by its RFC. A whole house, as in test_imap_shared.py: the owner's process alone decides."""

import struct

import pytest

import mailbox_role
from house import BUILD, House
from test_imap_shared import MESSAGE, Client, Pair, eventually, heard, record_of, refused, way

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(),
                                reason="imapd-mailbox is not built")


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    made = House(settings={"imap": {"shared-mailboxes": "Shared"}, "timeouts": {"linger": "300ms"},
                           "limits": {"annotations": "10", "annotation": "32K", "account-annotations": "64K"}}, services=("imap",))
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
    value = "{20000+}\r\n" + "x" * 20000
    pair.other.ok(f"SETMETADATA {pair.name} (/private/1 {value})")
    refused(pair.other, f"SETMETADATA {pair.name} (/private/2 {value})", b"METADATA TOOMANY")
    pair.owner.ok(f"SETMETADATA Work (/private/comment {value})")
    refused(pair.other, f"SETMETADATA {pair.name} (/private/2 {{40000+}}\r\n{'x' * 40000})", b"METADATA MAXSIZE 32768")


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
    refused(pair.other, f"SETQUOTA {top} (STORAGE 1)", b"NOPERM")
    pair.close()


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


# ---- who lies: imapd-mailbox alone, and this process plays the master and the other account's process

MASTER_SHARED, ROLE_SHARED = 118, 29
ALICE = b"alice@test.example"


@pytest.fixture
def visitor(tmp_path):
    made = mailbox_role.Mailbox(tmp_path, "imap { shared-mailboxes = Shared }")
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


def test_list_does_not_wait_for_who_says_nothing(visitor):
    """Five seconds for all of a LIST; the owner's other mailboxes are not asked any more."""
    with visitor.connect() as client:
        client.send(b'x LIST "" Shared/*/% RETURN (STATUS (MESSAGES) METADATA (/shared/x))\r\n')
        share_names(visitor, b"Work", b"Work/A")
        owner = way(visitor)
        lines, tagged = client.answer()
        assert tagged == b"OK Listed" and len(lines) == 2
        heard(owner, b"c GETMETADATA Shared/alice@test.example/Work (/shared/x)\r\n")
        assert owner.recv(100) == b""
        owner.close()
