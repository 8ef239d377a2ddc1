"""What the section `imap` of the configuration turns on: UIDONLY (RFC 9586), MESSAGELIMIT (RFC
9738), INPROGRESS (RFC 9585). imapd-mailbox alone."""

import pytest

from mailbox_role import MESSAGE, Mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox
COUNT, LIMIT = 1100, 1000
LOWEST = b"[MESSAGELIMIT 1000 101]"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """1 100 messages, UIDs 1 to 1100, in INBOX; each test leaves it as it was."""
    made = Mailbox(tmp_path_factory.mktemp("limits"),
                   "imap { uid-only = yes message-limit = 1000 progress = 1ms }\n"
                   'client quiet { without = INPROGRESS }\n'
                   'client plain { without = { UIDONLY, MESSAGELIMIT, INPROGRESS } }\n')
    with made.connect() as client:
        for count in (600, 500):
            client.send(b"x APPEND INBOX" + b" {1+}\r\nx" * count + b"\r\n")
            assert client.answer()[1].startswith(b"OK")
    yield made
    made.stop()


QUIET = (b"quiet", b"", b"")  # on a slow machine anything may take a millisecond


@pytest.fixture
def client(shared):
    with shared.connect(said=QUIET) as connected:
        connected.ok("SELECT INBOX")
        yield connected


@pytest.fixture
def by_uid(shared):
    with shared.connect(said=QUIET) as connected:
        assert connected.ok("ENABLE UIDONLY") == [b"* ENABLED UIDONLY"]
        yield connected


def without_progress(lines):
    return [line for line in lines if b"INPROGRESS" not in line]


# ---- UIDONLY ----

def test_select_names_no_number(by_uid):
    """RFC 9586 3: UNSEEN of SELECT is a message number."""
    assert not any(b"[UNSEEN" in line for line in by_uid.ok("SELECT INBOX"))


@pytest.mark.parametrize("command", [
    "FETCH 1 (FLAGS)", "STORE 1 FLAGS ()", "SEARCH ALL", "COPY 1 Sent", "MOVE 1 Sent",
    "SORT (DATE) UTF-8 ALL", "THREAD REFS UTF-8 ALL", "REPLACE 1 INBOX {1+}\r\nx",
    "UID SEARCH 1:5", "UID SEARCH OR ALL (NOT 1:5)", "UID SORT (DATE) UTF-8 1:5",
    'ESEARCH IN (selected) 1:5'])
def test_numbers_are_refused(by_uid, command):
    """RFC 9586 3.1 to 3.5."""
    by_uid.ok("SELECT INBOX")
    lines, tagged = by_uid.command(command)
    assert tagged.startswith(b"BAD [UIDREQUIRED]"), tagged
    assert without_progress(lines) == []


def test_sequence_match_data_is_refused(by_uid):
    """RFC 9586 3: seq-match-data of QRESYNC names numbers."""
    by_uid.ok("ENABLE QRESYNC")
    tagged = by_uid.command("SELECT INBOX (QRESYNC (1 1 1:5 (1:2 1:2)))")[1]
    assert tagged.startswith(b"BAD [UIDREQUIRED]")
    by_uid.ok("SELECT INBOX (QRESYNC (1 1 1:5))")


def test_answers_name_uids(shared, by_uid):
    """RFC 9586 3.3, 3.4: UIDFETCH, with the UID inside only if it was asked for, and VANISHED."""
    by_uid.ok("CREATE uids")
    by_uid.append(MESSAGE, "uids")
    by_uid.append(MESSAGE, "uids")
    by_uid.ok("SELECT uids")
    assert by_uid.ok("UID FETCH 2 (RFC822.SIZE)") == [b"* 2 UIDFETCH (RFC822.SIZE 184)"]
    assert by_uid.ok("UID FETCH 2 (UID RFC822.SIZE)") == [
        b"* 2 UIDFETCH (UID 2 RFC822.SIZE 184)"]
    by_uid.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    by_uid.ok("UID EXPUNGE 1")
    assert by_uid.ok("UID STORE 2 +FLAGS (\\Seen)") == [
        b"* 2 UIDFETCH (FLAGS (\\Seen \\Recent))"]
    assert by_uid.ok("UID SEARCH SEEN") == [b"* SEARCH 2"]
    assert by_uid.ok("UID SEARCH RETURN (SAVE) SEEN") == []
    assert by_uid.ok("UID SEARCH $") == [b"* SEARCH 2"]
    with shared.connect() as other:
        other.ok("SELECT uids")
        other.ok("STORE 1 FLAGS (\\Deleted)")
        assert by_uid.ok("NOOP") == [
            b"* 2 UIDFETCH (FLAGS (\\Deleted \\Recent))"]
        other.ok("EXPUNGE")
    assert by_uid.ok("NOOP")[0] == b"* VANISHED 2"


def test_expunge_needs_no_number(by_uid):
    """RFC 9586 3.4: it tells VANISHED."""
    by_uid.ok("CREATE gone")
    by_uid.append(MESSAGE, "gone")
    by_uid.ok("SELECT gone")
    by_uid.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert by_uid.ok("EXPUNGE")[0] == b"* VANISHED 1"


# ---- MESSAGELIMIT ----

def numbers(lines):
    return sorted(int(line.split()[1]) for line in lines if b" FETCH (" in line)


def test_limit_is_told(client):
    """RFC 9738 3."""
    assert b"MESSAGELIMIT=1000" in client.ok("CAPABILITY")[0].split()


@pytest.mark.parametrize("command", [
    "FETCH 1:* (UID)", "UID FETCH 1:* (FLAGS)", "UID FETCH 50:* (FLAGS)"])
def test_fetch_stops(client, command):
    """RFC 9738 3.1: the messages with the highest UIDs, and the lowest of these in the answer."""
    lines, tagged = client.command(command)
    assert tagged.startswith(b"OK " + LOWEST)
    assert numbers(lines) == list(range(101, 1101))
    lines, tagged = client.command("UID FETCH 1:100 (FLAGS)")
    assert tagged.startswith(b"OK Fetched") and numbers(lines) == list(range(1, 101))


def test_fetch_of_a_part(client):
    """RFC 9738 3.2: a PARTIAL of more is refused."""
    assert client.command("UID FETCH 1:* (UID) (PARTIAL 1:1001)")[1].startswith(
        b"NO [MESSAGELIMIT 1000]")
    assert numbers(client.ok("UID FETCH 1:* (UID) (PARTIAL 1:1000)")) == list(range(1, 1001))


@pytest.mark.parametrize("command, answer", [
    ("STORE 1:* +FLAGS.SILENT (one)", b"OK " + LOWEST),
    ("UID STORE 1:* -FLAGS.SILENT (one)", b"OK " + LOWEST),
    ("UID STORE 100 +FLAGS.SILENT (one)", b"OK Stored"),
    ("UID STORE 100 -FLAGS.SILENT (one)", b"OK Stored"),
    ("COPY 1:* Sent", b"NO [MESSAGELIMIT 1000]"), ("UID COPY 1:1001 Sent", b"NO [MESSAGELIMIT"),
    ("SORT (DATE) UTF-8 ALL", b"NO [MESSAGELIMIT 1000]"),
    ("THREAD REFS UTF-8 ALL", b"NO [MESSAGELIMIT 1000]"),
    ("SORT (DATE) UTF-8 UID 101:1100", b"OK Searched")])
def test_other_commands(client, command, answer):
    """RFC 9738 3.1: all or nothing where a part is of no use."""
    assert client.command(command)[1].startswith(answer)
    assert client.ok("STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 0)"]


def test_another_code_has_the_tagged_line(client):
    """RFC 9738 3.1: then MESSAGELIMIT is an untagged NO."""
    client.ok("FETCH 1 (MODSEQ)")
    client.ok("STORE 1099 +FLAGS.SILENT (two)")
    lines, tagged = client.command("STORE 1:* (UNCHANGEDSINCE 1) +FLAGS.SILENT (two)")
    assert tagged.startswith(b"OK [MODIFIED ")
    assert b"* NO " + LOWEST + b" That was not all" in lines


@pytest.mark.parametrize("keys, answer, found", [
    ("ALL", b"OK " + LOWEST, [*range(101, 1101)]), ("UID 1:100", b"OK Searched", [*range(1, 101)]),
    ("UIDAFTER 100", b"OK Searched", [*range(101, 1101)]),
    ("UIDBEFORE 51", b"OK Searched", [*range(1, 51)]), ("UIDBEFORE 1", b"OK Searched", []),
    ("UIDAFTER 4294967295", b"OK Searched", []),
    ("UIDAFTER 50", b"OK " + LOWEST, [*range(101, 1101)]),
    ("UIDBEFORE 1050 ALL", b"OK [MESSAGELIMIT 1000 50]", [*range(50, 1050)]),
    ("UIDAFTER 10 UIDBEFORE 100", b"OK Searched", [*range(11, 100)])])
def test_search(client, keys, answer, found):
    """RFC 9738 3.1, 5: what is searched counts, as far as UIDs narrow it down."""
    lines, tagged = client.command(f"UID SEARCH {keys}")
    assert tagged.startswith(answer)
    [line] = without_progress(lines)
    assert [int(number) for number in line.split()[2:]] == found


@pytest.mark.parametrize("keys", ["UIDAFTER", "UIDAFTER 1:2", "UIDBEFORE 0", "UIDBEFORE *"])
def test_search_keys_of_bad_syntax(client, keys):
    assert client.command(f"UID SEARCH {keys}")[1].startswith(b"BAD")


def test_extreme_of_what_was_searched(client):
    """RFC 9738 3.1, RFC 4731 3.1: MIN is the lowest of those that were looked at."""
    lines, tagged = client.command("UID SEARCH RETURN (MIN) ALL")
    assert without_progress(lines) == [b'* ESEARCH (TAG "x") UID MIN 101']
    assert tagged.startswith(b"OK " + LOWEST)
    assert without_progress(client.ok("UID SEARCH RETURN (MAX) UID 1:100")) == [
        b'* ESEARCH (TAG "x") UID MAX 100']


def test_append_of_more_is_refused(client):
    """RFC 9738 3.1, with MULTIAPPEND."""
    client.ok("CREATE many")
    client.send(b"x APPEND many" + b" {1+}\r\nx" * 1001 + b"\r\n")
    assert client.answer()[1].startswith(b"NO [MESSAGELIMIT 1000]")
    assert client.ok("STATUS many (MESSAGES)") == [b"* STATUS many (MESSAGES 0)"]


def test_removing(client):
    """RFC 9738 3: MOVE and UID EXPUNGE stop, EXPUNGE does not."""
    client.ok("CREATE emptied")
    for uids in ("1:1000", "1001:1100"):
        client.ok(f"UID COPY {uids} emptied")
    client.ok("CREATE moved")
    client.ok("SELECT emptied")
    client.ok("UID STORE 1:500 +FLAGS.SILENT (\\Deleted)")
    client.ok("UID STORE 501:1100 +FLAGS.SILENT (\\Deleted)")
    lines, tagged = client.command("UID EXPUNGE 1:*")
    assert tagged.startswith(b"OK " + LOWEST)
    assert len([line for line in lines if line.endswith(b"EXPUNGE")]) == LIMIT
    assert client.ok("UID SEARCH ALL")[0] == b"* SEARCH " + b" ".join(
        b"%d" % uid for uid in range(1, 101))
    for uids in ("1:1000",):
        client.ok("SELECT INBOX")
        client.ok(f"UID COPY {uids} emptied")
    client.ok("SELECT emptied")
    lines, tagged = client.command("UID MOVE 1:* moved")
    assert tagged.startswith(b"OK [MESSAGELIMIT 1000 1101]")
    assert client.ok("STATUS moved (MESSAGES)") == [b"* STATUS moved (MESSAGES 1000)"]
    lines = client.ok("EXPUNGE")
    assert len([line for line in lines if line.endswith(b"EXPUNGE")]) == 100


# ---- INPROGRESS ----

MUCH = " ".join(f"NOT BODY nothing{number}" for number in range(500))  # more than a turn takes


@pytest.mark.parametrize("command", [
    f"SEARCH {MUCH}", f"UID SORT (SUBJECT) UTF-8 UID 101:* {MUCH}", "STORE 1:* +FLAGS.SILENT (three)",
    "COPY 101:* Trash"], ids=["SEARCH", "SORT", "STORE", "COPY"])
def test_progress(shared, command):
    """RFC 9585 4: of its own tag, never backwards, never beyond the goal, nothing when done."""
    with shared.connect() as client:
        client.ok("SELECT INBOX")
        assert any(hear_progress(client, command) for _ in range(50))  # a fast machine needs no word


def hear_progress(client, command):
    client.send(b"tag7 " + command.encode() + b"\r\n")
    told = [line.split(b")]")[0].split() for line in client.answer(b"tag7")[0]
            if line.startswith(b'* OK [INPROGRESS ("tag7" ')]
    done = [int(words[4]) for words in told]
    assert done == sorted(done) and all(int(words[4]) <= int(words[5]) for words in told)
    client.ok("STORE 101:* -FLAGS.SILENT (three)")
    return told


# ---- turned off ----

def test_masked(shared):
    """client { without }: neither told nor kept to."""
    with shared.connect(said=(b"plain", b"", b"")) as plain:
        told = plain.ok("CAPABILITY")[0]
        assert not any(name in told for name in (b"UIDONLY", b"MESSAGELIMIT", b"INPROGRESS"))
        assert plain.ok("ENABLE UIDONLY") == [b"* ENABLED"]
        plain.ok("SELECT INBOX")
        assert numbers(plain.ok("FETCH 1:* (UID)")) == list(range(1, COUNT + 1))
        assert not any(b"INPROGRESS" in line for line in plain.ok("SEARCH BODY nothing"))


def test_off_by_default(tmp_path):
    mailbox = Mailbox(tmp_path)
    with mailbox.connect() as client:
        told = client.ok("CAPABILITY")[0].split()
        assert b"INPROGRESS" in told and b"UIDONLY" not in told
        assert not any(word.startswith(b"MESSAGELIMIT") for word in told)
        assert client.ok("ENABLE UIDONLY") == [b"* ENABLED"]
    mailbox.stop()
