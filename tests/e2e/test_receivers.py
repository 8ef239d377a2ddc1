"""Mail to servers that are not ours, over an internet of our own (network.py): Debian's Postfix, Exim and OpenSMTPD
behind real MX records on port 25, DNSSEC, policies, broken routes and cables. What arrived there with which envelope,
what the sender is told, what `staffetta why` says."""

import pathlib
import re
import shutil
import smtplib
import tempfile
import time

import pytest
from house import DOMAIN, Authority
from name_server import KNOTD, NameServer
from network import Network, why_not as why_no_network
from policy_host import PolicyHost, policy
from receivers import Exim, OpenSMTPD, PolicyServer, Postfix, why_not
from sink import CLOSE, PLAIN, STALL, Raw, Sink
from test_relay import ALICE, BODY, BOB, World, parts
from test_relay_process import digest

REASON = why_no_network() or why_not(Postfix, Exim, OpenSMTPD) or ("" if pathlib.Path(KNOTD).exists() else "no knotd")
if REASON:
    pytest.skip(REASON, allow_module_level=True)  # one line, not forty

DNS, STS, STS_EXPIRED = "192.0.2.53", "198.51.100.43", "198.51.100.44"
AT = {Postfix: ("203.0.113.25", "2001:db8:25::25"), Exim: ("203.0.113.26", "2001:db8:25::26"),
      OpenSMTPD: ("203.0.113.27", "2001:db8:25::27")}
VOID4, VOID6 = "203.0.113.254", "2001:db8:dead::1"  # packets to there vanish
FAULTS = {f"{step.lower()}-{name}": {step: [fault, None]} for step in ("BANNER", "EHLO", "MAIL", "RCPT", "DATA", "DOT")
          for name, fault in (("stall", STALL), ("close", CLOSE), ("babble", Raw(b"hello?\r\n\0\r\n")))}
SINKS = {**{name: {"answers": answers} for name, answers in FAULTS.items()},
         "never": {"answers": {"DATA": STALL}}, "window": {}}
SINK_AT = {name: f"203.0.113.{100 + number}" for number, name in enumerate(SINKS)}

POSTFIX4, POSTFIX6 = AT[Postfix]
TO_POSTFIX = f"@ 60 MX 10 mx\nmx 60 A {POSTFIX4}\n"
TO_POLICY = "_mta-sts 60 TXT \"v=STSv1; id=1;\"\nmta-sts 60 A {}\n"
ZONES = {  # below example.
    "exim": f"@ 60 MX 10 mx\nmx 60 A {AT[Exim][0]}\n",
    "opensmtpd": f"@ 60 MX 10 mx\nmx 60 A {AT[OpenSMTPD][0]}\n",
    "postfix": TO_POSTFIX,
    "dane": TO_POSTFIX + "_25._tcp.mx 60 TYPE52 {good}\n",
    # MX hosts that are aliases: of a host with records, and of one whose zone is not signed
    "alias": f"@ 60 MX 10 mx2\nmx2 60 CNAME mx\nmx 60 A {POSTFIX4}\n_25._tcp.mx 60 TYPE52 {{good}}\n"
             "_25._tcp.mx2 60 TYPE52 {bad}\n",
    "abroad": f"@ 60 MX 10 mx2\nmx2 60 CNAME mx.postfix.example.\nmx 60 A {POSTFIX4}\n_25._tcp.mx2 60 TYPE52 {{good}}\n",
    "wrong": TO_POSTFIX + "_25._tcp.mx 60 TYPE52 {bad}\n",
    "sts": TO_POSTFIX + TO_POLICY.format(STS),
    "mismatch": TO_POSTFIX + TO_POLICY.format(STS),
    "overdue": TO_POSTFIX + TO_POLICY.format(STS_EXPIRED),
    "null": "@ 60 MX 0 .\n",
    "backup": f"@ 60 MX 10 mx\n@ 60 MX 20 mx2\nmx 60 A {VOID4}\nmx2 60 A {POSTFIX4}\n",
    "six": f"@ 60 MX 10 mx\nmx 60 AAAA {POSTFIX6}\n",
    "hole": f"@ 60 MX 10 mx\nmx 60 AAAA {VOID6}\nmx 60 A {POSTFIX4}\n",
    "inside": "@ 60 MX 10 mx\nmx 60 A 10.1.2.3\nmx 60 A 192.168.1.1\nmx 60 AAAA fd00::1\n",
    "loopback": "@ 60 MX 10 mx\nmx 60 A 127.0.0.1\nmx 60 AAAA ::1\n",
    "ours": f"@ 60 MX 10 mx\nmx 60 A {Network.HOUSE4}\n",
    "sinks": "".join(f"{name} 60 MX 10 {name}\n{name} 60 A {address}\n" for name, address in SINK_AT.items()),
}
SIGNED = ("dane.example", "wrong.example", "alias.example", "abroad.example")
AT_POSTFIX = [name for name, records in ZONES.items() if POSTFIX4 in records or POSTFIX6 in records]
SETTINGS = {"relay": {"networks": "{ 127.0.0.0/8 }", "reply": "2s", "connect": "1s", "idle": "200ms"},
            "queue": {"retry": "500ms"}}


class Internet(World):
    """A house, and all that is outside."""

    def __init__(self, house, sinks, network, receivers):
        super().__init__(house, sinks)
        self.network, self.receivers = network, receivers

    def send(self, *arguments, **options):
        with self.network.house:
            return super().send(*arguments, **options)

    def report(self, queue_id, seconds=15):
        """What Alice is told of that message, in parts()."""
        deadline = time.monotonic() + seconds
        while True:
            for report in self.reports(ALICE, 1, seconds=seconds):
                found = parts(report)
                if queue_id in found[0]:
                    return found
            assert time.monotonic() < deadline, f"no report about {queue_id}"

    def give_up(self, queue_id):
        """As the administrator: at once, or when what is under way has failed."""
        self.queue("bounce", queue_id)
        deadline = time.monotonic() + 15
        while self.house.command("queue", "show", queue_id, check=False).returncode == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def sent(self, queue_id, to, seconds=20):
        """What happened when it was sent there."""
        return self.house.wait_for_event("relayed", seconds=seconds, queue_id=queue_id, to=to)


@pytest.fixture(scope="module")
def directory():
    made = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-"))  # pytest's is closed to the roles
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def certificates(authority):
    """Of the receivers, and of a server that is none of them."""
    return authority.issue(*(f"{mx}.{name}.example" for name in AT_POSTFIX for mx in ("mx", "mx2"))), authority.issue("other.example")


@pytest.fixture(scope="module")
def network():
    made = Network()
    made.world_has(DNS, STS, STS_EXPIRED, *SINK_AT.values(), *(address for pair in AT.values() for address in pair))
    made.swallow(f"{VOID4}/32", "2001:db8:dead::/48")
    yield made
    made.close()


@pytest.fixture(scope="module")
def name_server(network, directory, certificates):
    tlsa = {name: rf"\# 35 030101{digest(certificate).hex()}" for name, certificate in zip(("good", "bad"), certificates)}
    zones = {f"{name}.example": records.format(**tlsa) if "TYPE52" in records else records for name, records in ZONES.items()}
    with network.world:
        server = NameServer(directory / "knot", zones, SIGNED, address=DNS, port=53)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def world_of(network, name_server, authority, certificates, directory):
    """Everything outside: the receivers by name, the sinks."""
    own = certificates[0]
    names = [f"mta-sts.{name}.example" for name in ("sts", "mismatch", "overdue")]
    with network.world:
        closing = [PolicyServer(POSTFIX4)]
        postfix = Postfix(*AT[Postfix], domains=[f"{name}.example" for name in AT_POSTFIX], certificate=own, policy=closing[0].at,
                          mailboxes=[f"{who}@{name}.example" for name in AT_POSTFIX for who in ("here", "there", "grey")])
        exim = Exim(*AT[Exim], domains=["exim.example"], certificate=own, quota={"full@exim.example": 100},
                    mailboxes=["here@exim.example", "there@exim.example", "full@exim.example"])
        opensmtpd = OpenSMTPD(*AT[OpenSMTPD], domains=["opensmtpd.example"], certificate=own, messages=1,
                              mailboxes=["here@opensmtpd.example", "there@opensmtpd.example"])
        receivers = {"postfix": postfix, "exim": exim, "opensmtpd": opensmtpd}
        sinks = {name: Sink(**how, address=SINK_AT[name], port=25) for name, how in SINKS.items()}
        hosts = [PolicyHost(authority.issue(*names), policy("mx.sts.example"), address=STS),
                 PolicyHost(authority.issue(*names, days=-1), policy("mx.overdue.example"), address=STS_EXPIRED)]
    yield receivers, sinks
    for one in (*receivers.values(), *sinks.values(), *closing):
        one.close()
    for host in hosts:
        host.stop()


@pytest.fixture(scope="module")
def world(make_module_house, network, name_server, world_of, authority, directory):
    anchors = directory / "anchors"
    anchors.write_text("".join(name_server.anchor(zone) for zone in SIGNED))
    settings = {**SETTINGS, "resolver": {"servers": DNS, "trust-anchor": f'"{anchors}"'}}
    settings["relay"] = {**SETTINGS["relay"], "authorities": f'"{authority.file}"'}
    receivers, sinks = world_of
    with network.house:
        # On port 25 too, or mail to our address would be mail to another server of this host.
        house = make_module_house(settings=settings, services=("smtp",), extra="listen smtp { addresses = 192.0.2.1 }")
    for account in (ALICE, BOB):
        house.add_account(account)
    house.command("alias", "add", f"postmaster@{DOMAIN}", BOB)
    world = Internet(house, sinks, network, receivers)
    # They take their time, so they begin first.
    world.faulty = {name: world.send(f"u@{name}.sinks.example") for name in (*FAULTS, "never")}
    return world


ENVELOPE = {"postfix": ("Return-Path", "X-Original-To"), "exim": ("Return-path", "Envelope-to"),
            "opensmtpd": ("Return-Path", "Delivered-To")}


def arrived(world, name, address, count=1):
    """What that receiver has for that address: whole, and with the envelope that was sent."""
    messages = world.receivers[name].wait(address, count)
    for message in messages:
        sender, recipient = (message[field] for field in ENVELOPE[name])
        assert (sender, recipient) == (f"<{ALICE}>", address)
        assert (message["Subject"], message.get_content().split()[0]) == ("hello", "hello")
        assert "mail.test.example" in message["Received"]
    assert len(messages) == count
    return messages


def told(world, queue_id, address, status, *words):
    """Alice is told so, of that recipient alone, in text and in fields (RFC 3464 2.3), and `why` says that she was."""
    text, _, (recipient,), original = world.report(queue_id)
    assert all(each in " ".join(text.split()) for each in words), text
    assert (recipient["Final-Recipient"], recipient["Action"]) == (f"rfc822;{address}", "failed")
    assert recipient["Status"] == status, recipient["Status"]
    assert "Subject: hello" in original.as_string()
    world.story(queue_id, f"<{ALICE}> is told, by message ")


# ---- every day ----

SAID_OF_NOBODY = {
    "postfix": ("5.1.1", "550 5.1.1 <nobody@postfix.example>: Recipient address rejected: User unknown in virtual mailbox table"),
    "exim": ("5.0.0", "550 Unrouteable address"),
    "opensmtpd": ("5.2.4", "524 5.2.4 Mailing list expansion problem: <nobody@opensmtpd.example>"),
}


@pytest.mark.parametrize("name", ["postfix", "exim", "opensmtpd"])
def test_each_recipient_is_answered_for(world, name):
    """One copy for all three; one of them is unknown, and its sender told in the server's words."""
    queue_id = world.send([f"{who}@{name}.example" for who in ("here", "nobody", "there")])
    for who in ("here", "there"):
        message, = arrived(world, name, f"{who}@{name}.example")
        assert name == "opensmtpd" or "TLS" in message["Received"]
    status, said = SAID_OF_NOBODY[name]
    host = f"mx.{name}.example [{AT[type(world.receivers[name])][0]}]"
    text, _, (recipient,), _ = world.report(queue_id)
    assert f"{host} said:" in text and said in text
    assert recipient["Final-Recipient"] == f"rfc822;nobody@{name}.example" and recipient["Action"] == "failed"
    assert recipient["Status"] == status and said in recipient["Diagnostic-Code"]
    assert recipient["Remote-MTA"] == f"dns; mx.{name}.example"
    story = world.story(queue_id, f"<{ALICE}> is told, by message ")
    for who in ("here", "there"):
        assert f"Z  sent to {host} for <{who}@{name}.example>" in story
    assert f"Z  not sent to {host} for <nobody@{name}.example>: {status} the server refused the recipient; it said: {said}" in story


@pytest.mark.parametrize("name, tls, verified", [("postfix", "TLSv1.3", "name"), ("exim", "TLSv1.3", "no"), ("opensmtpd", "none", "")])
def test_as_safe_as_the_server_can(world, name, tls, verified):
    """Exim has a certificate for other names, which is still better than none. OpenSMTPD offers what it cannot do
    (receivers.py); mail goes in the clear then (RFC 7435), since nothing is known that forbids it."""
    queue_id = world.send(f"here@{name}.example")
    event = world.sent(queue_id, f"here@{name}.example")
    story = world.story(queue_id, "  sent to ")
    words = f", {tls}, certificate verified: {verified}: 250 " if verified else ", without TLS, which failed: "
    assert words in story
    assert (event["tls"], event["verified"], event["demanded_by"]) == (tls, verified, "")


def test_greylisted(world):
    queue_id = world.send("grey@postfix.example")
    arrived(world, "postfix", "grey@postfix.example")
    story = world.story(queue_id, "sent to mx.postfix.example")
    assert "for <grey@postfix.example>: 4.2.0" in story and "450 4.2.0" in story and "Greylisted, come again" in story


def test_over_quota(world):
    """It waits, and the server is told nothing else for it: Exim looks at what the mailbox really holds."""
    queue_id = world.send("full@exim.example")
    world.waits(queue_id, "452 4.2.2 The mailbox is full")
    assert "for <full@exim.example>: 4.2.2" in world.story(queue_id, "for <full@exim.example>")
    world.give_up(queue_id)
    told(world, queue_id, "full@exim.example", "5.0.0", "452 4.2.2 The mailbox is full",
         "given up by the administrator; the last answer was: 4.2.2")
    assert not world.receivers["exim"].files("full@exim.example")


def test_one_message_a_connection(world):
    """OpenSMTPD is told to take one; nothing is refused, all arrive."""
    before = len(world.receivers["opensmtpd"].wait("there@opensmtpd.example"))
    ids = [world.send("there@opensmtpd.example") for _ in range(3)]
    arrived(world, "opensmtpd", "there@opensmtpd.example", before + 3)
    for queue_id in ids:
        world.story(queue_id, f"sent to mx.opensmtpd.example [{AT[OpenSMTPD][0]}] for <there@opensmtpd.example>")


# ---- what the DNS and policies say ----


@pytest.mark.parametrize("to", ["here@dane.example", "here@alias.example", "here@abroad.example"])
def test_dane(world, to):
    """RFC 7672 2.2.2: of an alias the TLSA records of what it stands for come first, then its own."""
    queue_id = world.send(to)
    event = world.sent(queue_id, to)
    arrived(world, "postfix", to)
    assert "TLSv1.3, certificate verified: dane, TLS demanded by dane: 250 " in world.story(queue_id, f"for <{to}>")
    assert (event["tls"], event["verified"], event["demanded_by"]) == ("TLSv1.3", "dane", "dane")


def test_dane_with_a_wrong_record(world):
    """A certificate that TLSA does not know: no mail, though its name is right and its authority known."""
    queue_id = world.send("here@wrong.example")
    words = "4.7.5 TLS handshake: the certificate is not to be trusted: no matching DANE TLSA records"
    world.waits(queue_id, words)
    assert words in world.story(queue_id, words)
    world.give_up(queue_id)
    told(world, queue_id, "here@wrong.example", "5.0.0", "no matching DANE TLSA records")
    assert not world.receivers["postfix"].files("here@wrong.example")


def test_policy(world):
    queue_id = world.send("here@sts.example")
    event = world.sent(queue_id, "here@sts.example")
    arrived(world, "postfix", "here@sts.example")
    assert "TLSv1.3, certificate verified: name, TLS demanded by mta-sts: 250 " in world.story(queue_id, "for <here@sts.example>")
    assert (event["verified"], event["demanded_by"]) == ("name", "mta-sts")


def test_policy_that_names_other_hosts(world):
    queue_id = world.send("here@mismatch.example")
    world.waits(queue_id, "names none of the hosts")
    assert "names none of the hosts" in world.story(queue_id, "names none of the hosts")
    world.give_up(queue_id)
    told(world, queue_id, "here@mismatch.example", "5.0.0", "MTA-STS policy", "names none of the hosts")
    assert not world.receivers["postfix"].files("here@mismatch.example")


def test_policy_host_with_an_expired_certificate(world):
    """RFC 8461 3.3: no policy, so mail goes as without one; the log says why."""
    queue_id = world.send("here@overdue.example")
    event = world.sent(queue_id, "here@overdue.example")
    arrived(world, "postfix", "here@overdue.example")
    world.story(queue_id, f"sent to mx.overdue.example [{POSTFIX4}] for <here@overdue.example>")
    assert event["demanded_by"] == ""
    event = world.house.wait_for_event("policy_not_fetched", domain="overdue.example")
    assert event["instead"] == "none" and "certificate" in event["error"]


def test_null_mx(world):
    """RFC 7505: the domain takes no mail, and its sender hears of it at once."""
    queue_id = world.send("u@null.example")
    told(world, queue_id, "u@null.example", "5.1.10", "the domain null.example takes no mail (null MX)")
    assert "for <u@null.example>: 5.1.10" in world.story(queue_id, f"<{ALICE}> is told, by message ")


@pytest.mark.parametrize("domain, words, status", [
    ("inside.example", "to an address that no public host has", "5.4.4"),
    ("ours.example", "back to this host", "5.4.6"), ("loopback.example", "back to this host", "5.4.6")])
def test_names_that_lead_to_no_public_host(world, domain, words, status):
    """Loopback and private addresses, and our own, without a setting that allows them."""
    queue_id = world.send(f"u@{domain}")
    told(world, queue_id, f"u@{domain}", status, words)
    assert f"for <u@{domain}>: {status}" in world.story(queue_id, f"<{ALICE}> is told, by message ")


# ---- bad servers ----

AWAITED = {"banner": "the greeting", "ehlo": "the answer to EHLO", "mail": "the answer to MAIL", "rcpt": "the answer to RCPT",
           "data": "the answer to DATA"}
HAPPENED = {"stall": "4.4.2 timed out while", "close": "4.4.2 the server closed the connection while",
            "babble": "4.5.0 the server's answer is no SMTP reply"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_server_at_each_step(world, name):
    """What it did is told; the next attempt succeeds, with the envelope that was asked for."""
    step, fault = name.split("-")
    message, = world.sinks[name].wait(1)
    assert message.mail.startswith(f"MAIL FROM:<{ALICE}>") and message.rcpts == [f"RCPT TO:<u@{name}.sinks.example>"]
    assert message.data.endswith(BODY)
    story = world.story(world.faulty[name], f"sent to {name}.sinks.example [{SINK_AT[name]}] for <u@{name}.sinks.example>")
    if step == "dot":
        assert "4.4.2 the connection broke behind the message: whether it was taken is not known" in story
    else:
        assert HAPPENED[fault] in story and (fault == "babble" or AWAITED[step] in story)


def test_a_server_that_never_answers_is_told_of(world):
    queue_id = world.faulty["never"]
    world.waits(queue_id, "timed out while the answer to DATA was awaited")
    assert "4.4.2 timed out while the answer to DATA was awaited" in world.story(queue_id, "for <u@never.sinks.example>")
    world.give_up(queue_id)
    told(world, queue_id, "u@never.sinks.example", "5.0.0", "timed out while the answer to DATA was awaited",
         f"never.sinks.example [{SINK_AT['never']}]")
    assert not world.sinks["never"].messages


# ---- broken routes ----


def test_first_host_is_dead(world):
    queue_id = world.send("here@backup.example")
    arrived(world, "postfix", "here@backup.example")
    world.story(queue_id, f"sent to mx2.backup.example [{POSTFIX4}] for <here@backup.example>")
    assert world.house.events("connection_failed", address=VOID4)


def test_ipv6_alone(world, network):
    if not network.has_ipv6:
        pytest.skip("no IPv6 here")
    queue_id = world.send("here@six.example")
    arrived(world, "postfix", "here@six.example")
    world.story(queue_id, f"sent to mx.six.example [{POSTFIX6}] for <here@six.example>")


def test_ipv6_leads_nowhere(world):
    queue_id = world.send("here@hole.example")
    arrived(world, "postfix", "here@hole.example")
    world.story(queue_id, f"sent to mx.hole.example [{POSTFIX4}] for <here@hole.example>")


LARGE = BODY + (b"x" * 78 + b"\r\n") * 150000  # 12 MB


def send_until_half_is_there(world, network):
    """The large message, and the cable pulled in its middle. Its queue id."""
    before = network.world.octets_received(network.CABLE)
    queue_id = world.send("there@postfix.example", LARGE)
    deadline = time.monotonic() + 30
    while network.world.octets_received(network.CABLE) < before + len(LARGE) // 8:
        assert time.monotonic() < deadline
    network.plug(False)
    assert network.world.octets_received(network.CABLE) < before + len(LARGE), "it was there already"
    return queue_id


@pytest.mark.parametrize("for_long", [False, True])
def test_cable_out_in_the_middle(world, network, for_long):
    """For a moment: TCP goes on. For longer than `relay.reply`: the next attempt. It arrives once."""
    have = len(world.receivers["postfix"].files("there@postfix.example"))
    broken = "4.4.2 peer takes no output for 2000 ms while the message was being sent"
    try:
        queue_id = send_until_half_is_there(world, network)
        if for_long:
            world.waits(queue_id, broken)
        else:
            time.sleep(0.3)
    finally:
        network.plug(True)
    world.house.command("queue", "retry", queue_id, check=False)  # it may have gone by itself
    message = world.receivers["postfix"].wait("there@postfix.example", have + 1, seconds=40)[-1]
    assert (message["Return-Path"], message["X-Original-To"]) == (f"<{ALICE}>", "there@postfix.example")
    assert message.get_content().count("x" * 78 + "\n") == 150000
    story = world.story(queue_id, "  sent to mx.postfix.example")
    assert (f"for <there@postfix.example>: {broken}" in story) == for_long, story
    assert len(world.receivers["postfix"].files("there@postfix.example")) == have + 1


def test_cable_out_behind_the_dot(world, network):
    """The window that nobody can close (RFC 1047): its 250 is lost, so the message goes again, the same in all octets."""
    sink = world.sinks["window"]

    def cut(connection, line):
        network.plug(False)
        sink.answers.clear()
        return None

    sink.answers["DOT"] = cut
    try:
        queue_id = world.send("u@window.sinks.example")
        world.waits(queue_id, "whether it was taken is not known", seconds=20)
    finally:
        network.plug(True)
    world.house.command("queue", "retry", queue_id, check=False)  # it may have gone by itself
    first, second = sink.wait(2)
    assert first.data == second.data
    for message in (first, second):
        assert message.mail.startswith(f"MAIL FROM:<{ALICE}>") and message.rcpts == ["RCPT TO:<u@window.sinks.example>"]
    story = world.story(queue_id, "sent to window.sinks.example")
    assert "whether it was taken is not known" in story
    time.sleep(1)
    assert len(sink.messages) == 2
