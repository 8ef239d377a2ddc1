"""staffetta status, reload and stop, and the signals that say the same."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from house import BUILD, ENVIRONMENT, PASSWORD, ROOT

ROLES = ("master", "journal", "auth", "check", "keys", "smtpd-session", "smtpd-submission",
         "smtpd-filter", "smtpd-queue", "imapd-login", "pop3d-login")


def size_announced(house):
    with house.connect("smtp") as smtp:
        values = smtp.talk("""
            C: EHLO client.example
            S: ...
            S: 250-SIZE {size}
            S: ...
            S: 250 *""")
    return int(values["size"])


def wait_until(condition, seconds=20):
    """A process that a reload replaces may still greet, and then says 421: that is not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (AssertionError, OSError):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_status_shows_roles_sessions_and_queue(house, account):
    with house.connect("imap") as imap:
        imap.talk("""
            C: a LOGIN {account} {password}
            S: ...
            S: a OK *""", account=account, password=PASSWORD)
        text = house.command("status").stdout
    for role in ROLES:
        assert re.search(rf"^{role} +\d+ +\d+", text, re.M), text
    assert re.search(rf"^imapd-mailbox .*{re.escape(account)}", text, re.M), text
    assert re.search(r"^queue: \d+ messages, \d+ held", text, re.M), text
    assert "restarts: " in text


def test_reload_takes_what_is_right_and_keeps_what_is_not(make_house):
    house = make_house(services=("smtp", "imap"))
    before = size_announced(house)
    house.write_config({"limits": {"message-size": "1M"}})
    house.command("reload")
    wait_until(lambda: size_announced(house) == 1 << 20)
    house.write_config({"limits": {"message-size": "nonsense"}})
    done = house.command("reload", check=False)
    assert done.returncode == 1 and "limits.message-size" in done.stderr
    house.process.send_signal(signal.SIGHUP)
    house.wait_for_event("reload_refused")
    assert size_announced(house) == 1 << 20
    assert "smtpd-session" in house.command("status").stdout
    house.write_config()
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: size_announced(house) == before)


def test_reload_keeps_connections(make_house):
    house = make_house(services=("imap",))
    account = house.new_account()
    with house.connect("imap") as imap:
        imap.talk("""
            C: a LOGIN {account} {password}
            S: ...
            S: a OK *""", account=account, password=PASSWORD)
        house.command("reload")
        imap.talk("""
            C: b NOOP
            S: ...
            S: b OK *""")
    house.connect("imap").close()


def test_a_port_that_is_new_after_a_reload(make_house):
    house = make_house(services=("smtp", "pop3"))
    pop3 = house.ports.pop("pop3")
    house.write_config()
    house.command("reload")
    house.ports["pop3"] = pop3
    house.write_config()
    house.command("reload")
    wait_until(lambda: house.connect("pop3").greeting.startswith(b"+OK"))


def test_stop_ends_all(make_house):
    house = make_house(services=("smtp",))
    children = house.processes()
    assert len(children) > 4
    house.command("stop")
    assert house.process.wait(20) == 0
    house.wait_until_gone(children)


def test_nothing_survives_the_master(make_house):
    house = make_house()
    account = house.new_account()
    with house.connect("imap") as imap:
        imap.talk("""
            C: a LOGIN {account} {password}
            S: ...
            S: a OK *""", account=account, password=PASSWORD)
        house.kill_master()
        imap.talk("""
            S: ...
            S: (closed)""")


def test_a_second_master_is_refused(house):
    done = house.command("run", check=False)
    assert done.returncode == 1 and "in use" in done.stderr


@pytest.mark.skipif(not os.access("/usr/bin/make", os.X_OK), reason="no make")
def test_what_is_installed_runs(tmp_path):
    subprocess.run(["make", "-s", "-o", "all", "install", f"BUILD={BUILD}", f"DESTDIR={tmp_path}"],
                   cwd=ROOT, check=True, capture_output=True)
    done = subprocess.run([tmp_path / "usr/local/sbin/staffetta", "version"], check=True,
                          capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout.startswith("staffetta ")
    for name in ("lib/systemd/system/staffetta.service", "lib/sysusers.d/staffetta.conf",
                 "lib/staffetta/libexec/master", "share/man/man8/staffetta.8",
                 "share/man/man5/staffetta.conf.5"):
        assert (tmp_path / "usr/local" / name).is_file()
    for name in ("pam.d/staffetta", "staffetta/staffetta.conf", "staffetta/aliases"):
        assert (tmp_path / "etc" / name).is_file()


def test_users_of_the_roles_can_be_made(tmp_path):
    """As systemd-sysusers(8) of Debian does it: one line that it refuses, and its user is not there."""
    wanted = re.findall(r"^u (\S+) +- \"([^\":]+)\"", (ROOT / "conf/staffetta.sysusers").read_text(), re.M)
    assert len(wanted) == 15
    if not shutil.which("systemd-sysusers"):
        pytest.skip("no systemd-sysusers")
    for name in ("etc/passwd", "etc/shadow", "etc/group", "etc/gshadow"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    done = subprocess.run(["systemd-sysusers", f"--root={tmp_path}", ROOT / "conf/staffetta.sysusers"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert sorted((fields[0], fields[4]) for fields in made) == sorted(wanted)
    assert re.search(r"^shadow:.*:staffetta-check$", (tmp_path / "etc/group").read_text(), re.M)


def test_help_and_version_are_found_by_their_options():
    def said(*arguments):
        return subprocess.run([BUILD / "staffetta", *arguments], check=True, capture_output=True, text=True,
                              env=ENVIRONMENT).stdout

    assert said("--help") == said("-h") == said("help") != ""
    assert said("--version") == said("version") != ""


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_who_may_not_ask_is_told_who_may(house):
    """A checkout may lie where root alone may go, so the program is executed by its descriptor."""
    program = os.open(BUILD / "staffetta", os.O_RDONLY)
    done = subprocess.run([f"/proc/self/fd/{program}", "-c", house.config, "status"], check=False, capture_output=True,
                          text=True, env=ENVIRONMENT, user=65534, group=65534, extra_groups=[], pass_fds=[program])
    os.close(program)
    assert done.returncode == 1 and "only root, or who started it, may ask" in done.stderr
