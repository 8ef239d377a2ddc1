"""What the house counts, over HTTP on loopback: `listen http`."""

import contextlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from house import SERVICES, free_ports

SAMPLE = re.compile(r'(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>[^}]*)\})? (?P<value>[0-9.e+]+|\+Inf|NaN)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
CLIENTS = 64
DEADLINE_S = 10


@pytest.fixture(scope="module")
def watched(make_module_house):
    return make_module_house(services=(*SERVICES, "http"))


def get(house, path, method="GET"):
    """(status, headers, text)"""
    request = urllib.request.Request(f"http://127.0.0.1:{house.ports['http']}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def parse(text):
    """{(name, (label, value)...): number}, as the text format 0.0.4 is written: HELP and TYPE once and before the
    samples, all samples of a metric together, none twice."""
    found, types, helped, done, current = {}, {}, set(), set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helped
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in types and kind in ("counter", "gauge", "histogram")
            types[name] = kind
            done.add(current)
            current = name
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            name = re.sub("_(bucket|sum|count)$", "", sample["name"]) if types[current] == "histogram" else sample["name"]
            assert name == current and name not in done, line
            key = (sample["name"], *LABEL.findall(sample["labels"] or ""))
            assert key not in found, line
            found[key] = float(sample["value"])
            assert types[name] != "counter" or name.endswith("_total")
    return found


def metrics(house):
    status, headers, text = get(house, "/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(text)


def wait_for(house, predicate, seconds=30):
    deadline = time.monotonic() + seconds
    while not predicate(found := metrics(house)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_curl_gets_the_numbers(watched):
    url = f"http://127.0.0.1:{watched.ports['http']}/metrics"
    answer = subprocess.run(["curl", "-sS", "-i", url], capture_output=True, check=True, timeout=20).stdout.decode()
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    parse(answer.split("\r\n\r\n", 1)[1])


def test_what_happens_is_counted(watched):
    account = watched.new_account()
    before = wait_for(watched, lambda found: ("staffetta_messages_accepted_total",) in found)
    for _ in range(3):
        watched.send(account, "Subject: counted\n\nhello\n")
    with watched.connect("smtp") as smtp:
        smtp.talk(r"""
            C: EHLO client.example
            S: ...
            S: 250 *
            C: MAIL FROM:<>
            S: 250 *
            C: RCPT TO:<nobody@test.example>
            S: 550 5.1.1 *""")
    watched.wait_for_messages(account, 3)
    unknown = ("staffetta_refusals_total", ("by", "us"), ("class", "unknown user"))
    count = ("staffetta_delay_seconds_count", ("way", "delivered"))
    wanted = {("staffetta_messages_accepted_total",): 3, ("staffetta_recipients_delivered_total",): 3,
              ("staffetta_refused_total",): 1, unknown: 1, count: 3}
    after = wait_for(watched, lambda found: all(found[key] >= before[key] + more for key, more in wanted.items()))
    assert {key: after[key] - before[key] for key in wanted} == wanted
    buckets = [value for key, value in after.items() if key[:2] == ("staffetta_delay_seconds_bucket", ("way", "delivered"))]
    assert buckets == sorted(buckets) and buckets[-1] == after[count]
    bounds = [float(key[2][1]) for key in after if key[:2] == ("staffetta_delay_seconds_bucket", ("way", "delivered"))]
    assert bounds == sorted(set(bounds))


def test_what_the_master_knows(watched):
    with watched.connect("imap"):
        found = wait_for(watched, lambda found: found.get(("staffetta_role_sessions", ("role", "imapd-login"))) == 1)
    assert found[("staffetta_role_processes", ("role", "smtpd-queue"))] == 1
    assert found[("staffetta_role_processes_wanted", ("role", "smtpd-queue"))] == 1
    assert abs(found[("staffetta_start_time_seconds",)] - time.time()) < 600
    assert ("staffetta_queue_messages",) in found


def test_a_restart_is_counted_and_journals_too(make_house):
    """What a new journal counts begins at nothing, as Prometheus knows it; http goes on."""
    house = make_house(services=("smtp", "http"))
    wait_for(house, lambda found: ("staffetta_events_total",) in found and
             found.get(("staffetta_role_processes", ("role", "journal"))) == 1)
    subprocess.run(["kill", "-9", str(house.pids("journal")[0])], check=True)
    wait_for(house, lambda found: found.get(("staffetta_role_restarts_total", ("role", "journal"))) == 1)
    account = house.new_account()
    house.send(account, "Subject: again\n\nhello\n")
    wait_for(house, lambda found: found[("staffetta_messages_accepted_total",)] == 1)


def test_health(make_house):
    house = make_house(services=("smtp", "http"))
    deadline = time.monotonic() + 20
    while (found := get(house, "/healthz"))[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found[0] == 200 and found[2] == "ok\n"


def test_without_history_it_counts_all_the_same(make_house):
    house = make_house(services=("smtp", "http"), settings={"log": {"history": 0}})
    account = house.new_account()
    house.send(account, "Subject: counted\n\nhello\n")
    wait_for(house, lambda found: found.get(("staffetta_recipients_delivered_total",)) == 1)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/%2e%2e/etc/passwd", "/metrics%00"])
def test_nothing_else_is_there(watched, path):
    assert get(watched, path)[0] in (400, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_only_tells(watched, method):
    status, headers, _ = get(watched, "/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head(watched):
    status, headers, text = get(watched, "/metrics", "HEAD")
    assert status == 200 and int(headers["Content-Length"]) > 1000 and text == ""


def raw(house):
    return socket.create_connection(("127.0.0.1", house.ports["http"]), timeout=30)


def resident(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_a_header_of_100_megabytes_costs_nothing(watched):
    pid = watched.pids("http")[0]
    before = resident(pid)
    sent = 0
    with raw(watched) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        try:
            while sent < 100 << 20:
                sent += client.send(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 100 << 20
    assert watched.pids("http") == [pid] and resident(pid) - before < 4 << 20
    metrics(watched)


def test_a_body_is_not_waited_for(watched):
    with raw(watched) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_those_who_only_hold_on_make_room(watched):
    """More connections than there may be, each saying a little now and then: whoever asks is answered."""
    held = []
    for _ in range(CLIENTS + 40):
        client = raw(watched)
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        held.append(client)
    time.sleep(1.2)  # after a second of silence
    for _ in range(20):
        metrics(watched)
    for client in held:
        client.close()


def test_a_slow_request_ends(watched):
    with raw(watched) as client:
        begun = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() - begun < DEADLINE_S + 15:
                client.sendall(b"G")
                time.sleep(0.25)
        assert time.monotonic() - begun < DEADLINE_S + 5


def test_nonsense(watched):
    pid = watched.pids("http")[0]
    clients = []
    for octets in (b"\0" * 5000, b"\r\n" * 3000, b"GET /metrics HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 100 + b"\r\n\r\n",
                   b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"):
        clients.append(raw(watched))
        clients[-1].sendall(octets)
        clients[-1].shutdown(socket.SHUT_WR)
    for client in clients:
        with client, contextlib.suppress(ConnectionResetError):
            while client.recv(65536):
                pass
    assert watched.pids("http") == [pid]
    metrics(watched)


def test_only_loopback(make_house):
    house = make_house(start=False, services=("smtp",), extra="listen http { port = 9725 addresses = 192.0.2.1 }")
    checked = house.command("check", check=False)
    assert checked.returncode != 0
    assert "listen http: 192.0.2.1 is open to others" in checked.stderr


def test_reload_brings_it_and_takes_it_away(make_house):
    house = make_house(services=("smtp",))
    assert not house.pids("http")
    port = free_ports(1)[0]
    house.ports["http"] = port
    house.write_config()
    house.command("reload")
    wait_for(house, lambda found: found.get(("staffetta_role_processes", ("role", "http"))) == 1)
    del house.ports["http"]
    house.write_config()
    house.command("reload")
    deadline = time.monotonic() + 20
    while house.pids("http") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not house.pids("http")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
