"""SMTP with the clients that Debian packages."""

import os
import shutil
import subprocess

import pytest

from house import PASSWORD

PORTS = ("smtp", "submission", "submissions")


@pytest.fixture(scope="module")
def mail_house(make_module_house):
    return make_module_house(services=PORTS)


@pytest.fixture(scope="module")
def alice(mail_house):
    return mail_house.new_account()


@pytest.fixture
def bob(mail_house):
    return mail_house.new_account()


def run(*command, input=None):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [[], ["--pipeline"], ["--tls"]])
def test_swaks_from_outside(mail_house, bob, options):
    run("swaks", "--server", "127.0.0.1", "--port", str(mail_house.ports["smtp"]), "--to", bob,
        "--from", "x@elsewhere.example", *options)
    mail_house.wait_for_messages(bob, 1)


@pytest.mark.parametrize("service, tls, mechanism", [
    ("submission", "--tls", "PLAIN"),
    ("submission", "--tls", "LOGIN"),
    ("submissions", "--tls-on-connect", "PLAIN"),
    ("submission", "--no-tls", "LOGIN"),
])
def test_swaks_as_a_user(mail_house, alice, bob, service, tls, mechanism):
    tls = [] if tls == "--no-tls" else [tls]
    run("swaks", "--server", "127.0.0.1", "--port", str(mail_house.ports[service]), "--to", bob,
        "--from", alice, "--auth", mechanism, "--auth-user", alice, "--auth-password", PASSWORD,
        *tls)
    mail_house.wait_for_messages(bob, 1)


def test_curl(mail_house, alice, bob):
    message = f"From: {alice}\r\nTo: {bob}\r\nSubject: curl\r\n\r\nhi\r\n"
    for url in (f"smtp://127.0.0.1:{mail_house.ports['submission']}",
                f"smtps://127.0.0.1:{mail_house.ports['submissions']}"):
        run("curl", "--silent", "--show-error", "--insecure", "--url", url, "--ssl-reqd",
            "--user", f"{alice}:{PASSWORD}", "--mail-from", alice, "--mail-rcpt", bob,
            "--upload-file", "-", input=message)
    mail_house.wait_for_messages(bob, 2)


def test_msmtp(mail_house, alice, bob):
    message = f"From: {alice}\nTo: {bob}\nBcc: {alice}\nSubject: msmtp\n\n.dot\n"
    for service, starttls in (("submission", "on"), ("submissions", "off")):
        run("msmtp", "--file=/dev/null", "--host=127.0.0.1",
            f"--port={mail_house.ports[service]}", "--tls=on", f"--tls-starttls={starttls}",
            "--tls-certcheck=off", "--auth=plain", f"--user={alice}",
            f"--passwordeval=echo {PASSWORD}", f"--from={alice}", bob, input=message)
    for file in mail_house.wait_for_messages(bob, 2):
        assert file.read_bytes().endswith(b"\r\n\r\n.dot\r\n")


def test_openssl_s_client(mail_house, alice):
    said = run("openssl", "s_client", "-connect", f"127.0.0.1:{mail_house.ports['submission']}",
               "-starttls", "smtp", "-quiet", "-crlf", input="EHLO x\nQUIT\n")
    assert "250" in said
    said = run("openssl", "s_client", "-connect", f"127.0.0.1:{mail_house.ports['submissions']}",
               "-quiet", "-crlf", "-tls1_2", input="EHLO x\nQUIT\n")
    assert "220 " in said
