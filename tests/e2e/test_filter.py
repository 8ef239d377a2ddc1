"""smtpd-filter alone, with this process as its master and its sessions."""

import os
import struct

import pytest
from house import BUILD
from one_role import Role

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-filter").exists(),
                                reason="smtpd-filter is not built")

FILTER_MESSAGE, FILTER_MESSAGE_FILE, FILTER_RECIPE, FILTER_REFUSED = 1, 2, 101, 102
SUBMISSION, ESMTP = 1, 2
MESSAGE = b"From: alice@test.example\r\nBcc: b@x.example\r\nSubject: s\r\n\r\nbody\r\n"


class Session:
    def __init__(self, role, kind="smtpd-submission"):
        self.channel = role.peer(kind)

    def ask(self, body=MESSAGE, flags=ESMTP, client="192.0.2.7", identity="00410000000A2",
            helo="client.example", tls="", account="", recipient="", body_octets=None, fd=None,
            request=1):
        texts = [text.encode() for text in (helo, client, tls, identity, account, recipient)]
        octets = len(body) if body_octets is None else body_octets
        record = struct.pack("=I6HQq", flags, *map(len, texts), octets, 1057049557)
        # struct filter_message ends on a multiple of eight
        self.channel.send(FILTER_MESSAGE if fd is None else FILTER_MESSAGE_FILE,
                          record + b"".join(texts) + (body if fd is None else b""), request,
                          fds=[] if fd is None else [fd])

    def recipe(self):
        request, body, _ = self.channel.expect(FILTER_RECIPE)
        prefix, cuts, from_count = struct.unpack_from("=IHH", body)  # findings: recipe_test.c
        at = 16 + prefix
        cut = [struct.unpack_from("=II", body, at + 8 * i) for i in range(cuts)]
        at += 8 * cuts
        addresses = []
        for _ in range(from_count):
            octets, = struct.unpack_from("=H", body, at)
            addresses.append(body[at + 2 : at + 2 + octets].decode())
            at += 2 + octets
        assert at == len(body)
        return request, body[16 : 16 + prefix].decode(), cut, addresses

    def refusal(self):
        _, body, _ = self.channel.expect(FILTER_REFUSED)
        code, octets, _ = struct.unpack_from("=HHI", body)
        assert len(body) == 8 + octets
        return f"{code} {body[8:].decode()}"


@pytest.fixture
def role(tmp_path):
    made = Role("smtpd-filter", tmp_path, config="limits { received = 10 header-size = 64K }")
    made.go()
    yield made
    made.kill()


@pytest.fixture
def session(role):
    return Session(role)


def in_file(directory, octets):
    path = directory / "body"
    path.write_bytes(octets)
    return os.open(path, os.O_RDONLY)


def test_recipe_of_a_submission(session):
    session.ask(flags=ESMTP | SUBMISSION, tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
                account="alice@test.example", request=77)
    request, prefix, cuts, addresses = session.recipe()
    assert request == 77 and addresses == ["alice@test.example"]
    assert cuts == [(26, 18)] and MESSAGE[26:44] == b"Bcc: b@x.example\r\n"
    assert prefix.startswith("Received: from client.example ([192.0.2.7])\r\n"
                             "\tby mail.test.example with ESMTPSA\r\n\tid 00410000000A2\r\n")
    assert "\r\nDate: Tue, 1 Jul 2003 08:52:37 +0000\r\n" in prefix
    assert prefix.endswith("Message-ID: <00410000000A2@mail.test.example>\r\n")


def test_large_message_comes_as_a_file(session, tmp_path):
    fd = in_file(tmp_path, MESSAGE + b"x" * 3000000)
    session.ask(fd=fd, body_octets=len(MESSAGE) + 3000000, recipient="bob@test.example")
    os.close(fd)
    _, prefix, cuts, addresses = session.recipe()
    assert "\tfor <bob@test.example>;" in prefix and cuts == [] and addresses == []


def test_file_that_is_shorter_than_said_is_a_temporary_error(session, tmp_path):
    fd = in_file(tmp_path, MESSAGE)
    session.ask(fd=fd, body_octets=len(MESSAGE) + 1)
    os.close(fd)
    assert session.refusal().startswith("451 4.3.0 ")


@pytest.mark.parametrize("body, refusal", [
    (b"Received: x\r\n" * 11 + b"\r\n", "554 5.4.6 "),
    (b"X: " + b"y" * 70000 + b"\r\n\r\nbody", "552 5.3.4 "),
    (b"X: y\r\n" * 15000 + b"\r\nbody", "552 5.3.4 "),
])
def test_limits_of_the_configuration(session, tmp_path, body, refusal):
    fd = in_file(tmp_path, body)
    session.ask(fd=fd, body_octets=len(body))
    os.close(fd)
    assert session.refusal().startswith(refusal)


@pytest.mark.parametrize("lie", [
    {"identity": "00410000000A2\r\nX: y"},
    {"client": "192.0.2.7])\r\nX: y"},
    {"tls": "TLSv1.3)\r\nX: y"},
    {"body_octets": 5},
    {"helo": "x" * 5000},
])
def test_lying_session_is_ended_alone(role, session, lie):
    other = Session(role, "smtpd-session")
    session.ask(**lie)
    assert session.channel.receive() is None
    other.ask()
    assert other.recipe()
    assert role.counts() and role.hostile == [(6, 1)]


def test_many_questions_are_answered_in_order(session):
    for request in range(200):
        session.ask(request=request)
    assert [session.recipe()[0] for _ in range(200)] == list(range(200))
