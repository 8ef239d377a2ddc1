"""`staffetta upgrade`: a new version takes the place of the old one, and nobody is refused."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from house import BUILD, ENVIRONMENT, PASSWORD, SERVICES

SENDERS = 4


@pytest.fixture
def new_version(tmp_path_factory):
    """Another place with the same programs; its path."""
    directory = tmp_path_factory.mktemp("new")
    for parent in (directory, directory.parent, directory.parent.parent):
        parent.chmod(0o755)
    shutil.copy(BUILD / "staffetta", directory)
    shutil.copytree(BUILD / "libexec", directory / "libexec")
    return directory


def upgrade(house, version):
    return subprocess.run([version / "staffetta", "-c", house.config, "upgrade"], capture_output=True, text=True,
                          env=ENVIRONMENT, timeout=90)


def executable(pid):
    return os.readlink(f"/proc/{pid}/exe")


class Stream(threading.Thread):
    """One client after the other, each sends a message. `accepted` are those that were answered with 250; `faults`
    what no client should meet."""

    def __init__(self, house, account, name):
        super().__init__()
        self.house, self.account, self.label = house, account, name
        self.accepted, self.faults, self.turned_away, self.number = [], [], 0, 0
        self.ends = threading.Event()

    def run(self):
        while not self.ends.is_set():
            self.number += 1
            try:
                self.send(f"{self.label}-{self.number}")
            except ConnectionRefusedError as error:
                self.faults.append(repr(error))

    def send(self, subject):
        with socket.create_connection(("127.0.0.1", self.house.ports["smtp"]), timeout=60) as client:
            lines = client.makefile("rb")

            def ask(command):
                client.sendall(command)
                while (line := lines.readline())[3:4] == b"-":
                    pass
                return line[:3]

            try:
                for command, good in ((b"", b"220"), (b"EHLO x\r\n", b"250"), (b"MAIL FROM:<a@far.example>\r\n", b"250"),
                                      (f"RCPT TO:<{self.account}>\r\n".encode(), b"250"), (b"DATA\r\n", b"354")):
                    reply = ask(command)
                    if reply != good:
                        if reply not in (b"421", b""):  # between messages it may end so
                            self.faults.append((command, reply))
                        self.turned_away += 1
                        return
            except (ConnectionResetError, BrokenPipeError):
                self.turned_away += 1
                return
            try:
                reply = ask(f"Subject: {subject}\r\n\r\nhello\r\n.\r\n".encode())
            except OSError as error:
                reply = error
            if reply == b"250":
                self.accepted.append(subject)
            else:
                self.faults.append((subject, reply))


def subjects(house, account):
    found = []
    for path in house.messages(account):
        for line in path.read_text().splitlines():
            if line.startswith("Subject: "):
                found.append(line.removeprefix("Subject: "))
                break
    return sorted(found)


class Streams:
    def __init__(self, house):
        self.house, self.account = house, house.new_account()
        self.all = [Stream(house, self.account, f"s{i}") for i in range(SENDERS)]

    def __enter__(self):
        for stream in self.all:
            stream.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        for stream in self.all:
            stream.ends.set()
        for stream in self.all:
            stream.join()

    def check(self):
        assert [stream.faults for stream in self.all] == [[]] * SENDERS
        accepted = sorted(subject for stream in self.all for subject in stream.accepted)
        self.house.wait_for_messages(self.account, len(accepted))
        time.sleep(0.3)
        assert subjects(self.house, self.account) == accepted  # each once
        return len(accepted)


def test_nobody_is_refused_and_nothing_is_lost(make_house, new_version):
    house = make_house(services=(*SERVICES, "http"))
    pid, account = house.process.pid, house.new_account()
    old = set(house.processes())
    imap = house.connect("imap")
    imap.talk(r"""
        C: a LOGIN {account} {password}
        S: ...
        S: a OK *""", account=account, password=PASSWORD)
    with Streams(house) as streams:
        answer = upgrade(house, new_version)
        time.sleep(1)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert streams.check() > 10
    imap.talk("S: * BYE *")
    imap.close()
    assert house.process.poll() is None and executable(pid) == str(new_version / "libexec" / "master")
    roles = house.processes()
    assert not old & set(roles)
    if os.geteuid() == 0:
        assert {executable(role) for role in roles} >= {str(new_version / "libexec" / "smtpd-queue")}
    assert house.command("status").returncode == 0
    assert len(house.events("ready")) == 2
    # And again, to the first one.
    assert upgrade(house, BUILD).returncode == 0
    assert executable(pid) == str(BUILD / "libexec" / "master")
    house.send(streams.account, "Subject: after\n\nhello\n")


def test_what_waits_in_the_queue_is_there(make_house, new_version):
    """The queue is closed by the old version and opened by the new one."""
    house = make_house(services=("smtp",), settings={"relay": {"networks": "127.0.0.1"}},
                       extra='route "far.example" { host = "127.0.0.1" port = 1 }')
    house.send("x@far.example", "Subject: waits\n\nhello\n")
    house.wait_for_event("deferred")
    assert upgrade(house, new_version).returncode == 0
    assert "x@far.example" in house.command("queue").stdout


@pytest.fixture(scope="module")
def kept_house(make_module_house):
    """Its upgrades come to nothing."""
    return make_module_house(services=("smtp",))


def test_a_configuration_with_mistakes_stops_it_before_anything(kept_house, new_version):
    house = kept_house
    roles = house.processes()
    good = house.config.read_text()
    house.config.write_text(good + "nonsense { }\n")
    answer = upgrade(house, new_version)
    house.config.write_text(good)
    assert answer.returncode == 1 and "mistakes in the configuration" in answer.stderr
    assert house.processes() == roles and not house.events("upgrading")


def test_a_version_that_lacks_a_role_stops_it_before_anything(kept_house, new_version):
    house = kept_house
    roles = house.processes()
    (new_version / "libexec" / "pop3d-maildrop").unlink()
    answer = upgrade(house, new_version)
    assert answer.returncode == 1 and "cannot be executed" in answer.stderr
    assert house.processes() == roles and not house.events("upgrading")
    assert "libexec/pop3d-maildrop" in house.log_text()


def goes_on(house, streams, pid):
    """The old version has its place again, with the sockets."""
    house.send(streams.account, "Subject: after\n\nhello\n")
    streams.all[0].accepted.append("after")
    streams.check()
    assert house.process.poll() is None and executable(pid) == str(BUILD / "libexec" / "master")
    assert house.command("status").returncode == 0


def test_a_master_that_cannot_be_executed_leaves_the_old_one(kept_house, new_version):
    house = kept_house
    pid = house.process.pid
    master = new_version / "libexec" / "master"
    master.write_text(f"#!/bin/sh\nrm {master}\n")  # good for the trial, and only for that
    with Streams(house) as streams:
        answer = upgrade(house, new_version)
        time.sleep(1)
    assert answer.returncode == 1 and "No such file" in answer.stderr
    goes_on(house, streams, pid)


def test_a_master_that_does_not_start_goes_back_to_the_old_one(make_house, new_version):
    house = make_house(services=("smtp",))
    pid = house.process.pid
    master = new_version / "libexec" / "master"
    octets = master.read_bytes()
    assert octets.count(b"\0srs-key\0") >= 1
    master.write_bytes(octets.replace(b"\0srs-key\0", b"\0s/s-key\0"))  # a file that it cannot open
    with Streams(house) as streams:
        answer = upgrade(house, new_version)
        time.sleep(1)
    assert answer.returncode == 1 and "s/s-key" in answer.stderr
    house.wait_for_event("no_start")
    goes_on(house, streams, pid)


def test_a_stop_meanwhile_is_a_stop(make_house, new_version):
    house = make_house(services=("smtp",), settings={"timeouts": {"shutdown": "2s"}})
    with socket.create_connection(("127.0.0.1", house.ports["smtp"])) as client:
        client.sendall(f"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{house.new_account()}>\r\nDATA\r\n".encode())
        while b"354" not in client.recv(4096):
            pass
        asking = subprocess.Popen([new_version / "staffetta", "-c", house.config, "upgrade"], stderr=subprocess.PIPE,
                                  text=True, env=ENVIRONMENT)
        house.wait_for_event("upgrading")
        house.process.send_signal(signal.SIGTERM)
        assert "staffetta stops" in asking.communicate(timeout=20)[1]
    assert house.process.wait(20) == 0
