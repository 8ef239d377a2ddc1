"""The harness itself: transcripts say what they seem to say."""

import socket
import threading

import pytest

import house
import talk


@pytest.fixture
def peer():
    """A Conversation with this test, and the test's end of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends = []
    thread = threading.Thread(target=lambda: ends.append(listener.accept()[0]))
    thread.start()
    conversation = talk.Conversation(*listener.getsockname(), read_greeting=False)
    thread.join()
    yield conversation, ends[0]
    conversation.close()
    ends[0].close()
    listener.close()


def test_lines_and_octets_are_sent_as_written(peer):
    conversation, server = peer
    conversation.talk(r"""
        C: line {name}
        # a comment
        C: raw\n.\x00\\n\r\n""", name="of test")
    assert server.recv(100) == b"line of test\r\nraw\n.\0\\n\r\n"


@pytest.mark.parametrize("line, pattern, fits", [
    (b"250 ok", "250 *", True),
    (b"250-ok", "250 *", False),
    (b"* 3 EXISTS", "* 3 EXISTS", True),
    (b"x 3 EXISTS", "* 3 EXISTS", False),
    (b"a * b", r"a \* b", True),
    (b"a x b", r"a \* b", False),
    (b"+ {3}", "+ {3}", True),
    (b"caf\xc3\xa9\x01", r"café\x01", True),
])
def test_patterns(peer, line, pattern, fits):
    conversation, server = peer
    server.sendall(line + b"\r\n")
    if fits:
        conversation.talk("S: " + pattern)
    else:
        with pytest.raises(talk.TalkError):
            conversation.talk("S: " + pattern)


def test_names_are_remembered(peer):
    conversation, server = peer
    server.sendall(b"250 queued as AB1\r\nAB1 again\r\n")
    values = conversation.talk("""
        S: 250 queued as {id}
        S: {id} again""")
    assert values == {"id": "AB1"}


def test_skipping_silence_and_the_end(peer):
    conversation, server = peer
    server.sendall(b"250-A\r\n250-B\r\n250 C\r\n")
    conversation.talk("""
        S: ...
        S: 250 *
        S: (quiet 0.05)""")
    server.close()
    conversation.talk("S: (closed)")


def test_events_are_read_from_lines():
    line = r'12:00 info event=delivered to="a\"b c" delay_ms=41'
    assert house.parse_event(line) == {"event": "delivered", "to": r"a\"b c", "delay_ms": "41"}
    assert house.parse_event("no such thing") == {}
