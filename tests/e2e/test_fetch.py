"""The role fetch alone, with this process as its master, resolver and relay, and a policy host over real HTTPS."""

import os
import select
import socket
import struct
import time

import pytest

from house import BUILD, Authority
from one_role import DESCRIPTOR_DIRECTORY, MASTER_HOSTILE, MASTER_IDLE, ROLE_DESCRIPTOR, Role
from policy_host import PATH, PolicyHost, can_serve, policy

pytestmark = [
    pytest.mark.skipif(not (BUILD / "libexec" / "fetch").exists(), reason="fetch is not built"),
    pytest.mark.skipif(not can_serve(), reason="port 443 is root's"),
]

FETCH_POLICY, FETCH_POST, FETCH_ANSWER = 1, 2, 101
DNS_QUESTION, DNS_ANSWER = 1, 101
FOUND, NONE, UNKNOWN, FAILED, UNTRUSTED, INVALID, POSTED, NOT_POSTED, REFUSED = range(1, 10)
A, TXT, AAAA = 1, 16, 28
DNS_FOUND, NO_DATA, TEMPORARY = 1, 2, 5
DESCRIPTOR_AUTHORITIES = 12
NAME = "mta-sts.sts.example"


class Fetch:
    """The role in a directory, with the record `txt` below _mta-sts. and the address of the policy host."""

    def __init__(self, directory, authority, address, txt="v=STSv1; id=1;", config="relay { private-targets = yes }"):
        self.role = Role("fetch", directory, config, purpose=DESCRIPTOR_DIRECTORY)
        fd = os.open(authority.file, os.O_RDONLY)
        self.role.master.send(ROLE_DESCRIPTOR, struct.pack("=II", DESCRIPTOR_AUTHORITIES, 0), fds=[fd])
        os.close(fd)
        self.resolver, self.relay = self.role.peer("resolver"), self.role.peer("smtpd-relay")
        self.txt, self.address, self.asked, self.requests = txt, address, [], 0
        self.role.go()

    def records(self, name, kind):
        if kind == TXT:
            texts = [self.txt] if isinstance(self.txt, str) else self.txt or []
            return [bytes([len(text)]) + text.encode() for text in texts]
        return [socket.inet_aton(self.address)] if kind == A and name == NAME else []

    def answer_dns(self):
        request, body, _ = self.resolver.expect(DNS_QUESTION)
        kind, octets, _ = struct.unpack_from("=HHI", body)
        name = body[8 : 8 + octets].decode()
        self.asked.append((name, kind))
        records = self.records(name, kind)
        status = TEMPORARY if self.txt is None else DNS_FOUND if records else NO_DATA
        self.resolver.send(DNS_ANSWER, struct.pack("=HHHHII", status, 0, len(records), len(name), 60, 0)
                           + b"".join(struct.pack("=H", len(octets)) + octets for octets in records)
                           + name.encode(), request=request)

    def send(self, domain="sts.example"):
        self.requests += 1
        self.relay.send(FETCH_POLICY, struct.pack("=HHHH", len(domain), 0, 0, 0) + domain.encode(), request=self.requests)

    def post(self, uri, report=b"report"):
        self.requests += 1
        self.relay.send(FETCH_POST, struct.pack("=HHI", len(uri), 0, len(report)) + uri.encode() + report,
                        request=self.requests)
        return self.answer()

    def answer(self):
        """(status, text) while the DNS is answered."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            ready = select.select([self.resolver.sock, self.relay.sock], [], [], 1)[0]
            if self.resolver.sock in ready:
                self.answer_dns()
            if self.relay.sock in ready:
                _, body, _ = self.relay.expect(FETCH_ANSWER)
                status, _, octets = struct.unpack_from("=HHI", body)
                assert len(body) == 8 + octets
                return status, body[8:].decode()
        raise AssertionError("no answer")

    def ask(self, domain="sts.example"):
        self.send(domain)
        return self.answer()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue(NAME)


@pytest.fixture
def start(tmp_path, authority):
    started = []

    def starter(address, **settings):
        (tmp_path / "state").mkdir(exist_ok=True)
        started.append(Fetch(tmp_path / "state", authority, address, **settings))
        return started[-1]

    yield starter
    for fetch in started:
        fetch.role.kill()


def test_fetched_once_then_from_the_cache(start, certificate):
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        fetch = start(host.address)
        assert fetch.ask() == (FOUND, host.text)
        assert host.asked == [(NAME, PATH)]
        assert fetch.asked == [("_mta-sts.sts.example", TXT), (NAME, A), (NAME, AAAA)]
        assert fetch.ask() == (FOUND, host.text)
        assert fetch.ask("STS.example") == (FOUND, host.text)
        assert len(host.asked) == 1 and len(fetch.asked) == 5


def test_new_id_means_new_policy(start, certificate):
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        fetch = start(host.address)
        fetch.ask()
        fetch.txt, host.text = "v=STSv1; id=2", policy("other.example", mode="testing")
        assert fetch.ask() == (FOUND, host.text) and len(host.asked) == 2


@pytest.mark.parametrize("txt", ["v=STSv1; id=1;", "v=STSv1; id=2;", [], None, ["v=STSv1; id=1", "v=STSv1; id=1"]])
def test_cached_policy_counts_over_a_restart(start, certificate, txt):
    """RFC 8461 5.1: whoever takes record or policy host away does not take the policy away."""
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        first = start(host.address)
        assert first.ask()[0] == FOUND
        first.role.kill()
        text, host.status = host.text, 500
        again = start(host.address, txt=txt)
        assert again.ask() == (FOUND, text)
        assert again.ask() == (FOUND, text)  # what failed a moment ago is not tried again
        assert len(host.asked) == (2 if txt == "v=STSv1; id=2;" else 1)


def test_policy_that_is_over_does_not_count(start, certificate):
    with PolicyHost(certificate, policy("mx.sts.example", max_age=1)) as host:
        fetch = start(host.address)
        assert fetch.ask()[0] == FOUND
        time.sleep(2.1)  # its life of a second is over, by whole seconds
        host.status = 404
        assert fetch.ask() == (FAILED, "the policy host answers with status 404")


def test_renewed_in_the_middle_of_its_life(start, certificate):
    """Who asks then has the cached one at once."""
    with PolicyHost(certificate, policy("mx.sts.example", max_age=10)) as host:
        fetch = start(host.address)
        fetch.ask()
        first, host.text = host.text, policy("mx2.sts.example")
        time.sleep(6.1)  # half of max_age, and a second
        assert fetch.ask() == (FOUND, first)
        while len(host.asked) < 2:
            if select.select([fetch.resolver.sock], [], [], 0.05)[0]:
                fetch.answer_dns()
        deadline = time.monotonic() + 10
        while fetch.ask() != (FOUND, host.text):
            assert time.monotonic() < deadline


def test_a_domain_that_is_too_long_for_a_record(start):
    """RFC 1035 2.3.4: nothing stands before its name, so it has no policy, and nobody is asked."""
    fetch = start("127.0.0.1")
    assert fetch.ask(".".join(["x" * 61] * 4))[0] == NONE and fetch.asked == []


@pytest.mark.parametrize("settings, why", [  # RFC 8460 4.3.2.2 keeps what cannot be had from what is malformed
    ({"status": 404}, "status 404"),
    ({"status": 301, "headers": {"Location": f"https://{NAME}/elsewhere"}}, "status 301"),
    ({"status": 204}, "status 204"),
    ({"headers": {"Content-Type": "text/html"}}, "not text/plain"),
    ({"headers": {"Content-Type": "text/plain-enough"}}, "not text/plain"),
    ({"text": "version: STSv2\r\n"}, "malformed"),
    ({"text": "x" * 65537}, "longer than 65536"),
    ({"headers": {"Content-Length": "100000"}}, None),
])
def test_what_is_no_policy(start, certificate, settings, why):
    settings = {"text": policy("mx.sts.example"), **settings}
    with PolicyHost(certificate, **settings) as host:
        status, text = start(host.address).ask()
        assert status == (INVALID if why == "malformed" else FAILED) and host.asked == [(NAME, PATH)]
        assert why is None or why in text


def test_what_failed_a_moment_ago_is_told_again(start, certificate):
    with PolicyHost(certificate, "version: STSv2\r\n") as host:
        fetch = start(host.address)
        assert fetch.ask() == fetch.ask() == (INVALID, "the policy is malformed") and len(host.asked) == 1


@pytest.mark.parametrize("issue", [
    {"names": ["mta-sts.other.example"]},
    {"names": [], "common_name": NAME},  # RFC 8461 3.3: a DNS-ID, no common name
    {"names": [NAME], "days": -1},
])
def test_certificate_must_be_good(start, authority, issue):
    names = issue.pop("names")
    with PolicyHost(authority.issue(*names, **issue), policy("mx.sts.example")) as host:
        assert start(host.address).ask()[0] == UNTRUSTED and not host.asked


def test_wildcard_certificate(start, authority):
    with PolicyHost(authority.issue("*.sts.example"), policy("mx.sts.example")) as host:
        assert start(host.address).ask()[0] == FOUND


def test_unknown_authority(start, tmp_path):
    with PolicyHost(Authority(tmp_path, "stranger").issue(NAME), policy("mx.sts.example")) as host:
        assert start(host.address).ask()[0] == UNTRUSTED and not host.asked


@pytest.mark.parametrize("txt", [[], ["v=STSv1; id=1", "v=STSv1; id=2"], "v=STSv1", "v=STSv1; id=a-b", "v=spf1 -all", None])
def test_no_record_no_request(start, certificate, txt):
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        assert start(host.address, txt=txt).ask()[0] == NONE and not host.asked


def test_private_addresses_are_not_asked(start, certificate):
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        status, text = start(host.address, config="").ask()
        assert (status, text) == (FAILED, f"{NAME} has no public address") and not host.asked


def test_nobody_there(start):
    assert start("127.44.0.0").ask()[0] == FAILED


def test_many_who_ask_are_one_request(start, certificate):
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        fetch = start(host.address)
        for _ in range(5):
            fetch.send()
        assert [fetch.answer() for _ in range(5)] == [(FOUND, host.text)] * 5
        assert len(host.asked) == 1


def test_damaged_cache_is_set_aside(start, certificate, tmp_path):
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        fetch = start(host.address)
        fetch.ask()
        fetch.role.kill()
        for file in (tmp_path / "state").glob("*.db"):
            file.write_bytes(b"x" * 100)
        again = start(host.address)
        assert again.ask() == (FOUND, host.text) and len(host.asked) == 2
        assert list((tmp_path / "state").glob("corrupt-*"))


@pytest.mark.parametrize("body", [struct.pack("=HHHH", 3, 0, 0, 0) + b"a b", struct.pack("=HHHH", 9, 0, 0, 0) + b"example"])
def test_malformed_question(start, body):
    fetch = start("127.0.0.1")
    fetch.relay.send(FETCH_POLICY, body, request=1)
    fetch.role.master.expect(MASTER_HOSTILE)


def test_no_resolver(start):
    """Nothing is known then; it is not the same as no policy."""
    fetch = start("127.0.0.1")
    fetch.resolver.close()
    fetch.role.settle()
    fetch.send()
    assert fetch.relay.expect(FETCH_ANSWER)[1][8:] == b"no resolver is there"


LINGER = "relay { private-targets = yes }\ntimeouts { linger = 1s }"


def test_goes_when_nobody_asks(start, certificate):
    """Though a relay is there."""
    with PolicyHost(certificate, policy("mx.sts.example")) as host:
        fetch = start(host.address, config=LINGER)
        assert fetch.ask() == (FOUND, host.text)
        fetch.role.master.expect(MASTER_IDLE)
        fetch.role.stop()


def test_stays_while_a_failure_is_fresh(start, certificate):
    """RFC 8461 3.3: the next process would not know that it is too soon to try again."""
    with PolicyHost(certificate) as host:
        address = host.address
    while True:
        fetch = start(address, config=LINGER)  # where nobody listens any more
        assert fetch.ask()[0] == FAILED
        if not fetch.role.master.has_spoken(0):  # as it may if a second passed before it was asked
            break
    assert not fetch.role.master.has_spoken(2.5)


# ---- TLS reports, RFC 8460 5.4 ----


@pytest.mark.parametrize("status, result", [
    (200, POSTED), (201, POSTED), (301, NOT_POSTED), (404, REFUSED), (408, NOT_POSTED), (410, REFUSED),
    (429, NOT_POSTED), (503, NOT_POSTED)])
def test_a_report_by_post(start, certificate, status, result):
    with PolicyHost(certificate, "thanks", status=status) as host:
        fetch = start(host.address)
        report = bytes(range(256)) * 100
        assert fetch.post(f"HTTPS://{NAME.upper()}/v1/tls?key=a%2Cb", report) == (
            result, f"the server answers with status {status}")
        assert host.posted == [("/v1/tls?key=a%2Cb", "application/tlsrpt+gzip", report)]
        assert fetch.asked == [(NAME, A), (NAME, AAAA)]


def test_where_no_report_is_handed_in(start, authority):
    with PolicyHost(authority.issue("other.example")) as host:
        fetch = start(host.address)
        assert fetch.post(f"https://{NAME}/")[0] == NOT_POSTED and not host.posted  # not its certificate
        assert fetch.post(f"https://{NAME}:9")[0] == NOT_POSTED  # nobody listens there
        assert fetch.post("https://none.example/") == (NOT_POSTED, "none.example has no address")


def test_no_report_to_private_addresses(start, certificate):
    with PolicyHost(certificate) as host:
        assert start(host.address, config="").post(f"https://{NAME}/") == (NOT_POSTED, f"{NAME} has no public address")
        assert not host.posted


@pytest.mark.parametrize("uri, report", [
    ("http://a.example/", b"x"), ("https://a@b.example/", b"x"), ("https://a.example/#x", b"x"), ("https://a.example/", b""),
    ("https://a.example:0/", b"x"), ("https://a.example:65536/", b"x"), ("https://[::1]/", b"x"), ("https:///x", b"x"),
    ("https://a.example/a b", b"x")])
def test_malformed_report(start, uri, report):
    fetch = start("127.0.0.1")
    fetch.relay.send(FETCH_POST, struct.pack("=HHI", len(uri), 0, len(report)) + uri.encode() + report, request=1)
    fetch.role.master.expect(MASTER_HOSTILE)
