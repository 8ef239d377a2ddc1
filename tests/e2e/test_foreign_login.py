"""AUTH to a smarthost that is not ours: Debian's Postfix, with Dovecot's SASL behind it. Root alone, since both want their
own users."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from house import BUILD, free_ports, make_certificate
from test_relay_process import DESCRIPTOR_PASSWORD, DONE, FAST, TEMPORARY, Relay

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not (shutil.which("postfix") and shutil.which("dovecot"))
    or not (BUILD / "libexec" / "smtpd-relay").exists(), reason="needs root, Postfix and Dovecot")

MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""
MAIN_CF = """
compatibility_level = 3.6
queue_directory = {here}/spool
data_directory = {here}/data
maillog_file = {here}/log
maillog_file_prefixes = {here}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = smarthost.example
mydestination =
alias_maps =
local_recipient_maps =
default_transport = discard
mynetworks = 192.0.2.0/24
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {here}/spool/auth
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
"""
DOVECOT_CONF = """
base_dir = {here}/run
state_dir = {here}/state
instance_name = {name}
log_path = {here}/dovecot.log
protocols =
ssl = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home=/nowhere
}}
service auth {{
  unix_listener {here}/spool/auth {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
"""


class Smarthost:
    def __init__(self, mechanisms):
        self.here = here = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-smarthost-"))
        here.chmod(0o755)
        postfix = pwd.getpwnam("postfix").pw_uid
        for name in ("spool", "data"):
            (here / name).mkdir()
        os.chown(here / "data", postfix, -1)
        self.port = free_ports(1)[0]
        chain, key = make_certificate(here)
        (here / "main.cf").write_text(MAIN_CF.format(here=here, chain=chain, key=key))
        (here / "master.cf").write_text(MASTER_CF.format(port=self.port))
        (here / "dovecot.conf").write_text(DOVECOT_CONF.format(here=here, name=here.name, uid=postfix,
                                                               mechanisms=mechanisms))
        self.dovecot = subprocess.Popen(["dovecot", "-F", "-c", here / "dovecot.conf"], start_new_session=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not (here / "spool" / "auth").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        subprocess.run(["postfix", "-c", here, "start"], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def log(self):
        return (self.here / "log").read_text()

    def stop(self):
        subprocess.run(["postfix", "-c", self.here, "abort"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self.dovecot.send_signal(signal.SIGTERM)
        self.dovecot.wait(20)
        shutil.rmtree(self.here, ignore_errors=True)


@pytest.fixture
def smarthost():
    started = []

    def start(mechanisms):
        started.append(Smarthost(mechanisms))
        return started[0]

    yield start
    for host in started:
        host.stop()


@pytest.mark.parametrize("mechanisms, used", [
    ("plain login scram-sha-1 scram-sha-256", "SCRAM-SHA-256"),
    ("plain scram-sha-1", "SCRAM-SHA-1"),
    ("login", "LOGIN"),
])
def test_postfix_lets_us_in(tmp_path, smarthost, mechanisms, used):
    host = smarthost(mechanisms)
    for password, status in (("secret", DONE), ("wrong", TEMPORARY)):
        result = send(tmp_path, host, password)
        assert result.statuses == [status], (result.outcomes, host.log())
        if status == TEMPORARY:
            assert result.outcomes[0][2].startswith("4.7.8 ") and result.outcomes[0][3].startswith("535 ")
    assert f"sasl_method={used}, sasl_username=user" in host.log()


def send(directory, host, password):
    (directory / "password").write_text(password + "\n")
    config = FAST.replace("reply = 2s", "reply = 20s") + f"""
        route sink.example {{ host = "127.0.0.1" port = {host.port} user = user
                              password-file = "{directory}/password" }}"""
    with open(directory / "password", "rb") as file:
        relay = Relay(directory, config, files=[(DESCRIPTOR_PASSWORD, 0, file.fileno())])
    try:
        return relay.one()
    finally:
        relay.role.kill()
