"""What clients need though no RFC says so that plainly, and what is kept from those that break
(docs/clients.md, docs/configuration.md: `client`). imapd-mailbox alone, one for all tests here."""

import re

import pytest

from mailbox_role import MESSAGE, Mailbox, needs_mailbox

pytestmark = needs_mailbox
MASKS = """
client "Broken*" { without = { QRESYNC, "COMPRESS=DEFLATE", MOVE, ACL } }
client "*" { version = "0.*" vendor = "*Works" without = IDLE }
client "*" { account = "U@test.example" without = NOTIFY }
client "*" { account = "other@test.example" without = NAMESPACE }
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    mailbox = Mailbox(tmp_path_factory.mktemp("quirks"), config=MASKS)
    for _ in range(3):
        mailbox.store(place="cur", flags="")
    yield mailbox
    mailbox.stop()


@pytest.fixture
def client(house):
    with house.connect() as connected:
        yield connected


def words_of(line):
    return set(re.search(rb"CAPABILITY ([^\]]*)", line)[1].split())


def capabilities(client):
    return words_of(client.ok("CAPABILITY")[0])


# ---- what is kept from clients ----

def say(client, *fields):
    client.ok("ID (" + " ".join(f'"{word}"' for word in fields) + ")")


def test_mask_of_a_client(house, client):
    """RFC 2971: once it has said who it is, the capability is neither told nor accepted (RFC 9051
    6.1.1: CAPABILITY is what the client may use); others keep it."""
    assert {b"MOVE", b"QRESYNC", b"ACL", b"RIGHTS=kxte", b"COMPRESS=DEFLATE"} <= capabilities(client)
    say(client, "vendor", "x", "name", "broken Mail 7")
    left = capabilities(client)
    assert not left & {b"MOVE", b"QRESYNC", b"ACL", b"RIGHTS=kxte", b"COMPRESS=DEFLATE"}
    assert {b"IMAP4rev1", b"CONDSTORE", b"IDLE"} <= left
    client.ok("SELECT INBOX")
    for command in ("MOVE 1 Trash", "UID MOVE 1 Trash", "COMPRESS DEFLATE", "MYRIGHTS INBOX"):
        assert client.command(command)[1] == b"BAD There is no such command"
    assert client.ok("ENABLE QRESYNC CONDSTORE")[0] == b"* ENABLED CONDSTORE"
    with house.connect() as other:
        assert b"MOVE" in capabilities(other)
        assert other.ok("ENABLE QRESYNC") == [b"* ENABLED QRESYNC"]


def test_mask_follows_the_last_word(client):
    say(client, "name", "Broken")
    assert b"MOVE" not in capabilities(client)
    client.ok("ID NIL")
    assert b"MOVE" in capabilities(client)


@pytest.mark.parametrize("fields, told", [
    (("version", "0.9", "vendor", "Dark Works"), False), (("vendor", "works", "version", "0."), False),
    (("version", "10.9", "vendor", "Works"), True), (("version", "0.9", "vendor", "Works Ltd"), True),
    (("version", "0.9"), True)])
def test_mask_by_version_and_vendor(client, fields, told):
    say(client, *fields)
    assert (b"IDLE" in capabilities(client)) == told


def test_mask_of_an_account(client):
    assert b"NOTIFY" not in words_of(client.greeting) | capabilities(client)
    assert b"NAMESPACE" in capabilities(client)
    assert client.command("NOTIFY NONE")[1].startswith(b"BAD")


@pytest.mark.parametrize("said, left_out", [
    ((b"broken", b"1", b""), {b"MOVE", b"QRESYNC", b"ACL"}), ((b"", b"0.1", b"works"), {b"IDLE"}),
    ((b"fine", b"1", b"x"), set()), ((b"",), set())])
def test_mask_of_what_was_said_before_the_login(house, said, left_out):
    """The login's OK has it already."""
    with house.connect(said=said) as client:
        told = words_of(client.greeting)
        assert told == capabilities(client)
        assert {b"MOVE", b"QRESYNC", b"ACL", b"IDLE"} - told == left_out


# ---- what clients need ----

def test_capability_in_the_answer_to_the_login(client):
    """RFC 3501 7.1: or a client has to ask, and some do not."""
    assert client.greeting.startswith(b"login OK [CAPABILITY IMAP4rev1 ")
    assert words_of(client.greeting) == capabilities(client)


@pytest.mark.parametrize("name", ["inbox", "Inbox", '"iNBOX"', "INBOX"])
def test_inbox_is_always_in_capitals(client, name):
    """RFC 3501 5.1: case-insensitive to us; clients compare it as it is written."""
    assert client.ok(f'LIST "" {name}')[0].endswith(b'"/" INBOX')
    assert client.ok(f"STATUS {name} (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 3)"]
    client.ok(f"SUBSCRIBE {name}")
    assert [line for line in client.ok('LSUB "" *') if b"nbox" in line.lower()] == [
        b'* LSUB () "/" INBOX']
    assert client.ok(f"GETQUOTAROOT {name}")[0].startswith(b"* QUOTAROOT INBOX")
    client.ok(f"SELECT {name}")


def test_special_use_in_plain_list(client):
    """RFC 6154 2: "may be returned" to a plain LIST; Apple Mail and Outlook ask for no more."""
    lines = client.ok('LIST "" *')
    for name in ("Drafts", "Sent", "Junk", "Trash", "Archive"):
        assert any(re.search(rb"\(.*\\%s.*\) \"/\" %s$" % (2 * (name.encode(),)), line)
                   for line in lines), name


def test_several_parameters_of_select(client):
    """RFC 4466 2.1: in one list, in any order."""
    client.ok("ENABLE QRESYNC")
    validity = re.search(rb"UIDVALIDITY (\d+)", b"".join(client.ok("SELECT INBOX")))[1].decode()
    for parameters in (f"CONDSTORE QRESYNC ({validity} 1)", f"QRESYNC ({validity} 1) CONDSTORE"):
        assert any(b"HIGHESTMODSEQ" in line for line in client.ok(f"SELECT INBOX ({parameters})"))
    assert client.command("SELECT INBOX (CONDSTORE QRESYNC)")[1].startswith(b"BAD")


@pytest.mark.parametrize("first", [b"x IDLE\r\nDONE\r\n", b"x IDLE\r\ndone\r\ny NOOP\r\n"])
def test_commands_behind_done(client, first):
    """RFC 2177 3, RFC 3501 5.5: in one packet."""
    client.send(first + b"z STATUS INBOX (MESSAGES)\r\n")
    assert client.read_line().startswith(b"+ ")
    lines, tagged = client.answer(b"z")
    assert tagged.startswith(b"OK") and lines[-1] == b"* STATUS INBOX (MESSAGES 3)"
    assert lines[0].startswith(b"x OK")
    assert len(lines) == 2 + first.count(b"y NOOP")


def test_done_that_is_none(client):
    client.send(b"x IDLE\r\nDONE 1\r\n")
    assert client.read_line().startswith(b"+ ")
    assert client.answer()[1].startswith(b"BAD")


def test_changed_since_zero(client):
    """RFC 7162 3.1.4.1: mod-sequence-value is 1 and more, but clients begin with 0."""
    client.ok("SELECT INBOX")
    client.ok("ENABLE CONDSTORE")
    lines = client.ok("FETCH 1:* (FLAGS) (CHANGEDSINCE 0)")
    assert len(lines) == 3 and all(b"MODSEQ (" in line for line in lines)
    assert len(client.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0)")) == 3
    assert client.command("FETCH 1 (FLAGS) (CHANGEDSINCE -1)")[1].startswith(b"BAD")


@pytest.mark.parametrize("item, begin", [("BODY[]", len(MESSAGE)), ("BODY[TEXT]", 100),
                                         ("BODY[HEADER]", 4294967290), ("BODY[1]", 4000)])
def test_partial_fetch_past_the_end(client, item, begin):
    """RFC 3501 6.4.5: "an empty string", not NIL and no error."""
    client.ok("EXAMINE INBOX")
    line = client.ok(f"FETCH 1 {item.replace('[', '.PEEK[')}<{begin}.1000>")[0]
    assert re.match(rb'\* 1 FETCH \(%s<%d> (""|\{0\}\r\n)\)$' % (re.escape(item.encode()), begin), line)
    assert client.command(f"FETCH 1 {item}<{begin}.0>")[1].startswith(b"BAD")


def test_long_lines(client):
    """RFC 7162 4 asks for 8192 octets; a client that knows many messages sends more."""
    client.ok("SELECT INBOX")
    numbers = ",".join(str(number) for number in range(1, 30000, 2))
    assert len(numbers) > 65536
    assert client.ok(f"UID SEARCH UID {numbers}") == [b"* SEARCH 1 3"]
    assert client.ok("SEARCH " + " ".join(["OR SEEN UNSEEN"] * 6000)) == [b"* SEARCH 1 2 3"]
    assert client.command("SEARCH UID 1" + ",1" * 150000)[1].startswith(b"BAD")  # limits.imap-line
    client.ok("NOOP")


@pytest.mark.parametrize("begin", [b"x IDLE\r\n", b"x APPEND INBOX {5}\r\n", b"x LIST {0}\r\n"])
def test_plus_has_its_space(house, begin):
    """RFC 3501 7.5: "+" SP; some clients wait for both octets."""
    with house.connect() as client:
        client.send(begin)
        assert re.match(rb"\+ .", client.read_line())


def test_numbers_below_two_to_the_31(client):
    """RFC 3501 9: nz-number has 32 bits, but clients keep it in an int."""
    for folder in ("INBOX", "Sent"):
        line = client.ok(f"STATUS {folder} (UIDNEXT UIDVALIDITY)")[0]
        numbers = [int(number) for number in re.findall(rb" (\d+)", line)]
        assert len(numbers) == 2 and all(0 < number < 2**31 for number in numbers)


def test_status_deleted(client):
    """RFC 9051 6.3.11."""
    assert b"STATUS=DELETED" in capabilities(client)
    client.ok("SELECT INBOX")
    client.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert client.ok("STATUS INBOX (DELETED)") == [b"* STATUS INBOX (DELETED 1)"]
    client.ok("STORE 2 -FLAGS.SILENT (\\Deleted)")
    assert client.command("STATUS INBOX (DELETE)")[1].startswith(b"BAD")
