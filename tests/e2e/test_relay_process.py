"""smtpd-relay alone, with this process as master and queue (smtpd/relay/relay_protocol.h), against a server that does
what each test wants of it (sink.py)."""

import os
import struct

import pytest

from house import BUILD
from one_role import DESCRIPTOR_DIRECTORY, Role
from sink import CLOSE, STALL, Raw, Sink

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-relay").exists(),
                                reason="smtpd-relay is not built")

RELAY_MESSAGE, RELAY_MESSAGE_FILE, RELAY_RESULT = 1, 2, 101
DONE, TEMPORARY, PERMANENT = 1, 2, 3
PEER_SAID, KEEPS_DSN = 1, 2
NOTIFY_SUCCESS, NOTIFY_FAILURE, NOTIFY_NEVER = 1, 2, 8
UTF8, EIGHT_BIT, RET_FULL, RET_HDRS = 4, 8, 16, 32
BODY = b"From: a@b.example\r\nSubject: s\r\n\r\nhello\r\n"
FAST = "relay { idle = 300ms connect = 2s reply = 2s }"


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

    def __init__(self, directory, config):
        self.role = Role("smtpd-relay", directory, config, purpose=DESCRIPTOR_DIRECTORY)
        self.queue = self.role.peer("smtpd-queue")
        self.role.go()
        self.requests = 0

    def send(self, recipients=("x@sink.example",), body=BODY, reverse_path="a@b.example",
             destination="sink.example", prefix=b"", cuts=(), flags=0, envid="", in_file=False,
             orcpt="", notify=0, id_text="3RE00000A7K2M"):
        self.requests += 1
        recipients = [address.encode() for address in recipients]
        orcpt, destination, envid = orcpt.encode(), destination.encode(), envid.encode()
        reverse_path, id_text = reverse_path.encode(), id_text.encode()
        fixed = struct.pack("=QqIHHHHHHIIQ", 1000 + self.requests, 0, flags, len(recipients),
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
        request, body, _ = self.queue.expect(RELAY_RESULT, seconds)
        return Result(request, body)

    def one(self, **message):
        self.send(**message)
        return self.result()


@pytest.fixture
def start(tmp_path):
    started = []

    def starter(sink=None, config=FAST, route=""):
        if sink:
            config += f'route sink.example {{ host = "127.0.0.1" port = {sink.port} {route} }}\n'
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
        (message,) = sink.messages
        assert message.mail == f"MAIL FROM:<a@b.example> SIZE={len(BODY)}"
        assert message.rcpts == ["RCPT TO:<x@sink.example>"]
        assert message.data == BODY and message.hello == "mail.test.example"
