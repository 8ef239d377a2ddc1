"""Access tokens in all three daemons: OAUTHBEARER (RFC 7628) and XOAUTH2, with JWTs (RFC 7519, 9068) signed here by openssl with
the keys of a JWK set (RFC 7517)."""

import base64
import json
import subprocess
import time

import pytest

from house import PASSWORD
from test_scram import Line

ALICE, BOB, LOCKED = "alice@test.example", "bob@test.example", "locked@test.example"
ISSUER, AUDIENCE = "https://issuer.example", "mail.test.example"
ALGORITHMS = {"RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
              "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "EdDSA": ["-algorithm", "ed25519"]}


def text64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options).stdout


class Key:
    def __init__(self, place, algorithm, name):
        self.algorithm, self.name, self.file = algorithm, name, place / f"{name}.pem"
        openssl("genpkey", *ALGORITHMS[algorithm], "-out", self.file)
        der = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")
        self.jwk = {"kid": name, "alg": algorithm, "use": "sig"}
        if algorithm == "RS256":
            modulus = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip().split("=")[1]
            self.jwk.update(kty="RSA", n=text64(bytes.fromhex(modulus)), e="AQAB")
        elif algorithm == "ES256":
            self.jwk.update(kty="EC", crv="P-256", x=text64(der[-64:-32]), y=text64(der[-32:]))
        else:
            self.jwk.update(kty="OKP", crv="Ed25519", x=text64(der[-32:]))

    def sign(self, octets):
        if self.algorithm == "EdDSA":
            message = self.file.with_suffix(".message")
            message.write_bytes(octets)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", message)
        signature = openssl("dgst", "-sha256", "-sign", self.file, input=octets)
        if self.algorithm == "RS256":
            return signature
        first = 4 + signature[3]  # SEQUENCE of two INTEGERs
        return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (signature[4:first], signature[first + 2:]))

    def token(self, claims=None, header=None, sign=None):
        now = int(time.time())
        body = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 600, "email": ALICE, **(claims or {})}
        body = {name: value for name, value in body.items() if value is not None}
        head = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.name, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        signed = text64(json.dumps(head).encode()) + "." + text64(json.dumps(body).encode())
        return signed + "." + text64((sign or self.sign)(signed.encode()))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    place = tmp_path_factory.mktemp("keys")
    return {algorithm: Key(place, algorithm, algorithm.lower()) for algorithm in ALGORITHMS}


@pytest.fixture(scope="module")
def house(make_module_house, keys):
    settings = {"throttle": {"slow-after": 1000, "pause-after": 10000, "refusal": 0}}
    made = make_module_house(services=("submission", "submissions", "imap", "imaps", "pop3", "pop3s"), settings=settings)
    for name in (ALICE, BOB, LOCKED):
        made.add_account(name)
    accounts = made.accounts_file.read_text().replace(LOCKED + ":", LOCKED + ":!")
    made.accounts_file.write_text(accounts)
    made.stop()
    store(made, keys)
    made.write_config({"oauth": {"issuer": f'"{ISSUER}"', "audience": AUDIENCE, "keys": f'"{made.directory}/etc/keys.json"'}})
    made.start()
    return made


def store(house, keys, *more):
    file = house.directory / "etc" / "keys.json"
    file.with_suffix(".new").write_text(json.dumps({"keys": [*more, *(key.jwk for key in keys.values())]}))
    file.with_suffix(".new").chmod(0o644)
    file.with_suffix(".new").rename(file)


def bearer(token, name=ALICE, scheme="Bearer"):
    """RFC 7628 3.1"""
    return f"n,{'a=' + name if name else ''},\1host=mail.test.example\1port=143\1auth={scheme} {token}\1\1"


def xoauth2(token, name=ALICE):
    return f"user={name}\1auth=Bearer {token}\1\1"


def is_refused(line):
    """RFC 7628 3.2.2, 3.2.3: why, in JSON; the client's answer does not count."""
    assert json.loads(line.message())["status"] == "invalid_token"
    line.send("\1")
    answer = line.answer()
    assert answer.startswith(line.wrong), answer


@pytest.mark.parametrize("service", ["submission", "imap", "pop3", "submissions", "imaps", "pop3s"])
@pytest.mark.parametrize("mechanism, form", [("OAUTHBEARER", bearer), ("XOAUTH2", xoauth2)])
def test_a_login(house, keys, service, mechanism, form):
    with Line(house, service) as line:
        line.begin(mechanism, form(keys["RS256"].token()))
        answer = line.answer()
        assert answer.startswith(line.right), answer
    house.wait_for_event("login", name=ALICE, by=mechanism, service=service)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("header", [{}, {"kid": None}])
def test_algorithms(house, keys, algorithm, header):
    """RFC 7518 3.3, 3.4, RFC 8037 3.1; RFC 7515 4.1.4: `kid` is a hint."""
    with Line(house, "imap") as line:
        line.begin("OAUTHBEARER", bearer(keys[algorithm].token(header=header)))
        assert line.answer().startswith(line.right)


@pytest.mark.parametrize("claims, name", [
    ({}, ""), ({"email": "alice"}, ALICE), ({"email": "ALICE@TEST.EXAMPLE"}, "alice"), ({"aud": ["other", AUDIENCE]}, ALICE),
    ({"email_verified": True}, ALICE), ({"nbf": -5}, ALICE), ({"exp": -30}, ALICE),
    ({"email": BOB}, BOB)])
def test_what_is_right(house, keys, claims, name):
    """RFC 7519 4.1: a minute lies between the clocks; without a name the token's owner logs in. Times are from now."""
    claims = {key: int(time.time()) + value if key in ("nbf", "exp") else value for key, value in claims.items()}
    with Line(house, "imap") as line:
        line.begin("OAUTHBEARER", bearer(keys["ES256"].token(claims), name))
        assert line.answer().startswith(line.right)


def other(keys, algorithm="ES256"):
    return Key(keys[algorithm].file.parent, algorithm, "other")


def hs256(keys):
    """The known attack: the public key as a shared secret (RFC 8725 2.1)."""
    public = openssl("pkey", "-in", keys["RS256"].file, "-pubout")
    return keys["RS256"].token(header={"alg": "HS256"}, sign=lambda octets: openssl(
        "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + public.hex(), "-binary", input=octets))


WRONG = {
    "another account's": lambda keys: keys["ES256"].token({"email": BOB}),
    "nobody's": lambda keys: keys["ES256"].token({"email": "nobody@test.example"}),
    "expired": lambda keys: keys["ES256"].token({"exp": int(time.time()) - 61}),
    "no end": lambda keys: keys["ES256"].token({"exp": None}),
    "an end in words": lambda keys: keys["ES256"].token({"exp": "9999999999"}),
    "not yet": lambda keys: keys["ES256"].token({"nbf": int(time.time()) + 90}),
    "another issuer": lambda keys: keys["ES256"].token({"iss": ISSUER + "/"}),
    "no issuer": lambda keys: keys["ES256"].token({"iss": None}),
    "meant for another": lambda keys: keys["ES256"].token({"aud": ["a", "b"]}),
    "meant for nobody": lambda keys: keys["ES256"].token({"aud": None}),
    "no address": lambda keys: keys["ES256"].token({"email": None}),
    "an unverified address": lambda keys: keys["ES256"].token({"email_verified": False}),
    "alg none": lambda keys: keys["ES256"].token(header={"alg": "none"}, sign=lambda _: b""),
    "HS256 by the public key": hs256,
    "another algorithm's key": lambda keys: keys["ES256"].token(header={"alg": "RS256"}),
    "critical": lambda keys: keys["ES256"].token(header={"crit": ["b64"]}),
    "an unknown kid": lambda keys: keys["ES256"].token(header={"kid": "x"}),
    "a foreign key": lambda keys: other(keys).token(header={"kid": "es256"}),
    "claims changed": lambda keys: ".".join([(parts := keys["EdDSA"].token().split("."))[0],
                                             keys["EdDSA"].token({"x": 1}).split(".")[1], parts[2]]),
    "no JWT": lambda keys: "abc",
    "two dots": lambda keys: "..",
    "a padded part": lambda keys: keys["ES256"].token().replace(".", "=.", 1),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong(house, keys, what):
    """RFC 7515 5.2, RFC 7519 7.2, RFC 8725 3."""
    with Line(house, "imap") as line:
        line.begin("OAUTHBEARER", bearer(WRONG[what](keys)))
        is_refused(line)


@pytest.mark.parametrize("service", ["submission", "imap", "pop3"])
def test_a_refusal_in_each_protocol(house, keys, service):
    with Line(house, service) as line:
        line.begin("XOAUTH2", xoauth2(keys["ES256"].token(), BOB))
        is_refused(line)
        line.begin("XOAUTH2", xoauth2(keys["ES256"].token()))
        assert line.answer().startswith(line.right)


def test_a_locked_account(house, keys):
    with Line(house, "imap") as line:
        line.begin("XOAUTH2", xoauth2(keys["ES256"].token({"email": LOCKED}), LOCKED))
        is_refused(line)


@pytest.mark.parametrize("mechanism, message", [
    ("OAUTHBEARER", ""), ("OAUTHBEARER", "n,,"), ("OAUTHBEARER", "n,,\1auth=Bearer x\1"), ("OAUTHBEARER", "p=x,,\1auth=Bearer x\1\1"),
    ("OAUTHBEARER", "n,a=,\1auth=Bearer x\1\1"), ("OAUTHBEARER", "n,b=c,\1auth=Bearer x\1\1"), ("OAUTHBEARER", "n,,\1auth=Basic x\1\1"),
    ("OAUTHBEARER", "n,,\1auth=Bearer \1\1"), ("OAUTHBEARER", "n,,\1\1"), ("OAUTHBEARER", "n,,\1auth=Bearer x\1\1more"),
    ("XOAUTH2", "auth=Bearer x\1\1"), ("XOAUTH2", "user=\1auth=Bearer x\1\1"), ("XOAUTH2", "user=" + ALICE + "\1\1")])
def test_malformed(house, mechanism, message):
    with Line(house, "imap") as line:
        line.begin(mechanism, message)
        answer = line.answer()
        assert answer.startswith(line.malformed), answer


def test_a_long_token(house, keys):
    """Of 5 kB; one that no line holds is refused before it is whole."""
    with Line(house, "pop3") as line:
        line.say("AUTH XOAUTH2")
        assert line.message() == ""
        line.send(xoauth2(keys["ES256"].token({"groups": ["g" * 50] * 50})))
        assert line.answer().startswith(line.right)
    with Line(house, "imap") as line:
        line.begin("XOAUTH2", xoauth2("x" * 9000))
        assert line.answer().split(b" ")[1] == b"BAD"


def test_keys_are_read_again(house, keys):
    """A key that the issuer begins to use counts at once; one that it withdrew counts no more."""
    new = other(keys, "EdDSA")
    with Line(house, "imap") as line:
        line.begin("OAUTHBEARER", bearer(new.token()))
        is_refused(line)
        store(house, keys, new.jwk)
        line.begin("OAUTHBEARER", bearer(new.token()))
        assert line.answer().startswith(line.right)
    store(house, keys)
    with Line(house, "imap") as line:
        line.begin("OAUTHBEARER", bearer(new.token()))
        is_refused(line)


def test_passwords_go_on(house):
    with house.connect("imap") as imap:
        assert b" AUTH=OAUTHBEARER AUTH=XOAUTH2" in imap.greeting
        imap.talk(f"""
            C: a LOGIN {ALICE} {PASSWORD}
            S: a OK *""")


def test_not_offered_without_keys(make_house):
    house = make_house(services=("imap",))
    with Line(house, "imap") as line:
        assert b"OAUTH" not in line.conversation.greeting
        line.begin("OAUTHBEARER", bearer("x"))
        assert line.answer().startswith(b"a NO [CANNOT]")
