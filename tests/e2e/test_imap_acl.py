"""ACL (RFC 4314) and LIST-MYRIGHTS (RFC 8440): an account is its owner's alone. imapd-mailbox alone."""

import pytest

from mailbox_role import Mailbox, needs_mailbox

pytestmark = needs_mailbox


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    mailbox = Mailbox(tmp_path_factory.mktemp("mailbox"))
    with mailbox.connect() as connected:
        yield connected
    mailbox.stop()


def test_capabilities(client):
    """5.1.1: RIGHTS= has t, e, x and k, and none that RFC 2086 defined."""
    words = client.ok("CAPABILITY")[0].split()
    assert b"ACL" in words and b"RIGHTS=kxte" in words and b"LIST-MYRIGHTS" in words


def test_the_owner_has_all_rights(client):
    """3.3 to 3.5; 2.1.1: with the virtual c and d."""
    client.talk(r"""
        C: a MYRIGHTS inbox
        S: * MYRIGHTS INBOX lrswipkxtecda
        S: a OK *
        C: b GETACL Sent
        S: * ACL Sent u@test.example lrswipkxtecda
        S: b OK *
        C: c LISTRIGHTS Sent U@test.example
        S: * LISTRIGHTS Sent U@test.example lrswipkxtecda
        S: c OK *
        C: d LISTRIGHTS Sent bob
        S: * LISTRIGHTS Sent bob ""
        S: d OK *""")


@pytest.mark.parametrize("arguments, answer", [
    ("u@test.example lrswipkxtea", b"OK"),
    ("u@test.example lrswipcda", b"OK"),  # 2.1.1: c is k and x, d is e and t
    ("u@test.example +l", b"OK"),
    ("u@test.example -l", b"NO [CANNOT]"),
    ("u@test.example lr", b"NO [CANNOT]"),
    ('u@test.example ""', b"NO [CANNOT]"),
    ("bob lr", b"NO [CANNOT]"),
    ("bob +l", b"NO [CANNOT]"),
    ("anyone lr", b"NO [CANNOT]"),
    ("-u@test.example l", b"NO [CANNOT]"),  # 2: negative rights need not be supported
    ("bob -l", b"OK"),
    ('bob ""', b"OK"),
    ("bob lrQ", b"BAD"),  # 3.1: "an unrecognized right MUST cause the command to return BAD"
    ("bob lrq", b"BAD"),
    ('"" lr', b"BAD"),  # 3: an empty identifier
    ("bob", b"BAD"),
    ("bob lr x", b"BAD"),
])
def test_setacl(client, arguments, answer):
    """3.1: what changes nothing can be done, and nothing else."""
    lines, tagged = client.command("SETACL Sent " + arguments)
    assert tagged.startswith(answer + b" ") and not lines
    assert client.ok("GETACL Sent") == [b"* ACL Sent u@test.example lrswipkxtecda"]


def test_deleteacl(client):
    """3.2"""
    client.talk("""
        C: a DELETEACL Sent u@test.example
        S: a NO [CANNOT] *
        C: b DELETEACL Sent bob
        S: b OK *
        C: c DELETEACL Sent
        S: c BAD *""")


@pytest.mark.parametrize("command", ["MYRIGHTS {}", "GETACL {}", "LISTRIGHTS {} bob",
                                     "SETACL {} bob l", "DELETEACL {} bob"])
def test_no_such_mailbox(client, command):
    for name in ("nothing", "a//b"):
        lines, tagged = client.command(command.format(name))
        assert tagged.startswith(b"NO [NONEXISTENT] ") and not lines
    assert client.command(command.format("").rstrip())[1].startswith(b"BAD ")


def test_list_with_rights(client):
    """RFC 8440 3, 4: not of a name that is no mailbox."""
    client.ok("CREATE top/below")
    client.ok("DELETE top")
    client.talk(r"""
        C: a LIST "" (top top/*) RETURN (MYRIGHTS)
        S: * LIST (\\NonExistent) "/" top
        S: * LIST () "/" top/below
        S: * MYRIGHTS top/below lrswipkxtecda
        S: a OK *
        C: b LIST "" % RETURN (MYRIGHTS x)
        S: b BAD *""")
