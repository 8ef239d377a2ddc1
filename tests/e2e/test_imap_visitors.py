"""What a visitor can do in another account's mailbox beside reading and writing its messages (RFC 4314 4), each
extension by its RFC. A whole house, as in test_imap_shared.py: the owner's process alone decides."""

import re

import pytest

from house import BUILD, House
from test_imap_shared import MESSAGE, Client, Pair, eventually, refused

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
