"""METADATA (RFC 5464) and LIST-METADATA (RFC 9590). imapd-mailbox alone."""

import pytest

from mailbox_role import Mailbox, client_of_shared, needs_mailbox

pytestmark = needs_mailbox
SMALL = "limits { annotation = 1K annotations = 10 account-annotations = 64K }"

client = client_of_shared()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Mailbox(tmp_path_factory.mktemp("mailbox"), config=SMALL)
    yield made
    made.stop()


@pytest.fixture
def box(client):
    """A mailbox of its own for each test."""
    box.number = getattr(box, "number", 0) + 1
    name = f"box{box.number}"
    client.ok(f"CREATE {name}")
    return name


def test_capabilities(client):
    """1: METADATA says that there are annotations of mailboxes and of the server."""
    words = client.ok("CAPABILITY")[0].split()
    assert b"METADATA" in words and b"LIST-METADATA" in words


def test_values_are_set_told_and_removed(client, box):
    """4.2, 4.3: quoted, as a literal, several at once; NIL removes; names are the same in any case
    (3.2)."""
    client.talk(r"""
        C: a SETMETADATA {box} (/private/comment {11+}\r\ntwo\r\nlines\n /Shared/Comment "x \\"y\\"")\r\n
        S: a OK *
        C: b GETMETADATA {box} (/shared/comment /private/COMMENT)
        S: * METADATA {box} (/private/comment {11}
        S: two
        S: lines\n /shared/comment "x \\"y\\"")
        S: b OK *
        C: c GETMETADATA {box} /shared/comment
        S: * METADATA {box} (/shared/comment "x \\"y\\"")
        S: c OK *
        C: d SETMETADATA {box} (/private/comment NIL /shared/comment "")
        S: d OK *
        C: e GETMETADATA {box} (/private/comment /shared/comment)
        S: * METADATA {box} (/shared/comment "" /private/comment NIL)
        S: e OK *""", box=box)


def test_binary_values(client, box):
    """5: value = nstring / literal8."""
    client.talk(r"""
        C: a SETMETADATA {box} (/private/comment ~{3+}\r\na\0b)\r\n
        S: a OK *
        C: b GETMETADATA {box} /private/comment
        S: * METADATA {box} (/private/comment ~{3}
        S: a\0b)
        S: b OK *""", box=box)


def test_depth_and_size(client, box):
    """4.2.1, 4.2.2: options behind the mailbox as in the examples, before it as in the grammar; of all entries, as
    SnappyMail asks."""
    entries = " ".join(f'/private/vendor/v/{name} "{value}"'
                       for name, value in (("a", "1"), ("a/b", "22"), ("a/b/c", "333"), ("ab", "x")))
    client.ok(f"SETMETADATA {box} ({entries})")
    client.talk(r"""
        C: a GETMETADATA {box} (DEPTH 0) (/private/vendor/v/a)
        S: * METADATA {box} (/private/vendor/v/a "1")
        S: a OK *
        C: b GETMETADATA {box} (DEPTH 1) /private/vendor/v/a
        S: * METADATA {box} (/private/vendor/v/a "1" /private/vendor/v/a/b "22")
        S: b OK *
        C: c GETMETADATA (DEPTH infinity MAXSIZE 2) {box} (/private/vendor/v)
        S: * METADATA {box} (/private/vendor/v/a "1" /private/vendor/v/a/b "22" /private/vendor/v/ab "x")
        S: c OK [METADATA LONGENTRIES 3] *
        C: d GETMETADATA (MAXSIZE 0) {box} /private/vendor/v/a/b
        S: d OK [METADATA LONGENTRIES 2] *
        C: e GETMETADATA (DEPTH infinity) {box} ("/shared" "/private")
        S: * METADATA {box} (/private/vendor/v/a "1" * /private/vendor/v/ab "x")
        S: e OK *
        C: e GETMETADATA {box} (DEPTH 1) /private
        S: e OK *
        C: e GETMETADATA {box} (DEPTH 0) /private
        S: e BAD *
        C: e SETMETADATA {box} (/private "x")
        S: e BAD *
        C: f GETMETADATA {box} (DEPTH 1) /shared/vendor
        S: f OK *""", box=box)


def test_limits(client, box):
    """4.3: MAXSIZE and TOOMANY; what cannot be set as a whole changes nothing."""
    fits, too_long = "x" * 1024, "x" * 1025
    client.ok(f'SETMETADATA {box} (/private/vendor/v/0 "{fits}")')
    lines, tagged = client.command(
        f'SETMETADATA {box} (/private/vendor/v/1 "1" /private/vendor/v/2 "{too_long}")')
    assert tagged.startswith(b"NO [METADATA MAXSIZE 1024] ")
    for i in range(1, 10):
        client.ok(f'SETMETADATA {box} (/private/vendor/v/{i} "{i}")')
    lines, tagged = client.command(f'SETMETADATA {box} (/private/vendor/v/1 "new" /shared/comment "x")')
    assert tagged.startswith(b"NO [METADATA TOOMANY] ")
    client.ok(f'SETMETADATA {box} (/private/vendor/v/2 NIL /shared/comment "x")')
    client.talk("""
        C: a GETMETADATA {box} (/private/vendor/v/1 /private/vendor/v/2)
        S: * METADATA {box} (/private/vendor/v/1 "1" /private/vendor/v/2 NIL)
        S: a OK *""", box=box)


def test_limit_of_the_account(tmp_path):
    mailbox = Mailbox(tmp_path, config=SMALL)
    kilobyte = "x" * 1024
    with mailbox.connect() as client:
        for i in range(6):
            client.ok(f"CREATE b{i}")
            for j in range(10):
                client.ok(f'SETMETADATA b{i} (/private/vendor/v/{j} "{kilobyte}")')
        client.ok("CREATE c")
        for j in range(10):
            lines, tagged = client.command(f'SETMETADATA c (/private/vendor/v/{j} "{kilobyte}")')
        assert tagged.startswith(b"NO [METADATA TOOMANY] ")
        client.ok('SETMETADATA c (/private/vendor/v/0 "less")')
        # What was deleted and is kept counts; what is removed for good does not.
        client.append(b"x", "b0")
        client.ok("DELETE b0")
        more = f'SETMETADATA c (/private/vendor/v/8 "{kilobyte}" /private/vendor/v/9 "{kilobyte}")'
        assert client.command(more)[1].startswith(b"NO [METADATA TOOMANY] ")
        client.ok("DELETE Expunged/b0")
        client.ok(more)
    mailbox.stop()


def test_over_quota(tmp_path):
    mailbox = Mailbox(tmp_path, quota_octets=4096)
    with mailbox.connect() as client:
        client.append(b"x" * 4000)
        lines, tagged = client.command(f'SETMETADATA INBOX (/private/comment "{"x" * 200}")')
        assert tagged.startswith(b"NO [OVERQUOTA] ")
    mailbox.stop()


def test_the_server(client):
    """3.2.1.1: the account's own; what would be seen by all accounts is /shared/admin alone."""
    client.talk(r"""
        C: a SETMETADATA "" (/private/vendor/v/x "mine")
        S: a OK *
        C: b GETMETADATA "" (/private/vendor/v/x /shared/admin /shared/comment)
        S: * METADATA "" (/private/vendor/v/x "mine" /shared/admin "mailto:postmaster@test.example" /shared/comment NIL)
        S: b OK *
        C: c SETMETADATA "" (/shared/admin "mailto:me@elsewhere.example")
        S: c NO [NOPERM] *
        C: d SETMETADATA "" (/shared/comment "hello")
        S: d NO [NOPERM] *
        C: e GETMETADATA INBOX /private/vendor/v/x
        S: * METADATA INBOX (/private/vendor/v/x NIL)
        S: e OK *""")


def test_annotations_follow_their_mailbox(client, box):
    """4.1: with RENAME, also of INBOX, which keeps its own; not beyond DELETE."""
    client.ok(f'SETMETADATA {box} (/private/comment "mine")')
    client.ok('SETMETADATA INBOX (/private/comment "inbox")')
    client.talk(r"""
        C: a RENAME {box} {box}new
        S: a OK *
        C: b GETMETADATA {box}new /private/comment
        S: * METADATA {box}new (/private/comment "mine")
        S: b OK *
        C: c DELETE {box}new
        S: c OK *
        C: d CREATE {box}new
        S: d OK *
        C: e GETMETADATA {box}new /private/comment
        S: * METADATA {box}new (/private/comment NIL)
        S: e OK *
        C: f RENAME INBOX {box}old
        S: f OK *
        C: g GETMETADATA {box}old /private/comment
        S: * METADATA {box}old (/private/comment "inbox")
        S: g OK *
        C: h GETMETADATA INBOX /private/comment
        S: * METADATA INBOX (/private/comment "inbox")
        S: h OK *""", box=box)


def test_annotations_are_durable(tmp_path):
    mailbox = Mailbox(tmp_path)
    with mailbox.connect() as client:
        client.ok('SETMETADATA Sent (/shared/comment "kept")')
    mailbox.kill()
    mailbox.start()
    with mailbox.connect() as client:
        assert client.ok("GETMETADATA Sent /shared/comment") == [
            b'* METADATA Sent (/shared/comment "kept")']
        (mailbox.folder("Sent") / "staffetta-metadata").write_bytes(b"staffetta-metadata 1\n/x")
        assert client.ok("GETMETADATA Sent /shared/comment") == [
            b'* METADATA Sent (/shared/comment NIL)']
        assert (mailbox.folder("Sent") / "staffetta-metadata.broken").exists()
    mailbox.stop()


def test_list_with_metadata(client, box):
    """RFC 9590 3: beside each LIST response; nothing for a name that is no mailbox."""
    client.ok(f"CREATE {box}x/below")
    client.ok(f"DELETE {box}x")
    client.ok(f'SETMETADATA {box} (/private/comment "c" /private/comment/deep "d")')
    client.talk(r"""
        C: a LIST "" ({box} {box}x) RETURN (METADATA (/private/comment))
        S: * LIST () "/" {box}
        S: * METADATA {box} (/private/comment "c")
        S: * LIST (\\NonExistent) "/" {box}x
        S: a OK *
        C: b LIST "" {box} RETURN (METADATA (DEPTH 1 MAXSIZE 10) ("/private/comment") STATUS (MESSAGES))
        S: * LIST () "/" {box}
        S: * METADATA {box} (/private/comment "c" /private/comment/deep "d")
        S: * STATUS {box} (MESSAGES 0)
        S: b OK *
        C: c LIST "" {box} RETURN (METADATA)
        S: c BAD *
        C: d LIST "" {box} RETURN (METADATA ())
        S: d BAD *""", box=box)


@pytest.mark.parametrize("arguments", [
    "GETMETADATA", "GETMETADATA INBOX", "GETMETADATA INBOX ()", "GETMETADATA INBOX comment",
    "GETMETADATA INBOX /private", "GETMETADATA INBOX /private//x", "GETMETADATA INBOX /private/x/",
    'GETMETADATA INBOX "/private/*"', 'GETMETADATA INBOX "/private/%"', "GETMETADATA INBOX /other/x",
    'GETMETADATA INBOX "/private/a b"', "GETMETADATA INBOX (/private/a /shared/b",
    "GETMETADATA INBOX (DEPTH 2) /private/a", "GETMETADATA INBOX (MAXSIZE) /private/a",
    "GETMETADATA INBOX (SIZE 1) /private/a", "GETMETADATA INBOX /private/a x",
    "SETMETADATA INBOX", "SETMETADATA INBOX /private/a x", "SETMETADATA INBOX ()",
    "SETMETADATA INBOX (/private/a)", "SETMETADATA INBOX (/private/a b c)",
    "SETMETADATA INBOX (/private/a b", "SETMETADATA INBOX (private/a b)",
])
def test_bad_syntax(client, arguments):
    """3.2, 5"""
    lines, tagged = client.command(arguments)
    assert tagged.startswith(b"BAD ") and not lines


def test_no_such_mailbox(client):
    for command in ("GETMETADATA {} /private/comment", 'SETMETADATA {} (/private/comment "x")'):
        for name in ("nothing", "a//b"):
            lines, tagged = client.command(command.format(name))
            assert tagged.startswith(b"NO [NONEXISTENT] ") and not lines
