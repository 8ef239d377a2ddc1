"""The walls of each process, held against the tables of docs/architecture.md: uid, groups,
capabilities, seccomp, no-new-privileges, Landlock, root directory, linked libraries, descriptors."""

import os
import pathlib
import re
import stat
import time

import pytest
from house import PASSWORD, ROOT, SERVICES, UID_BASE, free_ports
from name_server import NameServer

# Numbers of enum role_kind (common/role/role_kind.h); with uid-base they are the uids.
KINDS = ["master", "journal", "auth", "check", "keys", "smtpd-session", "smtpd-submission",
         "smtpd-filter", "smtpd-queue", "smtpd-deliver", "imapd-login", "imapd-mailbox",
         "pop3d-login", "pop3d-maildrop", "resolver", "smtpd-relay", "fetch",
         "http"]
MAIL_UID = UID_BASE + 50
LIBRARIES = {"link OpenSSL": "libcrypto.so", "link Berkeley DB": "libdb-5.3.so", "link PAM": "libpam.so"}


def tables():
    """({role: row} of the process table, {what: set of names} of the one below it)."""
    roles, whats = {}, {}
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[0] in KINDS:
            roles[cells[0]] = dict(zip(("role", "executable", "user", "groups", "root"), cells))
        elif len(cells) == 2 and line.startswith("|"):
            whats[cells[0]] = set(re.split(r"[,;] ?", cells[1]))
    assert set(roles) == set(KINDS)
    return roles, whats


ROLES, WHATS = tables()


def read(pid, name):
    return pathlib.Path("/proc", str(pid), name).read_text()


def status(pid):
    return dict(line.split(":\t", 1) for line in read(pid, "status").splitlines() if ":\t" in line)


@pytest.fixture(scope="module")
def full_house(make_module_house, tmp_path_factory):
    """One that resolves a domain of its own, and lets nobody go who has nothing to do."""
    directory = tmp_path_factory.mktemp("zone")
    anchors = directory / "anchors"
    anchors.write_text("; nothing is signed\n")
    server = NameServer(directory, {"elsewhere.test": "@ 60 MX 10 mx\nmx 60 A 127.0.0.1\n"})
    yield make_module_house(
        services=(*SERVICES, "http"),
        settings={"relay": {"networks": "127.0.0.0/8", "private-targets": "yes"}, "timeouts": {"linger": "1h"},
                  "resolver": {"servers": "127.0.0.1", "port": server.port, "trust-anchor": f'"{anchors}"'}},
        extra=f"route elsewhere.test {{ port = {free_ports(1)[0]} }}")
    server.stop()


def roles_of(house):
    rows = [line.split() for line in house.command("status").stdout.splitlines()]
    return {words[0]: int(words[1]) for words in rows if words and words[0] in KINDS}


@pytest.fixture(scope="module")
def walk(full_house):
    """{role: pid} of a house in which every role is there, and that house."""
    house = full_house
    assert "fetch" not in roles_of(house)
    account = house.new_account()
    house.send(account, "Subject: walk\n\nhello\n")
    house.send("somebody@elsewhere.test", "Subject: walk\n\nhello\n")
    house.wait_for_messages(account, 1)
    connections = []
    for service, first in (("imap", f"a LOGIN {account} {PASSWORD}"), ("pop3", f"USER {account}")):
        conversation = house.connect(service)
        connections.append(conversation)
        conversation.send(first.encode() + b"\r\n")
        conversation.read_line()
    connections[1].send(f"PASS {PASSWORD}\r\n".encode())
    connections[1].read_line()
    deadline = time.monotonic() + 20
    while "fetch" not in (roles := roles_of(house)):
        assert time.monotonic() < deadline, house.log_text()
        time.sleep(0.02)
    house.wait_for_event("not_relayed")  # connected with nobody any more
    yield {"master": house.process.pid, **roles}, house, account
    for conversation in connections:
        conversation.close()


def test_every_role_is_there(walk):
    assert set(walk[0]) == set(KINDS)


@pytest.mark.parametrize("role", KINDS)
def test_user_and_groups(walk, role):
    pids, house, _ = walk
    facts = status(pids[role])
    if os.geteuid() != 0:
        assert facts["Uid"].split() == [str(os.geteuid())] * 4
        return
    uid = {"root": 0, "owner": MAIL_UID}.get(ROLES[role]["user"], UID_BASE + KINDS.index(role))
    assert facts["Uid"].split() == [str(uid)] * 4
    assert facts["Gid"].split() == [str(uid)] * 4
    groups = facts["Groups"].split()
    if ROLES[role]["groups"] == "none":
        assert groups == []
    elif ROLES[role]["groups"] == "shadow":
        assert groups == [str(pathlib.Path("/etc/shadow").stat().st_gid)]


@pytest.mark.parametrize("role", [kind for kind in KINDS if kind != "master"])
def test_no_capabilities_and_no_new_privileges(walk, role):
    facts = status(walk[0][role])
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(facts[name], 16) == 0, name
    assert facts["NoNewPrivs"] == "1"


@pytest.mark.parametrize("role", KINDS)
def test_seccomp(walk, role):
    wanted = "0" if role in WHATS["no seccomp"] else "2"
    assert status(walk[0][role])["Seccomp"] == wanted


def test_landlock(walk):
    """Where the kernel has it (`status` tells what each process said when it was ready)."""
    _, house, _ = walk
    if house.events("no_landlock"):
        pytest.skip("this kernel has no Landlock")
    lines = house.command("status").stdout.splitlines()
    said = {line.split()[0]: line.split()[4] for line in lines if line.split()[:1] and
            line.split()[0] in KINDS and line.split()[0] not in WHATS["no Landlock"]}
    assert set(said.values()) == {"yes"} and len(said) == len(KINDS) - 1


@pytest.mark.parametrize("role", KINDS)
def test_threads(walk, role):
    threads = int(status(walk[0][role])["Threads"])
    assert threads == (2 if role in WHATS["more than one thread"] else 1)


@pytest.mark.parametrize("role", KINDS)
def test_executable_and_libraries(walk, role):
    pid = walk[0][role]
    if os.geteuid() != 0 and role != "master":
        pytest.skip("not dumpable: only root may look")
    executable = os.readlink(f"/proc/{pid}/exe")
    assert pathlib.Path(executable).name == ROLES[role]["executable"]
    maps = read(pid, "maps")
    for what, library in LIBRARIES.items():
        assert (library in maps) == (ROLES[role]["executable"] in WHATS[what]), library


@pytest.mark.parametrize("role", KINDS)
def test_root_directory(walk, role):
    pids, house, account = walk
    if os.geteuid() != 0:
        pytest.skip("single-user mode has no chroot")
    expected = {
        "/": pathlib.Path("/"),
        "empty": house.directory / "state" / "empty",
        "queue": house.directory / "state" / "queue",
        "journal": house.directory / "state" / "journal",
        "fetch": house.directory / "state" / "fetch",
        "place": house.mail,
        "Maildir": house.maildir(account),
    }[ROLES[role]["root"]]
    assert os.path.samefile(f"/proc/{pids[role]}/root", expected)


def descriptors(pid):
    """{descriptor: what it is} of a process."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def network_inodes():
    inodes = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]:
            inodes.add(line.split()[9])
    return inodes


@pytest.mark.parametrize("role", KINDS)
def test_descriptors(walk, role):
    """Sockets of the network only where the table has them, and files only below one's own root."""
    pids, house, account = walk
    if os.geteuid() != 0:
        pytest.skip("not dumpable: only root may look")
    may_have_network = any(role in word for word in WHATS["sockets of the network"])
    inodes = network_inodes()
    for number, what in descriptors(pids[role]).items():
        if number <= 2 or what.startswith(("anon_inode:", "pipe:")):
            continue
        match = re.fullmatch(r"socket:\[(\d+)\]", what)
        if match:
            assert may_have_network or match[1] not in inodes, f"{number}: network socket"
        elif role == "smtpd-queue" and what.endswith(" (deleted)") and is_empty(pids[role], number):
            continue  # deliver lent it, to be flushed
        elif role not in ("master", "auth", "check"):
            assert is_own_file(role, what, house, account), f"{number}: {what}"


def is_empty(pid, number):
    return os.stat(f"/proc/{pid}/fd/{number}").st_size == 0


def is_own_file(role, what, house, account):
    own = {
        "smtpd-queue": house.directory / "state" / "queue",
        "journal": house.directory / "state" / "journal",
        "fetch": house.directory / "state" / "fetch",
        "smtpd-deliver": house.mail,
        "imapd-mailbox": house.maildir(account),
        "pop3d-maildrop": house.maildir(account),
    }.get(role, house.directory / "state" / "empty")
    return pathlib.Path(what.removesuffix(" (deleted)")).is_relative_to(own) or \
        what.startswith("/proc") and role == "smtpd-queue" or "memfd:" in what


def test_directories_are_closed(walk):
    """Mail and queue are for their owners alone."""
    _, house, account = walk
    for directory in (house.directory / "state" / "queue", house.maildir(account)):
        assert stat.S_IMODE(directory.stat().st_mode) & 0o077 == 0, directory
