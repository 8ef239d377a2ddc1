"""smtpd-queue's way to other hosts, with this process as its master, a session and relay."""

import email
import email.policy
import os
import time

import pytest
from house import BUILD
from one_queue import (
    BODY, CONFIG, KEEPS_DSN, NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS, PEER_SAID,
    PERMANENT, RELAY_DONE, RELAY_PERMANENT, RELAY_TEMPORARY, RET_FULL, VERDICT_FOREIGN, Queue)

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-queue").exists(),
                                reason="smtpd-queue is not built")
ALICE, BOB = "alice@test.example", "bob@test.example"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 10000


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path)
    yield made
    made.end()


# --- the way of a message


def test_from_session_to_relay(queue):
    relay = queue.relay()
    identity = queue.submission.accept_foreign(["Bob@Elsewhere.EXAMPLE"], orcpt="rfc822;b@x.y",
                                               notify=NOTIFY_FAILURE, envid="QQ 1", cuts=[(0, 19)])
    message = relay.next()
    assert message.id == identity and message.destination == "elsewhere.example"
    assert message.recipients == ["Bob@Elsewhere.EXAMPLE"] and message.orcpts == ["rfc822;b@x.y"]
    assert message.notify == [NOTIFY_FAILURE] and message.sender == ALICE
    assert message.envid == "QQ 1" and len(message.id_text) == 13 and message.cuts == [(0, 19)]
    assert message.prefix == b"Received: r\r\n" and message.body == BODY
    relay.answer(message)
    queue.wait_for_counts(0)
