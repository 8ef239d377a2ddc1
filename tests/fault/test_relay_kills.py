"""SIGKILL of queue, relay and others in a stream of mail to another domain: what was answered 250 goes out
whole, and twice only where a kill fell between the receiver's 250 and queue's commit: so soon before a kill that
nothing else can be the cause."""

import collections
import os
import random
import time

import pytest
from sink import Sink
from stream import Stream, judge
from test_kills import kill_one

TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))
SEED = int(os.environ.get("STAFFETTA_SEED", "1"))
ROLES = ["smtpd-relay", "smtpd-queue", "resolver", "auth"]
SAMPLE = ["smtpd-relay", "smtpd-queue"]
# From the 250 to the end of queue's turn, which is one flush: a few milliseconds. But tests run beside each other, on a
# disk that others flush too, and sanitizers are slow.
WINDOW_SECONDS = 1


class StreamElsewhere(Stream):
    def __init__(self, house, sink, **options):
        super().__init__(house, [f"u{i}@d{i}.elsewhere.test" for i in range(5)], **options)
        self.sink = sink

    def stored(self):
        counts, broken = collections.Counter(), []
        for message in list(self.sink.messages):
            name, whole = judge(message.data)
            counts[name] += 1
            if not whole:
                broken.append(name)
        return counts, broken

    def windows(self, kills):
        """Of each message that came twice: how long before the nearest kill it came first. Behind one, where it was
        under way to the sink, which had not read it."""
        first, windows = {}, {}
        for message in sorted(self.sink.messages, key=lambda message: message.when):
            name, _ = judge(message.data)
            if name in first and name not in windows:
                windows[name] = min((kill - first[name] for kill in kills), key=abs)
            first.setdefault(name, message.when)
        return windows

    def verify_elsewhere(self, kills):
        """That nothing is lost, and what came twice came in the window before a kill. The names of those."""
        self.wait_until_settled(seconds=90)
        counts, broken = self.stored()
        lost = sorted(set(self.acknowledged) - set(counts))
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} lost: {lost[:5]}"
        assert not broken, f"not whole: {broken[:5]}"
        assert not set(counts) - set(self.acknowledged) - set(self.unsure), "refused, and sent"
        assert not self.wrong, f"permanent refusals: {self.wrong[:3]}"
        windows = self.windows(kills)
        print(f"{len(self.acknowledged)} messages, {len(kills)} kills, {len(windows)} twice, first "
              f"{', '.join(f'{1000 * window:.0f}' for window in sorted(windows.values()))} ms before a kill")
        assert all(abs(window) < WINDOW_SECONDS for window in windows.values()), windows
        return list(windows)


def wait_until_empty(house, seconds=30):
    """By `staffetta queue`, which has no answer while the queue is being started again."""
    deadline = time.monotonic() + seconds
    while not (got := house.command("queue", check=False)).stdout.endswith("0 recipients\n"):
        assert time.monotonic() < deadline, got
        time.sleep(0.1)


@pytest.mark.parametrize("role", ROLES if TORTURE else SAMPLE)
def test_kill_one_role(make_house, role):
    chance = random.Random(f"{SEED} {role}")
    kills, wanted = [], 25 if TORTURE else 4
    with Sink() as sink:
        house = make_house(
            settings={"relay": {"networks": "127.0.0.1/32"}, "queue": {"retry": "1s"}},
            extra=f'route ".elsewhere.test" {{ host = "127.0.0.1" port = {sink.port} }}')
        house.deaths_expected = True
        with StreamElsewhere(house, sink, sizes=(500, 4000, 20000, 100000)) as stream:
            deadline = time.monotonic() + (120 if TORTURE else 20)
            while len(kills) < wanted and time.monotonic() < deadline:
                time.sleep(chance.uniform(0.1, 1.0))
                if kill_one(house, role, chance):
                    kills.append(time.monotonic())
            while len(stream.acknowledged) <= 20 and time.monotonic() < deadline + 40:
                time.sleep(0.1)
        assert len(kills) >= wanted / 2, f"{role} was there {len(kills)} times only"
        assert len(stream.acknowledged) > 20, dict(stream.replies)
        twice = stream.verify_elsewhere(kills)
        # At most what one destination each may have under way, at each death of one of the two ends.
        most = len(kills) * 5 * 20 if role in SAMPLE else 0
        assert len(twice) <= most, f"{len(twice)} of {len(stream.acknowledged)} came twice"
        wait_until_empty(house)


def test_kill_everything(make_house):
    """The whole house at once, and started again."""
    chance = random.Random(SEED)
    kills = []
    with Sink() as sink:
        house = make_house(
            settings={"relay": {"networks": "127.0.0.1/32"}, "queue": {"retry": "1s"}},
            extra=f'route ".elsewhere.test" {{ host = "127.0.0.1" port = {sink.port} }}')
        with StreamElsewhere(house, sink, sizes=(500, 4000, 20000, 100000)) as stream:
            for _ in range(20 if TORTURE else 3):
                time.sleep(chance.uniform(0.3, 1.5))
                kills.append(time.monotonic())
                house.kill_everything()
                house.start(wait=False)
            deadline = time.monotonic() + 40
            while len(stream.acknowledged) <= 20 and time.monotonic() < deadline:
                time.sleep(0.1)
        assert len(stream.acknowledged) > 20, dict(stream.replies)
        assert len(stream.verify_elsewhere(kills)) <= len(kills) * 5 * 20
        wait_until_empty(house)
