"""What auth knows of its files is never older than the question, however slowly it answers."""

import os
import shutil
import subprocess
import time

import pytest

from house import PASSWORD

LOOK_S = 0.5  # that each look at a file takes
SETTLING_S = 0.05  # a file changed so lately is read again: its times may be those of another change

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"),
                                reason="only root can trace a role, with strace")


def log_in(client, account, answer="S: +OK*"):
    client.talk("C: USER {account}\nS: +OK*\nC: PASS {password}\n" + answer, account=account,
                password=PASSWORD)


def test_an_account_that_is_made_while_others_are_looked_for(make_house):
    house = make_house(services=("pop3",))
    old = house.new_account()
    with house.connect("pop3") as client:
        log_in(client, old)
    time.sleep(2 * SETTLING_S)
    with house.connect("pop3") as client:
        log_in(client, old)  # auth reads the file for the last time
    tracer = subprocess.Popen(
        ["strace", "-o", "/dev/null", "-p", str(house.pids("auth")[0]), "-e", "trace=newfstatat",
         "-e", f"inject=newfstatat:delay_exit={int(LOOK_S * 1e6)}"],
        stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in tracer.stderr.readline()
        with house.connect("pop3") as first, house.connect("pop3") as second:
            log_in(first, old, answer="")
            time.sleep(LOOK_S / 2)  # auth has seen the accounts, and looks at other files yet
            log_in(second, house.new_account())
            first.talk("S: +OK*")
    finally:
        tracer.terminate()
        tracer.wait()
