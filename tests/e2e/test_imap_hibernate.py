"""Hibernation: sessions that are quiet for timeouts.hibernate are put to sleep, their process ends, and
the client sees nothing of it (docs/architecture.md, Hibernation). A whole house; `imap` is in the clear,
`imaps` carried by its login process."""

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
PATIENCE = 20


@pytest.fixture(scope="module")
def sleepy(tmp_path_factory):
    made = House(settings={"timeouts": {"hibernate": "150ms", "linger": "100ms"}, "processes": {"imap-login": 2}},
                 services=("imap", "imaps", "smtp"))
    made.start()
    yield made
    made.stop()
    made.remove()


class Client(mailbox_role.Client):
    def __init__(self, house, account, service="imap"):
        self.house, self.account = house, account
        tls = client_context() if SERVICES[service] else None
        Conversation.__init__(self, "127.0.0.1", house.ports[service], tls=tls, server_name="mail.test.example")
        self.ok(f"LOGIN {account} {PASSWORD}")

    def idle(self):
        self.talk("C: i IDLE\nS: + *")

    def done(self):
        """What was told, and the end of IDLE."""
        self.send(b"DONE\r\n")
        return self.answer(b"i")[0]


def hibernations(house, account):
    return house.events("hibernated", account=account)


def sleep(house, account, times=1):
    """Until its process has put all sessions of the account to sleep, and they arrived."""
    before = time.monotonic()
    while len(hibernations(house, account)) < times:
        assert time.monotonic() < before + PATIENCE, house.log_text()
        time.sleep(0.01)
    house.command("status")  # the master and the login processes have answered: behind the records
    return int(hibernations(house, account)[times - 1]["sessions"])


def resumed(house, account):
    return len(house.events("resumed", account=account))


def wait_for_resumed(house, account, count):
    """Events are told behind what they tell of."""
    deadline = time.monotonic() + 10
    while resumed(house, account) < count:
        assert time.monotonic() < deadline, house.log_text()
        time.sleep(0.01)
    assert resumed(house, account) == count


@pytest.fixture
def account(sleepy):
    return sleepy.new_account()


@pytest.fixture(params=["imap", "imaps"])
def client(sleepy, account, request):
    with Client(sleepy, account, request.param) as made:
        yield made


def test_a_delivery_wakes_who_idles(sleepy, account, client):
    """RFC 2177: EXISTS comes as if nothing had been, and DONE ends the IDLE of before."""
    client.ok("SELECT INBOX")
    client.idle()
    assert sleep(sleepy, account) == 1
    wait_for_no_mailbox(sleepy)
    sleepy.send(account, MESSAGE)
    sent = time.monotonic()
    client.talk("S: * 1 EXISTS\nS: * 1 RECENT")
    assert time.monotonic() - sent < 2
    assert client.done() == []
    assert len(client.ok("FETCH 1 BODY[]")) == 1
    sleep(sleepy, account, 2)
    assert client.ok("NOOP") == []
    wait_for_resumed(sleepy, account, 2)


def test_who_looks_at_what_was_expunged_sleeps_too(sleepy, account, client):
    """The mailbox of what was expunged, and a deleted folder in it, are directories of another kind."""
    for name in ("INBOX", "work"):
        if name == "work":
            client.ok("CREATE work")
        client.append(MESSAGE, name)
    client.ok("SELECT INBOX")
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok("CLOSE")
    client.ok("DELETE work")
    for times, name in enumerate(("Expunged", "Expunged/work"), 1):
        client.ok(f"SELECT {name}")
        sleep(sleepy, account, times)
        assert len(client.ok("FETCH 1 BODY[]")) == 1


def wait_for_no_mailbox(house):
    deadline = time.monotonic() + PATIENCE
    while house.pids("imapd-mailbox"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_wakes(sleepy, account, client):
    """Selected or not, and several commands in one packet behind DONE."""
    sleep(sleepy, account)
    assert client.ok("NOOP") == []
    client.append(MESSAGE)
    client.ok("EXAMINE INBOX")
    sleep(sleepy, account, 2)
    assert client.command("STORE 1 +FLAGS (\\Deleted)")[1].startswith(b"NO")  # it is read-only still
    client.idle()
    sleep(sleepy, account, 3)
    client.send(b"DONE\r\nx FETCH 1 FLAGS\r\n")
    assert client.answer(b"i")[1].startswith(b"OK")
    assert len(client.answer()[0]) == 1
    client.idle()
    sleep(sleepy, account, 4)
    client.send(b"DO")  # the line in two pieces, and asleep between them is not possible
    client.send(b"NE\r\n")
    assert client.answer(b"i")[1].startswith(b"OK")
    sleep(sleepy, account, 5)
    client.talk("C: x LOGOUT\nS: * BYE *\nS: x OK *\nS: (closed)")


def fill(client, count):
    for _ in range(count):
        client.append(MESSAGE)


def test_the_view_is_what_it_was(sleepy, account, client):
    """RFC 9051 7.5.1: what changed meanwhile is told, by the numbers that the client knows; before
    that they mean what they meant."""
    fill(client, 6)
    client.ok("SELECT INBOX")
    client.ok("STORE 6 +FLAGS ($Known)")
    sleep(sleepy, account)
    with Client(sleepy, account, "imaps") as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        other.ok("STORE 2 +FLAGS.SILENT (\\Flagged $New)")  # UID 3
        other.append(MESSAGE)  # UID 7
    # Numbers hold until they may change (RFC 3501 7.4.1).
    lines = client.ok("FETCH 1:6 UID")
    assert [line for line in lines if b"(UID " in line] == [b"* %d FETCH (UID %d)" % (uid, uid) for uid in range(1, 7)]
    assert not any(b"EXPUNGE" in line for line in lines)
    flags = [line for line in lines if re.match(rb"\* 3 FETCH \(FLAGS", line)]
    assert len(flags) == 1 and b"\\Flagged" in flags[0] and b"$New" in flags[0]
    assert any(line.startswith(b"* FLAGS ") and b"$New" in line for line in lines)
    assert b"* 7 EXISTS" in lines
    assert [line for line in client.ok("NOOP") if b"RECENT" not in line] == [b"* 2 EXPUNGE", b"* 3 EXPUNGE"]
    assert client.ok("FETCH 1:* UID") == [
        b"* %d FETCH (UID %d)" % (number, uid) for number, uid in enumerate((1, 3, 5, 6, 7), 1)]


def test_news_that_waited_already(sleepy, account, client):
    """Not told before the session fell asleep, told after."""
    fill(client, 3)
    client.ok("SELECT INBOX")
    with Client(sleepy, account) as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 1 +FLAGS.SILENT (\\Answered)")
        other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        other.append(MESSAGE)
        assert sleep(sleepy, account) == 2
    lines = client.ok("NOOP")
    assert any(re.match(rb"\* 1 FETCH \(FLAGS \(\\Answered", line) for line in lines), lines
    assert [line for line in lines if b"EXPUNGE" in line or b"EXISTS" in line] == [b"* 2 EXPUNGE", b"* 3 EXISTS"]


def test_another_session_wakes_who_idles(sleepy, account):
    """What one does is told to all that idle in that folder; who is elsewhere sleeps on."""
    with Client(sleepy, account) as first, Client(sleepy, account, "imaps") as second, \
            Client(sleepy, account) as elsewhere, Client(sleepy, account, "imaps") as quiet:
        fill(first, 2)
        for one in (first, second):
            one.ok("SELECT INBOX")
            one.idle()
        elsewhere.ok("SELECT Sent")
        elsewhere.idle()
        quiet.ok("SELECT INBOX")
        assert sleep(sleepy, account) == 4
        with Client(sleepy, account) as other:
            other.ok("SELECT INBOX")
            other.ok("STORE 2 +FLAGS.SILENT (\\Flagged)")
            for one in (first, second):
                one.talk(r"S: * 2 FETCH (FLAGS (*))")
            other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
            for one in (first, second):
                one.talk(r"S: * 1 FETCH (FLAGS (*))")
            other.ok("EXPUNGE")
            for one in (first, second):
                one.talk("S: * 1 EXPUNGE")
        wait_for_resumed(sleepy, account, 2)
        assert elsewhere.done() == []
        assert any(b"1 EXPUNGE" in line for line in quiet.ok("NOOP"))


def test_condstore_and_qresync(sleepy, account, client):
    """RFC 7162 3.2: what was enabled is enabled still: VANISHED, UID and MODSEQ in FETCH."""
    client.ok("ENABLE QRESYNC")
    fill(client, 4)
    client.ok("SELECT INBOX")
    client.idle()
    sleep(sleepy, account)
    with Client(sleepy, account) as other:
        other.ok("SELECT INBOX")
        other.ok("STORE 3 +FLAGS.SILENT (\\Seen)")
        client.talk(r"S: * 3 FETCH (UID 3 FLAGS (\\Seen *) MODSEQ (*))")
        other.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
        client.talk(r"S: * 1 FETCH (UID 1 *" + "\n" + r"S: * 2 FETCH (UID 2 *")
        other.ok("EXPUNGE")
        client.talk("S: * VANISHED 1:2")
    client.done()


def test_saved_result_and_rev2(sleepy, account, client):
    """RFC 5182: `$`. RFC 9051: no RECENT."""
    client.ok("ENABLE IMAP4rev2")
    fill(client, 5)
    client.ok("SELECT INBOX")
    client.ok("SEARCH RETURN (SAVE) UID 2,4:5")
    sleep(sleepy, account)
    assert client.ok("FETCH $ UID") == [b"* %d FETCH (UID %d)" % (uid, uid) for uid in (2, 4, 5)]
    with Client(sleepy, account) as other:
        other.append(MESSAGE)
    assert client.ok("NOOP") == [b"* 6 EXISTS"]


def test_a_folder_that_is_gone(sleepy, account, client):
    """The session cannot go on: BYE (RFC 9051 7.1.5)."""
    client.ok("CREATE box")
    client.ok("SELECT box")
    sleep(sleepy, account)
    with Client(sleepy, account) as other:
        other.ok("DELETE box")
    client.talk("C: a NOOP\nS: * BYE *\nS: (closed)")


@pytest.mark.parametrize("command", ["COMPRESS DEFLATE", "NOTIFY SET (selected (MessageNew MessageExpunge))",
                                     "SEARCH RETURN (UPDATE) ALL"])
def test_what_keeps_awake(sleepy, account, command):
    """docs/configuration.md, timeouts.hibernate: these cannot be carried over, nor can what stands beside
    them in the same process."""
    with Client(sleepy, account) as client, Client(sleepy, account) as beside:
        client.ok("SELECT INBOX")
        client.ok(command)
        time.sleep(0.5)
        assert not hibernations(sleepy, account)
        beside.ok("NOOP")


def test_a_command_that_is_not_whole_keeps_awake(sleepy, account, client):
    client.send(b"x NO")
    time.sleep(0.5)
    assert not hibernations(sleepy, account)
    client.send(b"OP\r\n")
    assert client.answer()[1].startswith(b"OK")


def awake(house, account, sessions):
    return (sessions + resumed(house, account)
            - sum(int(event["sessions"]) for event in hibernations(house, account)))


def test_many_at_once(sleepy):
    """A dozen clients of three accounts; each of them is told its own."""
    accounts = [sleepy.new_account() for _ in range(3)]
    clients = [Client(sleepy, accounts[i % 3], ("imap", "imaps")[i % 2]) for i in range(12)]
    try:
        for client in clients:
            client.ok("SELECT INBOX")
            client.idle()
        deadline = time.monotonic() + PATIENCE
        while sum(awake(sleepy, account, 4) for account in accounts):
            assert time.monotonic() < deadline, sleepy.log_text()
            time.sleep(0.01)
        sleepy.send(accounts, MESSAGE)
        for client in clients:
            client.talk("S: * 1 EXISTS")
    finally:
        for client in clients:
            client.close()


def test_who_leaves_asleep_is_forgotten(sleepy, account, client):
    sleep(sleepy, account)
    client.close()
    deadline = time.monotonic() + PATIENCE
    while not sleepy.events("closed", session=session_of(sleepy, account), reason="client"):
        assert time.monotonic() < deadline, sleepy.log_text()
        time.sleep(0.01)
    assert resumed(sleepy, account) == 0


def session_of(house, account):
    return house.events("opened", account=account)[-1]["session"]


def test_a_forged_record(tmp_path):
    """A captured login process can hand over what it wants: what is no record ends that client alone,
    and what is one says no more than commands could. The real one is taken back by any process of
    the account."""
    mailbox = mailbox_role.Mailbox(tmp_path, config="timeouts { hibernate = 100ms }")
    with mailbox.connect() as client:
        fill(client, 3)
        client.ok("SELECT INBOX")
        client.talk("C: i IDLE\nS: + *")
        record = put_to_sleep(mailbox)
    mailbox.role.stop()
    mailbox.start()
    with mailbox.resume(record, said=b"DONE\r\n") as client:
        client.talk("S: i OK *\nC: a FETCH 1:* UID\nS: * 1 FETCH (UID 1)\nS: ...\nS: a OK *")
    forgeries = [record[:end] for end in range(1, len(record))] + [record + b"x"]
    forgeries += [record.replace(b"\x01.", name) for name in (b"\x02..", b"\x04.A/B", b"\x06../../", b"\x01/")]
    for forged in forgeries:
        with mailbox.resume(forged) as client:
            client.talk("S: (closed)")
    for elsewhere in (record.replace(b"\x01.", b"\x05.None"), record.replace(b"\x01.", b"\x05.Sent")):
        with mailbox.resume(elsewhere) as client:
            client.talk("S: * BYE *\nS: (closed)")
    with mailbox.connect() as client:
        client.ok("NOOP")
    mailbox.stop()


def put_to_sleep(mailbox):
    """MASTER_SLEEPS; the record."""
    MASTER_SLEEPS = 112
    _, body, fds = mailbox.role.master.expect(MASTER_SLEEPS)
    for fd in fds:
        os.close(fd)
    directory, octets = struct.unpack_from("=II", body, 64)
    assert len(body) == 72 + directory + octets
    mailbox.role.master.expect(105)  # MASTER_IDLE
    return body[72 + directory :]


def test_octets_under_way(tmp_path):
    """What the client says while its session falls asleep waits where the next process finds it."""
    mailbox = mailbox_role.Mailbox(tmp_path, config="timeouts { hibernate = 100ms }")
    with mailbox.connect(carried=True) as client:
        _, body, (fd,) = mailbox.role.master.expect(112)
        client.send(b"a NOOP\r\n")
        with socket.socket(fileno=fd) as other:
            assert other.recv(100) == b"a NOOP\r\n"
    mailbox.role.kill()


def test_kill_of_the_login_process(sleepy, account):
    """It takes along those that it keeps, and nobody else; what wakes them later meets nobody."""
    clients = [Client(sleepy, account, service) for service in ("imap", "imaps") * 2]
    for client in clients:
        client.ok("SELECT INBOX")
        client.idle()
    assert sleep(sleepy, account) == 4
    sleepy.deaths_expected = True
    for pid in sleepy.pids("imapd-login"):
        os.kill(pid, signal.SIGKILL)
    for client in clients:
        client.talk("S: (closed)")
        client.close()
    sleepy.send(account, MESSAGE)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with Client(sleepy, account, "imaps") as client:
                assert b"* 1 EXISTS" in client.ok("SELECT INBOX")
                return
        except OSError:
            assert time.monotonic() < deadline


def test_kill_of_the_mailbox(sleepy, account):
    """What is asleep is not touched by the death of a process that serves another session."""
    with Client(sleepy, account) as client, Client(sleepy, account, "imaps") as other:
        client.ok("SELECT INBOX")
        client.idle()
        assert sleep(sleepy, account) == 2
        other.ok("NOOP")
        other.send(b"x NO")  # so that it stays awake
        pid = sleepy.pids("imapd-mailbox")[-1]
        os.kill(pid, signal.SIGKILL)
        other.talk("S: (closed)")
        sleepy.wait_for_event("role_ended", pid=pid)  # until then who is woken is given to the dying one
        sleepy.send(account, MESSAGE)
        client.talk("S: * 1 EXISTS")




def test_reload_and_stop():
    """A reload leaves them asleep; a stop says BYE."""
    house = House(settings={"timeouts": {"hibernate": "150ms"}, "limits": {"free-space": "1M", "account-sessions": 3}},
                  services=("imap", "imaps"))
    house.start()
    try:
        account, other_account = house.new_account(), house.new_account()
        clients = [Client(house, account, service) for service in ("imap", "imaps")]
        assert sleep(house, account) == 2
        house.command("reload")
        third = Client(house, account)
        with house.connect("imap") as fourth:
            fourth.talk("C: a LOGIN {account} staffetta\nS: a NO [LIMIT] *", account=account)
        for one in (*clients, third):
            one.ok("SELECT INBOX")
        sleep(house, account, 2)
        gone = Client(house, other_account)
        sleep(house, other_account)
        # An account that is removed is not woken.
        house.command("account", "remove", other_account)
        gone.talk("C: a NOOP\nS: * BYE *\nS: (closed)")
        assert not house.events("not_admitted")
        house.process.send_signal(signal.SIGTERM)
        for one in (*clients, third):
            one.talk("S: * BYE *\nS: (closed)")
    finally:
        house.stop()
        house.remove()
