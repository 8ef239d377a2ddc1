"""Before the login, over IMAP and POP3: TLS and its certificates, commands, passwords, limits, and
what becomes of a client when a process of ours dies. What happens behind a login is elsewhere."""

import base64
import os
import signal
import socket
import ssl
import subprocess
import time

import house as house_module
import pytest
from house import PASSWORD
from talk import client_context

SERVICES = ("imap", "imaps", "pop3", "pop3s")


def make_rsa_certificate(directory, name):
    chain, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
         f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )
    return chain, key


@pytest.fixture(scope="module")
def login_house(tmp_path_factory, certificate):
    """Two certificates: mail.test.example (EC) and *.other.example (RSA)."""
    directory = tmp_path_factory.mktemp("second")
    chain, key = make_rsa_certificate(directory, "mail.other.example")
    made = house_module.House(
        services=SERVICES, certificate=certificate,
        extra=f'certificate "*.other.example" {{ chain = "{chain}" key = "{key}" }}',
    )
    try:
        made.start()
        yield made
    finally:
        try:
            made.stop()
            assert not made.sanitizer_reports(), made.log_text()
        finally:
            made.remove()


def shown_name(house, service, server_name, version):
    """Subject of the certificate that a client sees."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with house.connect(service, tls=context, server_name=server_name) as client:
        assert client.socket.version() in ("TLSv1.2", "TLSv1.3")
        der = client.socket.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=der,
                          capture_output=True, check=True).stdout.decode()
    return text.strip().rsplit(" ", 1)[1]


@pytest.mark.parametrize("service", ["imaps", "pop3s"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_chooses_the_certificate(login_house, service, version):
    assert shown_name(login_house, service, None, version) == "mail.test.example"
    assert shown_name(login_house, service, "nobody.example", version) == "mail.test.example"
    assert shown_name(login_house, service, "mail.other.example", version) == "mail.other.example"
    assert shown_name(login_house, service, "MAIL.other.example", version) == "mail.other.example"


@pytest.mark.parametrize("arguments", [["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
                                       ["-tls1_2", "-cipher", "AES256-GCM-SHA384"],
                                       ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA"]])
def test_what_is_too_old_is_refused(login_house, arguments):
    port = login_house.ports["imaps"]
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-brief", *arguments],
        input="", text=True, capture_output=True, timeout=20)
    assert result.returncode != 0


def test_tls_is_neither_renegotiated_nor_resumed(login_house):
    port = login_house.ports["imaps"]
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-reconnect"],
        input="", text=True, capture_output=True, timeout=20)
    assert "Reused, " not in result.stdout
    assert "Secure Renegotiation IS supported" in result.stdout  # RFC 5746, as it must be
    assert "No ALPN negotiated" in result.stdout


def test_a_browser_is_sent_away(login_house):
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        login_house.connect("imaps", tls=context)
    context.set_alpn_protocols(["http/1.1", "imap"])
    with login_house.connect("imaps", tls=context) as client:
        assert client.socket.selected_alpn_protocol() == "imap"


@pytest.mark.parametrize("service, command, go", [("imap", "a STARTTLS", "a OK *"),
                                                  ("pop3", "STLS", "+OK *")])
def test_what_comes_behind_starttls_in_the_clear_is_dropped(login_house, service, command, go):
    with login_house.connect(service) as client:
        client.talk(rf"""
            C: {command}\r\nx LOGOUT\r\nQUIT\r\n
            S: {go}
            C: (tls)
            C: x CAPABILITY
            S: *
            S: ...
            C: (close)""")
    assert login_house.wait_for_event("starttls_injection")["octets"]


def test_imap_says_what_is_wrong(login_house):
    with login_house.connect("imap") as client:
        assert client.greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ")
        client.talk(r"""
            C: a1 LOGIN nobody@test.example wrong
            S: a1 NO [AUTHENTICATIONFAILED] *
            C: a2 LOGIN {6}
            S: + *
            C: nobody {5+}\r\nwrong\r\n
            S: a2 NO [AUTHENTICATIONFAILED] *
            C: a3 AUTHENTICATE PLAIN
            S: +*
            C: AG5vYm9keQB3cm9uZw==
            S: a3 NO [AUTHENTICATIONFAILED] *
            C: a4 AUTHENTICATE PLAIN
            S: +*
            C: \*
            S: a4 BAD *
            C: a5 LOGIN {9223372036854775807}
            S: a5 BAD *
            C: a6 SELECT INBOX
            S: a6 BAD *
            C: a7 NO\nOP\r\n
            S: a7 BAD *
            C: a8 LOGOUT
            S: * BYE *
            S: a8 OK *
            S: (closed)""")


def test_pop3_says_what_is_wrong(login_house):
    with login_house.connect("pop3") as client:
        client.talk(r"""
            C: CAPA
            S: +OK *
            S: ...
            S: STLS
            S: ...
            S: .
            C: USER nobody@test.example\r\nPASS wrong\r\nSTAT\r\n
            S: +OK
            S: -ERR [AUTH] *
            S: -ERR *
            C: AUTH PLAIN AG5vYm9keQB3cm9uZw==
            S: -ERR [AUTH] *
            C: QUIT
            S: +OK *
            S: (closed)""")


def test_passwords_need_tls_where_the_configuration_says_so(make_house):
    house = make_house(services=SERVICES, settings={"": {"plaintext-passwords": "never"}})
    with house.connect("imap") as client:
        assert b"LOGINDISABLED" in client.greeting and b"AUTH=" not in client.greeting
        client.talk(r"""
            C: a LOGIN {5}
            S: a NO [PRIVACYREQUIRED] *
            C: b AUTHENTICATE PLAIN
            S: b NO [PRIVACYREQUIRED] *
            C: c STARTTLS
            S: c OK *
            C: (tls)
            C: d CAPABILITY
            S: * CAPABILITY * AUTH=PLAIN *
            S: d OK *""")
    with house.connect("pop3") as client:
        client.talk(r"""
            C: USER alice
            S: -ERR *STLS*
            C: AUTH PLAIN
            S: -ERR *STLS*""")


def test_limits_are_named(make_house):
    house = make_house(services=SERVICES, settings={
        "limits": {"unauthenticated-connections": 50, "unauthenticated-per-network": 5,
                   "bad-commands": 3, "free-space": "1M"},
        "timeouts": {"login": "1s", "handshake": "500ms"}})
    clients = [house.connect("imap") for _ in range(5)]
    with house.connect("imap") as client:
        assert client.greeting.startswith(b"* BYE")
        assert b"limits.unauthenticated-per-network" in client.greeting
    with house.connect("imap", source="127.0.1.1") as client:  # another network
        client.talk(r"""
            C: a
            S: a BAD *
            C: b XYZZY
            S: b BAD *
            C: c XYZZY
            S: c BAD *
            S: * BYE *(limits.bad-commands)
            S: (closed)""")
    clients[0].talk(r"""
        S: * BYE *(timeouts.login)
        S: (closed)""")
    for client in clients:
        client.close()
    with socket.create_connection(("127.0.0.1", house.ports["imaps"]),
                                  source_address=("127.0.2.1", 0)) as silent:
        silent.settimeout(10)
        assert silent.recv(1) == b""
    house.wait_for_event("closed", reason="timeouts.handshake")


@pytest.fixture(scope="module")
def mortal(make_module_house):
    """A house whose processes are killed and held."""
    return make_module_house(services=SERVICES)


def test_deaths_of_others_are_survived(mortal):
    said = {"imap": ("a LOGIN nobody wrong", "a NO [*"), "pop3": ("AUTH PLAIN AG5vYm9keQB3cm9uZw==", "-ERR *")}
    with mortal.connect("imap") as imap, mortal.connect("pop3") as pop3:
        for role in ("keys", "auth"):
            (pid,) = mortal.pids(role)
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while mortal.pids(role) in ([], [pid]) and time.monotonic() < deadline:
                time.sleep(0.01)
            for client, (login, refused) in zip((imap, pop3), said.values()):
                client.talk(f"""
                    C: {login}
                    S: {refused}""")
        for service, (login, refused) in said.items():
            with mortal.connect(service + "s") as other:
                other.talk(f"""
                    C: {login}
                    S: {refused}""")


def test_tls_without_keys_fails_and_comes_back(mortal):
    (pid,) = mortal.pids("keys")
    os.kill(pid, signal.SIGSTOP)
    for service in ("imaps", "pop3s"):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            mortal.connect(service)
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + 10
    while len(mortal.events("closed", reason="TLS handshake: answer of keys: no answer within 1000 ms")) < 2:
        assert time.monotonic() < deadline, mortal.log_text()
        time.sleep(0.02)
    for service in ("imaps", "pop3s"):
        mortal.connect(service).close()


def test_garbage_is_not_a_handshake(login_house):
    for octets in (b"GET / HTTP/1.0\r\n\r\n", b"a1 NOOP\r\n", bytes(range(256)), b"\x16\x03\x01"):
        with socket.create_connection(("127.0.0.1", login_house.ports["imaps"])) as client:
            client.sendall(octets)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(20)
            while True:
                try:
                    if not client.recv(1000):
                        break
                except ConnectionResetError:
                    break
    login_house.connect("imaps").close()


# --- logged in


@pytest.mark.parametrize("service", ["imap", "imaps"])
def test_imap_commands_pipelined_behind_the_login_are_answered_in_order(house, account, service):
    with house.connect(service) as client:
        client.talk(rf"""
            C: a LOGIN {{account}} {PASSWORD}\r\nb NOOP\r\nc SELECT INBOX\r\nd LOGOUT\r\n
            S: a OK *
            S: ...
            S: b OK *
            S: ...
            S: c OK *
            S: * BYE *
            S: d OK *
            S: (closed)""", account=account)


@pytest.mark.parametrize("service", ["pop3", "pop3s"])
def test_pop3_commands_pipelined_behind_the_login_are_answered_in_order(house, account, service):
    with house.connect(service) as client:
        client.talk(rf"""
            C: USER {{account}}\r\nPASS {PASSWORD}\r\nSTAT\r\nQUIT\r\n
            S: +OK
            S: +OK *
            S: +OK 0 0
            S: +OK *
            S: (closed)""", account=account)


@pytest.mark.parametrize("service", ["imap", "imaps"])
def test_much_goes_both_ways(house, account, service):
    """A large message up by APPEND, down by FETCH and by RETR, octet for octet."""
    line = bytes(range(33, 127)) * 8 + b"\r\n"
    message = b"Subject: large\r\n\r\n" + line * 7000
    with house.connect(service) as client:
        client.talk(rf"""
            C: a LOGIN {{account}} {PASSWORD}
            S: a OK *""", account=account)
        client.send(b"b APPEND INBOX {%d+}\r\n%s\r\n" % (len(message), message))
        client.talk(r"""
            S: ...
            S: b OK *
            C: c SELECT INBOX
            S: ...
            S: c OK *
            C: d FETCH 1 BODY.PEEK[]
            S: * 1 FETCH (BODY[] \{{size}\}""")
        assert int(client.values[b"size"]) == len(message)
        assert client.read_octets(len(message)) == message
        client.talk(r"""
            S: )
            S: d OK *""")
    with house.connect("pop3s" if service == "imaps" else "pop3") as client:
        client.talk(rf"""
            C: USER {{account}}
            S: +OK
            C: PASS {PASSWORD}
            S: +OK *
            C: RETR 1
            S: +OK *""", account=account)
        assert client.read_octets(len(message)) == message


@pytest.mark.parametrize("service, role, login", [
    ("imaps", "imapd-mailbox", "a LOGIN {account} staffetta"),
    ("pop3s", "pop3d-maildrop", "AUTH PLAIN {plain}")])
def test_a_client_is_let_go_when_the_process_of_its_user_dies(mortal, service, role, login):
    account = mortal.new_account()
    plain = base64.b64encode(f"\0{account}\0{PASSWORD}".encode()).decode()
    for _ in range(2):
        with mortal.connect(service) as client:
            client.talk(f"C: {login}", account=account, plain=plain)
            assert b"OK" in client.read_line()
            for pid in mortal.pids(role):
                os.kill(pid, signal.SIGKILL)
            assert client.read_line() is None


def test_pop3_passes_utf8_on(house, account):
    with house.connect("pop3") as client:
        client.talk(rf"""
            C: UTF8
            S: +OK
            C: USER {{account}}
            S: +OK
            C: PASS {PASSWORD}
            S: +OK *
            C: UTF8
            S: -ERR *
            C: QUIT
            S: +OK *""", account=account)
