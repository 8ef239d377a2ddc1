"""EXTERNAL (RFC 4422 A) in all three daemons: a TLS client certificate lets in, where an authority is configured."""

import base64
import pathlib
import ssl
import subprocess

import pytest

from house import PASSWORD
from talk import Conversation

ALICE, BOB, LOCKED = "alice@test.example", "bob@test.example", "locked@test.example"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    def __init__(self, place, name):
        self.place, self.certificate, self.key = place, place / f"{name}.pem", place / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj", f"/CN={name}",
                "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, addresses=(), common_name="nobody", use="clientAuth", days=2):
        """A TLS context of a client that has such a certificate."""
        request, certificate, key, extensions = (self.place / f"{name}.{end}" for end in ("csr", "pem", "key", "ext"))
        names = "subjectAltName = " + ",".join(f"email:{each}" for each in addresses) + "\n" if addresses else ""
        extensions.write_text(f"extendedKeyUsage = {use}\n{names}")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={common_name}", "-keyout", key,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", certificate)
        return context(certificate, key)


def context(certificate=None, key=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if certificate:
        made.load_cert_chain(certificate, key)
    return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def house(make_module_house, authority):
    settings = {"throttle": {"slow-after": 1000, "pause-after": 10000, "refusal": 0}}
    made = make_module_house(services=("submission", "submissions", "imap", "imaps", "pop3", "pop3s"), settings=settings)
    for name in (ALICE, BOB, LOCKED):
        made.add_account(name)
    made.accounts_file.write_text(made.accounts_file.read_text().replace(LOCKED + ":", LOCKED + ":!"))
    configure(made, authority)
    return made


def configure(house, authority, **keys):
    file = house.directory / "etc" / "authorities.pem"
    file.write_text(authority.certificate.read_text())
    house.stop()
    house.write_config({"client-certificates": {"authorities": f'"{file}"', **keys}})
    house.start()


@pytest.fixture(scope="module")
def alice(authority):
    return authority.issue("alice", [ALICE])


FORMS = {  # the greeting's last line, what begins TLS, the command, what is right, what is wrong
    "submission": ("EHLO client.example", "STARTTLS", "AUTH EXTERNAL {}", b"235 2.7.0 ", b"535 5.7.8 "),
    "imap": (None, "t STARTTLS", "a AUTHENTICATE EXTERNAL {}", b"a OK [CAPABILITY ", b"a NO [AUTHENTICATIONFAILED]"),
    "pop3": (None, "STLS", "AUTH EXTERNAL {}", b"+OK", b"-ERR [AUTH]"),
}
IMPLICIT = {"submissions": "submission", "imaps": "imap", "pop3s": "pop3"}


class Client:
    def __init__(self, house, service, tls):
        hello, start, self.command, self.right, self.wrong = FORMS[IMPLICIT.get(service, service)]
        self.line = Conversation("127.0.0.1", house.ports[service], tls=tls if service in IMPLICIT else None)
        self.line.tls_context = tls
        self.hello = hello
        self.greet()
        if service not in IMPLICIT:
            self.line.talk(f"""
                C: {start}
                S: *
                C: (tls)""")
            self.greet()

    def greet(self):
        if self.hello:
            self.line.talk(f"""
                C: {self.hello}
                S: ...
                S: 250 *""")

    def log_in(self, authorization_id=""):
        initial = base64.b64encode(authorization_id.encode()).decode() or "="
        self.line.send(self.command.format(initial).encode() + b"\r\n")
        return self.line.read_line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.line.close()


@pytest.mark.parametrize("service", ["submission", "imap", "pop3", "submissions", "imaps", "pop3s"])
def test_a_login(house, alice, service):
    with Client(house, service, alice) as client:
        answer = client.log_in()
        assert answer.startswith(client.right), answer
    house.wait_for_event("login", name=ALICE, by="EXTERNAL", service=service)


def test_without_an_initial_response(house, alice):
    """RFC 4422 A.2: an empty challenge, then the identity."""
    with Client(house, "imaps", alice) as client:
        assert b"CAPABILITY" not in client.line.greeting  # which came before anybody knew
        client.line.talk("""
            C: c CAPABILITY
            S: * CAPABILITY * AUTH=EXTERNAL
            S: c OK *
            C: a AUTHENTICATE EXTERNAL
            S: +\\x20
            C:
            S: a OK [CAPABILITY *""")


@pytest.mark.parametrize("identity, answer", [
    (ALICE, "right"), ("alice", "right"), ("ALICE@test.example", "right"), (BOB, "wrong"), ("nobody@test.example", "wrong")])
def test_who_one_wants_to_be(house, alice, identity, answer):
    """RFC 4422 A: acting as another is for nobody."""
    with Client(house, "imaps", alice) as client:
        assert client.log_in(identity).startswith(getattr(client, answer))


def test_one_of_several_names(house, authority):
    both = authority.issue("both", [BOB, ALICE])
    for identity in (ALICE, BOB):
        with Client(house, "imaps", both) as client:
            assert client.log_in(identity).startswith(client.right)
    house.wait_for_event("login", name=BOB, by="EXTERNAL")


@pytest.mark.parametrize("what", ["foreign", "self-signed", "a server's", "nameless", "nobody's", "locked"])
def test_what_does_not_let_in(house, authority, tmp_path, what):
    """RFC 5280 6: another's issue, another purpose; no account, or one that may not."""
    other = Authority(tmp_path, "other")
    tls = {
        "foreign": lambda: other.issue("foreign", [ALICE]),
        "self-signed": lambda: context(other.certificate, other.key),
        "a server's": lambda: authority.issue("server", [ALICE], use="serverAuth"),
        "nameless": lambda: authority.issue("nameless", common_name=ALICE),
        "nobody's": lambda: authority.issue("nobody", ["nobody@test.example"]),
        "locked": lambda: authority.issue("locked", [LOCKED]),
    }[what]()
    with Client(house, "imaps", tls) as client:
        answer = client.log_in()
        assert answer.startswith(client.wrong), answer
        client.line.talk(f"""
            C: b LOGIN {ALICE} {PASSWORD}
            S: b OK *""")


@pytest.mark.parametrize("service, answer", [("submissions", b"504 5.5.4"), ("imaps", b"a NO [CANNOT]"), ("pop3s", b"-ERR")])
def test_not_offered_without_a_certificate(house, service, answer):
    with Client(house, service, context()) as client:
        assert client.log_in().startswith(answer)


def test_malformed(house, alice):
    with Client(house, "imaps", alice) as client:
        assert client.log_in("a\0b").startswith(b"a BAD")


def test_another_authority_and_name(house, authority, tmp_path):
    """The file is read again; `name = common-name`."""
    other = Authority(tmp_path, "next")
    tls = other.issue("by-name", common_name=ALICE)
    file = pathlib.Path(house.directory / "etc" / "authorities.pem")
    configure(house, authority, name="common-name")
    with Client(house, "imaps", tls) as client:
        assert client.log_in().startswith(client.wrong)
        file.write_text(authority.certificate.read_text() + other.certificate.read_text())
        assert client.log_in().startswith(client.right)


def test_not_asked_for_unless_configured(make_house, alice):
    house = make_house(services=("imaps",))
    with Client(house, "imaps", alice) as client:
        assert b"EXTERNAL" not in client.line.greeting
        assert client.log_in().startswith(b"a NO [CANNOT]")
