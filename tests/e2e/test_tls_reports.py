"""TLS reports (RFC 8460): what relay says of its connections, how it asks whether a domain wants a report, and what
queue makes of both."""

import email
import email.policy
import gzip
import json
import shutil
import pathlib
import struct
import tempfile
import time

import pytest

from house import BUILD, Authority
from one_queue import CONFIG, RELAY_DONE, RELAY_PERMANENT, RELAY_TEMPORARY, TLS_OPTIONAL, Queue
from policy_host import policy
from sink import Sink
from test_fetch import (FAILED, FETCH_ANSWER, FETCH_POLICY, FETCH_POST, FOUND, NONE, NOT_POSTED, POSTED, REFUSED, UNKNOWN,
                        UNTRUSTED)
from test_fetch import INVALID as MALFORMED
from test_relay_process import (A, AAAA, DONE, FAST, PERMANENT, Hanging, MX, NO_DATA, NO_NAME, TLSA, Relay, Resolver,
                                digest)
from test_relay_process import TEMPORARY as LATER

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-queue").exists(), reason="queue is not built")

RELAY_TLS_LOOKUP, RELAY_TLS_SESSION, RELAY_TLS_RECORD = 3, 102, 103
WANTED, NOT_WANTED, NOBODY_KNOWS = 1, 2, 3
NO_POLICY, STS, DANE = 1, 2, 3
SUCCESS, NO_STARTTLS, MISMATCH, EXPIRED, NOT_TRUSTED, INVALID = 1, 2, 3, 4, 5, 6
BAD_DNSSEC, NOT_FETCHED, BAD_POLICY, BAD_WEBPKI, BAD_TLSA = 7, 8, 9, 10, 11
TXT, BOGUS, TEMPORARY = 16, 4, 5
TLS = ["PIPELINING", "STARTTLS"]
DAY = 86400
RECORDS = {("mx.example", MX): [(10, "a.example")], ("a.example", A): ["127.0.0.1"]}


def run(domain, kind, result, policy="", patterns="", mx="a.example", ip="192.0.2.1", sender="198.51.100.1", reason=""):
    """As smtpd/tls_report/tls_session.h has it."""
    text = lambda *texts: b"".join(text.encode() + b"\0" for text in texts)
    return (text(domain) + bytes([kind]) + text(policy, patterns) + bytes([result]) + text(mx, ip, sender, reason))


def parsed(octets):
    domain, _, rest = octets.partition(b"\0")
    policy, patterns, rest = rest[1:].split(b"\0", 2)
    mx, ip, sender, reason, _ = rest[1:].split(b"\0")
    kind = octets[len(domain) + 1]
    return (domain.decode(), kind, policy.decode(), patterns.decode(), rest[0], mx.decode(), ip.decode(),
            sender.decode(), reason.decode())


# ---- relay ----


@pytest.fixture(scope="module")
def authority():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-"))  # pytest's is closed to the role
    directory.chmod(0o755)
    yield Authority(directory)
    shutil.rmtree(directory)


@pytest.fixture
def counted(tmp_path, authority):
    """One message to mx.example; what relay says of its connections."""
    relays = []

    def send(sink, text=None, records=None, secure=False, questions=3, status=None, asks=None, **message):
        config = FAST.replace("relay {", f'relay {{ private-targets = yes authorities = "{authority.file}"')
        config = config.replace("mta-sts = no", "mta-sts = yes")
        relay = Relay(tmp_path, config + f"\nroute mx.example {{ port = {sink.port} }}\n")
        relays.append(relay)
        resolver, fetch = Resolver(relay, records or RECORDS, secure), relay.role.peer("fetch")
        relay.send(recipients=["x@mx.example"], **{"destination": "mx.example", **message})
        resolver.serve(questions)
        if not secure and not message if asks is None else asks:
            request, _, _ = fetch.expect(FETCH_POLICY)
            status = status or (FOUND if text else NONE)
            fetch.send(FETCH_ANSWER, struct.pack("=HHI", status, 0, len(text or ""))
                       + (text or "").encode(), request=request)
        relay.result()
        return [parsed(octets) for octets in relay.tls_sessions]

    yield send
    for relay in relays:
        relay.role.kill()


def test_no_policy_and_tls(counted, authority):
    with Sink(TLS, certificate=authority.issue("other.example")) as sink:
        assert counted(sink) == [
            ("mx.example", NO_POLICY, "", "", SUCCESS, "a.example", "127.0.0.1", "127.0.0.1", "")]


def test_no_policy_and_no_tls(counted):
    with Sink(["PIPELINING"]) as sink:
        assert [session[4] for session in counted(sink)] == [NO_STARTTLS]


@pytest.mark.parametrize("names, mode, result", [
    (["a.example"], "enforce", SUCCESS), (["b.example"], "enforce", MISMATCH),
    (["a.example"], "testing", SUCCESS), (["b.example"], "testing", MISMATCH),
    ("expired", "testing", EXPIRED), ("stranger", "testing", NOT_TRUSTED)])
def test_mta_sts(counted, authority, tmp_path, names, mode, result):
    """RFC 8460 4.3.1. In its testing time a policy is there to find out about such."""
    text = policy("a.example", mode=mode)
    of = Authority(tmp_path, "stranger") if names == "stranger" else authority
    named = ["a.example"] if isinstance(names, str) else names
    with Sink(TLS, certificate=of.issue(*named, days=-1 if names == "expired" else 30)) as sink:
        (session,) = counted(sink, text)
    assert session[:2] == ("mx.example", STS) and session[4] == result
    assert session[2].split("\n") == text.split() or session[2] == "\n".join(text.splitlines())
    assert session[3] == "a.example" and (result == SUCCESS) == (session[8] == "")


@pytest.mark.parametrize("status, result", [(FAILED, NOT_FETCHED), (UNTRUSTED, BAD_WEBPKI), (MALFORMED, BAD_POLICY)])
def test_a_policy_that_cannot_be_had(counted, authority, status, result):
    """RFC 8460 4.3.2.2; the mail is sent."""
    with Sink(TLS, certificate=authority.issue("a.example")) as sink:
        (session,) = counted(sink, "why it was", status=status)
        assert session[:5] == ("mx.example", STS, "", "", result) and session[8] == "why it was"
        assert sink.wait(1)


def test_a_policy_that_names_no_host(counted):
    """There is no connection, but a failure all the same."""
    with Sink(TLS) as sink:
        (session,) = counted(sink, policy("b.example"))
        assert session[:2] == ("mx.example", STS) and session[3:8] == ("b.example", INVALID, "", "", "")
        assert "names none of the hosts" in session[8]


@pytest.mark.parametrize("bogus, questions", [("mx.example", 1), ("a.example", 3), ("tlsa", 4)])
def test_dnssec_that_is_wrong(counted, bogus, questions):
    """RFC 8460 4.3.2.1"""
    with Sink(TLS) as sink:
        broken = {"mx.example": ("mx.example", MX), "a.example": ("a.example", A),
                  "tlsa": (f"_{sink.port}._tcp.a.example", TLSA)}[bogus]
        (session,) = counted(sink, records={**RECORDS, broken: BOGUS}, secure=True, questions=questions)
        assert session[:8] == ("mx.example", DANE, "", "", BAD_DNSSEC, "", "", "") and "the DNS does not say" in session[8]


@pytest.mark.parametrize("records", [{("mx.example", MX): NO_NAME}, {**RECORDS, ("a.example", A): TEMPORARY}])
def test_a_target_that_fails_for_another_reason_is_not_counted(counted, records):
    with Sink(TLS) as sink:
        assert counted(sink, records=records, questions=1 if len(records) == 1 else 3, asks=False) == []


def test_a_policy_that_asks_for_tls(counted):
    with Sink(["PIPELINING"]) as sink:
        (session,) = counted(sink, policy("a.example"))
        assert session[1] == STS and session[4] == NO_STARTTLS and "no TLS" in session[8]


@pytest.mark.parametrize("head, good, result, arrives", [
    ("3 1 1", True, SUCCESS, True), ("3 1 1", False, BAD_TLSA, False), ("0 1 1", True, BAD_TLSA, True)])
def test_dane(counted, authority, head, good, result, arrives):
    """RFC 8460 4.3.2.1, tlsa-invalid: none of the records is right. Those of which none is of DANE (RFC 7672 3.1.3) take no
    mail from the host."""
    certificate = authority.issue("a.example")
    with Sink(TLS, certificate=certificate) as sink:
        data = digest(certificate) if good else bytes(32)
        records = {**RECORDS, (f"_{sink.port}._tcp.a.example", TLSA): [bytes(map(int, head.split())) + data]}
        (session,) = counted(sink, records=records, secure=True, questions=4, asks=head.startswith("0"))
        assert bool(sink.messages) == arrives
    assert session[:3] == ("mx.example", DANE, f"{head} {data.hex()}")
    assert session[4] == result and bool(session[8]) == (result != SUCCESS)


def test_the_address_that_answered(counted, authority):
    """Of a host whose IPv6 leads nowhere."""
    with Sink(TLS, certificate=authority.issue("a.example")) as sink, Hanging("::1", sink.port):
        (session,) = counted(sink, records={**RECORDS, ("a.example", AAAA): ["::1"]})
        assert session[4] == SUCCESS and session[6:8] == ("127.0.0.1", "127.0.0.1")


def test_mail_that_may_go_without_is_not_counted(counted):
    """RFC 8460 5.3: reports themselves are such mail."""
    with Sink(["PIPELINING"]) as sink:
        assert counted(sink, destination="~mx.example", flags=TLS_OPTIONAL) == []
        assert sink.wait(1)


class TxtResolver(Resolver):
    def rdata(self, kind, record):
        return bytes([len(record)]) + record.encode() if kind == TXT else super().rdata(kind, record)


@pytest.mark.parametrize("records, status, uris", [
    (["v=TLSRPTv1; rua=mailto:tls@b.example , https://b.example/tls;"], WANTED,
     "mailto:tls@b.example\nhttps://b.example/tls"),
    (["v=spf1 -all"], NOT_WANTED, ""), (["v=TLSRPTv1; rua=mailto:a@b.example"] * 2, NOT_WANTED, ""),
    (NO_DATA, NOT_WANTED, ""), (NO_NAME, NOT_WANTED, ""), (TEMPORARY, NOBODY_KNOWS, "")])
def test_the_record(tmp_path, records, status, uris):
    relay = Relay(tmp_path, FAST)
    resolver = TxtResolver(relay, {("_smtp._tls.mx.example", TXT): records})
    relay.queue.send(RELAY_TLS_LOOKUP, b"mx.example", request=7)
    resolver.serve(1)
    request, body, _ = relay.queue.expect(RELAY_TLS_RECORD)
    assert request == 7 and struct.unpack_from("=H", body)[0] == status and body[8:].decode() == uris
    relay.role.kill()


@pytest.mark.parametrize("said, status, code", [
    (POSTED, DONE, "2.0.0 "), (NOT_POSTED, LATER, "4.4.0 "), (UNKNOWN, LATER, "4.4.0 "), (REFUSED, PERMANENT, "5.4.0 ")])
def test_a_report_by_https_goes_to_fetch(tmp_path, said, status, code):
    """RFC 8460 5.4. Each recipient of the message is a URI."""
    relay = Relay(tmp_path, FAST)
    fetch = relay.role.peer("fetch")
    uris = ["https://b.example:8443/tls", "https://b.example:8443/other"]
    relay.send(recipients=uris, destination="https://b.example:8443", reverse_path="", body=b"report")
    for uri in uris:
        request, body, _ = fetch.expect(FETCH_POST)
        octets, _, body_octets = struct.unpack_from("=HHI", body)
        assert body[8:8 + octets].decode() == uri and body[8 + octets:] == b"report" and body_octets == 6
        fetch.send(FETCH_ANSWER, struct.pack("=HHI", said, 0, 4) + b"said", request=request)
    result = relay.result()
    assert result.statuses == [status] * 2
    assert result.outcomes[0][2] == code + "said" and result.outcomes[0][4] == "https://b.example:8443"
    relay.role.kill()


def test_what_is_no_report_is_not_handed_in(tmp_path):
    relay = Relay(tmp_path, FAST)
    assert relay.one(recipients=["x@b.example"], destination="https://b.example").statuses == [PERMANENT]
    relay.role.kill()


# ---- queue ----

REPORTS = CONFIG + ' relay { tls-reports-delay = 0 tls-report-contact = "tls@test.example" }'


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path, REPORTS)
    made.relay()
    yield made
    made.end()


def say(queue, *runs, at=None):
    for octets in runs:
        queue.relays[0].channel.send(RELAY_TLS_SESSION, struct.pack("=q", int(time.time() - DAY if at is None else at))
                                     + octets)


def asked_for(queue, seconds=20):
    """The domain that queue wants the record of, and the request."""
    request, body, _ = queue.relays[0].channel.expect(RELAY_TLS_LOOKUP, seconds)
    return body.decode(), request


def answer(queue, request, status, uris=""):
    queue.relays[0].channel.send(RELAY_TLS_RECORD, struct.pack("=HHHH", status, 0, 0, 0) + uris.encode(), request)


def write_down(queue, directory):
    """Counters are written once a minute, or when the process is asked to end."""
    queue.wait_for_counts(0)
    queue.stop()
    made = Queue(directory, REPORTS)
    made.relay()
    return made


STS_POLICY = "version: STSv1\nmode: enforce\nmx: *.mail.example\nmax_age: 86400"


def test_a_report_of_yesterday(queue, tmp_path):
    bad = dict(policy=STS_POLICY, patterns="*.mail.example", reason='certificate "has" expired')
    say(queue, *[run("far.example", STS, SUCCESS, policy=STS_POLICY, patterns="*.mail.example")] * 3,
        *[run("far.example", STS, EXPIRED, **bad)] * 2, run("far.example", NO_POLICY, NO_STARTTLS),
        run("far.example.org", DANE, SUCCESS, policy="3 1 1 " + "ab" * 500))
    say(queue, run("far.example", STS, EXPIRED, **bad), at=time.time())  # of today: not told yet
    queue = write_down(queue, tmp_path)
    domain, request = asked_for(queue)
    assert domain == "far.example"
    answer(queue, request, WANTED, "https://Far.example:8443/x?y\nmailto:tls%2Breports@far.example?subject=x\nftp://x")
    domain, request = asked_for(queue)  # the next one, before the report leaves
    assert domain == "far.example.org"
    messages = [queue.relays[0].next() for _ in range(2)]
    posted, message = sorted(messages, key=lambda message: message.destination)
    assert (posted.destination, posted.recipients) == ("https://Far.example:8443", ["https://Far.example:8443/x?y"])
    assert posted.sender == "" and not posted.prefix
    mail = email.message_from_bytes(message.prefix + message.body, policy=email.policy.default)
    assert list(mail.iter_parts())[1].get_content() == posted.body  # one report, so it has one id
    queue.relays[0].answer(posted, RELAY_TEMPORARY, "4.4.0 not now")
    assert message.recipients == ["tls+reports@far.example"] and message.sender == ""
    assert message.destination == "~far.example" and message.flags & TLS_OPTIONAL
    check_mail(message)
    queue.relays[0].answer(message, RELAY_PERMANENT, "5.1.1 no")  # nobody is told
    again = queue.relays[0].next()  # RFC 8460 5.5
    assert again.recipients == posted.recipients and again.body == posted.body
    queue.relays[0].answer(again)

    answer(queue, request, NOT_WANTED)
    queue.wait_for_counts(0)
    queue = write_down(queue, tmp_path)
    time.sleep(2.5)
    queue.relays[0].nothing_more()  # neither again nor of today
    queue.end()


def check_mail(message):
    mail = email.message_from_bytes(message.prefix + message.body, policy=email.policy.default)
    assert mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "tlsrpt"
    assert mail["TLS-Report-Domain"] == "far.example" and mail["From"] == "tls@test.example"
    assert mail["TLS-Required"] == "No" and mail["To"] == "tls+reports@far.example"
    assert mail["Subject"].startswith("Report Domain: far.example Submitter: ") and mail["Message-ID"] and mail["Date"]
    text, report = mail.iter_parts()
    assert text.get_content_type() == "text/plain" and report.get_content_type() == "application/tlsrpt+gzip"
    told = json.loads(gzip.decompress(report.get_content()))
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - DAY))
    assert told["date-range"] == {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"}
    assert told["contact-info"] == "tls@test.example" and mail["TLS-Report-Submitter"] == told["organization-name"]
    assert told["report-id"] in mail["Subject"] and report.get_filename().startswith(
        told["organization-name"] + "!far.example!")
    nothing, sts = told["policies"]
    assert nothing["policy"] == {"policy-type": "no-policy-found", "policy-domain": "far.example"}
    assert nothing["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}
    assert sts["policy"] == {"policy-type": "sts", "policy-string": STS_POLICY.split("\n"),
                             "policy-domain": "far.example", "mx-host": ["*.mail.example"]}
    assert sts["summary"] == {"total-successful-session-count": 3, "total-failure-session-count": 2}
    assert sts["failure-details"] == [{
        "result-type": "certificate-expired", "sending-mta-ip": "198.51.100.1", "receiving-mx-hostname": "a.example",
        "receiving-ip": "192.0.2.1", "failed-session-count": 2, "failure-reason-code": 'certificate "has" expired'}]


def test_each_address_of_the_record_is_sent_to(queue, tmp_path):
    """Once, and no more than five, whoever they are: those of ours are for auth to find."""
    say(queue, run("far.example", NO_POLICY, SUCCESS))
    queue = write_down(queue, tmp_path)
    _, request = asked_for(queue)
    answer(queue, request, WANTED, "\n".join(f"mailto:{name}" for name in (
        "a@far.example", "A@far.example", "b@far.example", "c@third.example", "d@third.example", "e@third.example",
        "f@third.example")))
    messages = sorted((queue.relays[0].next() for _ in range(2)), key=lambda message: message.destination)
    assert [(message.destination, message.recipients) for message in messages] == [
        ("~far.example", ["a@far.example", "b@far.example"]),
        ("~third.example", ["c@third.example", "d@third.example", "e@third.example"])]
    mail = email.message_from_bytes(messages[0].prefix + messages[0].body, policy=email.policy.default)
    assert [address.addr_spec for address in mail["To"].addresses] == [
        "a@far.example", "b@far.example", "c@third.example", "d@third.example", "e@third.example"]
    for message in messages:
        queue.relays[0].answer(message)
    queue.wait_for_counts(0)
    queue.end()


def test_what_the_dns_does_not_say_is_asked_again(queue, tmp_path):
    say(queue, run("far.example", NO_POLICY, SUCCESS))
    queue = write_down(queue, tmp_path)
    _, request = asked_for(queue)
    answer(queue, request, NOBODY_KNOWS)
    queue = write_down(queue, tmp_path)  # the next hour
    domain, request = asked_for(queue)
    answer(queue, request, WANTED, "mailto:a@far.example")
    assert domain == "far.example"
    queue.relays[0].one(RELAY_DONE)
    queue.end()


@pytest.mark.parametrize("octets", [b"", b"far.example\0\1", run("[192.0.2.1]", 1, 1), run("x" * 300, 1, 1), run("", 1, 1), run("far.example", 4, 1),
                                    run("far.example", 1, 12), run("far.example", 1, 1) + b"x"])
def test_nonsense_ends_the_relay(queue, octets):
    say(queue, octets or b"\0")
    assert queue.relays[0].channel.receive(20) is None
