"""SEARCH with what the index rules out (imapd/search/search_grams.h, and blocks of fields): the same messages are
found with it as without it (RFC 9051 6.4.4, substring matching). imapd-mailbox alone."""

import random
import re
import shutil

import pytest
from house import CORPUS, ROOT
from mailbox_role import MESSAGE, Mailbox, needs_mailbox

pytestmark = needs_mailbox

FILES = sorted(CORPUS.glob("*.eml"))[:60] + sorted((ROOT / "tests" / "data").rglob("*.eml"))[:60]
UTF8 = ("Subject: =?utf-8?q?Stra=C3=9Fe?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "R3LDvMOfZSBhdXMgTcO8bmNoZW4=\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nwithin\r\n"
        "--b--\r\n").encode()


def messages():
    octets = [re.sub(rb"\r?\n", b"\r\n", file.read_bytes()) for file in FILES]
    made = [b"Subject: made %d\r\n\r\n%s\r\n" % (number, b" ".join(b"w%d" % (number * other % 97)
            for other in range(number))) for number in range(30)]
    return [*octets, *made, UTF8, MESSAGE, b"no header\r\n", b"Subject: no body\r\n\r\n"]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same messages: with an index, and where none can be made."""
    mailboxes = [Mailbox(tmp_path_factory.mktemp(name)) for name in ("with", "without")]
    for mailbox in mailboxes:
        with mailbox.connect() as client:
            client.ok("NOOP")
        for octets in messages():
            mailbox.store(octets)
    (mailboxes[1].maildir / "staffetta-index").write_text("a file")
    yield mailboxes
    for mailbox in mailboxes:
        mailbox.kill()


def search(client, keys):
    """With a literal: any octets may be looked for."""
    client.send(b"x UID SEARCH CHARSET UTF-8 " + keys + b"\r\n")
    lines, tagged = client.answer()
    assert tagged.startswith(b"OK"), (keys, tagged)
    return [line for line in lines if line.startswith(b"* SEARCH")]


def literal(octets):
    return b"{%d+}\r\n%s" % (len(octets), octets)


def draw_strings(count):
    """Parts of the messages, in any case, and strings that are nowhere."""
    chance = random.Random(7)
    texts = [octets for octets in messages() if len(octets) > 40]
    strings = ["münchen".encode(), "STRASSE".encode(), "grüsse aus".encode(), b"within", b"inside", b"zqx", b"w1 w2"]
    while len(strings) < count:
        octets = chance.choice(texts)
        begin = chance.randrange(len(octets))
        part = octets[begin : begin + chance.randrange(1, 14)].split(b"\r\n")[0]
        if part and all(0x20 <= octet < 0x7F for octet in part):
            strings.append(chance.choice([part, part.upper(), part.lower(), part + b"\x7f"]))
    return strings


def test_finds_the_same_as_without(both):
    keys = []
    for number, string in enumerate(draw_strings(60)):
        text = literal(string)
        keys += [b"BODY " + text, b"TEXT " + text, b"OR SUBJECT %s FROM %s" % (text, text)]
        if number % 4 == 0:
            keys += [b"NOT BODY " + text, b"OR BODY %s SUBJECT %s" % (text, text), b"FROM %s TEXT %s" % (text, text),
                     b"NOT SUBJECT " + text, b"SUBJECT %s TO %s" % (text, text), b"OR BODY %s TO %s" % (text, text)]
    with both[0].connect() as indexed, both[1].connect() as plain:
        for client in (indexed, plain):
            client.ok("SELECT INBOX")
        expected = [search(plain, key) for key in keys]
        assert len({line for lines in expected for line in lines}) > 20  # they tell messages apart
        for _ in range(2):  # building the index, then by the index
            assert [search(indexed, key) for key in keys] == expected
    both[0].restart()
    with both[0].connect() as indexed:
        indexed.ok("SELECT INBOX")
        assert [search(indexed, key) for key in keys[:60]] == expected[:60]


@pytest.fixture
def mailbox(tmp_path):
    made = Mailbox(tmp_path)
    with made.connect() as client:
        client.ok("NOOP")
    for number in range(200):
        made.store(b"Subject: %d\r\n\r\nthe number is n%dn\r\n" % (number, number))
    yield made
    made.kill()


def test_messages_are_not_read_again(mailbox):
    """Other octets under the same names: what was ruled out stays so; what may have it is read."""
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert search(client, b"BODY nowhere") == [b"* SEARCH"]
        for path in (mailbox.maildir / "cur").iterdir():
            path.write_bytes(path.read_bytes().replace(b"number", b"elephant"[:6]))
        assert search(client, b"BODY elepha") == [b"* SEARCH"]
        assert search(client, b"BODY n7n") == [b"* SEARCH 8"]
        mailbox.store(b"Subject: new\r\n\r\nan elephant\r\n")  # nothing is known of it
        mailbox.changed()
        client.ok("NOOP")
        mailbox.eventually(lambda: search(client, b"BODY elepha") == [b"* SEARCH 201"])


@pytest.mark.parametrize("restarted", [False, True])
def test_blocks_are_ruled_out(mailbox, restarted):
    """What no message of a block has, none is looked at for; unless something else lets it match."""
    hole = b"Subject: hole %s\r\nFrom: a@a.example\r\n\r\n\r\n" % (b"x" * 70000)  # longer than the index keeps
    for number in range(200, 400):
        mailbox.store(hole if number == 250 else b"Subject: %d\r\nFrom: a@a.example\r\n\r\n\r\n" % number)
    everybody = b"* SEARCH " + b" ".join(b"%d" % number for number in range(1, 401))
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert search(client, b"OR SUBJECT nowhere FROM nowhere") == [b"* SEARCH"]
        client.ok(r"STORE 5,300 FLAGS.SILENT (\Flagged)")
    if restarted:
        mailbox.restart()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        for keys, found in [
                (b"SUBJECT nowhere", b""), (b"SUBJECT 70", b" 71 171 271 371"), (b"SUBJECT hole", b" 251"),
                (b"OR SUBJECT nowhere FLAGGED", b" 5 300"), (b"OR SUBJECT nowhere OR SUBJECT 177 FLAGGED", b" 5 178 300"),
                (b"SUBJECT 177 FROM nowhere", b""), (b"SUBJECT 277 FROM a.example", b" 278"),
                (b"OR SUBJECT nowhere FROM nowhere", b""), (b"OR SUBJECT 99 FROM nowhere", b" 100 200 300 400"),
                (b"NOT SUBJECT hole FLAGGED", b" 5 300"), (b"NOT (SUBJECT nowhere FLAGGED) UID 7", b" 7"),
                (b"FLAGGED SUBJECT 299", b" 300")]:
            assert search(client, keys) == [b"* SEARCH" + found], keys
        assert search(client, b"NOT SUBJECT nowhere") == [everybody]
        assert client.ok("SEARCH RETURN (MAX) SUBJECT 70") == [b'* ESEARCH (TAG "x") MAX 371']
        client.ok(r"STORE 171 FLAGS.SILENT (\Deleted)")
        client.ok("EXPUNGE")
        mailbox.store(b"Subject: 5870\r\n\r\n\r\n")
        mailbox.changed()
        client.ok("NOOP")
        mailbox.eventually(lambda: search(client, b"SUBJECT 70") == [b"* SEARCH 71 271 371 401"])


def test_killed_while_the_index_is_made(mailbox):
    for _ in range(3):
        with mailbox.connect() as client:
            client.ok("SELECT INBOX")
            client.send(b"x SEARCH BODY nowhere\r\nx SEARCH TEXT nowhere\r\n")
            mailbox.kill()
        mailbox.start()
        with mailbox.connect() as client:
            client.ok("SELECT INBOX")
            assert search(client, b"BODY n70n") == [b"* SEARCH 71"]
            assert search(client, b"TEXT n170n") == [b"* SEARCH 171"]


def test_index_deleted(mailbox):
    index = mailbox.maildir / "staffetta-index"
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        for _ in range(3):
            assert search(client, b"BODY n70n") == [b"* SEARCH 71"]
            shutil.rmtree(index, ignore_errors=True)  # under the process that has it open
    mailbox.restart()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert search(client, b"BODY n71n") == [b"* SEARCH 72"]
