"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677) in all three daemons: by AUTH (RFC 4954), AUTHENTICATE (RFC 9051
6.2.2) and AUTH of POP3 (RFC 5034), with a client that is written from the RFCs alone, and clients as Debian packages them."""

import base64
import hashlib
import hmac
import os
import shutil
import ssl
import subprocess

import pytest

from house import BUILD, PASSWORD, replace_file
from test_relay_process import DESCRIPTOR_PASSWORD, DONE, FAST, Relay

ALICE, BOB = "alice@test.example", "bob=mail@test.example"
PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"


@pytest.fixture(scope="module")
def scram_house(make_module_house):
    """One in which every account was made by the command, and so can use SCRAM."""
    house = make_module_house(services=("submission", "submissions", "imap", "imaps", "pop3", "pop3s"),
                              settings={"throttle": {"slow-after": 1000, "pause-after": 10000}})
    for name in (ALICE, BOB):
        house.add_account(name)
    house.command("account", "add", "locked@test.example", input=PASSWORD + "\n")
    replace_file(house.accounts_file, house.accounts_file.read_text().replace("locked@test.example:", "locked@test.example:!"))
    look_again(house)
    return house


def look_again(house):
    """auth looks at its files when it is asked something; then it says what is offered."""
    with house.connect("imap") as imap:
        imap.talk("""
            C: a LOGIN nobody nothing
            S: a NO *""")


class Line:
    """What the three protocols wrap around the messages. initial None: no initial response (RFC 4959, 4954 4, 5034 4)."""

    FORMS = {
        "submission": ("AUTH {}", b"334 ", b"235 2.7.0 ", b"535 5.7.8 ", b"501 5.5.2 "),
        "imap": ("a AUTHENTICATE {}", b"+ ", b"a OK [CAPABILITY ", b"a NO [AUTHENTICATIONFAILED]", b"a BAD "),
        "pop3": ("AUTH {}", b"+ ", b"+OK", b"-ERR [AUTH]", b"-ERR That "),
    }
    KINDS = {"submissions": "submission", "imaps": "imap", "pop3s": "pop3"}

    def __init__(self, house, service):
        self.conversation = house.connect(service)
        self.secured = service in self.KINDS
        self.command, self.challenge, self.right, self.wrong, self.malformed = self.FORMS[self.KINDS.get(service, service)]
        if "submission" in service:
            self.conversation.talk("""
                C: EHLO client.example
                S: ...
                S: 250 *""")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conversation.close()

    def say(self, text):
        self.conversation.send(text.encode() + b"\r\n")

    def begin(self, mechanism, message):
        """client-first-message, as an initial response."""
        self.say(self.command.format(f"{mechanism} {base64.b64encode(message.encode()).decode()}"))

    def send(self, message):
        self.say(base64.b64encode(message.encode()).decode())

    def answer(self):
        return self.conversation.read_line()

    def message(self):
        line = self.answer()
        assert line.startswith(self.challenge), line
        return base64.b64decode(line[len(self.challenge):], validate=True).decode()


class Client:
    """RFC 5802 3. flag: of the gs2-header; bound: what binds."""

    def __init__(self, line, name=ALICE, password=PASSWORD, mechanism=PLAIN, flag="n", bound=b"", act_as=""):
        self.line, self.name, self.password, self.mechanism = line, name, password, mechanism
        self.header, self.bound = f"{flag},{act_as},", bound
        self.nonce = base64.b64encode(os.urandom(12)).decode()
        self.bare = "n={},r={}".format(name.replace("=", "=3D").replace(",", "=2C"), self.nonce)

    def first(self):
        self.line.begin(self.mechanism, self.header + self.bare)
        self.server_first = self.line.message()
        fields = dict(field.split("=", 1) for field in self.server_first.split(","))
        self.both, self.salt, self.iterations = fields["r"], base64.b64decode(fields["s"]), int(fields["i"])
        assert self.both.startswith(self.nonce) and len(self.both) >= len(self.nonce) + 16
        return self

    def final(self, nonce=None):
        channel = base64.b64encode(self.header.encode() + self.bound).decode()
        without_proof = f"c={channel},r={nonce or self.both}"
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), self.salt, self.iterations)
        key, server_key = (hmac.digest(salted, text, "sha256") for text in (b"Client Key", b"Server Key"))
        message = f"{self.bare},{self.server_first},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        self.verifier = "v=" + base64.b64encode(hmac.digest(server_key, message, "sha256")).decode()
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        return f"{without_proof},p={proof}"

    def log_in(self):
        self.first()
        self.line.send(self.final())
        assert self.line.message() == self.verifier
        self.line.say("")
        answer = self.line.answer()
        assert answer.startswith(self.line.right), answer

    def is_refused(self):
        self.first()
        self.line.send(self.final())
        answer = self.line.answer()
        assert answer.startswith(self.line.wrong), answer


def end_point(house):
    """RFC 5929 4.1: the certificate is signed with SHA-256."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(house.certificate[0].read_text())).digest()


SERVICES = pytest.mark.parametrize("service", ["submission", "imap", "pop3"])
SECURED = pytest.mark.parametrize("service", ["submissions", "imaps", "pop3s"])


@SERVICES
def test_a_login(scram_house, service):
    for name in (ALICE, BOB, "alice"):
        with Line(scram_house, service) as line:
            Client(line, name).log_in()
    scram_house.wait_for_event("login", name="alice", by=PLAIN, service=service)


@SERVICES
def test_a_login_without_an_initial_response(scram_house, service):
    with Line(scram_house, service) as line:
        client = Client(line)
        line.say(line.command.format(PLAIN))
        assert line.message() == ""
        line.command = "{}"
        line.begin = lambda _, message: line.send(message)
        client.log_in()


@SECURED
def test_a_login_that_is_bound(scram_house, service):
    """RFC 5802 6, RFC 5929 4: tls-server-end-point."""
    with Line(scram_house, service) as line:
        Client(line, mechanism=PLUS, flag="p=tls-server-end-point", bound=end_point(scram_house)).log_in()
    scram_house.wait_for_event("login", by=PLUS, service=service)


@SECURED
def test_another_connection_is_refused(scram_house, service):
    """A proxy has a certificate of its own; and who took -PLUS out of the list is found out by `y`."""
    with Line(scram_house, service) as line:
        Client(line, mechanism=PLUS, flag="p=tls-server-end-point", bound=bytes(32)).is_refused()
        client = Client(line, flag="y")
        line.begin(PLAIN, client.header + client.bare)
        assert line.answer().startswith(line.wrong)
        client = Client(line, mechanism=PLUS, flag="p=tls-unique", bound=bytes(32))
        line.begin(PLUS, client.header + client.bare)
        assert line.answer().startswith(line.wrong)
        Client(line, flag="n").log_in()
    assert len(scram_house.events("scram_unbound", name=ALICE)) >= 3


@SERVICES
def test_without_tls_there_is_nothing_to_bind_to(scram_house, service):
    with Line(scram_house, service) as line:
        line.begin(PLUS, f"p=tls-exporter,,n={ALICE},r=abc")
        assert not line.answer().startswith(line.challenge)
        Client(line, flag="y").log_in()


@SERVICES
def test_wrong_proofs(scram_house, service):
    with Line(scram_house, service) as line:
        for client in (Client(line, password="other"), Client(line, "nobody@test.example"),
                       Client(line, "locked@test.example"), Client(line, "locked@elsewhere.example")):
            client.is_refused()
        Client(line, act_as=f"a={ALICE}").log_in()
    with Line(scram_house, service) as line: # RFC 5801 4: acting as somebody else
        client = Client(line, act_as="a=bob")
        line.begin(PLAIN, client.header + client.bare)
        assert line.answer().startswith(line.wrong)


@SERVICES
def test_a_nonce_is_good_for_one_proof(scram_house, service):
    """Neither what was said in another exchange nor what was wrong once is right later."""
    with Line(scram_house, service) as line, Line(scram_house, service) as other:
        client = Client(line).first()
        final = client.final()
        replay = Client(other)
        replay.bare = client.bare
        replay.nonce = client.nonce
        replay.first()
        assert replay.both != client.both
        other.send(final)
        assert other.answer().startswith(other.wrong)
        line.send(client.final(nonce=client.both + "x"))
        assert line.answer().startswith(line.wrong)
        line.send(final)
        assert not line.answer().startswith((line.challenge, line.right))


@SERVICES
def test_the_proof_alone_does_not_let_in(scram_house, service):
    """The client says that it has seen the server's signature: an empty message, and nothing else."""
    with Line(scram_house, service) as line:
        client = Client(line).first()
        line.send(client.final())
        line.message()
        line.say("*")
        assert not line.answer().startswith((line.challenge, line.right))
        client = Client(line).first()
        line.send(client.final())
        line.message()
        line.send("more")
        assert line.answer().startswith(line.malformed)
        Client(line).log_in()


MALFORMED = ["", "n", "n,,", "n,,n=alice", "n,,r=abc", "n,,n=,r=abc", "n,,n=alice,r=", "x,,n=alice,r=abc", "n,n=alice,r=abc",
             "n,,m=x,n=alice,r=abc", "n,,n=alice,r=abc,m=x", "n,,n=al=2Xice,r=abc", "n,,n=alice,r=a\x7fb", "n,,n=a\0b,r=abc",
             "n,,n=alice,r=abc,", "p=,,n=alice,r=abc", "p=tls-exporter,,n=alice,r=abc", "n,a=,n=alice,r=abc"]


@SERVICES
def test_malformed_first_messages(scram_house, service):
    for message in MALFORMED:
        with Line(scram_house, service) as line:
            line.begin(PLAIN, message) if message else line.say(line.command.format(f"{PLAIN} ="))
            answer = line.answer()
            assert answer.startswith(line.malformed), (message, answer)


@SERVICES
def test_malformed_last_messages(scram_house, service):
    for spoil in (lambda text: "", lambda text: text.rsplit(",p=")[0], lambda text: text + "=", lambda text: text[:-4],
                  lambda text: text[2:], lambda text: text.replace("c=", "c=!"), lambda text: text + ",x=y"):
        with Line(scram_house, service) as line:
            client = Client(line).first()
            line.send(spoil(client.final()))
            answer = line.answer()
            assert answer.startswith(line.malformed), answer
            client.log_in()


def salt_of(house, name):
    with Line(house, "imap") as line:
        client = Client(line, name).first()
        return client.salt, client.iterations


def test_an_unknown_name_has_a_salt_that_stays(scram_house):
    """Also over a restart, in any spelling; else asking twice would tell who has an account."""
    before = {name: salt_of(scram_house, name) for name in ("nobody", "other", "nobody@elsewhere.example", ALICE)}
    assert salt_of(scram_house, "NOBODY@Test.Example") == before["nobody"]
    assert salt_of(scram_house, "ALICE@test.example") == before[ALICE]
    assert len({salt for salt, _ in before.values()}) == 4
    assert len({(len(salt), iterations) for salt, iterations in before.values()}) == 1
    scram_house.stop()
    scram_house.start()
    assert {name: salt_of(scram_house, name) for name in before} == before


def offered(house):
    """The mechanisms of the three daemons, with TLS."""
    found = {}
    for service, question, mark in (("imaps", "a CAPABILITY", b"AUTH="), ("pop3s", "CAPA", b"SASL"),
                                    ("submissions", "EHLO c.example", b"AUTH")):
        with house.connect(service) as conversation:
            conversation.send(question.encode() + b"\r\n")
            while mark not in (line := conversation.read_line()):
                pass
            words = line.replace(b"AUTH=", b"").split()
            found[service] = {word.decode() for word in words} & {PLAIN, PLUS, "PLAIN", "LOGIN"}
    return found


def test_it_is_offered_where_every_account_has_it(make_house):
    """A client takes the strongest that is offered; one whose account was made before would be refused for ever."""
    house = make_house(start=False, services=("submissions", "imap", "imaps", "pop3s"))
    house.add_account(ALICE)
    house.start()
    look_again(house)
    assert set(map(frozenset, offered(house).values())) == {frozenset({PLAIN, PLUS, "PLAIN", "LOGIN"})}
    old = house.new_account()
    look_again(house)
    assert set(map(frozenset, offered(house).values())) == {frozenset({"PLAIN", "LOGIN"})}
    assert "scram    none" in house.command("account", "show", old).stdout
    house.command("account", "password", old, input="new\n")
    look_again(house)
    assert PLUS in offered(house)["imaps"]
    assert "by password or SCRAM" in house.command("account", "show", old).stdout
    # Another hash by an editor: what was made with the old one counts no longer.
    mine, his = (line.split(":", 2) for line in house.accounts_file.read_text().splitlines())
    replace_file(house.accounts_file, ":".join([mine[0], his[1], mine[2]]) + "\n")
    with Line(house, "imap") as line:
        line.begin(PLAIN, f"n,,n={ALICE},r=abc")
        assert not line.answer().startswith(line.right)
        look_again(house)
    assert offered(house)["pop3s"] == {"PLAIN", "LOGIN"}


def test_it_is_never_offered_beside_pam(make_house):
    """What PAM checks nobody can prove, and the list of mechanisms is one for all."""
    house = make_house(start=False, services=("submissions", "imap", "imaps", "pop3s"), extra="accounts { source = pam }")
    house.add_account(ALICE)
    house.start()
    look_again(house)
    assert set(map(frozenset, offered(house).values())) == {frozenset({"PLAIN", "LOGIN"})}
    with Line(house, "imap") as line:
        line.begin(PLAIN, f"n,,n={ALICE},r=abc")
        assert line.answer().startswith(b"a NO [CANNOT]")


def test_guesses_are_counted(make_house):
    """throttle.pause-after: then not even the right one."""
    house = make_house(start=False, services=("imap",), settings={"throttle": {"pause-after": 3, "slow-after": 2}})
    house.add_account(ALICE)
    house.start()
    look_again(house)
    with Line(house, "imap") as line:
        for password in ("one", "two", "two"): # two proofs of one password do not show that it is one
            Client(line, password=password).is_refused()
        client = Client(line).first()
        line.send(client.final())
        assert line.answer().startswith(b"a NO [UNAVAILABLE]")
    house.wait_for_event("guessing_paused", name=ALICE)


@pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-relay").exists(), reason="smtpd-relay is not built")
def test_our_relay(scram_house, tmp_path):
    """The client's side of this house, from one to another: bound by tls-exporter (RFC 9266), which Python cannot compute."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    config = FAST.replace("reply = 2s", "reply = 20s") + f"""
        route sink.example {{ host = "127.0.0.1" port = {scram_house.ports["submission"]} user = "{ALICE}"
                              password-file = "{tmp_path}/password" }}"""
    with open(tmp_path / "password", "rb") as file:
        relay = Relay(tmp_path, config, files=[(DESCRIPTOR_PASSWORD, 0, file.fileno())])
    try:
        result = relay.one(reverse_path=ALICE, recipients=[ALICE], body=b"From: alice@test.example\r\n\r\nx\r\n")
        assert result.statuses == [DONE], result.outcomes
    finally:
        relay.role.kill()
    scram_house.wait_for_event("login", name=ALICE, by=PLUS, service="submission")


@pytest.mark.skipif(not shutil.which("msmtp"), reason="no msmtp")
def test_msmtp(scram_house, tmp_path):
    """libgsasl."""
    config = tmp_path / "msmtprc"
    config.write_text(f"""
account default
host 127.0.0.1
port {scram_house.ports["submissions"]}
tls on
tls_starttls off
tls_certcheck off
auth scram-sha-256
user {ALICE}
password {PASSWORD}
from {ALICE}
""")
    config.chmod(0o600)
    subprocess.run(["msmtp", "-C", config, ALICE], input=b"From: alice@test.example\r\nSubject: x\r\n\r\nx\r\n", check=True,
                   timeout=30, capture_output=True)
    scram_house.wait_for_event("login", name=ALICE, by=PLAIN, service="submissions")


@pytest.mark.skipif(not shutil.which("mbsync"), reason="no mbsync")
def test_mbsync(scram_house, tmp_path):
    """Cyrus SASL."""
    config = tmp_path / "mbsyncrc"
    config.write_text(f"""
IMAPStore far
Host 127.0.0.1
Port {scram_house.ports["imap"]}
User {ALICE}
Pass {PASSWORD}
SSLType None
AuthMechs SCRAM-SHA-256

MaildirStore near
Path {tmp_path}/
Inbox {tmp_path}/INBOX

Channel all
Far :far:
Near :near:
Create Near
SyncState *
""")
    before = len(scram_house.events("login", name=ALICE, service="imap", by=PLAIN))
    done = subprocess.run(["mbsync", "-c", config, "-a"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert len(scram_house.events("login", name=ALICE, service="imap", by=PLAIN)) == before + 1
