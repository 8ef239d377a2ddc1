"""The role resolver alone, with this process as its master and its relay, and Knot as the DNS."""

import os
import socket
import struct
import time

import pytest
from house import BUILD, free_ports
from name_server import KNOTD, NameServer
from one_role import ROLE_DESCRIPTOR, Role

pytestmark = [
    pytest.mark.skipif(not (BUILD / "libexec" / "resolver").exists(), reason="no resolver is built"),
    pytest.mark.skipif(not os.path.exists(KNOTD), reason="knot is not installed"),
]

DNS_QUESTION, DNS_ANSWER = 1, 101
A, CNAME, PTR, MX, TXT, AAAA, TLSA = 1, 5, 12, 15, 16, 28, 52
FOUND, NO_DATA, NO_NAME, BOGUS, TEMPORARY = 1, 2, 3, 4, 5
DESCRIPTOR_TRUST_ANCHOR = 11

SIGNED = """
@ 60 MX 10 mail
@ 60 MX 20 backup.example.net.
mail 60 A 192.0.2.1
mail 60 A 192.0.2.2
mail 60 AAAA 2001:db8::1
_25._tcp.mail 60 TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
alias 60 CNAME mail
abroad 60 CNAME www.plain.test.
long 60 TXT "a" "b c"
many 60 TXT "{0}"
""".format('" "'.join("x" * 200 for _ in range(40)))
PLAIN = """
@ 60 MX 0 .
www 60 A 198.51.100.7
1.2.0.192 60 PTR host.plain.test.
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = NameServer(tmp_path_factory.mktemp("knot"), {"signed.test": SIGNED, "plain.test": PLAIN,
                                                        "forged.test": "www 60 A 192.0.2.9\n"},
                      signed=["signed.test"])
    yield made
    made.stop()


class Asker:
    def __init__(self, tmp_path, port, anchors, environment=None):
        config = f"resolver {{ servers = 127.0.0.1 port = {port} }}"
        self.role = Role("resolver", tmp_path, config=config, environment=environment)
        (tmp_path / "anchors").write_text(anchors)
        fd = os.open(tmp_path / "anchors", os.O_RDONLY)
        self.role.master.send(ROLE_DESCRIPTOR, struct.pack("=II", DESCRIPTOR_TRUST_ANCHOR, 0),
                              fds=[fd])
        os.close(fd)
        self.role.go()
        self.channel = self.role.peer("smtpd-relay")

    def send(self, kind, name, request=1):
        name = name.encode()
        self.channel.send(DNS_QUESTION, struct.pack("=HHI", kind, len(name), 0) + name, request)

    def answer(self, seconds=20):
        request, body, _ = self.channel.expect(DNS_ANSWER, seconds)
        status, flags, count, name_octets, ttl, _ = struct.unpack_from("=HHHHII", body)
        rest, records = body[16:], []
        while len(records) < count:
            octets, = struct.unpack_from("=H", rest)
            records.append(rest[2 : 2 + octets])
            rest = rest[2 + octets :]
        assert len(rest) == name_octets
        return request, status, bool(flags & 1), sorted(records), rest.decode(), ttl

    def stop(self):
        self.channel.close()  # it ends when the last who may ask is gone
        self.role.stop()

    def ask(self, kind, name):
        self.send(kind, name)
        return self.answer()[1:]


@pytest.fixture(scope="module")
def asker(server, tmp_path_factory):
    # The anchor of forged.test is another zone's key: whatever it answers is bogus.
    anchors = server.anchor("signed.test")
    anchors += anchors.replace("signed.test", "forged.test")
    made = Asker(tmp_path_factory.mktemp("role"), server.port, "; a comment\n\n" + anchors)
    yield made
    made.stop()


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def test_mx_records_come_with_whole_names_and_proof(asker):
    status, secure, records, owner, ttl = asker.ask(MX, "signed.test")
    assert (status, secure, owner) == (FOUND, True, "signed.test") and 0 < ttl <= 60
    assert records == [b"\0\x0a" + name("mail.signed.test"), b"\0\x14" + name("backup.example.net")]


@pytest.mark.parametrize("kind, records", [
    (A, [bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])]),
    (AAAA, [socket.inet_pton(socket.AF_INET6, "2001:db8::1")]),
])
def test_a_cname_is_followed_and_named(asker, kind, records):
    assert asker.ask(kind, "alias.signed.test")[:4] == (FOUND, True, records, "mail.signed.test")


def test_an_alias_may_be_secure_where_what_it_stands_for_is_not(asker):
    """RFC 7672 2.2.2: then its CNAME is asked for by itself."""
    assert asker.ask(A, "abroad.signed.test")[:4] == (FOUND, False, [bytes([198, 51, 100, 7])], "www.plain.test")
    assert asker.ask(CNAME, "abroad.signed.test")[:3] == (FOUND, True, [name("www.plain.test")])
    assert asker.ask(CNAME, "mail.signed.test")[:2] == (NO_DATA, True)


def test_tlsa_and_txt_are_as_they_stand(asker):
    assert asker.ask(TLSA, "_25._tcp.mail.signed.test")[2] == [bytes.fromhex(
        "030101" + "0123456789abcdef" * 4)]
    assert asker.ask(TXT, "long.signed.test")[2] == [b"\x01a\x03b c"]


def test_an_answer_that_needs_tcp(asker):
    assert asker.ask(TXT, "many.signed.test")[2] == [(bytes([200]) + b"x" * 200) * 40]


@pytest.mark.parametrize("kind, what, status, secure", [
    (MX, "mail.signed.test", NO_DATA, True), (A, "none.signed.test", NO_NAME, True),
    (AAAA, "www.plain.test", NO_DATA, False), (A, "none.plain.test", NO_NAME, False),
])
def test_a_denial_is_told_from_silence(asker, kind, what, status, secure):
    assert asker.ask(kind, what)[:3] == (status, secure, [])


def test_without_a_signature_nothing_is_secure(asker):
    assert asker.ask(A, "www.plain.test")[:3] == (FOUND, False, [bytes([198, 51, 100, 7])])
    assert asker.ask(MX, "plain.test")[2] == [b"\0\0\0"]  # RFC 7505
    assert asker.ask(PTR, "1.2.0.192.plain.test")[2] == [name("host.plain.test")]


def test_a_wrong_signature_is_no_answer(asker):
    status, secure, records, why, _ = asker.ask(A, "www.forged.test")
    assert (status, secure, records) == (BOGUS, False, []) and why


def test_a_name_that_no_server_answers_for(asker):
    assert asker.ask(A, "elsewhere.example")[0] == TEMPORARY


def test_a_dead_server_is_a_temporary_failure(tmp_path):
    lonely = Asker(tmp_path, free_ports(1)[0], "")
    assert lonely.ask(A, "www.plain.test")[0] == TEMPORARY
    lonely.stop()


def test_many_questions_at_once_are_answered_from_one_cache(asker):
    begun = time.monotonic()
    for request in range(500):
        asker.send(A, f"{'www' if request % 2 else 'none'}.plain.test", request + 10)
    answers = dict(asker.answer()[:2] for _ in range(500))
    assert answers == {request + 10: FOUND if request % 2 else NO_NAME for request in range(500)}
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("kind, what", [
    (A, ""), (A, "two..dots"), (A, "dot.at.end."), (A, "a b"), (A, "x" * 64), (A, "nul\0"),
    (6, "signed.test"), (A, ".".join(["x" * 50] * 5)),
])
def test_a_malformed_question_ends_the_asker(asker, kind, what):
    intruder = Asker.__new__(Asker)
    intruder.role, intruder.channel = asker.role, asker.role.peer("smtpd-relay")
    intruder.send(kind, what)
    assert intruder.channel.receive() is None
    asker.role.counts()
    assert asker.role.hostile[-1] == (15, asker.role.peers)
    assert asker.ask(A, "www.plain.test")[0] == FOUND
