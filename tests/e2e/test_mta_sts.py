"""MTA-STS (RFC 8461) where mail leaves: relay with a fetch that is played, then a whole house with a name server, a
policy host and receivers that are not ours."""

import os
import pathlib
import shutil
import smtplib
import struct
import tempfile
import time

import pytest

from house import BUILD, Authority
from name_server import KNOTD, NameServer
from one_role import MASTER_WANTED
from policy_host import PolicyHost, can_serve, policy
from sink import Sink
from test_fetch import FETCH_ANSWER, FETCH_POLICY, FOUND, NONE, UNKNOWN
from test_relay_process import A, DONE, FAST, MX, REQUIRETLS, TEMPORARY, TLSA, Relay, Resolver, digest

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "fetch").exists(), reason="fetch is not built")

TLS = ["PIPELINING", "STARTTLS"]
RECORDS = {("mx.example", MX): [(10, "a.example"), (20, "b.example")], ("a.example", A): ["127.0.0.1"],
           ("b.example", A): ["127.0.0.1"]}


@pytest.fixture(scope="module")
def authority():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-"))  # pytest's is closed to the role
    directory.chmod(0o755)
    yield Authority(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("a.example", "mx.good.test")


@pytest.fixture
def relayed(tmp_path, authority):
    """One message to mx.example, where fetch answers with that: its result."""
    relays = []

    def send(sink, status, text="", questions=5, records=None, secure=False, tls="may", **message):
        config = FAST.replace("relay {", f'relay {{ private-targets = yes authorities = "{authority.file}"')
        config = config.replace("mta-sts = no", "mta-sts = yes")
        relay = Relay(tmp_path, config + f"\nroute mx.example {{ port = {sink.port} tls = {tls} }}\n")
        relays.append(relay)
        resolver, fetch = Resolver(relay, records or RECORDS, secure), relay.role.peer("fetch")
        relay.send(destination="MX.example", recipients=["x@mx.example"], **message)
        resolver.serve(questions)
        if status:
            request, body, _ = fetch.expect(FETCH_POLICY)
            assert body[8:] == b"mx.example"
            fetch.send(FETCH_ANSWER, struct.pack("=HHI", status, 0, len(text)) + text.encode(), request=request)
        result = relay.result()
        result.events = b"".join(relay.role.events())
        return result

    yield send
    for relay in relays:
        relay.role.kill()


def test_enforced_and_kept(relayed, certificate):
    with Sink(TLS, certificate=certificate) as sink:
        result = relayed(sink, FOUND, policy("a.example"))
        assert result.statuses == [DONE] and sink.wait(1)[0].tls == "TLSv1.3"
        assert b"mta-sts" in result.events and b"enforce" in result.events


@pytest.mark.parametrize("mx", ["b.example", "*.b.example"])
def test_hosts_that_are_not_named_get_nothing(relayed, certificate, mx):
    """b is named, and would do by DNS; but it cannot show a certificate for its name."""
    with Sink(TLS, certificate=certificate) as sink:
        status, _, words, _, _ = relayed(sink, FOUND, policy(mx)).outcomes[0]
        assert status == TEMPORARY and words.startswith("4.7.5 ") and "MTA-STS policy" in words
        assert not sink.messages and len(sink.connections) == (mx == "b.example")


@pytest.mark.parametrize("offers, names", [(["PIPELINING"], ["a.example"]), (TLS, ["other.example"]), (TLS, [])])
@pytest.mark.parametrize("mode, status", [("enforce", TEMPORARY), ("testing", DONE), ("none", DONE)])
def test_tls_that_is_not_good_enough(relayed, authority, offers, names, mode, status):
    certificate = authority.issue(*names, common_name="a.example")
    with Sink(offers, certificate=certificate) as sink:
        result = relayed(sink, FOUND, policy("a.example", mode=mode))
        assert result.statuses == [status] and len(sink.messages) == (status == DONE)
        if status == TEMPORARY:
            assert result.outcomes[0][2].startswith("4.7.") and "MTA-STS policy" in result.outcomes[0][2]
        assert mode.encode() in result.events


@pytest.mark.parametrize("mode, mx, code", [("enforce", "a.example", "2.0.0"), ("testing", "a.example", "2.0.0"),
                                            ("testing", "c.example", "5.7.10"), ("none", "a.example", "5.7.10")])
def test_the_policy_proves_the_host_for_requiretls(relayed, certificate, mode, mx, code):
    """RFC 8689 4.2.1: where DNSSEC does not, MTA-STS may. The certificate has to prove the name in any case."""
    records = {("mx.example", MX): [(10, "a.example")], ("a.example", A): ["127.0.0.1"]}
    with Sink([*TLS, "REQUIRETLS"], certificate=certificate) as sink:
        result = relayed(sink, FOUND, policy(mx, mode=mode), questions=3, records=records, flags=REQUIRETLS)
        assert result.outcomes[0][2].startswith(code + " ") and len(sink.messages) == (code == "2.0.0")


def test_a_policy_that_names_no_host_and_requiretls(relayed, certificate):
    """RFC 8689 4.2.1: no host is left that could be sent to."""
    records = {("mx.example", MX): [(10, "a.example")], ("a.example", A): ["127.0.0.1"]}
    with Sink([*TLS, "REQUIRETLS"], certificate=certificate) as sink:
        result = relayed(sink, FOUND, policy("c.example"), questions=3, records=records, flags=REQUIRETLS)
        assert result.outcomes[0][2].startswith("5.7.10 ") and "MTA-STS policy" in result.outcomes[0][2]
        assert not sink.connections


def test_testing_notes_what_would_fail(relayed, certificate):
    with Sink(TLS, certificate=certificate) as sink:
        result = relayed(sink, FOUND, policy("c.example", mode="testing"))
        assert result.statuses == [DONE] and b"testing, and does not name this host" in result.events


def test_no_policy(relayed):
    with Sink(["PIPELINING"]) as sink:
        assert relayed(sink, NONE, "no MTA-STS record").statuses == [DONE]


@pytest.mark.parametrize("status, text", [(UNKNOWN, "too many"), (FOUND, "nonsense")])
def test_nothing_can_be_known(relayed, status, text):
    """Not the same as no policy: mail waits."""
    with Sink(["PIPELINING"]) as sink:
        result = relayed(sink, status, text)
        assert result.outcomes[0][0] == TEMPORARY and result.outcomes[0][2].startswith("4.7.5 ")
        assert result.wait_ms > 0 and not sink.connections


def test_fetch_is_called(tmp_path):
    """It runs only while it is asked; one that went, idle, as the question came is called again, and asked again."""
    with Sink(["PIPELINING"]) as sink:
        config = FAST.replace("relay {", "relay { private-targets = yes").replace("mta-sts = no", "mta-sts = yes")
        relay = Relay(tmp_path, config + f"\nroute mx.example {{ port = {sink.port} }}\n")
        resolver = Resolver(relay, RECORDS)
        relay.send(destination="mx.example", recipients=["x@mx.example"])
        resolver.serve(5)
        relay.role.master.expect(MASTER_WANTED)
        fetch = relay.role.peer("fetch")
        fetch.expect(FETCH_POLICY)
        fetch.close()
        relay.role.master.expect(MASTER_WANTED)
        fetch = relay.role.peer("fetch")
        request, _, _ = fetch.expect(FETCH_POLICY)
        fetch.send(FETCH_ANSWER, struct.pack("=HHI", NONE, 0, 0), request=request)
        assert relay.result().statuses == [DONE]
        relay.role.kill()


def test_fetch_dies(tmp_path):
    """The next one is asked once more; what ends that too waits."""
    with Sink(["PIPELINING"]) as sink:
        config = FAST.replace("relay {", "relay { private-targets = yes").replace("mta-sts = no", "mta-sts = yes")
        relay = Relay(tmp_path, config + f"\nroute mx.example {{ port = {sink.port} }}\n")
        resolver, fetch = Resolver(relay, RECORDS), relay.role.peer("fetch")
        relay.send(destination="mx.example", recipients=["x@mx.example"])
        resolver.serve(5)
        for _ in range(2):
            fetch.expect(FETCH_POLICY)
            fetch.close()
            fetch = relay.role.peer("fetch")
        status, _, words, _, _ = relay.result().outcomes[0]
        assert status == TEMPORARY and words.startswith("4.7.5 ") and "fetch does not answer" in words
        relay.role.kill()


def test_dane_goes_before(relayed, certificate):
    """RFC 8461 2: hosts with TLSA records are not asked about, and no policy makes up for a wrong one."""
    with Sink(TLS, certificate=certificate) as sink:
        records = {("mx.example", MX): [(10, "a.example")], ("a.example", A): ["127.0.0.1"],
                   (f"_{sink.port}._tcp.a.example", TLSA): [b"\3\1\1" + digest(certificate)]}
        result = relayed(sink, None, questions=4, records=records, secure=True)
        assert result.statuses == [DONE] and b"dane" in result.events


@pytest.mark.parametrize("name, status", [("a.example", DONE), ("b.example", TEMPORARY)])
def test_unusable_tlsa_leaves_the_policy_its_say(relayed, authority, name, status):
    """RFC 7672 2.2: records that nothing can be checked by are not DANE: the policy asks for the name."""
    with Sink(TLS, certificate=authority.issue(name)) as sink:
        records = {("mx.example", MX): [(10, "a.example")], ("a.example", A): ["127.0.0.1"],
                   (f"_{sink.port}._tcp.a.example", TLSA): [b"\0\1\1" + b"x" * 32]}
        result = relayed(sink, FOUND, policy("a.example"), questions=4, records=records, secure=True)
        assert result.statuses == [status] and len(sink.messages) == (status == DONE)


def test_never_tls_never_asks(relayed):
    with Sink(["PIPELINING"]) as sink:
        assert relayed(sink, None, tls="never").statuses == [DONE]


# ---- a whole house ----


@pytest.mark.skipif(not can_serve() or not os.path.exists(KNOTD), reason="needs port 443 and knot")
def test_whole_way(make_house, tmp_path, authority, certificate):
    """Good, a host that the policy does not name, a policy that cannot be fetched: without a cached one, then with."""
    with PolicyHost(authority.issue("mta-sts.good.test", "mta-sts.other.test"), policy("mx.good.test")) as host, \
            Sink(TLS, certificate=certificate) as sink:
        zone = f"@ 60 MX 10 mx\nmx 60 A 127.0.0.1\n_mta-sts 60 TXT \"v=STSv1; id=1;\"\nmta-sts 60 A {host.address}\n"
        names = ("good.test", "other.test", "absent.test")  # no certificate for the last one's policy host
        server = NameServer(tmp_path / "knot", {name: zone for name in names})
        try:
            house = sts_house(make_house, authority, server, sink, names)
            send(house, *names)
            assert sink.wait(2)[0].rcpts != sink.messages[1].rcpts
            assert {message.rcpts[0] for message in sink.messages} == {"RCPT TO:<x@good.test>", "RCPT TO:<x@absent.test>"}
            event, = wait_for(house, "not_relayed", 1)
            assert event["destination"] == "other.test" and "names none of the hosts" in event["result"]
            by_destination = {event["destination"]: event for event in wait_for(house, "connected_to", 2)}
            assert by_destination["good.test"]["demanded_by"] == "mta-sts"
            assert by_destination["good.test"]["verified"] == "name"
            assert by_destination["absent.test"]["mta_sts"] == "none"
            house.stop()
            host.stop()
            asked = len(host.asked)
            house.start()
            send(house, "good.test")
            assert len(sink.wait(3)) == 3
            assert wait_for(house, "connected_to", 3)[-1]["demanded_by"] == "mta-sts"
            assert len(host.asked) == asked
        finally:
            server.stop()


def sts_house(make_house, authority, server, sink, names):
    anchors = authority.directory / "anchors"
    anchors.write_text("; none of the zones is signed\n")
    return make_house(
        settings={"relay": {"networks": "127.0.0.0/8", "private-targets": "yes", "authorities": f'"{authority.file}"'},
                  "resolver": {"servers": "127.0.0.1", "port": server.port, "trust-anchor": f'"{anchors}"'}},
        extra="\n".join(f"route {name} {{ port = {sink.port} }}" for name in names), services=("smtp",))


def send(house, *domains):
    for domain in domains:
        with smtplib.SMTP("127.0.0.1", house.ports["smtp"]) as client:
            client.sendmail("a@sender.example", [f"x@{domain}"], "Subject: s\r\n\r\nhello\r\n")


def wait_for(house, name, count):
    deadline = time.monotonic() + 20
    while len(events := house.events(name)) < count:
        assert time.monotonic() < deadline, house.log_text()
        time.sleep(0.02)
    return events
