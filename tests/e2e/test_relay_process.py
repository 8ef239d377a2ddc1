"""smtpd-relay alone, with this process as master and queue (smtpd/relay/relay_protocol.h), against a server that does
what each test wants of it (sink.py)."""

import hashlib
import os
import pathlib
import select
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from house import BUILD, Authority, make_certificate
from one_role import DESCRIPTOR_DIRECTORY, ROLE_DESCRIPTOR, ROLE_STOP, Role
from scram import Scram
from sink import CLOSE, STALL, Close, Raw, Sink

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-relay").exists(),
                                reason="smtpd-relay is not built")

RELAY_MESSAGE, RELAY_MESSAGE_FILE, RELAY_RESULT, RELAY_TLS_SESSION, RELAY_LEAVES = 1, 2, 101, 102, 104
DESCRIPTOR_PASSWORD = 10
DONE, TEMPORARY, PERMANENT = 1, 2, 3
PEER_SAID, KEEPS_DSN, KEEPS_TIME = 1, 2, 4
NOTIFY_SUCCESS, NOTIFY_FAILURE, NOTIFY_NEVER = 1, 2, 8
UTF8, EIGHT_BIT, RET_FULL, RET_HDRS, REQUIRETLS, BY_RETURN, BY_TRACE = 4, 8, 16, 32, 64, 128, 256
BODY = b"From: a@b.example\r\nSubject: s\r\n\r\nhello\r\n"
FAST = "relay { idle = 300ms connect = 2s reply = 2s mta-sts = no }"


class Result:
    def __init__(self, request, body):
        self.request = request
        self.id, count, self.window, self.wait_ms, _ = struct.unpack_from("=QIIII", body)
        at = struct.calcsize("=QIIII")
        fixed = [struct.unpack_from("=HHHH", body, at + 8 * i) for i in range(count)]
        at += 8 * count
        self.outcomes = []
        for status, flags, octets, _ in fixed:
            words, reply, peer = (body[at : at + octets].decode() + "\n\n").split("\n")[:3]
            self.outcomes.append((status, flags, words, reply, peer))
            at += octets
        assert at == len(body)

    @property
    def statuses(self):
        return [outcome[0] for outcome in self.outcomes]


class Relay:
    """The role, routed to a sink: mail for sink.example goes there."""

    def __init__(self, directory, config, files=()):
        self.role = Role("smtpd-relay", directory, config, purpose=DESCRIPTOR_DIRECTORY)
        for purpose, index, fd in files:
            self.role.master.send(ROLE_DESCRIPTOR, struct.pack("=II", purpose, index), fds=[fd])
        self.queue = self.role.peer("smtpd-queue")
        self.role.go()
        self.requests, self.tls_sessions = 0, []

    def send(self, recipients=("x@sink.example",), body=BODY, reverse_path="a@b.example",
             destination="sink.example", prefix=b"", cuts=(), flags=0, envid="", in_file=False,
             orcpt="", notify=0, id_text="3RE00000A7K2M", deliver_by=0):
        self.requests += 1
        recipients = [address.encode() for address in recipients]
        orcpt, destination, envid = orcpt.encode(), destination.encode(), envid.encode()
        reverse_path, id_text = reverse_path.encode(), id_text.encode()
        fixed = struct.pack("=QqIHHHHHHIIQ", 1000 + self.requests, deliver_by, flags, len(recipients),
                            len(destination), len(reverse_path), len(envid), len(id_text),
                            len(cuts), len(prefix), 0, len(body))
        structs = b"".join(struct.pack("=HHHH", len(address), len(orcpt), notify, 0)
                           for address in recipients)
        texts = b"".join(address + orcpt for address in recipients)
        record = (fixed + structs + texts + destination + reverse_path + envid + id_text + prefix
                  + b"".join(struct.pack("=II", *cut) for cut in cuts))
        if not in_file:
            self.queue.send(RELAY_MESSAGE, record + body, request=self.requests)
            return self.requests
        with os.fdopen(os.memfd_create("body"), "wb") as file:
            file.write(body)
            file.flush()
            self.queue.send(RELAY_MESSAGE_FILE, record, request=self.requests, fds=[file.fileno()])
        return self.requests

    def result(self, seconds=20):
        """What is said of connections for TLS reports, and that it is to get nothing more, comes between the results."""
        while True:
            kind, request, body, _ = self.queue.receive(seconds)
            if kind == RELAY_RESULT:
                return Result(request, body)
            assert kind in (RELAY_TLS_SESSION, RELAY_LEAVES)
            self.tls_sessions.append(body[8:])

    def one(self, **message):
        self.send(**message)
        return self.result()


@pytest.fixture
def start(tmp_path):
    started = []

    def starter(sink=None, config=FAST, route=""):
        if sink:
            config += f'\nroute sink.example {{ host = "127.0.0.1" port = {sink.port} {route} }}\n'
        relay = Relay(tmp_path, config)
        started.append(relay)
        return relay

    yield starter
    for relay in started:
        relay.role.kill()


# ---- what arrives ----


def test_one_message(start):
    with Sink() as sink:
        result = start(sink).one(recipients=["x@sink.example"])
        status, flags, words, reply, peer = result.outcomes[0]
        assert (status, flags) == (DONE, PEER_SAID)
        assert words.startswith("2.0.0 ") and reply == "250 2.0.0 taken as 4711"
        assert peer == "127.0.0.1 [127.0.0.1]"
        assert result.window > 1 and result.wait_ms == 0
        (message,) = sink.wait(1)
        assert message.mail == f"MAIL FROM:<a@b.example> SIZE={len(BODY)}"
        assert message.rcpts == ["RCPT TO:<x@sink.example>"]
        assert message.data == BODY and message.hello == "mail.test.example"


@pytest.mark.parametrize("in_file", [False, True])
def test_recipe(start, in_file):
    """Prefix, body less the cuts, dots doubled on the way and single again at the other end."""
    body = b"Bcc: hidden\r\nSubject: s\r\n\r\n.\r\n..\r\nx.\r\n.y\r\n"
    with Sink() as sink:
        relay = start(sink)
        result = relay.one(body=body, prefix=b"Received: r\r\n", cuts=[(0, 13)], in_file=in_file)
        assert result.statuses == [DONE]
        assert sink.wait(1)[0].data == b"Received: r\r\n" + body[13:]
        assert f" SIZE={len(body)}" in sink.wait(1)[0].mail  # 13 less, 13 more


@pytest.mark.parametrize("body, arrives", [
    (b"no end", b"no end\r\n"),
    (b"bare\nlf\n.\nMAIL FROM:<evil@x>\n", b"bare\r\nlf\r\n.\r\nMAIL FROM:<evil@x>\r\n"),
    (b"bare\rcr\r.\r", b"bare\r\ncr\r\n.\r\n"),
    (b"", b""),
])
def test_only_crlf_ends_lines(start, body, arrives):
    with Sink() as sink:
        assert start(sink).one(body=body).statuses == [DONE]
        assert sink.wait(1)[0].data == arrives


def test_large_body(start):
    """30 MB from a file, to a server that reads it slowly at first."""
    body = b"Subject: large\r\n\r\n" + b".0123456789abcdef\r\n" * 1700000
    with Sink(extensions=["PIPELINING"]) as sink:
        assert start(sink).one(body=body, in_file=True).statuses == [DONE]
        assert sink.wait(1)[0].data == body


def test_parameters(start):
    with Sink(extensions=["DSN", "8BITMIME", "SIZE", "SMTPUTF8", "PIPELINING"]) as sink:
        result = start(sink).one(flags=EIGHT_BIT | RET_HDRS, envid="a+b", notify=NOTIFY_SUCCESS | NOTIFY_FAILURE,
                                 orcpt="rfc822;x y@sink.example")
        assert result.outcomes[0][:2] == (DONE, PEER_SAID | KEEPS_DSN)
        (message,) = sink.wait(1)
        assert message.mail == f"MAIL FROM:<a@b.example> SIZE={len(BODY)} BODY=8BITMIME RET=HDRS ENVID=a+2Bb"
        assert message.rcpts == ["RCPT TO:<x@sink.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+20y@sink.example"]


@pytest.mark.parametrize("offer, flags, code, said", [
    ("DELIVERBY", BY_RETURN | BY_TRACE, "2.0.0", "RT"),
    ("DELIVERBY 20", 0, "2.0.0", "N"),
    ("DELIVERBY 20", BY_RETURN, "2.0.0", "R"),
    ("DELIVERBY 9999", BY_RETURN, "5.4.7", None),
    ("DSN", 0, "2.0.0", ""),
    ("DSN", BY_RETURN, "5.3.3", None),
])
def test_deliver_by(start, offer, flags, code, said):
    """RFC 2852 4: what is left of the time; and what is to come back if late goes to nobody who does not know that."""
    with Sink(extensions=[offer]) as sink:
        result = start(sink).one(flags=flags, deliver_by=int(time.time()) + 100)
        assert result.outcomes[0][2].startswith(code + " ")
        if said is None:
            assert not sink.messages and not any(line.startswith(b"MAIL") for line in sink.connections[0].lines)
        elif said:
            left, mode = sink.wait(1)[0].mail.split(" BY=")[1].split(";")
            assert 90 <= int(left) <= 100 and mode == said
            assert result.outcomes[0][1] & KEEPS_TIME
        else:
            assert " BY=" not in sink.wait(1)[0].mail and not result.outcomes[0][1] & KEEPS_TIME


def test_too_late_to_be_sent(start):
    with Sink(extensions=["DELIVERBY"]) as sink:
        result = start(sink).one(flags=BY_RETURN, deliver_by=int(time.time()) - 5)
        assert result.outcomes[0][0] == PERMANENT and result.outcomes[0][2].startswith("5.4.7 ")


def test_null_reverse_path_and_never(start):
    with Sink(extensions=["DSN"]) as sink:
        assert start(sink).one(reverse_path="", notify=NOTIFY_NEVER).statuses == [DONE]
        (message,) = sink.wait(1)
        assert message.mail == "MAIL FROM:<>"
        assert message.rcpts == ["RCPT TO:<x@sink.example> NOTIFY=NEVER"]


def test_nothing_is_said_that_was_not_offered(start):
    with Sink(extensions=[]) as sink:
        assert start(sink).one(flags=EIGHT_BIT | RET_FULL, envid="e", notify=NOTIFY_NEVER).statuses == [DONE]
        (message,) = sink.wait(1)
        assert message.mail == "MAIL FROM:<a@b.example>"
        assert message.rcpts == ["RCPT TO:<x@sink.example>"]


def test_old_server(start):
    with Sink(answers={"EHLO": b"502 5.5.1 what?"}) as sink:
        assert start(sink).one().statuses == [DONE]
        assert sink.connections[0].lines[:3] == [b"EHLO mail.test.example", b"HELO mail.test.example",
                                                 b"MAIL FROM:<a@b.example>"]


def test_smtputf8(start):
    with Sink(extensions=["SMTPUTF8", "8BITMIME"]) as sink:
        relay = start(sink)
        assert relay.one(recipients=["jürgen@sink.example"], flags=UTF8).statuses == [DONE]
        assert sink.wait(1)[0].mail == "MAIL FROM:<a@b.example> SMTPUTF8"
        assert relay.one(flags=UTF8).statuses == [DONE]  # nothing in it needs it
        assert sink.wait(2)[1].mail == "MAIL FROM:<a@b.example>"


def test_smtputf8_not_offered(start):
    with Sink() as sink:
        relay = start(sink)
        result = relay.one(recipients=["jürgen@sink.example"], flags=UTF8)
        assert result.outcomes[0][0] == PERMANENT and result.outcomes[0][2].startswith("5.6.7 ")
        assert relay.one(flags=UTF8).statuses == [DONE]
        large = BODY + b"x" * 70 + b"\r\n"
        assert relay.one(flags=UTF8, body=large, in_file=True).statuses == [DONE]
        result = relay.one(flags=UTF8, body=b"Subject: \xc3\xbc\r\n" + large, in_file=True)
        assert result.statuses == [PERMANENT]


def test_smtputf8_for_some(start):
    """Those whose addresses are ASCII are not to suffer for the others."""
    with Sink() as sink:
        result = start(sink).one(recipients=["jürgen@sink.example", "x@sink.example"], flags=UTF8)
        assert result.statuses == [PERMANENT, DONE] and result.outcomes[0][2].startswith("5.6.7 ")
        (message,) = sink.wait(1)
        assert (message.mail.split()[1], message.rcpts) == ("FROM:<a@b.example>", ["RCPT TO:<x@sink.example>"])


def test_too_large_for_the_server(start):
    with Sink(extensions=["SIZE 20"]) as sink:
        (outcome,) = start(sink).one().outcomes
        assert outcome[0] == PERMANENT and outcome[1] == 0 and outcome[2].startswith("5.3.4 ")
        assert not any(line.startswith(b"MAIL") for line in sink.connections[0].lines)


# ---- answers for each recipient ----


def rcpt_says(answers):
    """By local part."""
    return lambda connection, line: answers.get(line.split(b"<")[1].split(b"@")[0].decode())


@pytest.mark.parametrize("extensions", [["PIPELINING"], []])
def test_recipients_have_their_own_outcomes(start, extensions):
    answers = {"no": b"550 5.1.1 no such user", "full": b"452 4.2.2 full", "late": b"450 try later"}
    with Sink(extensions=extensions, answers={"RCPT": rcpt_says(answers)}) as sink:
        result = start(sink).one(recipients=[f"{name}@sink.example" for name in ("no", "a", "full", "late", "b")])
        assert result.statuses == [PERMANENT, DONE, TEMPORARY, TEMPORARY, DONE]
        codes = [outcome[2].split()[0] for outcome in result.outcomes]
        assert codes == ["5.1.1", "2.0.0", "4.2.2", "4.0.0", "2.0.0"]
        assert result.outcomes[0][3] == "550 5.1.1 no such user"
        assert len(sink.wait(1)[0].rcpts) == 2 and result.wait_ms == 0


@pytest.mark.parametrize("extensions", [["PIPELINING"], []])
@pytest.mark.parametrize("data", [None, b"354 go on"])
def test_all_recipients_refused_then_another_message(start, extensions, data):
    answers = {"no": b"550-5.1.1 no\r\n550 5.1.1 never"}
    with Sink(extensions=extensions, answers={"RCPT": rcpt_says(answers), "DATA": None}) as sink:
        if data:  # RFC 2920 3.1: some answer 354 all the same
            sink.answers["DATA"] = lambda connection, line: None if connection.rcpts else lone_dot(connection)
        relay = start(sink)
        result = relay.one(recipients=["no@sink.example"] * 2)
        assert result.statuses == [PERMANENT] * 2
        assert result.outcomes[1][3] == "550-5.1.1 no\r550 5.1.1 never"
        assert relay.one().statuses == [DONE]
        assert len(sink.connections) == 1


def lone_dot(connection):
    connection.sock.sendall(b"354 go on\r\n")
    assert connection.line() == b"."
    return b"554 5.5.1 no recipients"


def test_mail_refused(start):
    with Sink(answers={"MAIL": [b"550 5.7.1 not you", None]}) as sink:
        relay = start(sink)
        result = relay.one(recipients=["a@sink.example", "b@sink.example"])
        assert [outcome[2].split()[0] for outcome in result.outcomes] == ["5.7.1"] * 2
        assert relay.one().statuses == [DONE] and len(sink.connections) == 1


def test_data_refused(start):
    with Sink(answers={"DATA": [b"451 4.3.0 not now", None]}) as sink:
        relay = start(sink)
        assert relay.one().statuses == [TEMPORARY]
        assert relay.one().statuses == [DONE]
        assert b"RSET" in sink.connections[0].lines  # the first transaction was still open


@pytest.mark.parametrize("answer, status", [(b"554 5.7.1 spam", PERMANENT), (b"451 4.3.0 later", TEMPORARY)])
def test_message_refused(start, answer, status):
    with Sink(answers={"DOT": [answer, None]}) as sink:
        relay = start(sink)
        (outcome,) = relay.one().outcomes
        assert outcome[0] == status and outcome[3] == answer.decode()
        assert relay.one().statuses == [DONE] and len(sink.connections) == 1


@pytest.mark.parametrize("extensions", [["PIPELINING"], []])
def test_too_many_recipients(start, extensions):
    """RFC 5321 4.5.3.1.10: what is beyond the server's limit goes in further transactions."""
    def at_most_three(connection, line):
        return b"452 4.5.3 too many" if len(connection.rcpts) >= 3 else None

    with Sink(extensions=extensions, answers={"RCPT": at_most_three}) as sink:
        result = start(sink).one(recipients=[f"r{i}@sink.example" for i in range(8)])
        assert result.statuses == [DONE] * 8
        assert [len(message.rcpts) for message in sink.wait(3)] == [3, 3, 2]


def test_limits(start):
    """RFC 9422: RCPTMAX and MAILMAX are kept before anything is refused."""
    with Sink(extensions=["PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=1"]) as sink:
        result = start(sink).one(recipients=[f"r{i}@sink.example" for i in range(5)])
        assert result.statuses == [DONE] * 5
        arrived = sorted((message.connection, len(message.rcpts)) for message in sink.wait(3))
        assert arrived == [(1, 2), (2, 2), (3, 1)]


def test_hundred_recipients(start):
    with Sink() as sink:
        result = start(sink).one(recipients=[f"r{i}@sink.example" for i in range(100)])
        assert result.statuses == [DONE] * 100 and len(sink.wait(1)[0].rcpts) == 100


# ---- LMTP ----


def test_lmtp(start):
    answers = {"DOT": lambda connection, line: b"452 4.2.2 full" if b"full" in line else None}
    with Sink(lmtp=True, answers=answers) as sink:
        relay = start(sink, route="protocol = lmtp")
        result = relay.one(recipients=["a@sink.example", "full@sink.example", "b@sink.example"])
        assert result.statuses == [DONE, TEMPORARY, DONE]
        assert sink.connections[0].lines[0] == b"LHLO mail.test.example"
        assert relay.one().statuses == [DONE] and len(sink.connections) == 1


# ---- connections ----


def test_connection_is_reused_then_ended(start):
    with Sink() as sink:
        relay = start(sink)
        for _ in range(5):
            assert relay.one().statuses == [DONE]
        assert len(sink.connections) == 1
        sink.connections[0].join(5)
        assert not sink.connections[0].is_alive() and sink.connections[0].lines[-1] == b"QUIT"


def test_so_many_messages_a_connection(start):
    """421 behind messages that were taken ends the connection, and is no plea for a pause: none is taken, nothing deferred."""
    def three(connection, line):
        connection.mails = getattr(connection, "mails", 0) + 1
        return b"421 4.7.0 enough for this connection" if connection.mails > 3 else None

    with Sink(answers={"MAIL": three}) as sink:
        relay = start(sink, route="connections = 1")
        for _ in range(60):
            relay.send()
        results = [relay.result() for _ in range(60)]
        assert {result.statuses[0] for result in results} == {DONE} and {result.wait_ms for result in results} == {0}
        assert len(sink.messages) == 60 and len(sink.connections) == 20


def test_envelope_goes_behind_the_message(start):
    """With one connection allowed, the next envelope does not wait for the answer to the message."""
    seen = []

    def slow(connection, line):
        if not connection.input and select.select([connection.sock], [], [], 1)[0]:
            connection.input = connection.sock.recv(65536)
        seen.append(connection.input)

    with Sink(answers={"DOT": slow}) as sink:
        relay = start(sink, route="connections = 1")
        relay.one()
        for _ in range(3):
            relay.send()
        assert [relay.result().statuses for _ in range(3)] == [[DONE]] * 3
        assert len(sink.connections) == 1 and any(octets.startswith(b"MAIL FROM") for octets in seen)


def test_connections_grow_with_success(start):
    with Sink(answers={"DOT": lambda connection, line: time.sleep(0.1)}) as sink:
        relay = start(sink, route="connections = 4")
        windows = [relay.one().window for _ in range(6)]
        assert windows == sorted(windows) and windows[0] < windows[-1] == 8
        for _ in range(8):
            relay.send()
        assert [relay.result().statuses for _ in range(8)] == [[DONE]] * 8
        assert 1 < len(sink.connections) <= 4


def test_server_that_takes_one_message_a_connection(start):
    def once(connection, line):
        return b"421 4.3.2 one is enough" if any(m.connection == connection.number for m in connection.sink.messages) \
            else None

    with Sink(answers={"MAIL": once}) as sink:
        relay = start(sink)
        for _ in range(4):
            assert relay.one().statuses == [DONE]
        assert len(sink.wait(4)) == 4 and len(sink.connections) == 4


def test_server_closes_between_messages(start):
    """A connection that was good before is no reason to give a message back."""
    def gone(connection, line):
        return CLOSE if any(m.connection == connection.number for m in connection.sink.messages) else None

    with Sink(answers={"MAIL": gone}) as sink:
        relay = start(sink)
        for _ in range(3):
            assert relay.one().statuses == [DONE]
        assert len(sink.wait(3)) == 3


def test_more_connections_are_refused(start):
    """421 to the fourth: what waits goes over the three that stand."""
    def three(connection, line):
        alive = sum(1 for other in connection.sink.connections if other.is_alive())
        return b"421 4.7.0 too many of you" if alive > 3 else None

    with Sink(answers={"BANNER": three}) as sink:
        relay = start(sink)
        for _ in range(6):
            relay.one()
        for _ in range(20):
            relay.send()
        assert [relay.result().statuses for _ in range(20)] == [[DONE]] * 20


def test_asked_for_less(start):
    with Sink(answers={"MAIL": [None, None, None, b"450 4.7.1 slower, please", None]}) as sink:
        relay = start(sink)
        windows = [relay.one().window for _ in range(4)]
        assert windows[3] < windows[2]


def test_addresses_of_a_pool_take_turns(start):
    """A route's `source`, where those of the server's family count; and its `helo`."""
    from_where = []

    def note(connection, _):
        from_where.append(connection.sock.getpeername()[0])

    with Sink(answers={"MAIL": note}) as sink:
        relay = start(sink, config=FAST.replace("idle = 300ms", "idle = 0"),
                      route="source = { 127.0.0.2, ::1, 127.0.0.3 } helo = out.example")
        for _ in range(4):
            assert relay.one().statuses == [DONE]
        assert {message.hello for message in sink.wait(4)} == {"out.example"}
    assert from_where == ["127.0.0.2", "127.0.0.3"] * 2


def test_messages_per_minute(start):
    with Sink() as sink:
        relay = start(sink, route="messages-per-minute = 240")
        began = time.monotonic()
        for _ in range(9):
            relay.send()
        for _ in range(9):
            assert relay.result().statuses == [DONE]
        assert 1.2 < time.monotonic() - began < 4  # four a second, four at once


# ---- servers that fail ----


def only_failure(result):
    (outcome,) = result.outcomes
    return outcome


@pytest.mark.parametrize("banner", [b"554 5.7.1 go away", b"421 4.3.2 closing", b"220-hello\r\n221 what"])
def test_refused_at_once(start, banner):
    with Sink(answers={"BANNER": banner}) as sink:
        result = start(sink).one()
        status, flags, words, reply, peer = only_failure(result)
        assert status == TEMPORARY and words[:2] == "4." and result.wait_ms > 30000 and result.window == 1
        assert reply == ("" if banner.startswith(b"220") else banner.decode())
        assert peer == "127.0.0.1 [127.0.0.1]"


def test_nobody_listens(start):
    with Sink() as sink:
        pass
    result = start(sink).one()
    status, flags, words, reply, peer = only_failure(result)
    assert (status, flags, reply) == (TEMPORARY, 0, "") and words.startswith("4.4.1 ") and "refused" in words
    assert result.wait_ms > 30000


@pytest.mark.parametrize("step", ["BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("fault", [CLOSE, STALL, Raw(b"no reply at all\r\n"), Raw(b"\0\0\0\r\n"),
                                   Raw(b"250-" + b"x" * 1000000 + b"\r\n"), Raw(b"250-endless\r\n" * 100000),
                                   Raw(b"999 what\r\n"), b"299 odd", b"421 4.3.2 closing"],
                         ids=["close", "stall", "nonsense", "nul", "long", "endless", "999", "299", "421"])
def test_faults_at_each_step(start, step, fault):
    """One clear outcome, in time, and the process goes on: a second destination is served."""
    with Sink(answers={step: fault}) as bad, Sink() as good:
        config = f'{FAST}\nroute good.example {{ host = "127.0.0.1" port = {good.port} }}'.replace("reply = 2s", "reply = 500ms")
        relay = start(bad, config=config)
        relay.send()
        relay.send(destination="good.example", recipients=["x@good.example"])
        results = {result.request: result for result in (relay.result(), relay.result())}
        assert results[2].statuses == [DONE]
        status, _, words, _, _ = only_failure(results[1])
        if fault == b"299 odd" and step not in ("BANNER", "DATA"):
            assert status == DONE
        else:
            assert status == TEMPORARY and words[:2] == "4."
        assert not relay.role.hostile and relay.role.status is None


def test_unknown_whether_taken(start):
    """A server that dies behind the dot: temporary, the sender's words say what is not known, and
    no more is sent to it for a while."""
    with Sink(answers={"DOT": CLOSE}) as sink:
        result = start(sink).one()
        status, _, words, _, _ = only_failure(result)
        assert status == TEMPORARY and words.startswith("4.4.2 ") and "not known" in words
        assert result.wait_ms > 30000


@pytest.mark.parametrize("step, what", [("MAIL", "the answer to MAIL"), ("RCPT", "the answer to RCPT"),
                                        ("DATA", "the answer to DATA")])
@pytest.mark.parametrize("extensions", [["PIPELINING"], []])
def test_one_attempt_names_its_step(start, step, what, extensions):
    """A new connection that breaks, and no other server: the message waits, none is tried at once."""
    with Sink(extensions, answers={step: CLOSE}) as sink:
        status, _, words, _, _ = only_failure(start(sink).one())
        assert status == TEMPORARY and words.startswith("4.4.2 ") and what in words
        assert len(sink.connections) == 1


def test_slow_octets_have_one_deadline(start):
    """An octet each 100 ms does not put it off."""
    def drip(connection, line):
        for _ in range(100):
            connection.sock.sendall(b"2")
            time.sleep(0.1)
        return CLOSE

    with Sink(answers={"MAIL": drip}) as sink:
        began = time.monotonic()
        relay = start(sink, config=FAST.replace("reply = 2s", "reply = 1s"))
        assert relay.one().statuses == [TEMPORARY]
        assert time.monotonic() - began < 6  # three tries of a second


def test_early_refusal(start):
    """An answer before the dot, and the connection closed while the body is still being written."""
    def refuse(connection, line):
        connection.sock.sendall(b"354 go on\r\n552 5.3.4 too large\r\n")
        return STALL

    with Sink(["PIPELINING"], answers={"DATA": refuse}, stall_seconds=3) as sink:
        body = b"x" * 70 + b"\r\n"
        status, _, words, reply, _ = only_failure(start(sink).one(body=body * 300000, in_file=True))
        assert status == PERMANENT and reply == "552 5.3.4 too large"


def test_queue_dies(start):
    """Its messages are dropped, connections that carry some are cut, the next queue is served."""
    with Sink(answers={"RCPT": [STALL, None]}) as sink:
        relay = start(sink, config=FAST.replace("reply = 2s", "reply = 1m"))
        relay.send()
        while not sink.connections or not sink.connections[0].lines[-1:] == [b"RCPT TO:<x@sink.example>"]:
            pass
        relay.queue.close()
        relay.queue = relay.role.peer("smtpd-queue")
        assert relay.one().request == 2


def test_hostile_queue(start):
    relay = start()
    relay.queue.send(RELAY_MESSAGE, b"\xff" * 100, request=1)
    assert relay.queue.receive() is None
    relay.queue = relay.role.peer("smtpd-queue")
    relay.role.counts()
    assert relay.role.hostile == [(8, 1)]


def test_stop_finishes(start):
    """ROLE_STOP: what is under way is done, connections end with QUIT."""
    arrived = threading.Event()
    with Sink(answers={"DATA": lambda connection, line: arrived.set()}) as sink:
        relay = start(sink)
        relay.send()
        arrived.wait(10)
        relay.role.master.send(ROLE_STOP)
        assert relay.result().statuses == [DONE]
        assert relay.role.wait() == 0
        sink.connections[0].join(5)
        assert sink.connections[0].lines[-1] == b"QUIT"


# ---- TLS ----

TLS = ["PIPELINING", "STARTTLS"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"), "mx.sink.example")


def with_authority(certificate):
    return FAST.replace("relay {", f'relay {{ authorities = "{certificate[0]}"')


def test_starttls_where_it_is_offered(start, certificate):
    """Any certificate: better than none."""
    with Sink(TLS, certificate=certificate) as sink:
        assert start(sink).one().statuses == [DONE]
        assert sink.wait(1)[0].tls == "TLSv1.3"
        verbs = [line.split()[0] for line in sink.connections[0].lines]
        assert verbs[:4] == [b"EHLO", b"STARTTLS", b"EHLO", b"MAIL"]


def test_never(start, certificate):
    with Sink(TLS, certificate=certificate) as sink:
        assert start(sink, route="tls = never").one().statuses == [DONE]
        assert sink.wait(1)[0].tls is None


def test_implicit_tls(start, certificate):
    with Sink(certificate=certificate, implicit_tls=True) as sink:
        assert start(sink, route="implicit-tls = yes").one().statuses == [DONE]
        assert sink.wait(1)[0].tls == "TLSv1.3"


@pytest.mark.parametrize("answers, how", [
    ({"STARTTLS": b"454 4.7.0 not today"}, "refused"),
    ({"STARTTLS": Raw(b"220 go ahead\r\n")}, "no handshake"),
])
@pytest.mark.parametrize("wish, tls", [("may", None), ("encrypt", "never sent")])
def test_handshake_fails(start, certificate, answers, how, wish, tls):
    """`may` goes on in the clear, on a new connection if need be; `encrypt` does not."""
    with Sink(TLS, certificate=certificate, answers=answers) as sink:
        result = start(sink, route=f"tls = {wish}").one()
        if wish == "may":
            assert result.statuses == [DONE] and sink.wait(1)[0].tls is None
        else:
            status, _, words, _, _ = only_failure(result)
            assert status == TEMPORARY and words.startswith("4.7.") and not sink.messages


def resets(connection, line):
    """What some servers do with a handshake: the end, without a word."""
    connection.sock.sendall(b"220 2.0.0 go ahead\r\n")
    connection.sock.recv(65536)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return CLOSE


def alerts(connection, line):
    """handshake_failure, RFC 8446 6.2"""
    connection.sock.sendall(b"220 2.0.0 go ahead\r\n")
    connection.sock.recv(65536)
    connection.sock.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
    return CLOSE


def stays_silent(connection, line):
    connection.sock.sendall(b"220 2.0.0 go ahead\r\n")
    return STALL


@pytest.mark.parametrize("fault", [resets, alerts, stays_silent, "asks"])
@pytest.mark.parametrize("wish", ["may", "encrypt"])
def test_broken_handshake(start, certificate, fault, wish):
    """RFC 7435 3: where TLS is not a must, mail goes in the clear, on a new connection, and the log says why. "asks":
    the server wants a certificate of ours, and says only behind the handshake that it misses it (TLS 1.3)."""
    with Sink(TLS, certificate=certificate, answers={} if fault == "asks" else {"STARTTLS": fault}) as sink:
        if fault == "asks":
            sink.context.verify_mode = ssl.CERT_REQUIRED
            sink.context.load_verify_locations(certificate[0])
        relay = start(sink, route=f"tls = {wish}")
        result = relay.one()
        events = relay.role.events()
        if wish == "may":
            assert result.statuses == [DONE] and sink.wait(1)[0].tls is None and len(sink.connections) == 2
            for name in (b"connected_to", b"relayed"):
                (event,) = [event for event in events if name in event]
                assert b"TLS" in event
        else:
            status, _, words, _, _ = only_failure(result)
            assert (status, words.split()[0]) == (TEMPORARY, "4.7.5") and not sink.messages
            assert len(sink.connections) == 1


def test_encrypt_without_an_offer(start):
    with Sink(["PIPELINING"]) as sink:
        status, _, words, _, _ = only_failure(start(sink, route="tls = encrypt").one())
        assert status == TEMPORARY and words.startswith("4.7.4 ") and not sink.messages
        assert words.endswith(" (the route in the configuration demands it)")


@pytest.mark.parametrize("host, known, status", [
    ("mx.sink.example", True, DONE),
    ("mx.sink.example", False, TEMPORARY),     # an authority that nobody knows
    ("other.sink.example", True, TEMPORARY),   # somebody else's certificate
])
def test_verify(start, certificate, host, known, status):
    with Sink(TLS, certificate=certificate) as sink:
        config = with_authority(certificate) if known else FAST
        config += f'\nroute sink.example {{ host = "{host}" port = {sink.port} tls = verify }}\n'
        relay = start(config=config)
        resolver = Resolver(relay, {(host, A): ["127.0.0.1"]})
        relay.send()
        resolver.serve(2)
        result = relay.result()
        assert result.statuses == [status]
        if status == TEMPORARY:
            words = result.outcomes[0][2]
            assert words.startswith("4.7.5 TLS handshake: the certificate is not to be trusted: ")
            assert ("self-signed" if not known else "ostname mismatch") in words
            assert not sink.messages


def test_octets_behind_starttls(start, certificate):
    """RFC 3207 6: what came in the clear is not what the server says protected. Nor is it a reason to do without."""
    with Sink(TLS, certificate=certificate, answers={"STARTTLS": Raw(b"220 go ahead\r\n250 injected\r\n")}) as sink:
        status, _, words, _, _ = only_failure(start(sink).one())
        assert status == TEMPORARY and words.startswith("4.7.0 ") and "attack" in words
        assert not sink.messages


# ---- login ----


@pytest.mark.parametrize("mechanisms, said", [
    ("PLAIN LOGIN", "AUTH PLAIN AHVzZXIAc2VjcmV0"),
    ("LOGIN", "AUTH LOGIN dXNlcg== c2VjcmV0"),
])
def test_login(tmp_path, certificate, mechanisms, said):
    with Sink([*TLS, f"AUTH {mechanisms}"], certificate=certificate) as sink:
        relay = logged_in_relay(tmp_path, sink)
        assert relay.one().statuses == [DONE]
        assert sink.wait(1)[0].user == said and sink.messages[0].tls
        relay.role.kill()


@pytest.mark.parametrize("mechanisms, version, used, channel", [
    ("PLAIN SCRAM-SHA-1 SCRAM-SHA-256 LOGIN", None, "SCRAM-SHA-256", "y"),
    ("PLAIN SCRAM-SHA-1", None, "SCRAM-SHA-1", "y"),
    ("SCRAM-SHA-256 SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS", None, "SCRAM-SHA-256-PLUS", "p=tls-exporter"),
    ("SCRAM-SHA-256 SCRAM-SHA-1-PLUS", None, "SCRAM-SHA-1-PLUS", "p=tls-exporter"),
    ("SCRAM-SHA-256-PLUS", ssl.TLSVersion.TLSv1_2, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point"),
])
def test_scram(tmp_path, certificate, mechanisms, version, used, channel):
    """The strongest that is offered, bound to the connection where the server can do that."""
    scram = Scram()
    with Sink([*TLS, f"AUTH {mechanisms}"], certificate=certificate, scram=scram) as sink:
        if version:
            sink.context.maximum_version = version
        relay = logged_in_relay(tmp_path, sink)
        assert relay.one().statuses == [DONE] and len(sink.wait(1)) == 1
        assert (scram.mechanism, scram.channel, scram.name) == (used, channel, "user")
        relay.role.kill()


@pytest.mark.parametrize("scram, words", [
    (Scram(password="other"), "refused our name"),
    (Scram(final=lambda text: "v=" + "A" * 43 + "="), "does not prove that it knows the password"),
    (Scram(final=lambda text: "e=no-resources"), "refused our proof: no-resources"),
    (Scram(final=lambda text: "x"), "malformed"),
    (Scram(without_proof=True), "without a proof"),
    (Scram(first=lambda text: text[0:2] + "other" + text[2:]), "does not repeat our SCRAM nonce"),
    (Scram(iterations=100), "100 iterations"),
    (Scram(iterations=10**9), "1000000000 iterations"),
    (Scram(first=lambda text: "m=new," + text), "malformed"),
])
def test_scram_that_is_not_believed(tmp_path, certificate, scram, words):
    """Mail waits, and its sender and the log are told what is the matter."""
    with Sink([*TLS, "AUTH SCRAM-SHA-256"], certificate=certificate, scram=scram) as sink:
        relay = logged_in_relay(tmp_path, sink)
        status, _, said, _, _ = only_failure(relay.one())
        assert status == TEMPORARY and words in said and said.startswith("4.7.8 ")
        assert not sink.messages and not any(b"secret" in event for event in relay.role.events())
        relay.role.kill()


def test_no_password_in_the_clear(tmp_path):
    """Whatever else the route allows: a server that does not offer TLS learns no password."""
    with Sink(["PIPELINING", "AUTH PLAIN LOGIN"]) as sink:
        relay = logged_in_relay(tmp_path, sink, tls="may")
        assert only_failure(relay.one())[2].startswith("4.7.4 ")
        assert not any(line.startswith(b"AUTH") for line in sink.connections[0].lines)
        relay.role.kill()


def test_login_refused(tmp_path, certificate):
    """A wrong password is our fault: nothing bounces."""
    with Sink([*TLS, "AUTH PLAIN"], certificate=certificate, answers={"AUTH": b"535 5.7.8 no"}) as sink:
        relay = logged_in_relay(tmp_path, sink)
        status, _, words, reply, _ = only_failure(relay.one())
        assert (status, reply) == (TEMPORARY, "535 5.7.8 no") and words.startswith("4.7.8 ")
        assert not any(b"secret" in event for event in relay.role.events())
        relay.role.kill()


def logged_in_relay(tmp_path, sink, tls="encrypt"):
    (tmp_path / "password").write_text("secret\nmore\n")
    config = FAST + f"""
        route sink.example {{ host = "127.0.0.1" port = {sink.port} tls = {tls} user = user
                              password-file = "{tmp_path}/password" }}"""
    with open(tmp_path / "password", "rb") as file:
        return Relay(tmp_path, config, files=[(DESCRIPTOR_PASSWORD, 0, file.fileno())])


# ---- where a domain takes its mail ----

A, CNAME, MX, AAAA, TLSA = 1, 5, 15, 28, 52
DNS_QUESTION, DNS_ANSWER = 1, 101
FOUND, NO_DATA, NO_NAME, BOGUS, UNKNOWN = 1, 2, 3, 4, 5


class Resolver:
    """Plays the role resolver: records by (name, type), (alias, "is"): what it stands for; a status instead of records is that.
    secure: or the names that no signature vouches for."""

    def __init__(self, relay, records, secure=False):
        self.channel = relay.role.peer("resolver")
        self.records, self.secure, self.asked = records, secure, []

    def rdata(self, kind, record):
        if kind in (MX, CNAME):
            preference, name = record if kind == MX else (None, record)
            labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
            return (struct.pack(">H", preference) if kind == MX else b"") + labels + b"\0"
        if kind == TLSA:
            return record
        return socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, record)

    def serve(self, count):
        for _ in range(count):
            request, body, _ = self.channel.expect(DNS_QUESTION)
            kind, octets, _ = struct.unpack_from("=HHI", body)
            name = body[8 : 8 + octets].decode()
            self.asked.append((name, kind))
            stands_for = self.records.get((name, "is"), name)
            found = self.records.get((name, kind), [stands_for] if kind == CNAME else NO_DATA)
            if kind != CNAME and stands_for != name:
                name = stands_for
                found = self.records.get((name, kind), NO_DATA)
            secure = self.secure if isinstance(self.secure, bool) else name not in self.secure
            text = b"" if isinstance(found, list) else b"why not"
            records = [self.rdata(kind, record) for record in found] if isinstance(found, list) else []
            status = FOUND if records else found
            if status in (FOUND, NO_DATA, NO_NAME):
                text = name.encode()
            answer = struct.pack("=HHHHII", status, secure, len(records), len(text), 300, 0)
            answer += b"".join(struct.pack("=H", len(octets)) + octets for octets in records) + text
            self.channel.send(DNS_ANSWER, answer, request=request)


@pytest.fixture
def resolved(start):
    """One message to mx.example with those records, served by the sink's port: its result."""
    def ask(sink, records, questions, extra="private-targets = yes", secure=False, tls="may", **message):
        config = FAST.replace("relay {", f"relay {{ {extra}")
        config += f"\nroute mx.example {{ port = {sink.port} tls = {tls} }}\n"
        relay = start(config=config)
        resolver = Resolver(relay, records, secure)
        relay.send(destination="mx.example", recipients=["x@mx.example"], **message)
        resolver.serve(questions)
        result = relay.result()
        result.asked, result.events = resolver.asked, b"".join(relay.role.events())
        return result
    return ask


def test_mx(resolved):
    with Sink() as sink:
        result = resolved(sink, {("mx.example", MX): [(20, "b.example"), (10, "a.example")],
                                 ("a.example", A): ["127.0.0.1"], ("b.example", A): ["127.0.0.2"]}, 5)
        assert result.statuses == [DONE] and result.outcomes[0][4] == "a.example [127.0.0.1]"


def test_next_host_where_the_first_fails(resolved):
    """No connection, then a refusal, then a server that takes it."""
    with Sink(address="127.0.0.3") as sink:
        with Sink(address="127.0.0.2", port=sink.port, answers={"BANNER": b"554 5.3.2 no"}):
            result = resolved(sink, {("mx.example", MX): [(1, "a.example"), (2, "b.example"), (3, "c.example")],
                                     ("a.example", A): ["127.0.0.1"], ("b.example", A): ["127.0.0.2"],
                                     ("c.example", A): ["127.0.0.3"]}, 7)
        assert result.statuses == [DONE] and result.outcomes[0][4] == "c.example [127.0.0.3]"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("fault", [CLOSE, STALL, b"421 4.3.2 closing", Raw(b"what\r\n")],
                         ids=["close", "stall", "421", "nonsense"])
def test_next_host_where_the_first_takes_nothing(resolved, step, fault):
    """It greets, and breaks off before it has the message."""
    with Sink(address="127.0.0.2") as sink, Sink(port=sink.port, answers={step: fault}) as first:
        result = resolved(sink, {("mx.example", MX): [(1, "a.example"), (2, "b.example")],
                                 ("a.example", A): ["127.0.0.1"], ("b.example", A): ["127.0.0.2"]}, 5)
        assert result.statuses == [DONE] and result.outcomes[0][4] == "b.example [127.0.0.2]"
        assert (len(first.connections), len(sink.messages)) == (1, 1)


def test_an_attempt_has_an_end(start):
    """RFC 5321 5.1: two addresses at least; the others, where these are silent for long, are the next attempt's."""
    names = ["a.example", "b.example", "c.example"]
    records = {("mx.example", MX): list(enumerate(names)),
               **{(name, A): [f"127.0.0.{place}"] for place, name in enumerate(names, 2)}}
    with Sink(address="127.0.0.4") as sink:
        silent = [Sink(address=f"127.0.0.{place}", port=sink.port, answers={"BANNER": STALL}) for place in (2, 3)]
        config = FAST.replace("relay {", "relay { private-targets = yes").replace("connect = 2s reply = 2s", "connect = 100ms reply = 1100ms")
        relay = start(config=config + f"\nroute mx.example {{ port = {sink.port} }}\n")
        resolver = Resolver(relay, records)
        relay.send(destination="mx.example", recipients=["x@mx.example"])
        resolver.serve(7)
        first = relay.result()
        assert first.statuses == [TEMPORARY] and first.outcomes[0][4] == "b.example [127.0.0.3]" and first.wait_ms > 0
        assert relay.one(destination="mx.example", recipients=["x@mx.example"]).outcomes[0][4] == "c.example [127.0.0.4]"
        assert [len(one.connections) for one in (*silent, sink)] == [1, 1, 1]
        for one in silent:
            one.close()


def test_equal_preference_is_shared(start):
    """RFC 5321 5.1: by turns, not always the first."""
    records = {("mx.example", MX): [(10, "a.example"), (10, "b.example")],
               ("a.example", A): ["127.0.0.1"], ("b.example", A): ["127.0.0.2"]}
    with Sink() as first, Sink(address="127.0.0.2", port=first.port):
        seen = set()
        for _ in range(20):
            relay = start(config=FAST.replace("relay {", "relay { private-targets = yes") +
                          f"\nroute mx.example {{ port = {first.port} }}")
            resolver = Resolver(relay, records)
            relay.send(destination="mx.example")
            resolver.serve(5)
            seen.add(relay.result().outcomes[0][4])
            if len(seen) == 2:
                return
        raise AssertionError(seen)


def test_implicit_mx(resolved):
    with Sink() as sink:
        result = resolved(sink, {("mx.example", A): ["127.0.0.1"]}, 3)
        assert result.statuses == [DONE] and result.asked == [("mx.example", MX), ("mx.example", A),
                                                              ("mx.example", AAAA)]


def test_other_family(resolved):
    """IPv6 first, where nobody listens; then IPv4."""
    with Sink() as sink:
        result = resolved(sink, {("mx.example", A): ["127.0.0.1"], ("mx.example", AAAA): ["::1"]}, 3)
        assert result.statuses == [DONE] and result.outcomes[0][4] == "mx.example [127.0.0.1]"


class Hanging:
    """An address that lets no connection stand: its backlog is full."""

    def __init__(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family, backlog=0)
        self.clients = []
        for _ in range(3):
            client = socket.socket(family)
            client.setblocking(False)
            client.connect_ex((address, port))
            self.clients.append(client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in (self.listener, *self.clients):
            sock.close()


def test_the_faster_family(start):
    """RFC 8305: IPv6 that does not answer costs a quarter of a second, once for a host, whoever asks for it."""
    records = {("mx.example", MX): [(1, "a.example")], ("b.example", MX): [(1, "a.example")],
               ("a.example", A): ["127.0.0.1"], ("a.example", AAAA): ["::1"]}
    with Sink() as sink:
        relay = start(config=FAST.replace("relay {", "relay { private-targets = yes").replace("connect = 2s", "connect = 8s")
                      + f'\nroute "*" {{ port = {sink.port} }}')
        resolver = Resolver(relay, records)
        with Hanging("::1", sink.port):
            began = time.monotonic()
            relay.send(destination="mx.example")
            resolver.serve(3)
            result = relay.result()
            assert result.statuses == [DONE] and result.outcomes[0][4] == "a.example [127.0.0.1]"
            assert 0.2 < time.monotonic() - began < 4
        with Sink(address="::1", port=sink.port) as other:
            relay.send(destination="b.example")
            resolver.serve(3)
            assert relay.result().outcomes[0][4] == "a.example [127.0.0.1]" and not other.connections


def test_the_first_family_is_enough(resolved):
    """The other one is not asked where the first one answers."""
    with Sink(address="::1") as sink, Sink(port=sink.port) as other:
        result = resolved(sink, {("mx.example", A): ["127.0.0.1"], ("mx.example", AAAA): ["::1"]}, 3)
        assert result.outcomes[0][4] == "mx.example [::1]" and not other.connections


def test_neither_family_answers(resolved):
    """Then the next host's turn comes."""
    with Sink(address="127.0.0.2") as sink, Hanging("::1", sink.port), Hanging("127.0.0.1", sink.port):
        result = resolved(sink, {("mx.example", MX): [(1, "a.example"), (2, "b.example")],
                                 ("a.example", A): ["127.0.0.1"], ("a.example", AAAA): ["::1"],
                                 ("b.example", A): ["127.0.0.2"]}, 5)
        assert result.statuses == [DONE] and result.outcomes[0][4] == "b.example [127.0.0.2]"


@pytest.mark.parametrize("records, questions, status, code, waits", [
    ({("mx.example", MX): [(0, ".")]}, 1, PERMANENT, "5.1.10", False),   # RFC 7505
    ({("mx.example", MX): NO_NAME}, 1, PERMANENT, "5.1.2", False),
    ({("mx.example", MX): UNKNOWN}, 1, TEMPORARY, "4.4.3", True),
    ({("mx.example", MX): BOGUS}, 1, TEMPORARY, "4.7.5", True),
    ({}, 3, PERMANENT, "5.4.4", False),                                  # no address at all
    ({("mx.example", MX): [(1, "a.example")], ("a.example", A): UNKNOWN}, 3, TEMPORARY, "4.4.3", True),
    ({("mx.example", MX): [(1, "a.example")], ("a.example", A): BOGUS}, 3, TEMPORARY, "4.4.3", True),
])
def test_no_target(resolved, records, questions, status, code, waits):
    with Sink() as sink:
        result = resolved(sink, records, questions)
        assert result.outcomes[0][:2] == (status, 0) and result.outcomes[0][2].startswith(code + " ")
        assert result.outcomes[0][3:] == ("", "") and (result.wait_ms > 0) == waits and not sink.connections


def test_more_hosts_than_are_looked_at(resolved):
    """RFC 5321 5.1: twelve, of which the first ten have no address; of more than twenty nobody can say that none has."""
    names = [f"{number}.example" for number in range(25)]
    records = {("mx.example", MX): list(enumerate(names)), (names[10], A): ["127.0.0.1"]}
    with Sink() as sink:
        assert resolved(sink, records, 41).outcomes[0][4] == "10.example [127.0.0.1]"
        del records[names[10], A]
        status, _, words, _, _ = resolved(sink, records, 41).outcomes[0]
        assert status == TEMPORARY and words.startswith("4.4.4 none of the 20 most preferred hosts")


def test_mx_that_names_an_address(resolved):
    """RFC 5321 5.1 wants a name there. Other hosts count."""
    with Sink() as sink:
        status, _, words, _, _ = resolved(sink, {("mx.example", MX): [(1, "127.0.0.1")]}, 1).outcomes[0]
        assert status == PERMANENT and words.startswith("5.4.4 the MX record of mx.example names an address")
        result = resolved(sink, {("mx.example", MX): [(1, "127.0.0.1"), (2, "a.example")],
                                 ("a.example", A): ["127.0.0.1"]}, 3)
        assert result.outcomes[0][4] == "a.example [127.0.0.1]"


def test_the_next_attempt_asks_the_dns(start):
    """Whatever the records' time to live: of many addresses the resolver gives others first."""
    relay = start(config=FAST.replace("relay {", "relay { private-targets = yes"))
    resolver = Resolver(relay, {("mx.example", MX): [(1, "a.example")], ("a.example", A): ["127.9.9.9"]})
    for _ in range(2):
        relay.send(destination="mx.example")
        resolver.serve(3)
        assert relay.result().outcomes[0][2].startswith("4.4.1 ")


@pytest.mark.parametrize("address", [
    "127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "::1", "::127.0.0.1", "::ffff:10.1.2.3",
    "fd00::1", "fe80::1", "fec0::1", "100::1", "64:ff9b:1::1", "64:ff9b::10.1.2.3", "2002:7f00:1::1"])
def test_private_targets_are_refused(resolved, address):
    with Sink() as sink:
        result = resolved(sink, {("mx.example", AAAA if ":" in address else A): [address]}, 3, extra="")
        assert result.outcomes[0][0] == PERMANENT and result.outcomes[0][2].startswith("5.4.4 ")
        assert not sink.connections


def test_never_to_ourselves(start):
    """RFC 5321 5.1: we are the second of three: only the first is left; when it is we who are first, nobody is."""
    for first, status, code in (("a.example", TEMPORARY, "4.4.1"), ("mail.test.example", PERMANENT, "5.4.6")):
        relay = start(config=FAST.replace("relay {", "relay { private-targets = yes"))
        mx = [(5, first), (10, "mail.test.example"), (20, "c.example")]
        resolver = Resolver(relay, {("mx.example", MX): mx, ("a.example", A): ["127.9.9.9"],
                                    ("c.example", A): ["127.9.9.8"]})
        relay.send(destination="mx.example")
        resolver.serve(5 if first == "a.example" else 3)
        (outcome,) = relay.result().outcomes
        assert outcome[0] == status and outcome[2].startswith(code)
        assert "127.9.9.8" not in outcome[4]


def test_own_address(start):
    """Another name for this host is found out by its address."""
    relay = start(config=FAST.replace("relay {", "relay { private-targets = yes"))
    resolver = Resolver(relay, {("mx.example", A): ["127.0.0.1"]})
    relay.send(destination="mx.example")
    resolver.serve(3)
    assert relay.result().outcomes[0][2].startswith("5.4.6 ")


def test_address_literals(start):
    with Sink() as sink:
        relay = start(config=FAST)
        result = relay.one(destination="[127.0.0.1]", recipients=["x@[127.0.0.1]"])
        assert result.outcomes[0][0] == PERMANENT and result.outcomes[0][2].startswith("5.1.2 ")
        config = FAST.replace("relay {", "relay { address-literals = yes private-targets = yes")
        relay = start(config=config + f'\nroute "*" {{ port = {sink.port} }}')
        assert relay.one(destination="[127.0.0.1]", recipients=["x@[127.0.0.1]"]).statuses == [DONE]


def test_no_resolver(start):
    """Nobody to ask: mail waits."""
    (outcome,) = start(config=FAST).one(destination="mx.example").outcomes
    assert outcome[0] == TEMPORARY and outcome[2].startswith("4.4.3 ")


# ---- DANE, RFC 7672 ----


def digest(certificate):
    public = subprocess.run(["openssl", "x509", "-in", certificate[0], "-noout", "-pubkey"], check=True,
                            capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True,
                         capture_output=True).stdout
    return hashlib.sha256(der).digest()


def tlsa_name(sink):
    return (f"_{sink.port}._tcp.mx.sink.example", TLSA)


@pytest.mark.parametrize("secure, right, offered, status", [
    (True, True, True, DONE),
    (True, False, True, TEMPORARY),  # another key: nothing is sent
    (True, True, False, TEMPORARY),  # STARTTLS was taken away
    (False, False, True, DONE),      # nobody vouches for the records
])
def test_dane(resolved, certificate, secure, right, offered, status):
    key = digest(certificate) if right else b"x" * 32
    with Sink(TLS if offered else ["PIPELINING"], certificate=certificate) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\3\1\1" + key]}
        result = resolved(sink, records, 4 if secure else 3, secure=secure)
        assert result.statuses == [status]
        assert not sink.messages if status == TEMPORARY else sink.wait(1)
        assert (tlsa_name(sink) in result.asked) == secure
        if status == TEMPORARY:
            words = result.outcomes[0][2]
            assert words.startswith("4.7.") and words.endswith(" (the host's TLSA records demand TLS)")


@pytest.mark.parametrize("bits, status", [(1024, DONE), (768, TEMPORARY)])
def test_dane_with_a_short_key(resolved, tmp_path, bits, status):
    """RFC 7672 3.1.1: with DANE-EE a key that the record names is the right one; TLS itself draws the line below 80 bits."""
    certificate = make_certificate(tmp_path, "mx.sink.example", (f"rsa:{bits}",))
    with Sink(TLS, certificate=certificate, level=0) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\3\1\1" + digest(certificate)]}
        result = resolved(sink, records, 4, secure=True)
        assert result.statuses == [status] and len(sink.messages) == (status == DONE)


@pytest.mark.parametrize("bits, status", [(2048, DONE), (1024, TEMPORARY)])
def test_dane_with_a_short_key_that_another_has_signed(resolved, tmp_path, bits, status):
    """RFC 7672 3.1.2: DANE-TA names the authority, and no key of a server."""
    authority = Authority(tmp_path)
    chain, key = authority.issue("mx.sink.example", new_key=(f"rsa:{bits}",))
    chain.write_text(chain.read_text() + authority.file.read_text())
    with Sink(TLS, certificate=(chain, key), level=0) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\2\1\1" + digest((authority.file, None))]}
        result = resolved(sink, records, 4, secure=True)
        assert result.statuses == [status] and len(sink.messages) == (status == DONE)


ALIAS = {("mx.example", MX): [(1, "alias.example")], ("alias.example", "is"): "mx.sink.example",
         ("mx.sink.example", A): ["127.0.0.1"]}


@pytest.mark.parametrize("target, own, unsigned, asked, status", [
    (True, False, (), ["mx.sink"], DONE),                            # what it stands for comes first
    (False, True, (), ["mx.sink"], TEMPORARY),
    (None, True, (), ["mx.sink", "alias"], DONE),                    # then the alias
    (None, False, (), ["mx.sink", "alias"], TEMPORARY),
    (None, None, (), ["mx.sink", "alias"], DONE),
    (False, True, ("mx.sink.example",), ["alias"], DONE),            # the target's zone is not signed: the alias alone
    (True, False, ("mx.sink.example",), ["alias"], TEMPORARY),
    (False, False, ("mx.sink.example", "alias.example"), [], DONE),  # nothing is
])
def test_dane_of_an_alias(resolved, certificate, target, own, unsigned, asked, status):
    """RFC 7672 2.2.2. target, own: whose TLSA records are right, wrong or missing."""
    with Sink(TLS, certificate=certificate) as sink:
        tlsa = lambda host: f"_{sink.port}._tcp.{host}.example"
        keys = {True: digest(certificate), False: bytes(32)}
        records = {**ALIAS, **{(tlsa(host), TLSA): [b"\3\1\1" + keys[right]]
                               for host, right in (("mx.sink", target), ("alias", own)) if right is not None}}
        result = resolved(sink, records, 3 + len(asked) + bool(unsigned), secure=unsigned)
        assert result.statuses == [status] and len(sink.messages) == (status == DONE)
        assert [name for name, kind in result.asked if kind == TLSA] == [tlsa(host) for host in asked]


@pytest.mark.parametrize("held_back", [("alias.example", CNAME), TLSA])
def test_an_answer_about_an_alias_that_is_held_back(resolved, certificate, held_back):
    """RFC 7672 2.1.1"""
    with Sink(TLS, certificate=certificate) as sink:
        missing = (f"_{sink.port}._tcp.mx.sink.example", TLSA) if held_back == TLSA else held_back
        result = resolved(sink, {**ALIAS, missing: UNKNOWN}, 4, secure=() if held_back == TLSA else ("mx.sink.example",))
        assert result.statuses == [TEMPORARY] and not sink.connections


@pytest.mark.parametrize("names, status", [
    (["mx.sink.example"], DONE),  # the base domain of the records
    (["mx.example"], DONE),       # the domain that was looked up
    (["sink.example"], TEMPORARY)])
def test_dane_ta_names(resolved, names, status):
    """RFC 7672 3.2.2: below an authority that the records name, the certificate has one of two names."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-"))
    authority = Authority(directory)
    chain, key = authority.issue(*names)
    chain.write_text(chain.read_text() + authority.file.read_text())
    try:
        with Sink(TLS, certificate=(chain, key)) as sink:
            records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                       tlsa_name(sink): [b"\2\1\1" + digest((authority.file, None))]}
            result = resolved(sink, records, 4, secure=True)
            assert result.statuses == [status]
            assert len(sink.messages) == (status == DONE)
    finally:
        shutil.rmtree(directory)


def test_unusable_tlsa_asks_for_tls_alone(resolved, certificate):
    """RFC 7672 2.2: only records that mean nothing here: encrypted, not verified."""
    with Sink(TLS, certificate=certificate) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\0\1\1" + b"x" * 32, b"\3\1\7" + b"x"]}
        result = resolved(sink, records, 4, secure=True)
        assert result.statuses == [DONE] and sink.wait(1)[0].tls


def test_unusable_tlsa_does_not_weaken_a_route(resolved, certificate):
    """`tls = verify` stays what it is: an authority that nobody knows."""
    with Sink(TLS, certificate=certificate) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\0\1\1" + b"x" * 32]}
        result = resolved(sink, records, 4, secure=True, tls="verify")
        assert result.statuses == [TEMPORARY] and not sink.messages
        assert "not to be trusted" in result.outcomes[0][2]


@pytest.mark.parametrize("held_back", [BOGUS, UNKNOWN])
@pytest.mark.parametrize("family", [A, AAAA])
@pytest.mark.parametrize("right, status", [(True, DONE), (False, TEMPORARY)])
def test_a_family_that_is_held_back_takes_no_records_away(resolved, certificate, held_back, family, right, status):
    """RFC 7672 2.1.1, 2.2.2: the other one's addresses are validated, so the host has the TLSA records that it has."""
    with Sink(TLS, certificate=certificate, address="::1" if family == A else "127.0.0.1") as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   ("mx.sink.example", AAAA): ["::1"], tlsa_name(sink): [b"\3\1\1" + (digest(certificate) if right else b"x" * 32)]}
        records["mx.sink.example", family] = held_back
        result = resolved(sink, records, 4, secure=True)
        assert result.statuses == [status] and len(sink.messages) == (status == DONE)


def test_a_name_that_is_too_long_for_tlsa(resolved, certificate):
    """RFC 1035 2.3.4: nothing can stand before a name of 253 octets. That is no question, and no reason to wait."""
    host = ".".join(["x" * 63] * 3 + ["x" * 61])
    with Sink(TLS, certificate=certificate) as sink:
        result = resolved(sink, {("mx.example", MX): [(1, host)], (host, A): ["127.0.0.1"]}, 3, secure=True)
        assert result.statuses == [DONE] and TLSA not in {kind for _, kind in result.asked}


@pytest.mark.parametrize("record", [b"\3\0\0no certificate", b"\3\1\0no key", b"\3\1\0"])
def test_tlsa_that_is_no_certificate_is_unusable(resolved, certificate, record):
    """RFC 7672 2.2: such records alone ask for TLS, and hinder no other."""
    for others, verified in (([], b"verified\2\0no"), ([b"\3\1\1" + digest(certificate)], b"verified\4\0dane")):
        with Sink(TLS, certificate=certificate) as sink:
            records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                       tlsa_name(sink): [record, *others]}
            result = resolved(sink, records, 4, secure=True)
            assert result.statuses == [DONE] and sink.wait(1)[0].tls
            assert verified in result.events


def test_tlsa_that_is_held_back(resolved, certificate):
    """RFC 7672 2.1.1: no answer about TLSA is no permission to do without."""
    with Sink(TLS, certificate=certificate) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): UNKNOWN}
        result = resolved(sink, records, 4, secure=True)
        assert result.statuses == [TEMPORARY] and not sink.connections


@pytest.mark.parametrize("secure, right, offers, code", [
    (True, True, "REQUIRETLS", "2.0.0"),
    (True, True, "DSN", "5.7.30"),
    (False, True, "REQUIRETLS", "5.7.10"),  # who says that this is the host?
    (True, False, "REQUIRETLS", "5.7.10"),  # who says that this is it?
])
def test_requiretls(resolved, certificate, secure, right, offers, code):
    """RFC 8689 4.2.1"""
    with Sink([*TLS, offers], certificate=certificate) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"]}
        if right:
            records[tlsa_name(sink)] = [b"\3\1\1" + digest(certificate)]
        result = resolved(sink, records, 4 if secure else 3, secure=secure, flags=REQUIRETLS)
        assert result.outcomes[0][2].startswith(code + " ")
        if code == "2.0.0":
            assert sink.wait(1)[0].mail.endswith(" REQUIRETLS")
        else:
            said = sink.connections[0].lines
            deadline = time.monotonic() + 10
            while said[-1] != b"QUIT":
                assert time.monotonic() < deadline, said
                time.sleep(0.01)
            assert not sink.messages


UNFIT, PLAINTEXT, DEAD = [*TLS, "DSN"], ["PIPELINING", "REQUIRETLS"], None


@pytest.mark.parametrize("first, second, status, code", [
    (UNFIT, [*TLS, "REQUIRETLS"], DONE, "2.0.0"),
    (PLAINTEXT, [*TLS, "REQUIRETLS"], DONE, "2.0.0"),
    (UNFIT, UNFIT, PERMANENT, "5.7.30"),
    (PLAINTEXT, UNFIT, PERMANENT, "5.7.30"),
    (UNFIT, PLAINTEXT, PERMANENT, "5.7.10"),
    (PLAINTEXT, PLAINTEXT, PERMANENT, "5.7.10"),
    (UNFIT, DEAD, TEMPORARY, "4.4.1"),  # it may do, when it is there
    (PLAINTEXT, DEAD, TEMPORARY, "4.4.1"),
    (DEAD, UNFIT, TEMPORARY, "4.7.30"),
])
def test_requiretls_at_each_host(start, certificate, first, second, status, code):
    """RFC 8689 4.2.1: all of the domain's hosts are tried, and only if no one does the message comes back. What demands nothing
    goes to the first one, at once, also where that failed."""
    with Sink(address="127.0.0.9") as spare:
        relay = start(config=FAST.replace("relay {", "relay { private-targets = yes") + f"\nroute mx.example {{ port = {spare.port} }}\n")
        sinks = [Sink(offers, certificate=certificate, address=f"127.0.0.{number}", port=spare.port)
                 for number, offers in enumerate((first, second), 2) if offers]
        records = {("mx.example", MX): [(1, "a.example"), (2, "b.example")], ("a.example", A): ["127.0.0.2"],
                   ("b.example", A): ["127.0.0.3"],
                   **{(f"_{spare.port}._tcp.{host}.example", TLSA): [b"\3\1\1" + digest(certificate)] for host in "ab"}}
        resolver = Resolver(relay, records, secure=True)
        relay.send(destination="!mx.example", recipients=["x@mx.example"], flags=REQUIRETLS)
        resolver.serve(7)
        result = relay.result()
        assert result.statuses == [status] and result.outcomes[0][2].startswith(code + " ")
        assert sum(len(sink.messages) for sink in sinks) == (status == DONE) and result.wait_ms == 0
        assert b"!mx.example" not in b"".join(relay.role.events())
        for sink in sinks:
            sink.close()


def go_on_in_plain(connection, _line, answer=b"500 5.5.1 what?\r\n"):
    """It says that TLS may begin, and takes what comes for a command."""
    connection.sock.sendall(b"220 2.0.0 go ahead\r\n")
    connection.sock.recv(65536)
    connection.sock.sendall(answer)
    return CLOSE


def hang_up(connection, line):
    """It ends the connection where the handshake is awaited."""
    return go_on_in_plain(connection, line, answer=b"")


@pytest.mark.parametrize("answer, key, status, code", [
    (b"502 5.5.1 what?", "right", PERMANENT, "5.7.10"),
    (b"454 4.7.0 not now", "right", TEMPORARY, "4."),  # RFC 3207 4: another time
    (go_on_in_plain, "right", PERMANENT, "5.7.10"),
    (CLOSE, "right", TEMPORARY, "4.4.2"),  # the connection breaks: that passes
    (hang_up, "right", TEMPORARY, "4.7.5"),  # under the handshake too
    (None, "wrong", PERMANENT, "5.7.10"),
])
def test_requiretls_without_acceptable_tls(resolved, certificate, answer, key, status, code):
    """RFC 8689 4.2.1: "unable to establish TLS-protected SMTP session". Five days would change nothing."""
    with Sink([*TLS, "REQUIRETLS"], certificate=certificate, answers={"STARTTLS": answer} if answer else {}) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\3\1\1" + (digest(certificate) if key == "right" else b"x" * 32)]}
        result = resolved(sink, records, 4, secure=True, flags=REQUIRETLS)
        assert result.statuses == [status] and result.outcomes[0][2].startswith(code)
        assert (status != PERMANENT) or "the message demands REQUIRETLS" in result.outcomes[0][2]
        assert not sink.messages


def test_a_report_is_not_lost_for_requiretls(start, certificate):
    """RFC 8689 5: "SHOULD NOT cause a bounce message to be discarded even if the next-hop relay does not advertise REQUIRETLS"."""
    with Sink(UNFIT, certificate=certificate) as sink:
        relay = start(config=FAST.replace("relay {", "relay { private-targets = yes") + f"\nroute mx.example {{ port = {sink.port} }}\n")
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\3\1\1" + digest(certificate)]}
        resolver = Resolver(relay, records, secure=True)
        for reverse_path in ("", "a@b.example"):
            relay.send(destination="!mx.example", recipients=["x@mx.example"], reverse_path=reverse_path, flags=REQUIRETLS)
        resolver.serve(8)
        outcomes = {outcome[2].split()[0] for outcome in (*relay.result().outcomes, *relay.result().outcomes)}
        assert outcomes == {"5.7.30", "2.0.0"}
        message, = sink.wait(1)
        assert message.tls and message.mail.startswith("MAIL FROM:<>") and "REQUIRETLS" not in message.mail


# ---- TLS-Required: No, RFC 8689 5 ----


@pytest.mark.parametrize("offered", [True, False])
def test_optional_tls_goes_whatever_dane_says(start, certificate, offered):
    """Records that fit no key, or STARTTLS taken away: with TLS where there is some; and what is sent so shares no
    connection with what must not be."""
    with Sink(TLS if offered else ["PIPELINING"], certificate=certificate) as sink:
        records = {("mx.example", MX): [(1, "mx.sink.example")], ("mx.sink.example", A): ["127.0.0.1"],
                   tlsa_name(sink): [b"\3\1\1" + b"x" * 32]}
        relay = start(config=FAST.replace("relay {", "relay { private-targets = yes").replace("idle = 300ms", "idle = 10s")
                      + f"\nroute mx.example {{ port = {sink.port} }}\n")
        resolver = Resolver(relay, records, secure=True)
        relay.send(destination="~mx.example", recipients=["x@mx.example"])
        resolver.serve(3)
        assert relay.result().statuses == [DONE] and bool(sink.wait(1)[0].tls) == offered
        assert tlsa_name(sink) not in resolver.asked
        relay.send(destination="mx.example", recipients=["x@mx.example"])
        resolver.serve(4)
        assert relay.result().statuses == [TEMPORARY] and len(sink.messages) == 1
        assert relay.one(destination="~mx.example").statuses == [DONE]
        assert b"~mx.example" not in b"".join(relay.role.events())


# ---- bounds ----


def test_no_more_connections_than_allowed(start):
    """relay.connections: destinations wait for one another's places, and all are served."""
    with Sink(["PIPELINING"]) as sink:
        config = FAST.replace("relay {", "relay { connections = 10")
        config += f'\nroute ".many.example" {{ host = "127.0.0.1" port = {sink.port} }}\n'
        relay = start(config=config)
        for i in range(60):
            relay.send(destination=f"d{i}.many.example")
        assert [relay.result().statuses for _ in range(60)] == [[DONE]] * 60
        assert len(sink.wait(60)) == 60


def test_dead_destinations_hold_up_nobody(start):
    """A hundred that never answer fill all places of the process; the living one still gets its share."""
    with Sink(["PIPELINING"]) as sink, Sink(answers={"BANNER": STALL}) as dead:
        config = FAST.replace("relay {", "relay { connections = 10").replace("reply = 2s", "reply = 300ms")
        config += f'\nroute ".dead.example" {{ host = "127.0.0.1" port = {dead.port} }}'
        config += f'\nroute sink.example {{ host = "127.0.0.1" port = {sink.port} }}'
        relay = start(config=config)
        for i in range(100):
            relay.send(destination=f"d{i}.dead.example")
        living = [relay.send() for _ in range(5)]
        results = {result.request: result for result in (relay.result() for _ in range(105))}
        assert [results[request].statuses for request in living] == [[DONE]] * 5
        assert sum(result.statuses == [TEMPORARY] for result in results.values()) == 100


def test_silent_servers_give_way_where_places_get_short(start):
    """They may hold half of them, for `reply`; of the others each has a third of `connect`."""
    with Sink(["PIPELINING"]) as sink, Sink(answers={"BANNER": STALL}) as dead:
        config = FAST.replace("relay {", "relay { connections = 10").replace("reply = 2s", "reply = 60s")
        config += f'\nroute ".dead.example" {{ host = "127.0.0.1" port = {dead.port} }}'
        config += f'\nroute ".sink.example" {{ host = "127.0.0.1" port = {sink.port} }}'
        relay = start(config=config)
        silent = [relay.send(destination=f"d{i}.dead.example") for i in range(12)]
        living = [relay.send(destination=f"d{i}.sink.example") for i in range(3)]
        results = {result.request: result for result in (relay.result() for _ in range(10))}
        assert [results[request].statuses for request in living] == [[DONE]] * 3
        assert set(results) == {*silent[:7], *living}  # the oldest first
        words = "4.4.2 given up, since others need the connection, while the greeting was awaited"
        assert all(results[request].outcomes[0][:3:2] == (TEMPORARY, words) for request in silent[:7])


def test_an_idle_connection_is_reset_while_it_ends(start):
    """Whichever comes first, our QUIT or their reset: it ends once, and the role as it should."""
    def reset(connection, _):
        connection.sock.sendall(b"250 2.0.0 taken\r\n421 4.3.2 closing\r\n")
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Close

    for pause in (0, 0, 0, 0.001, 0.002, 0.005):
        with Sink(answers={"DOT": reset}) as sink:
            relay = start(sink)
            relay.one()
            time.sleep(pause)
            relay.role.master.send(ROLE_STOP)
            assert relay.role.wait() == 0
