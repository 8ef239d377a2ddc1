"""SIGKILL of queue, relay and others in a stream of mail to another domain: what was answered 250 goes out
whole, and twice only where a kill fell between the receiver's 250 and queue's commit."""

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

    def verify_elsewhere(self):
        """The names that came twice."""
        self.wait_until_settled(seconds=90)
        counts, broken = self.stored()
        lost = sorted(set(self.acknowledged) - set(counts))
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} lost: {lost[:5]}"
        assert not broken, f"not whole: {broken[:5]}"
        assert not set(counts) - set(self.acknowledged) - set(self.unsure), "refused, and sent"
        assert not self.wrong, f"permanent refusals: {self.wrong[:3]}"
        return [name for name, count in counts.items() if count > 1]


def wait_until_empty(house, seconds=30):
    """By `staffetta queue`, which has no answer while the queue is being started again."""
    deadline = time.monotonic() + seconds
    while not (got := house.command("queue", check=False)).stdout.endswith("0 recipients\n"):
        assert time.monotonic() < deadline, got
        time.sleep(0.1)


@pytest.mark.parametrize("role", ROLES if TORTURE else SAMPLE)
def test_kill_one_role(make_house, role):
    chance = random.Random(f"{SEED} {role}")
    kills, wanted = 0, 25 if TORTURE else 4
    with Sink() as sink:
        house = make_house(
            settings={"relay": {"networks": "127.0.0.1/32"}, "queue": {"retry": "1s"}},
            extra=f'route ".elsewhere.test" {{ host = "127.0.0.1" port = {sink.port} }}')
        house.deaths_expected = True
        with StreamElsewhere(house, sink, sizes=(500, 4000, 20000, 100000)) as stream:
            deadline = time.monotonic() + (120 if TORTURE else 20)
            while kills < wanted and time.monotonic() < deadline:
                time.sleep(chance.uniform(0.1, 1.0))
                kills += kill_one(house, role, chance)
            while len(stream.acknowledged) <= 20 and time.monotonic() < deadline + 40:
                time.sleep(0.1)
        assert kills >= wanted / 2, f"{role} was there {kills} times only"
        assert len(stream.acknowledged) > 20, dict(stream.replies)
        twice = stream.verify_elsewhere()
        # At most what one destination each may have under way, at each death of one of the two ends.
        most = kills * 5 * 20 if role in SAMPLE else 0
        assert len(twice) <= most, f"{len(twice)} of {len(stream.acknowledged)} came twice"
        wait_until_empty(house)
