"""System users by PAM, with pam_wrapper and nss_wrapper: nothing of the system's own is touched.

Everything the wrappers read lies below /dev/shm, which the walls of `check` let modules read."""

import base64
import os
import pathlib
import shutil
import smtplib
import subprocess
import tempfile
import time

import pytest

import house as house_module
from conftest import end
from house import BUILD, DOMAIN, House

LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")
MODULES = LIBRARIES / "pam_wrapper"
USER_ID = 70999  # of eve, where root runs the house; else she has the tester's own
SERVICES = ("smtp", "submission", "imap", "pop3")


def sanitizer_library():
    """What must be loaded before the wrappers into programs built with a sanitizer."""
    linked = subprocess.run(["ldd", BUILD / "libexec" / "check"], capture_output=True, text=True)
    return [line.split("=>")[1].split()[0] for line in linked.stdout.splitlines()
            if "libasan" in line]


def leftovers():
    """pam_wrapper's directories, which confined processes cannot remove themselves."""
    return set(pathlib.Path("/tmp").glob("pam.?"))


class Wrapped:
    """Files of the wrappers, and the environment that makes a house use them."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-pam-", dir="/dev/shm"))
        self.directory.chmod(0o755)
        self.home = self.directory / "eve"
        self.home.mkdir()
        self.uid = USER_ID if os.geteuid() == 0 else os.geteuid()
        if os.geteuid() == 0:
            os.chown(self.home, self.uid, self.uid)
        (self.directory / "services").mkdir()
        users = self.write("users", "eve:secret:staffetta\nfrank:secret:elsewhere\n")
        matrix = f"required {MODULES}/pam_matrix.so passdb={users}"
        self.write("services/staffetta", f"auth {matrix}\naccount {matrix}\n")
        self.write("services/other", "auth required pam_deny.so\naccount required pam_deny.so\n")
        self.write("passwd", "root:x:0:0::/root:/bin/sh\n"
                   f"eve:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n"
                   f"frank:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n"
                   f"daemon:x:2:2::{self.home}:/bin/sh\n")
        self.write("group", f"root:x:0:\neve:x:{self.uid}:\n")

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def environment(self):
        return {
            "LD_PRELOAD": " ".join([*sanitizer_library(), "libpam_wrapper.so", "libnss_wrapper.so"]),
            "PAM_WRAPPER": "1",
            "PAM_WRAPPER_SERVICE_DIR": str(self.directory / "services"),
            "NSS_WRAPPER_PASSWD": str(self.directory / "passwd"),
            "NSS_WRAPPER_GROUP": str(self.directory / "group"),
        }


@pytest.fixture(scope="module")
def eve(certificate):
    """A house whose first accounts are virtual and whose second are system users: eve, frank."""
    if not (LIBRARIES / "libpam_wrapper.so").exists() or not (
            LIBRARIES / "libnss_wrapper.so").exists():
        pytest.skip("libpam-wrapper and libnss-wrapper are not installed")
    before = leftovers()
    wrapped = Wrapped()
    house = House(services=SERVICES, extra="accounts { source = pam }", certificate=certificate)
    house.home = wrapped.home
    house.may_trap = True  # pam_wrapper looks for its directory where a process ends
    saved = dict(house_module.ENVIRONMENT)
    try:
        house_module.ENVIRONMENT.update(wrapped.environment())
        house.start()
        yield house
    finally:
        house_module.ENVIRONMENT.clear()
        house_module.ENVIRONMENT.update(saved)
        end(house, failed=False)
        shutil.rmtree(wrapped.directory)
        for directory in leftovers() - before:
            shutil.rmtree(directory, ignore_errors=True)


def login(house, name, password):
    """The reply to AUTH PLAIN."""
    with smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=30) as client:
        client.ehlo("client.example")
        response = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        code, text = client.docmd("AUTH", f"PLAIN {response}")
        return code, text.decode()


@pytest.mark.parametrize(
    "name, password, code",
    [
        ("eve", "secret", 235),
        ("EVE", "secret", 235),
        (f"eve@{DOMAIN}", "secret", 235),
        ("eve", "Secret", 535),
        ("eve", "s" * 500, 535),
        ("eve@elsewhere.example", "secret", 535),
        ("nobody", "secret", 535),
        ("root", "secret", 535),  # has no mail
        ("daemon", "secret", 535),
    ],
)
def test_passwords(eve, name, password, code):
    assert login(eve, name, password)[0] == code


def test_a_closed_account_is_refused_with_its_right_password(eve):
    if os.geteuid() != 0:
        pytest.skip("in single-user mode frank would be eve")
    assert login(eve, "frank", "secret")[0] == 535
    assert eve.wait_for_event("account_closed", account="frank")


def wait_for_files(directory, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if directory.is_dir() and (files := list(directory.iterdir())):
            return files
        time.sleep(0.02)
    raise AssertionError(f"no mail in {directory}")


def test_mail_comes_to_the_home(eve):
    eve.send([f"eve@{DOMAIN}", f"Eve+x@{DOMAIN}"], b"Subject: to eve\r\n\r\nHello\r\n")
    files = wait_for_files(eve.home / "Maildir" / "new")
    assert files[0].stat().st_uid == (USER_ID if os.geteuid() == 0 else os.geteuid())


def test_unknown_and_foreign_names(eve):
    with smtplib.SMTP("127.0.0.1", eve.ports["smtp"], timeout=20) as client:
        client.ehlo("client.example")
        client.mail("outside@elsewhere.example")
        assert client.rcpt(f"nobody@{DOMAIN}")[0] == 550
        assert client.rcpt(f"root@{DOMAIN}")[0] == 550
        assert client.rcpt(f"postmaster@{DOMAIN}")[0] == 250
        assert client.rcpt("eve@elsewhere.example")[0] == 550


def test_virtual_accounts_live_beside(eve):
    account = eve.new_account()
    assert login(eve, account, house_module.PASSWORD)[0] == 235
    assert login(eve, "eve", "secret")[0] == 235


def test_sending_as_oneself_only(eve):
    with smtplib.SMTP("127.0.0.1", eve.ports["submission"], timeout=30) as client:
        client.ehlo("client.example")
        response = base64.b64encode(b"\0eve\0secret").decode()
        assert client.docmd("AUTH", f"PLAIN {response}")[0] == 235
        assert client.mail(f"someone@{DOMAIN}")[0] == 553
        assert client.mail(f"eve@{DOMAIN}")[0] == 250
