"""make demo, as a new user sees it: its lines can be pasted, it keeps its mail, it leaves nothing."""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from house import BUILD, ENVIRONMENT, ROOT, can_listen, children_of, has_ipv6

PORTS = (25, 110, 143, 465, 587, 993, 995)
SECONDS = 60


def free_base():
    addresses = ["127.0.0.1"] + (["::1"] if has_ipv6() else [])
    for _ in range(100):
        base = random.randrange(61000, 64000)
        if all(can_listen(address, base + port) for address in addresses for port in PORTS):
            return base
    raise RuntimeError("no free ports")


def lives(pid):
    """And is not only waited for."""
    try:
        return pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Demo:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-demo-"))
        self.base = free_base()
        self.process = None

    def start(self, **environment):
        """What it prints, up to `ready`."""
        self.process = subprocess.Popen(
            ["sh", ROOT / "conf/demo.sh", BUILD],
            env={**ENVIRONMENT, "DEMO_DIR": str(self.directory), "PORT_BASE": str(self.base),
                 **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if lines[-1] == "ready":
                return lines
        raise AssertionError(f"{lines}\n{self.log()}")

    def log(self):
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def end(self, how):
        """Sends the signal; nothing may be left."""
        children = children_of(self.process.pid)
        self.process.send_signal(how)
        self.process.wait(SECONDS)
        deadline = time.monotonic() + SECONDS
        while left := [pid for pid in children if lives(pid)]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.process.stdout.close()
        self.process = None
        assert not left, f"left behind: {[children[pid] for pid in left]}\n{self.log()}"

    def maildir(self, name):
        return self.directory / "mail/demo.test" / name / "Maildir"

    def messages(self, name):
        return [file for part in ("new", "cur") for file in (self.maildir(name) / part).glob("*")]

    def wait_for_messages(self, name, count):
        deadline = time.monotonic() + SECONDS
        while len(self.messages(name)) < count:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)


@pytest.fixture
def demo():
    one = Demo()
    try:
        yield one
    finally:
        if one.process:
            one.end(signal.SIGTERM)
        shutil.rmtree(one.directory, ignore_errors=True)


def paste(line):
    return subprocess.run(["bash", "-c", line], env=dict(os.environ), timeout=SECONDS,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def test_every_line_can_be_pasted(demo):
    lines = demo.start()
    pasted = [line for line in lines if re.match(r"(swaks|curl|printf|/\S*/staffetta) ", line)]
    assert len(pasted) >= 8
    for line in pasted:
        if "imaps" in line or "pop3s" in line:
            demo.wait_for_messages("alice", 3)
        done = paste(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{demo.log()}"
        if "MAILINDEX=1" in line or line.endswith("/1 -u alice:staffetta"):
            assert "Subject:" in done.stdout


def test_postmaster_is_alice_and_mail_stays(demo):
    for count, how in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGKILL), 1):
        demo.start()
        done = paste(f"swaks --server 127.0.0.1:{demo.base + 25} --from you@example.org "
                     "--to postmaster@demo.test")
        assert done.returncode == 0, done.stdout
        demo.wait_for_messages("alice", count)
        demo.end(how)
    demo.start()
    assert len(demo.messages("alice")) == 3


def test_mail_for_other_domains_goes_by_routes(demo):
    """Clients on this host may send it only where routes are given."""
    def send(domain):
        return paste(f"swaks --server 127.0.0.1:{demo.base + 25} --from you@example.org "
                     f"--to x@{domain} --quit-after RCPT").stdout

    demo.start()
    assert "550 5.7.1" in send("elsewhere.test")
    demo.end(signal.SIGTERM)
    lines = demo.start(DEMO_ROUTES="elsewhere.test=127.0.0.1:2525 six.test=[::1]:2526")
    config = (demo.directory / "staffetta.conf").read_text()
    assert 'route "elsewhere.test" { host = "127.0.0.1"  port = 2525' in config
    assert 'route "six.test" { host = "::1"  port = 2526' in config
    assert any(line.startswith("swaks") and "x@elsewhere.test" in line for line in lines)
    assert "250 2.1.5" in send("elsewhere.test") and "250 2.1.5" in send("six.test")
