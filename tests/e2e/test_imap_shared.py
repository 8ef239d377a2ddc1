"""Shared mailboxes: ACL (RFC 4314) between accounts, in the namespace of other users (RFC 2342). A whole house: each
account's process has its own walls, and the owner's alone decides (docs/architecture.md, Shared mailboxes)."""

import os
import re
import signal
import socket
import struct
import time

import pytest

import mailbox_role
from house import BUILD, PASSWORD, SERVICES, House
from talk import Conversation, client_context

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(),
                                reason="imapd-mailbox is not built")
MESSAGE = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: hello\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    made = House(settings={"imap": {"shared-mailboxes": "Shared"}, "timeouts": {"linger": "300ms"}},
                 services=("imap", "imaps", "smtp"))
    made.start()
    yield made
    made.stop()
    assert not made.sanitizer_reports()
    made.remove()


class Client(mailbox_role.Client):
    def __init__(self, house, account, service="imap"):
        self.house, self.account = house, account
        tls = client_context() if SERVICES[service] else None
        Conversation.__init__(self, "127.0.0.1", house.ports[service], tls=tls, server_name="mail.test.example")
        self.ok(f"LOGIN {account} {PASSWORD}")


class Pair:
    """An owner with a mailbox Work of two messages, and somebody else."""

    def __init__(self, house, fields=""):
        self.house = house
        self.alice, self.bob = house.new_account(fields=fields), house.new_account(fields=fields)
        self.owner, self.other = Client(house, self.alice), Client(house, self.bob)
        self.owner.ok("CREATE Work")
        for flags in ("", "(\\Flagged) "):
            self.owner.append(MESSAGE, "Work", flags)
        self.name = f"Shared/{self.alice}/Work"

    def share(self, rights, identifier=None, folder="Work"):
        self.owner.ok(f"SETACL {folder} {identifier or self.bob} {rights}")

    def close(self):
        self.owner.close()
        self.other.close()


@pytest.fixture
def pair(sharing):
    made = Pair(sharing)
    yield made
    made.close()


def refused(client, command, code):
    tagged = client.command(command)[1]
    assert tagged.startswith(b"NO [" + code + b"]"), (command, tagged)


def eventually(condition, seconds=10):
    """The house's list of names is told by another process than the one that is asked."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def flags_of(line):
    """Of a FETCH response, without \\Recent."""
    return set(re.search(rb"FLAGS \(([^)]*)\)", line)[1].split()) - {b"\\Recent"}


def test_namespace(pair):
    """RFC 2342 5"""
    assert pair.other.ok("NAMESPACE") == [b'* NAMESPACE (("" "/")) (("Shared/" "/")) NIL']


def test_a_list_is_kept_and_told(pair):
    """RFC 4314 3.1 to 3.3: rights are replaced, added, taken away; negative ones; "anyone"."""
    owner, alice, bob, carol = pair.owner, pair.alice, pair.bob, pair.house.new_account()
    owner.ok(f"SETACL Work {bob} lrs")
    owner.ok(f"SETACL Work {bob} +wi")
    owner.ok(f"SETACL Work {bob.upper()} -s")
    owner.ok(f"SETACL Work -{carol.split('@')[0]} x")
    owner.ok("SETACL Work anyone l")
    everything = "lrswipkxtecda"
    assert owner.ok("GETACL Work") == [
        f"* ACL Work {alice} {everything} {bob} lrwi -{carol} xc anyone l".encode()]
    owner.ok("DELETEACL Work anyone")
    owner.ok(f"SETACL Work -{carol} \"\"")
    assert owner.ok("GETACL Work") == [f"* ACL Work {alice} {everything} {bob} lrwi".encode()]
    assert owner.ok(f"LISTRIGHTS Work {bob}") == [
        f'* LISTRIGHTS Work {bob} "" l r s w i p k x t e a c d'.encode()]
    for command in (f"SETACL Work {alice} lr", f"DELETEACL Work {alice}", f"SETACL Work {alice} -a",
                    'SETACL Work "a b" lr'):
        refused(owner, command, b"CANNOT")


def test_rights_are_given_to_accounts_that_there_are(pair):
    """RFC 4314 3.1; taken away they are whoever has them."""
    owner = pair.owner
    for command in ("SETACL Work nobody lr", "SETACL Work -nobody lr", "SETACL Work nobody@test.example +l",
                    "SETACL Work bob@elsewhere.example lr", "SETACL Work group:staff lr"):
        refused(owner, command, b"CANNOT")
    pair.house.maildir(pair.alice).joinpath(".Work", "staffetta-acl").write_text("lr nobody@test.example\n")
    owner.ok("SETACL Work nobody -r")
    assert b"nobody@test.example l" in owner.ok("GETACL Work")[0]
    owner.ok("DELETEACL Work nobody")
    owner.ok("DELETEACL Work neither")
    owner.ok('SETACL Work neither ""')
    assert b"nobody" not in owner.ok("GETACL Work")[0]


def test_what_is_shared_is_listed(pair):
    """RFC 3501 6.3.8, RFC 8440: with "l", to whom it is given alone; \\HasChildren of what is above."""
    other, name = pair.other, pair.name
    assert other.ok('LIST "" Shared*') == []
    pair.share("lr")
    pair.owner.ok("CREATE Work/Hidden")
    eventually(lambda: other.ok('LIST "" Shared*'))
    assert other.ok('LIST "" Shared*') == [
        b'* LIST (\\Noselect \\HasChildren) "/" Shared',
        f'* LIST (\\Noselect \\HasChildren) "/" Shared/{pair.alice}'.encode(),
        f'* LIST (\\HasNoChildren) "/" {name}'.encode()]
    assert other.ok('LIST "" Shared/*/Work RETURN (MYRIGHTS STATUS (MESSAGES))') == [
        f'* LIST () "/" {name}'.encode(), f"* MYRIGHTS {name} lr".encode(), f"* STATUS {name} (MESSAGES 2)".encode()]
    assert b'* LIST (\\Noselect \\HasChildren) "/" Shared' in other.ok('LIST "" %')
    pair.owner.ok("RENAME Work Labour")
    eventually(lambda: other.ok(f'LIST "" {name}') == [])
    assert len(other.ok('LIST "" Shared/*/Labour')) == 1
    pair.owner.ok(f"SETACL Labour -{pair.bob} l")
    eventually(lambda: other.ok('LIST "" Shared*') == [])
    assert pair.owner.ok('LIST "" Shared*') == []


def test_subscriptions(pair):
    """RFC 3501 6.3.6, 6.3.9"""
    pair.share("lr")
    pair.other.ok(f"SUBSCRIBE {pair.name}")
    assert pair.other.ok('LSUB "" Shared/*') == [f'* LSUB () "/" {pair.name}'.encode()]
    eventually(lambda: pair.other.ok('LIST (SUBSCRIBED) "" Shared/*') == [
        f'* LIST (\\HasNoChildren \\Subscribed) "/" {pair.name}'.encode()])
    pair.other.ok(f"UNSUBSCRIBE {pair.name}")
    assert pair.other.ok('LSUB "" Shared/*') == []


def test_without_rights_there_is_no_mailbox(pair):
    """RFC 4314 4: who may not look it up is not told that it exists; nor is who has no right to anything there."""
    name = pair.name
    commands = [f"SELECT {name}", f"EXAMINE {name}", f"STATUS {name} (MESSAGES)", f"MYRIGHTS {name}",
                f"GETACL {name}", f"SETACL {name} {pair.bob} lr", f"DELETEACL {name} {pair.bob}",
                f"LISTRIGHTS {name} {pair.bob}", f"APPEND {name} {{1+}}\r\nx"]
    for command in commands:
        refused(pair.other, command, b"NONEXISTENT")
    pair.share("r", folder="Sent")  # so the owner is asked
    for command in commands:
        refused(pair.other, command, b"NONEXISTENT")
    for absent in (f"Shared/{pair.alice}", f"Shared/{pair.alice}/", f"Shared/{pair.alice}/Nothing", "Shared", "Shared/x/y"):
        refused(pair.other, f"STATUS {absent} (MESSAGES)", b"NONEXISTENT")
    pair.share("l")
    for command in commands[:3] + commands[4:]:
        refused(pair.other, command, b"NOPERM")
    assert pair.other.ok(f"MYRIGHTS {name}") == [f"* MYRIGHTS {name} l".encode()]


def test_nobody_makes_own_mailboxes_there(pair):
    for command in ("CREATE Shared/x", "CREATE Shared", f"RENAME Sent {pair.name}x", f"DELETE {pair.name}"):
        assert pair.other.command(command)[1].startswith(b"NO ")


def test_reading(pair):
    """RFC 4314 4: "r" is enough for SELECT, FETCH, SEARCH, STATUS; nothing can be changed."""
    pair.share("lr")
    pair.other.talk(rf"""
        C: a STATUS {pair.name} (MESSAGES UNSEEN)
        S: * STATUS {pair.name} (MESSAGES 2 UNSEEN 2)
        S: a OK *
        C: b SELECT {pair.name}
        S: * FLAGS *
        S: * OK [PERMANENTFLAGS ()] *
        S: * 2 EXISTS
        S: ...
        S: b OK [READ-ONLY] *
        C: d SEARCH SUBJECT {{5}}
        S: + *
        C: hello\r\n
        S: * SEARCH 1 2
        S: d OK *
        C: e UID STORE 1 +FLAGS (\\Seen)
        S: e NO *
        C: f EXPUNGE
        S: f NO *
        C: g CLOSE
        S: g OK *
        C: h FETCH 1 FLAGS
        S: h BAD *
        C: i SELECT {pair.name}
        S: ...
        S: i OK [READ-ONLY] *""")
    lines = pair.other.ok("FETCH 1:2 (FLAGS BODY[TEXT])")
    assert [flags_of(line) for line in lines] == [set(), {b"\\Flagged"}]
    assert all(line.endswith(b"BODY[TEXT] {6}\r\nbody\r\n)") for line in lines)
    # RFC 7162 3.2.11: CLOSED between two mailboxes, whoever has them.
    for name, answer in (("INBOX", b"OK [READ-WRITE]"), (pair.name, b"OK [READ-ONLY]"), (pair.name, b"OK [READ-ONLY]")):
        lines, tagged = pair.other.command(f"SELECT {name}")
        assert lines[0].startswith(b"* OK [CLOSED]") and tagged.startswith(answer)
        assert sum(b"CLOSED" in line for line in lines) == 1


@pytest.mark.parametrize("rights, permanent, flags, kept", [
    ("s", rb"\Seen", r"\Seen \Flagged \Deleted", rb"\Seen"),
    ("t", rb"\Deleted", r"\Seen \Deleted", rb"\Deleted"),
    ("w", rb"\Answered \Flagged \Draft $Forwarded", r"\Flagged \Seen", rb"\Flagged"),
])
def test_flags(pair, rights, permanent, flags, kept):
    """RFC 4314 4: "s" for \\Seen, "t" for \\Deleted, "w" for all others; what there is no right to is left out, and
    "the STORE command SHOULD NOT fail if the user has rights to modify at least one flag"."""
    pair.share("lr" + rights)
    lines, tagged = pair.other.command(f"SELECT {pair.name}")
    assert tagged.startswith(b"OK [READ-WRITE]")
    assert any(line.startswith(b"* OK [PERMANENTFLAGS (" + permanent) for line in lines)
    assert flags_of(pair.other.ok(f"STORE 1 +FLAGS ({flags})")[0]) == {kept}
    pair.owner.ok("EXAMINE Work")
    assert flags_of(pair.owner.ok("FETCH 1 FLAGS")[0]) == {kept}
    other_flag = r"\Draft" if rights != "w" else r"\Seen"
    refused(pair.other, f"STORE 1 +FLAGS ({other_flag})", b"NOPERM")
    pair.other.ok("FETCH 2 BODY[]")
    assert (rb"\Seen" in pair.owner.ok("FETCH 2 FLAGS")[0]) == (rights == "s")


def test_expunging(pair):
    """RFC 4314 4: EXPUNGE needs "e"; CLOSE without it expunges nothing."""
    pair.share("lrt")
    other = pair.other
    other.ok(f"SELECT {pair.name}")
    other.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    refused(other, "EXPUNGE", b"NOPERM")
    other.ok("CLOSE")
    pair.share("lrte")
    lines = other.ok(f"SELECT {pair.name}")
    assert b"* 2 EXISTS" in lines
    assert other.ok("UID EXPUNGE 1:*") == [b"* 1 EXPUNGE"]
    pair.owner.ok("SELECT Work")
    assert pair.owner.ok("STATUS Sent (MESSAGES)") and b"1 EXISTS" in b"".join(pair.owner.ok("SELECT Work"))


def test_appending(pair):
    """RFC 4314 4: "i"; flags as the rights are. Literals that wait and that do not, several messages (RFC 3502)."""
    pair.share("lrsi")
    other, name = pair.other, pair.name
    other.talk(rf"""
        C: a APPEND {name} (\\Seen \\Flagged) {{4}}
        S: + *
        C: x\r\ny (\\Flagged) {{3+}}\r\nabc\r\n
        S: a OK [APPENDUID * 3:4] *""")
    other.ok(f"SELECT {name}")
    lines = other.ok("FETCH 3:4 (FLAGS BODY.PEEK[])")
    assert [flags_of(line) for line in lines] == [{b"\\Seen"}, set()]
    assert lines[0].endswith(b"{4}\r\nx\r\ny)") and lines[1].endswith(b"{3}\r\nabc)")
    # A large one goes through both processes as it comes; the selected mailbox stays.
    big = MESSAGE + b"x" * 78 * 1 + b"\r\n" + (b"y" * 78 + b"\r\n") * 20000
    other.append(big, name)
    assert other.ok("FETCH 5 RFC822.SIZE") == [b"* 5 FETCH (RFC822.SIZE %d)" % len(big)]
    text = other.ok("FETCH 5 BODY.PEEK[]")[0]
    assert big in text
    pair.share("lr")
    refused(other, f"APPEND {name} {{3+}}\r\nabc", b"NOPERM")
    assert other.ok("NOOP") == []


def test_changes_reach_who_idles_there(pair):
    """RFC 2177: what the owner does is told at once, and the other way round."""
    pair.share("lrswite")
    pair.other.ok(f"SELECT {pair.name}")
    pair.owner.ok("SELECT Work")
    pair.other.talk("C: i IDLE\nS: + *")
    pair.owner.ok(r"STORE 1 +FLAGS.SILENT (\Answered)")
    assert pair.other.read_line().startswith(b"* 1 FETCH (FLAGS (\\Answered")
    pair.owner.append(MESSAGE, "Work")
    assert pair.other.read_line() == b"* 3 EXISTS"
    pair.other.send(b"DONE\r\n")
    pair.other.answer(b"i")
    pair.owner.talk("C: i IDLE\nS: + *")
    pair.other.ok(r"STORE 2 +FLAGS.SILENT (\Deleted)")
    assert b"\\Deleted" in pair.owner.read_line()
    pair.other.ok("EXPUNGE")
    assert pair.owner.read_line() == b"* 2 EXPUNGE"
    pair.owner.send(b"DONE\r\n")
    pair.owner.answer(b"i")


def test_searches_there_are_kept_up_to_date(pair):
    """RFC 5267 4.3: what a visitor's own change means to his search is told before the answer, and what the owner's
    does with the next one."""
    pair.share("lrsw")
    pair.other.talk(r"""
        C: a SELECT "{name}"
        S: ...
        S: a OK *
        C: b SEARCH RETURN (UPDATE ALL) FLAGGED
        S: * ESEARCH (TAG "b") ALL 2
        S: b OK *
        C: c STORE 1 +FLAGS.SILENT (\\Flagged)
        S: * ESEARCH (TAG "b") ADDTO (0 1)
        S: c OK *""", name=pair.name)
    pair.owner.ok("SELECT Work")
    pair.owner.ok(r"STORE 2 -FLAGS.SILENT (\Flagged)")
    pair.other.talk(r"""
        C: d NOOP
        S: * 2 FETCH *
        S: * ESEARCH (TAG "b") REMOVEFROM (0 2)
        S: d OK *""")


def test_rights_are_those_of_the_moment(pair):
    """RFC 4314 4: who loses "r" sees nothing more of what he has selected."""
    pair.share("lr")
    pair.other.ok(f"SELECT {pair.name}")
    pair.owner.ok(f"DELETEACL Work {pair.bob}")
    for command in ("FETCH 1 FLAGS", "SEARCH ALL", "CHECK"):
        refused(pair.other, command, b"NOPERM")
    pair.owner.append(MESSAGE, "Work")
    assert pair.other.ok("NOOP") == []
    pair.other.ok("UNSELECT")
    refused(pair.other, f"SELECT {pair.name}", b"NONEXISTENT")


def test_copies_within_the_other_account(pair):
    """RFC 4314 4: COPY needs "i" in the target, MOVE "t" and "e" in the source."""
    other, name = pair.other, pair.name
    pair.owner.ok("CREATE Done")
    done = f"Shared/{pair.alice}/Done"
    pair.share("lr")
    pair.share("l", folder="Done")
    other.ok(f"SELECT {name}")
    refused(other, f"COPY 1 {done}", b"NOPERM")
    pair.share("li", folder="Done")
    assert other.command(f"COPY 1 {done}")[1].startswith(b"OK [COPYUID ")
    refused(other, f"MOVE 1 {done}", b"READ-ONLY")
    pair.share("lrt")
    other.ok(f"SELECT {name}")
    refused(other, f"MOVE 1 {done}", b"NOPERM")
    pair.share("lrte")
    assert b"* 1 EXPUNGE" in other.ok(f"MOVE 1 {done}")


def test_the_owner_is_not_locked_in_with_his_secrets(pair):
    """A visitor has the shared mailbox and nothing else of the account."""
    pair.share("lrswipkxtea")
    other = pair.other
    other.ok(f"SELECT {pair.name}")
    # Commands about the account stay the client's own.
    assert other.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
    assert b"Work" not in b"".join(other.ok('LIST "" *')).replace(pair.name.encode(), b"")
    for command in (f"STATUS Shared/{pair.alice}/INBOX (MESSAGES)", f"STATUS Shared/{pair.alice}/Expunged (MESSAGES)"):
        refused(other, command, b"NONEXISTENT")
    other.ok(f"GETACL {pair.name}")
    carol = pair.house.new_account()
    other.ok(f"SETACL {pair.name} {carol} l")
    assert carol.encode() + b" l" in pair.owner.ok("GETACL Work")[0]


def test_mailboxes_made_by_a_visitor(pair):
    """RFC 4314 4: CREATE needs "k" to the nearest mailbox above; the new one has the rights of that."""
    other, name = pair.other, pair.name
    top = f"Shared/{pair.alice}"
    pair.share("lr")
    refused(other, f"CREATE {name}/A", b"NOPERM")
    pair.share("lrk")
    for command in (f"CREATE {top}/New", f"CREATE {top}/INBOX/New", f"CREATE {top}/Workshop"):
        refused(other, command, b"NOPERM" if command.endswith(("/New", "shop")) and "INBOX" not in command else b"NONEXISTENT")
    assert other.command(f"CREATE {name}/A/B/")[1].startswith(b"OK [MAILBOXID (")
    assert other.ok(f"MYRIGHTS {name}/A/B") == [f"* MYRIGHTS {name}/A/B lrkc".encode()]
    assert other.ok(f"MYRIGHTS {name}/A") == [f"* MYRIGHTS {name}/A lrkc".encode()]
    assert [line.split()[-1] for line in pair.owner.ok('LIST "" Work/*')] == [b"Work/A", b"Work/A/B"]
    eventually(lambda: len(other.ok(f'LIST "" {name}/*')) == 2)
    refused(other, f"CREATE {name}/A", b"ALREADYEXISTS")
    refused(other, f"CREATE {name}", b"NOPERM")
    refused(other, f"CREATE {name}/S (USE (\\Sent))", b"USEATTR")
    refused(other, f"CREATE Shared/{pair.bob}/x", b"NONEXISTENT")
    assert other.command(f"CREATE {name}//C")[1].startswith(b"NO ")


def test_mailboxes_removed_and_renamed_by_a_visitor(pair):
    """RFC 4314 4: DELETE needs "x", RENAME that and "k" for the new place; within one account. What is deleted its owner can take back."""
    other, name = pair.other, pair.name
    top = f"Shared/{pair.alice}"
    pair.owner.ok("CREATE Work/A")
    pair.owner.ok("CREATE Other")
    pair.share("lrk")
    pair.share("lr", folder="Work/A")
    refused(other, f"DELETE {name}/A", b"NOPERM")
    refused(other, f"RENAME {name}/A {name}/B", b"NOPERM")
    pair.share("lrx", folder="Work/A")
    pair.share("l", folder="Other")
    refused(other, f"RENAME {name}/A {top}/Other/A", b"NOPERM")
    refused(other, f"RENAME {name}/A {top}/A", b"NOPERM")
    for target in ("A", f"Shared/{pair.bob}/A", "Shared"):
        assert other.command(f"RENAME {name}/A {target}")[1].startswith(b"NO [CANNOT]")
    assert other.command(f"RENAME Archive {name}/C")[1].startswith(b"NO [CANNOT]")
    with Client(pair.house, pair.bob) as second:
        second.ok(f"SELECT {name}/A")
        other.ok(f"RENAME {name}/A {name}/B")
        pair.owner.append(MESSAGE, "Work/B")
        assert b"* 1 EXISTS" in second.ok("NOOP")  # its rights and its view go with it
    other.ok(f"STATUS {name}/B (MESSAGES)")
    refused(other, f"STATUS {name}/A (MESSAGES)", b"NONEXISTENT")
    other.ok(f"DELETE {name}/B")
    refused(other, f"DELETE {name}/B", b"NONEXISTENT")
    assert any(line.endswith(b"Expunged/Work/B") for line in pair.owner.ok('LIST "" Expunged/*'))
    pair.owner.ok(f"SETACL INBOX {pair.bob} lrswipkxtea")
    refused(other, f"DELETE {top}/INBOX", b"CANNOT")
    refused(other, f"RENAME {top}/INBOX {name}/I", b"NOPERM")
    refused(other, f"DELETE {name}", b"NOPERM")


def test_the_owner_takes_away_what_is_selected(pair):
    """As for sessions of his own: BYE, or nothing more (RFC 2180 3.3), and never another mailbox's messages."""
    pair.share("lrs")
    pair.other.ok(f"SELECT {pair.name}")
    pair.owner.ok("DELETE Work")
    pair.owner.ok("CREATE Work")
    pair.owner.append(b"From: a@b\r\nSubject: secret\r\n\r\n", "Work")
    for command in (b"x FETCH 1:* BODY[]\r\n", b"x NOOP\r\n"):
        pair.other.send(command)
        line = pair.other.read_line()
        while line and not line.startswith(b"x "):
            assert b"secret" not in line
            line = pair.other.read_line()
        if not line:
            break
    with Client(pair.house, pair.bob) as again:
        refused(again, f"SELECT {pair.name}", b"NONEXISTENT")


def test_what_stops_at_the_account_says_so(pair):
    """Not as if there were no such mailbox: RFC 4467."""
    pair.share("lrswipkxtea")
    other, name = pair.other, pair.name
    refused(other, f"RESETKEY {name}", b"CANNOT")
    refused(other, "GETQUOTAROOT Nothing", b"NONEXISTENT")


def test_replacing(pair):
    """RFC 8508 3, 4: "i" to the mailbox, "t" and "e" to the one it is selected from; within one account."""
    other, name = pair.other, pair.name
    pair.share("lri")
    other.ok(f"SELECT {name}")
    refused(other, f"REPLACE 1 {name} {{3+}}\r\nnew", b"NOPERM")
    pair.share("lrite")
    other.ok(f"SELECT {name}")
    for number, text in ((b"REPLACE 1", "Shared"), (b"UID REPLACE 2", f"{{{len(name)}+}}\r\nShared")):
        head = b"x " + number + b" " + text.encode() + name[6:].encode()
        other.send(head + b" {3}\r\n")
        assert other.read_line().startswith(b"+ ")
        other.send(b"new\r\n")
        lines, tagged = other.answer()
        assert tagged == b"OK Replaced" and b"* 1 EXPUNGE" in lines
    assert all(b"new" in line for line in other.ok("FETCH 1:* BODY.PEEK[]"))
    refused(other, f"UID REPLACE 9 {name} {{3+}}\r\nnew", b"NONEXISTENT")
    refused(other, f"UID REPLACE 3 Shared/{pair.alice}/Nothing {{3+}}\r\nnew", b"NONEXISTENT")


def test_what_needs_a_mailbox_here_is_refused_there(pair):
    """Commands that would work on the selected mailbox and another one at once."""
    pair.share("lrswite")
    other = pair.other
    other.ok(f"SELECT {pair.name}")
    for command, code in (("UID REPLACE 1 INBOX {1+}\r\nx", b"CANNOT"), ("UID REPLACE 1 {5+}\r\nINBOX {1+}\r\nx", b"CANNOT"),
                          (f"UID REPLACE 1 {pair.name} CATENATE (URL \"/INBOX/;UID=1\")", b"NOPERM")):
        refused(other, command, code)
    assert other.ok("SEARCH ALL") == [b"* SEARCH 1 2"]
    assert other.command("UID REPLACE x INBOX {1+}\r\nx")[1].startswith(b"BAD")
    other.append(MESSAGE, "Sent")
    other.ok("SELECT Sent")
    refused(other, f"UID REPLACE 1 {pair.name} {{1+}}\r\nx", b"CANNOT")
    assert other.ok("SEARCH ALL") == [b"* SEARCH 1"]


def test_what_is_enabled_there_is_enabled_everywhere(pair):
    """RFC 7162 3.2.3, RFC 6855 3: ENABLE while another account's mailbox is selected."""
    pair.share("lrtew")
    other, name = pair.other, pair.name
    other.ok(f"SELECT {name}")
    lines = other.ok("ENABLE QRESYNC")
    assert lines[0] == b"* ENABLED QRESYNC" and b"HIGHESTMODSEQ" in lines[1]
    pair.owner.ok("SELECT Work")
    pair.owner.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    pair.owner.ok("EXPUNGE")
    assert other.ok("NOOP")[0] == b"* VANISHED 1"
    assert b"MODSEQ" in other.ok(r"STORE 1 +FLAGS (\Flagged)")[0]
    other.append(MESSAGE)
    other.ok("SELECT INBOX")
    assert b"MODSEQ" in other.ok(r"STORE 1 +FLAGS (\Flagged)")[0]
    assert other.command("ENABLE")[1].startswith(b"BAD")


def test_resynchronising(pair):
    """RFC 7162 3.2.5: what was enabled before goes along to the other account's process."""
    pair.share("lrste")
    other, name = pair.other, pair.name
    other.ok("ENABLE QRESYNC")
    first = b"".join(other.ok(f"SELECT {name}"))
    uidvalidity, modseq = (re.search(word + rb" (\d+)", first)[1].decode() for word in (b"UIDVALIDITY", b"HIGHESTMODSEQ"))
    other.ok("UNSELECT")
    pair.owner.ok("SELECT Work")
    pair.owner.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
    pair.owner.ok("EXPUNGE")
    pair.owner.ok(r"STORE 1 +FLAGS.SILENT (\Answered)")
    lines = other.ok(f"SELECT {name} (QRESYNC ({uidvalidity} {modseq} 1:2))")
    assert b"* VANISHED (EARLIER) 1" in lines
    assert any(b"UID 2" in line and b"\\Answered" in line and b"MODSEQ" in line for line in lines)
    assert other.ok(f"FETCH 1 (FLAGS) (CHANGEDSINCE {modseq})")[0].startswith(b"* 1 FETCH (")
    assert b"[MODIFIED 1]" in other.command(rf"STORE 1 (UNCHANGEDSINCE {modseq}) +FLAGS (\Seen)")[1]


def test_visitors_take_no_place_of_the_owners(make_module_house):
    """limits.account-sessions is of each by itself."""
    house = make_module_house(settings={"imap": {"shared-mailboxes": "Shared"}, "limits": {"account-sessions": 3}},
                              services=("imap",))
    pair = Pair(house)
    pair.share("lr")
    more = [Client(house, account) for account in (pair.bob, pair.bob)]
    for client in (pair.other, *more):
        client.ok(f"SELECT {pair.name}")
    more += [Client(house, pair.alice) for _ in range(2)]
    for client in more:
        client.close()
    pair.close()


def test_a_reload_that_calls_them_otherwise(make_module_house):
    """Names mean something else then: who is in the middle of it begins anew."""
    house = make_module_house(settings={"imap": {"shared-mailboxes": "Shared"}}, services=("imap",))
    pair = Pair(house)
    pair.share("lr")
    pair.other.ok(f"SELECT {pair.name}")
    for settings in ({"shared-mailboxes": "Others"}, {"progress": "1s"}):
        house.settings = {"imap": settings}
        house.write_config()
        house.command("reload")
        assert pair.other.read_line().startswith(b"* BYE ")
        pair.owner.ok("NOOP")
        other = Client(house, pair.bob)
        name = pair.name.replace("Shared", "Others")
        if "shared-mailboxes" in settings:
            other.ok(f"SELECT {name}")
        else:
            refused(other, f"SELECT {name}", b"NONEXISTENT")
        pair.other = other
    pair.close()


def test_a_reload_while_their_owner_is_asked(make_module_house):
    """LIST RETURN (STATUS) (RFC 5819), CATENATE (RFC 4469): what waits for another account's process ends, or is left out."""
    house = make_module_house(settings={"imap": {"shared-mailboxes": "Shared"}}, services=("imap",))
    before = set(house.pids("imapd-mailbox"))
    alice, bob = house.new_account(), house.new_account()
    owner = Client(house, alice)
    pid = (set(house.pids("imapd-mailbox")) - before).pop()
    other, second = Client(house, bob), Client(house, bob)
    owner.ok(f"SETACL Sent {bob} lr")
    other.ok("NOOP")
    os.kill(pid, signal.SIGSTOP)
    other.send(b'x LIST "" Shared/%/Sent RETURN (STATUS (MESSAGES))\r\n')
    assert other.read_line().startswith(b"* LIST ")
    second.send(f'x APPEND Drafts CATENATE (URL "/Shared/{alice}/Sent/;UID=1")\r\n'.encode())
    house.settings = {"imap": {"progress": "1s"}}
    house.write_config()
    house.command("reload")
    assert second.answer()[1].startswith(b"NO [UNAVAILABLE]")
    assert other.answer() == ([], b"OK Listed")
    os.kill(pid, signal.SIGKILL)
    second.close()
    owner.close()
    other.close()


def test_over_tls_and_after_a_restart(sharing):
    """The list of names survives the house; the way to the mailbox is made anew."""
    pair = Pair(sharing)
    pair.share("lr")
    pair.close()
    sharing.stop()
    sharing.start()
    with Client(sharing, pair.bob, "imaps") as other:
        assert len(other.ok('LIST "" Shared/*/Work')) == 1
        other.ok(f"SELECT {pair.name}")
        assert b"hello" in other.ok("FETCH 1 BODY[]")[0]


# ---- who lies: imapd-mailbox alone, and this process plays the master and the other account's process

MASTER_VISITS, MASTER_KNOWN = 119, 120
ROLE_VISITOR, ROLE_VISIT, ROLE_NO_VISIT, ROLE_KNOWN = 26, 27, 28, 30
FOUND, UNKNOWN, TEMPORARY = 0, 1, 2  # enum account_outcome


@pytest.fixture
def visitor(tmp_path):
    """u@test.example, who visits whom this process plays."""
    made = mailbox_role.Mailbox(tmp_path, "imap { shared-mailboxes = Shared }")
    yield made
    made.stop()


def record_of(mailbox, kind):
    while True:
        got = mailbox.role.master.receive()
        assert got is not None
        if got[0] == kind:
            return got


def way(mailbox, kind=ROLE_VISIT, outcome=FOUND):
    """The answer to the next MASTER_VISITS, which names nobody but the owner; the owner's end."""
    _, request, body, _ = record_of(mailbox, MASTER_VISITS)
    assert body[8:] == b"alice@test.example"
    ours, theirs = socket.socketpair()
    body = b"" if kind == ROLE_VISIT else struct.pack("=II", outcome, 0)
    mailbox.role.master.send(kind, body, request=request, fds=[theirs.fileno()] if kind == ROLE_VISIT else [])
    theirs.close()
    ours.settimeout(10)
    return ours


def heard(sock, end):
    octets = b""
    while not octets.endswith(end):
        octets += sock.recv(65536)
    return octets


@pytest.mark.parametrize("lie", [
    b"* 1 EXIS", b"x O", b"* 1 FETCH (BODY[] {99}\r\nabc", b"* OK [ALERT] y",
])
def test_an_owner_who_breaks_off_costs_no_more_than_the_connection(visitor, lie):
    """Others of the account go on."""
    with visitor.connect() as client, visitor.connect() as other:
        client.send(b"x SELECT Shared/alice@test.example/Work\r\n")
        owner = way(visitor)
        heard(owner, b"x SELECT Shared/alice@test.example/Work\r\n")
        owner.sendall(lie)
        owner.close()
        octets = b""
        while octet := client.socket.recv(65536):
            octets += octet
        assert b"* BYE The other account's mailbox" in octets
        assert other.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]


@pytest.mark.parametrize("lie", [
    b"", b"* 1 EXISTS\r\n", b"* BYE x\r\n",
    b"x1 OK done\r\n", b"y OK done\r\n", b"\r\n", b"\0\0",  # RFC 3501 2.2.2: it would be the answer to another command
])
def test_an_owner_who_does_not_answer_costs_the_command(visitor, lie):
    """What is selected at home stays so, and what he says to other commands is not heard."""
    with visitor.connect() as client:
        client.ok("SELECT INBOX")
        client.send(b"x STATUS Shared/alice@test.example/Work (MESSAGES)\r\ny NOOP\r\n")
        owner = way(visitor)
        heard(owner, b"(MESSAGES)\r\n")
        owner.sendall(lie)
        owner.close()
        lines, tagged = client.answer()
        assert tagged == b"NO [UNAVAILABLE] The other account cannot be asked now"
        assert b"".join(lines) == (lie.strip() if lie.startswith(b"*") else b"")
        assert client.answer(b"y") == ([], b"OK Nothing done")
        assert client.ok("SEARCH ALL") == [b"* SEARCH"]


def test_a_mailbox_that_is_lost_while_it_is_selected(visitor):
    """The client is told at once, and begins anew."""
    with visitor.connect() as client:
        client.send(b"x SELECT Shared/alice@test.example/Work\r\n")
        owner = way(visitor)
        heard(owner, b"Work\r\n")
        owner.sendall(b"x OK [READ-WRITE] yes\r\n")
        client.answer()
        owner.close()
        assert b"* BYE The other account's mailbox" in client.read_line()


def test_a_mailbox_that_cannot_be_asked_now_is_not_called_absent(visitor):
    """RFC 5530 3: UNAVAILABLE, or a client would throw away what it has of it."""
    with visitor.connect() as client:
        for command in (b"STATUS Shared/alice@test.example/A (MESSAGES)", b"APPEND Shared/alice@test.example/A {5+}\r\nx NO "):
            client.send(b"x " + command + b"\r\n")
            way(visitor, ROLE_NO_VISIT, TEMPORARY).close()
            assert client.answer() == ([], b"NO [UNAVAILABLE] The other account cannot be asked now")


@pytest.mark.parametrize("outcome, code", [(FOUND, b"OK"), (UNKNOWN, b"NO [CANNOT]"), (TEMPORARY, b"NO [UNAVAILABLE]"),
                                           (99, b"NO [UNAVAILABLE]")])
def test_whose_rights_they_are_auth_says(visitor, outcome, code):
    with visitor.connect() as client:
        client.ok("DELETEACL INBOX bob")
        client.send(b"x SETACL INBOX bob l\r\n")
        kind, request, body, _ = record_of(visitor, MASTER_KNOWN)
        assert body == b"bob@test.example"
        visitor.role.master.send(ROLE_KNOWN, struct.pack("=II", outcome, 0), request=request)
        assert client.answer()[1].startswith(code)
        assert (b"bob@test.example l" in client.ok("GETACL INBOX")[0]) == (outcome == FOUND)


def test_an_answer_that_nobody_asked_for_waits(visitor):
    """What the owner's process says between commands is part of the next answer, never of another mailbox's."""
    with visitor.connect() as client:
        client.send(b"x SELECT Shared/alice@test.example/Work\r\n")
        owner = way(visitor)
        heard(owner, b"Work\r\n")
        owner.sendall(b"* 1 EXISTS\r\nx OK [READ-WRITE] yes\r\n* 2 EXISTS\r\n")
        assert client.answer() == ([b"* 1 EXISTS"], b"OK [READ-WRITE] yes")
        assert client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]
        client.send(b"x NOOP\r\n")
        heard(owner, b"x NOOP\r\n")
        owner.sendall(b"x OK done\r\n")
        assert client.answer() == ([b"* 2 EXISTS"], b"OK done")
        client.send(b"x CLOSE\r\n")
        heard(owner, b"x CLOSE\r\n")
        owner.sendall(b"x NO not now\r\n")
        assert client.answer()[1] == b"NO not now"
        lines, tagged = client.command("SELECT INBOX")
        assert lines[0].startswith(b"* OK [CLOSED]") and tagged.startswith(b"OK")
        assert owner.recv(100) == b""
        owner.close()


def test_who_cannot_be_visited_does_not_exist(visitor):
    """A literal that does not wait is skipped."""
    with visitor.connect() as client:
        for command in (b"STATUS Shared/alice@test.example/A (MESSAGES)", b"APPEND Shared/alice@test.example/A {5+}\r\nx NO "):
            client.send(b"x " + command + b"\r\n")
            way(visitor, ROLE_NO_VISIT, UNKNOWN).close()
            assert client.answer() == ([], b"NO [NONEXISTENT] There is no such mailbox")
        assert client.ok("NOOP") == []


@pytest.mark.parametrize("record", [
    b"", b"\1",
    b"\1\2\0\0\0",  # something is selected
    b"\1\1\0\0\1a",  # it idles
])
def test_a_visitor_brings_nothing_but_what_he_has_enabled(visitor, record):
    """The record (imapd/session/resume.h) comes from the other account's process: it is believed in nothing."""
    ours, theirs = socket.socketpair()
    visitor.role.master.send(ROLE_VISITOR, struct.pack("=Q", 7) + b"bob@test.example", fds=[theirs.fileno()])
    theirs.close()
    ours.sendmsg([struct.pack("=IIIII", mailbox_role.HANDOFF_MAGIC, mailbox_role.HANDOFF_RESUMED, len(record), 0, 1), record])
    ours.settimeout(10)
    assert ours.recv(100) == b""
    ours.close()


def test_a_visitor_has_few_commands(visitor):
    """RFC 4314 4 names them; whatever else there is concerns the owner's account."""
    with visitor.connect() as owner:
        owner.send(b"x SETACL INBOX bob lrswipkxtea\r\n")
        request = record_of(visitor, MASTER_KNOWN)[1]
        visitor.role.master.send(ROLE_KNOWN, struct.pack("=II", FOUND, 0), request=request)
        owner.answer()
        owner.append(MESSAGE)
        ours, theirs = socket.socketpair()
        visitor.role.master.send(ROLE_VISITOR, struct.pack("=Q", 7) + b"bob@test.example", fds=[theirs.fileno()])
        theirs.close()
        record = b"\1\0\0\0\0"
        ours.sendmsg([struct.pack("=IIIII", mailbox_role.HANDOFF_MAGIC, mailbox_role.HANDOFF_RESUMED, len(record), 0, 1), record])
        bob = mailbox_role.Client(ours, greeted=False)
        for command in ('LIST "" *', 'LSUB "" *', "NAMESPACE", "SETQUOTA x ()", 'GETMETADATA "" /shared/comment', "SUBSCRIBE x", "ID NIL", "UNAUTHENTICATE",
                        'GENURLAUTH "imap://u@x/INBOX;UID=1;URLAUTH=anonymous" INTERNAL', "COMPRESS DEFLATE"):
            refused(bob, command, b"NOPERM")
        for name in ("INBOX", "Sent", "Shared/u@test.example/Sent", "Shared/u@test.example", "Shared/x/INBOX", "Expunged"):
            refused(bob, f"SELECT {name}", b"NONEXISTENT")
            refused(bob, f"GETQUOTAROOT {name}", b"NONEXISTENT")
        bob.ok("SELECT Shared/u@test.example/INBOX")
        refused(bob, "COPY 1 Sent", b"CANNOT")
        refused(bob, "COPY 1 Shared/u@test.example/Sent", b"NONEXISTENT")
        bob.close()
