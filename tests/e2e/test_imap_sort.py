"""SORT (RFC 5256 3), SORT=DISPLAY (RFC 5957), ESORT (RFC 5267 3). imapd-mailbox alone."""

import os
import re

import pytest

from mailbox_role import client, mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox

# Subject, From, To, Cc, Date, day of arrival, octets of body
MESSAGES = [
    ("Re: [list] bee", "Zoe <a@x.example>", "m@x.example", None,
     "Mon, 1 Jan 2024 12:00:00 +0000", 5, 50),
    ("apple", "=?utf-8?q?=C3=84rmel?= <c@x.example>", '"b b" <z@x.example>', "k@x.example",
     "Mon, 1 Jan 2024 12:30:00 +0200", 4, 10),
    ("Bee (fwd)", "B@x.example", "Group: n@x.example;", "J@x.example",
     "Mon, 1 Jan 2024 11:00:00 +0000", 3, 90),
    ("_", "b@x.example", None, None, "no date", 2, 30),
    (None, None, None, None, None, 1, 70),
]


@pytest.fixture
def five(mailbox, client):
    for number, (subject, sender, to, cc, date, day, octets) in enumerate(MESSAGES, 1):
        fields = [("Subject", subject), ("From", sender), ("To", to), ("Cc", cc), ("Date", date)]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields if value)
        path = mailbox.store(head.encode() + b"\r\n" + octets * 20 * b"x" + b"\r\n",
                             place="cur", flags="", name=f"{1700000000 + number}.Q{number}.host")
        os.utime(path, (day * 86400, day * 86400))
    client.ok("SELECT INBOX")
    client.ok(r"STORE 2 FLAGS.SILENT (\Flagged)")
    return client


def order(client, text):
    return [int(one) for one in client.ok(text)[0].removeprefix(b"* SORT").split()]


@pytest.mark.parametrize("criteria, wanted", [
    ("ARRIVAL", [5, 4, 3, 2, 1]), ("REVERSE ARRIVAL", [1, 2, 3, 4, 5]), ("SIZE", [2, 4, 1, 5, 3]),
    ("SUBJECT", [5, 2, 1, 3, 4]),  # "_" stands behind letters, RFC 5051
    ("REVERSE SUBJECT", [4, 1, 3, 2, 5]), ("SUBJECT REVERSE SIZE", [5, 2, 3, 1, 4]),
    ("DATE", [5, 4, 2, 3, 1]),  # in UTC; without one, INTERNALDATE
    ("FROM", [5, 1, 3, 4, 2]), ("TO", [4, 5, 3, 1, 2]), ("CC", [1, 4, 5, 3, 2]),
    ("DISPLAYFROM", [5, 2, 3, 4, 1]), ("DISPLAYTO", [4, 5, 2, 3, 1])])
def test_sort(five, criteria, wanted):
    for _ in range(2):  # from the files, and then from the index
        assert order(five, f"SORT ({criteria}) UTF-8 ALL") == wanted


def test_sort_searches_first(five):
    assert order(five, "SORT (REVERSE SIZE) US-ASCII UNFLAGGED NOT 4") == [3, 5, 1]
    assert five.ok("SORT (DATE) UTF-8 DELETED") == [b"* SORT"]
    assert order(five, 'UID SORT (SUBJECT) "UTF-8" SUBJECT bee') == [1, 3]
    five.ok(r"STORE 1 FLAGS.SILENT (\Deleted)")
    five.ok("EXPUNGE")
    assert order(five, "UID SORT (SIZE) UTF-8 ALL") == [2, 4, 5, 3]
    assert order(five, "SORT (SIZE) UTF-8 ALL") == [1, 3, 4, 2]


def test_modseq(five):
    """RFC 7162 3.1.5 is of SORT too."""
    assert re.match(rb"\* SORT 2 4 1 5 3 \(MODSEQ \d+\)$", five.ok("SORT (SIZE) UTF-8 MODSEQ 1")[-1])


@pytest.mark.parametrize("options, answer", [
    ("", b"ALL 2,4,1,5,3"), ("MIN MAX COUNT", b"MIN 2 MAX 3 COUNT 5"), ("MAX", b"MAX 3"),
    ("PARTIAL 2:3", b"PARTIAL (2:3 4,1)"), ("PARTIAL -1:-2 COUNT", b"COUNT 5 PARTIAL (-1:-2 5,3)")])
def test_esort(five, options, answer):
    """RFC 5267 3: first and last are those of the order; RFC 9394."""
    assert five.ok(f"UID SORT RETURN ({options}) (SIZE) UTF-8 ALL") == [
        b'* ESEARCH (TAG "x") UID ' + answer]


def test_sorted_ranges_ascend(five):
    """RFC 5267 3.2"""
    assert five.ok("SORT RETURN () (REVERSE ARRIVAL) UTF-8 ALL") == [b'* ESEARCH (TAG "x") ALL 1:5']
    assert five.ok("SORT RETURN () (ARRIVAL) UTF-8 ALL") == [
        b'* ESEARCH (TAG "x") ALL 5,4,3,2,1']


def test_saved(five):
    """RFC 5182 2.4"""
    assert five.ok("SORT RETURN (SAVE) (SIZE) UTF-8 FLAGGED") == []
    assert five.ok("SEARCH $") == [b"* SEARCH 2"]
    five.ok("SORT RETURN (MIN MAX SAVE) (SIZE) UTF-8 ALL")
    assert five.ok("SEARCH $") == [b"* SEARCH 2 3"]


@pytest.mark.parametrize("command", [
    "SORT", "SORT (DATE)", "SORT (DATE) UTF-8", "SORT DATE UTF-8 ALL", "SORT () UTF-8 ALL",
    "SORT (FOO) UTF-8 ALL", "SORT (REVERSE) UTF-8 ALL", "SORT (DATE) RETURN () UTF-8 ALL",
    "SORT RETURN (FOO) (DATE) UTF-8 ALL", "SORT (DATE) UTF-8 FOO"])
def test_bad_arguments(five, command):
    lines, tagged = five.command(command)
    assert tagged.startswith(b"BAD") and lines == []


def test_bad_charset(five):
    assert five.command("SORT (DATE) NONE ALL")[1].startswith(b"NO [BADCHARSET")


def test_needs_a_mailbox(client):
    assert client.command("SORT (DATE) UTF-8 ALL")[1].startswith(b"BAD")
