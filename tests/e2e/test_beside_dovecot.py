"""What a client is told of a message here, and by Debian's Dovecot: ENVELOPE, BODY, BODYSTRUCTURE, sections, BINARY,
SEARCH, SORT and THREAD of every message of CORPUS and of tests/data are the same, or the difference is one of those
that are named below with the section that decides it. imapd-mailbox alone, beside a whole Dovecot; root only."""

import codecs
import difflib
import email
import email.policy
import os
import pathlib
import random
import re
import shutil
import socket
import tempfile

import pytest

from dovecot import available, dovecot
from fetched import children, is_message, is_multipart, parts, read_fetch
from house import CORPUS, PASSWORD, ROOT
from mailbox_role import Client, Mailbox, needs_mailbox

pytestmark = [needs_mailbox, pytest.mark.skipif(not available(), reason="needs root and Dovecot"),
              pytest.mark.timeout(600)]  # of a large corpus

FILES = sorted((ROOT / "tests" / "data").rglob("*.eml")) + sorted(CORPUS.glob("*.eml"))
DOVECOTS_UID = 70001
SEARCHES = 300  # so that a large corpus takes no longer


class Both:
    """Two servers with the same messages in INBOX, in the same order."""

    def __init__(self, place, texts):
        self.texts = texts
        theirs = place / "theirs" / "test.example" / "u" / "Maildir"
        for name in ("cur", "new", "tmp"):
            (theirs / name).mkdir(parents=True)
        (place / "ours").mkdir()
        self.mailbox, self.mail = Mailbox(place / "ours"), place / "theirs"
        for number, text in enumerate(texts):
            name = f"{1700000000 + number}.Q{number:06}.host,S={len(text)},W={len(text)}"
            path = self.mailbox.store(text, name=name)
            (theirs / "cur" / f"{name}:2,").write_bytes(text)
            for one in (path, theirs / "cur" / f"{name}:2,"):
                os.utime(one, (1700000000 + number,) * 2)
        for root, _, names in os.walk(self.mail):
            for name in [".", *names]:
                os.chown(os.path.join(root, name), DOVECOTS_UID, DOVECOTS_UID)

    def connect(self, port):
        self.port = port
        self.ours = self.mailbox.connect()
        self.ours.ok("SELECT INBOX")
        self.connect_theirs()

    def connect_theirs(self):
        self.theirs = Client(socket.create_connection(("127.0.0.1", self.port)))
        self.theirs.ok(f"LOGIN u@test.example {PASSWORD}")
        self.theirs.ok("SELECT INBOX")

    def close(self):
        self.ours.close()
        self.theirs.close()
        self.mailbox.stop()

    def fetch_ours(self, items, numbers="1:*"):
        self.ours.spoken.clear()
        return dict(read_fetch(line) for line in self.ours.ok(f"FETCH {numbers} ({items})"))

    def fetch_theirs(self, items, numbers="1:*"):
        """Without what Dovecot refuses; it says BYE where base64 ends in the middle."""
        self.theirs.spoken.clear()
        self.theirs.send(f"x FETCH {numbers} ({items})\r\n".encode())
        try:
            lines, _ = self.theirs.answer()
        except AssertionError:
            self.connect_theirs()
            return {}
        return dict(read_fetch(line) for line in lines if b" FETCH (" in line[:30])

    def asked(self, command):
        """The untagged answer of each, as one line; None: it was refused."""
        answers = []
        for client in (self.ours, self.theirs):
            client.spoken.clear()
            lines, tagged = client.command(command)
            answers.append(b" ".join(lines) if tagged.startswith(b"OK") else None)
        return answers


@pytest.fixture(scope="module")
def both():
    texts = [re.sub(rb"\r?\n", b"\r\n", file.read_bytes()) for file in FILES]
    place = pathlib.Path(tempfile.mkdtemp(prefix="beside-dovecot-"))
    place.chmod(0o755)
    made = Both(place, texts)
    try:
        with dovecot(made.mail, DOVECOTS_UID, DOVECOTS_UID) as ports:
            made.connect(ports["imap"])
            yield made
            made.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)


# --- what is the same, written otherwise


def without_padding(value):
    return value.strip() if isinstance(value, bytes) else value


MADE_UP = (b"MISSING_DOMAIN", b"MISSING_MAILBOX", b"SYNTAX_ERROR", b"INVALID_ROUTE")  # by Dovecot


def same_addresses(addresses):
    """RFC 3501 7.4.2: NIL for a host is a group's, so what is missing is an empty string here. An address of nothing
    ("<>", or two commas) is none (RFC 5322 4.4)."""
    if not addresses:
        return None
    same = [[b"" if part in MADE_UP else without_padding(part) for part in one] for one in addresses]
    return [one for one in same if one != [None, None, b"", b""]] or None


def same_envelope(envelope):
    """White space around a field's text is none of it (RFC 5322 3.2.2), and a fold in a list of identifiers is any
    (3.2.2 again); RFC 5322 2.2.3 leaves a tab where the line was folded."""
    date, subject, *addresses, reply, identifier = envelope
    fields = [re.sub(rb"\s+", b" ", field).strip() if field is not None else None
              for field in (date, subject, reply, identifier)]
    return fields[:2] + [same_addresses(one) for one in addresses] + fields[2:]


def lower(value):
    return value.lower() if isinstance(value, bytes) else value


def same_charset(parameters):
    """Its case is nothing (RFC 2046 4.1.2)."""
    pairs = [(name, lower(value) if lower(name) == b"charset" else value)
             for name, value in zip((parameters or [])[::2], (parameters or [])[1::2])]
    return [one for pair in pairs for one in pair] or None


def same_part(part):
    """Types and encodings have no case (RFC 2045 5.1, 6.1)."""
    if is_multipart(part):
        below = children(part)
        rest = part[len(below) :]
        return [same_part(one) for one in below] + [lower(rest[0])] + [without_padding(one) for one in rest[1:]]
    same = [lower(part[0]), lower(part[1]), same_charset(part[2]), *map(without_padding, part[3:5]), lower(part[5]), *part[6:]]
    if is_message(part):
        same[7], same[8] = same_envelope(part[7]), same_part(part[8])
    return same


# --- what differs, and who is right


def field_bodies(text, name):
    header = text.split(b"\r\n\r\n", 1)[0]
    return re.findall(rb"^" + name + rb"[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", header, re.I | re.M)


def is_unspecified_field(index, text):
    """RFC 5322 3.6: these fields stand once; of several Dovecot shows the last, and searches the first."""
    return index in (0, 1, 8, 9) and len(field_bodies(text, FIELDS[index])) > 1


# An address list, of which each word has become a `w` and runs of white space one space.
WORD = re.compile(rb'"(?:[^"\\]|\\.)*"|\[[^][\\]*\]|[\w!#$%&\'*+/=?^`{|}~\x80-\xff-]+', re.S)
ROUTE = r"(?:@ ?w(?: ?\. ?w)* ?(?:, ?@ ?w(?: ?\. ?w)* ?)*: ?)?"
ADDR_SPEC = r"w(?: ?\. ?w)* ?@ ?w(?: ?\. ?w)*"
PHRASE = r"w(?: ?[w.])*"
MAILBOX = rf"(?:(?:{PHRASE} ?)?< ?{ROUTE}{ADDR_SPEC} ?>|{ADDR_SPEC})"
GROUP = rf"{PHRASE} ?: ?[ ,]*(?:{MAILBOX} ?(?:,[ ,]*{MAILBOX} ?)*[ ,]*)?;"
ADDRESS_LIST = re.compile(rf"[ ,]*(?:(?:{MAILBOX}|{GROUP}) ?(?:,[ ,]*(?:{MAILBOX}|{GROUP}) ?)*[ ,]*)?".encode())


def is_address_list(body):
    """RFC 5322 3.4, with the routes, dots and empty members of 4.4; without comments."""
    return bool(ADDRESS_LIST.fullmatch(re.sub(rb"\s+", b" ", WORD.sub(b"w", body))))


FIELDS = {0: b"Date", 1: b"Subject", 2: b"From", 3: b"Sender", 4: b"Reply-To", 5: b"To", 6: b"Cc", 7: b"Bcc",
          8: b"In-Reply-To", 9: b"Message-ID"}


def is_no_address_list(index, theirs, text):
    """RFC 5322 3.4, 4.4: what is none is shown as what it may be, by each in his way; and a comment that is the name
    as it was before there were others."""
    if any(part in MADE_UP for one in theirs or () for part in one):
        return True
    bodies = field_bodies(text, FIELDS[index]) or field_bodies(text, b"From")
    return any(b"(" in body or not is_address_list(body) for body in bodies)


def envelope_differences(ours, theirs, text):
    for index, (a, b) in enumerate(zip(same_envelope(ours), same_envelope(theirs))):
        if a == b or is_unspecified_field(index, text):
            continue
        if 2 <= index <= 7 and is_no_address_list(index, theirs[index], text):
            continue
        yield f"ENVELOPE {index}", a, b


ENCODINGS = (b"base64", b"quoted-printable", b"7bit", b"8bit", b"binary")
EMPTY_PART = [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 0, 0]


def is_only_empty(part):
    return is_multipart(part) and all(one[:8] == EMPTY_PART for one in children(part))


def is_plain_text(part):
    return not is_multipart(part) and part[:3] == [b"text", b"plain", [b"charset", b"us-ascii"]]


def named_part(ours, theirs):
    """A part of which another view is taken as a whole; the section that says so."""
    if is_plain_text(ours) and is_only_empty(theirs):
        return "RFC 2045 5.2, RFC 2046 5.1.1: multipart without a boundary, or with none of its own, is text"
    if is_multipart(ours) and is_only_empty(theirs):
        return "RFC 2231 3, 4: the boundary is in pieces, or encoded"
    if theirs[1] == b"":
        return "RFC 2045 5.2: Content-Type with a syntax error is text/plain, or what it begins with"
    if is_multipart(ours) and theirs[:2] == [b"application", b"octet-stream"]:
        return "no RFC: how deep parts are looked into (limits.mime-depth)"
    if (is_multipart(ours) and is_multipart(theirs) and children(ours)[:-1] == children(theirs)
            and children(ours)[-1][:8] == EMPTY_PART):
        return "RFC 2046 5.1.1: a delimiter begins a part, also as the last line of all"
    return None


TOKEN = rb"[^\x00-\x20()<>@,;:\\\"/\[\]?=]+"
CONTENT = re.compile(rb' ?%s ?(?:/ ?%s ?)?(?:; ?%s ?= ?(?:%s|"(?:[^"\\]|\\.)*") ?)*;? ?' % (TOKEN, TOKEN, TOKEN, TOKEN))


def has_odd_parameters(header):
    """RFC 2045 5.1: what is not in its syntax is shown as far as each can read it (a name with spaces and without
    quotes is whole here). RFC 2231 3, 4: a value that comes in pieces, or encoded, is one here."""
    return any(not CONTENT.fullmatch(re.sub(rb"\s+", b" ", body)) or re.search(rb";\s*[^=;\s]*\*", body)
               for name in (b"Content-Type", b"Content-Disposition") for body in field_bodies(header, name))


def is_no_mime(header):
    """RFC 2045 4: a message that does not say so, and has no type; what its other fields mean is a local matter."""
    return not field_bodies(header, b"MIME-Version") and not field_bodies(header, b"Content-Type")


def is_closed_message(ours, theirs):
    """RFC 2046 5.1.1: the line end before a delimiter is the delimiter's, behind a close-delimiter too."""
    return (is_message(ours) and is_message(theirs) and ours[:6] == theirs[:6]
            and theirs[6] - ours[6] in (0, 2) and theirs[9] - ours[9] in (0, 1))


def is_odd_encoding(ours, theirs):
    """RFC 2045 6.1: the mechanism is a token; what stands behind one is not looked at."""
    return not is_multipart(ours) and theirs[5] == b"7bit" and ours[:5] + ours[6:] == theirs[:5] + theirs[6:]


class Structures:
    """Walks two BODYSTRUCTUREs. `apart`: the sections below which there is a named difference."""

    def __init__(self, both, number):
        self.both, self.number, self.apart, self.found = both, number, [], []

    def header(self, section, kind="MIME"):
        name = f"BODY[{section}{kind}]"
        return self.both.fetch_ours(name.replace("[", ".PEEK["), self.number)[self.number][name] or b""

    def compare(self, ours, theirs, section=""):
        if ours == theirs:
            return
        if named_part(ours, theirs) or is_multipart(ours) != is_multipart(theirs):
            self.apart.append(section)
            if not named_part(ours, theirs):
                self.found.append((f"part {section}", ours, theirs))
            return
        if is_multipart(ours):
            self.compare_multipart(ours, theirs, section)
        else:
            self.compare_leaf(ours, theirs, section)

    def compare_multipart(self, ours, theirs, section):
        below, other = children(ours), children(theirs)
        if len(below) != len(other):
            self.apart.append(section)
            self.found.append((f"parts of {section}", ours, theirs))
            return
        for number, (a, b) in enumerate(zip(below, other), 1):
            self.compare(a, b, f"{section}{number}.")
        a, b = ours[len(below) :], theirs[len(below) :]
        if a != b and not has_odd_parameters(self.header(section, "MIME" if section else "HEADER")
                                             + b"\r\n" + self.header(section, "HEADER")):
            self.found.append((f"multipart {section}", a, b))

    def compare_leaf(self, ours, theirs, section):
        if is_message(ours) and is_message(theirs):
            self.found += list(envelope_differences(ours[7], theirs[7], self.header(section, "HEADER")))
            inner = section if is_multipart(ours[8]) else section + "1."
            self.compare(ours[8], theirs[8], inner)
            if is_closed_message(ours, theirs):
                theirs = ours[:10] + theirs[10:]
            theirs = theirs[:7] + ours[7:9] + theirs[9:]
        if ours == theirs or is_odd_encoding(ours, theirs):
            return
        header = self.header(section or "1.")
        if is_no_mime(header) or (has_odd_parameters(header) and ours[:2] + ours[3:8] == theirs[:2] + theirs[3:8]):
            return
        self.found.append((f"leaf {section}", ours, theirs))


def unlike(found):
    return "\n".join(f"{FILES[number - 1].name}: {what}\n  here  {str(a)[:600]}\n  there {str(b)[:600]}"
                     for number, what, a, b in found)


@pytest.fixture(scope="module")
def structures(both):
    """{number: (our BODYSTRUCTURE, the sections whose parts are not comparable)}, and what differs."""
    items = "ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE"
    ours, theirs, found, kept = both.fetch_ours(items), both.fetch_theirs(items), [], {}
    assert ours.keys() == theirs.keys() and len(ours) == len(both.texts)
    for number, a in ours.items():
        b, text = theirs[number], both.texts[number - 1]
        if b"\0" in text.split(b"\r\n\r\n", 1)[0]:
            continue  # RFC 3501 9: none of a message's octets; Dovecot puts others in its place
        if re.search(rb"boundary=\"?[^\"\r\n]{71}", text, re.I):
            continue  # RFC 2046 5.1.1: of 70 at most; Dovecot compares no more than 80
        walk = Structures(both, number)
        walk.found += list(envelope_differences(a["ENVELOPE"], b["ENVELOPE"], text))
        walk.compare(same_part(a["BODYSTRUCTURE"]), same_part(b["BODYSTRUCTURE"]))
        short = Structures(both, number)
        short.compare(same_part(a["BODY"]), same_part(b["BODY"]))
        if a["RFC822.SIZE"] != b["RFC822.SIZE"]:
            walk.found.append(("RFC822.SIZE", a["RFC822.SIZE"], b["RFC822.SIZE"]))
        found += [(number, *one) for one in walk.found + short.found]
        kept[number] = (a["BODYSTRUCTURE"], walk.apart)
    return kept, found


def test_envelope_and_structure(structures):
    """RFC 3501 7.4.2"""
    _, found = structures
    assert not found, unlike(found)


def section_items(body, apart):
    """What is fetched of a message: of each part that both see."""
    yield from ("BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[]<10.100>", "BODY.PEEK[TEXT]<5.50>",
                "BODY.PEEK[HEADER]<7.3000>", "RFC822.HEADER", "BODY.PEEK[TEXT]<1000000.5>",
                "BODY.PEEK[HEADER.FIELDS (Subject FROM Received Content-Type)]",
                "BODY.PEEK[HEADER.FIELDS.NOT (Subject Received)]")
    for section, part in list(parts(body))[:60]:
        if any((section + ".").startswith(prefix) for prefix in apart):
            continue
        yield from (f"BODY.PEEK[{section}]", f"BODY.PEEK[{section}.MIME]", f"BODY.PEEK[{section}]<3.40>")
        if is_message(part):
            yield from (f"BODY.PEEK[{section}.{kind}]" for kind in (
                "HEADER", "TEXT", "HEADER.FIELDS (Subject From X-None)", "HEADER.FIELDS.NOT (Subject From)"))


def named_section(name, ours, theirs, text):
    """The section that decides between two values of BODY[...]; None: they differ without a reason."""
    if ours is None or theirs is None:
        return None
    if theirs == ours.replace(b"\0", b"\x80"):
        return "RFC 3501 9: no NUL; Dovecot sends 0x80 in its place"
    if "FIELDS.NOT" in name and theirs.startswith(ours[:-2] + b"--"):
        return "RFC 2046 5.1.1: the header of a message inside ends where its part does"
    if "HEADER" in name or name.endswith("MIME]"):
        if ours == theirs + b"\r\n" and (ours.endswith(b"\r\n\r\n") or ours == b"\r\n"):
            return "RFC 3501 6.4.5: the delimiting blank line is always included, also if the header has no end"
        if ours == theirs + b"\r\n" and b"\r\n\r\n" not in ours:
            return "RFC 5322 2.2: a field ends with its line end, the last one before a delimiter too"
        if ours == theirs + b"\r\n\r\n":
            return "both of these"
    if theirs == ours + b"\r\n" and ours.endswith(b"--"):
        return "RFC 2046 5.1.1: the line end before a delimiter is the delimiter's, behind a close-delimiter too"
    if "<" in name and theirs.startswith(ours) and theirs[len(ours) :] in (b"\r", b"\n", b"\r\n"):
        return "the same of a part of it"
    return None


def test_sections(both, structures):
    """RFC 3501 6.4.5"""
    kept, found = structures[0], []
    for number, (body, apart) in kept.items():
        items = " ".join(section_items(body, apart))
        ours, theirs = both.fetch_ours(items, number)[number], both.fetch_theirs(items, number)[number]
        for name, value in ours.items():
            if value != theirs.get(name) and not named_section(name, value, theirs.get(name), both.texts[number - 1]):
                found.append((number, name, value, theirs.get(name)))
    assert not found, unlike(found)


def test_binary(both, structures):
    """RFC 3516 4.2: of parts that have an encoding of their own; a multipart has none, and is not taken apart. What
    Dovecot does not decode at all, for an error somewhere in the message, has nothing to be compared with."""
    kept, found = structures[0], []
    for number, (body, apart) in kept.items():
        for section, part in list(parts(body))[:60]:
            if is_multipart(part) or is_message(part) or any((section + ".").startswith(one) for one in apart):
                continue
            if lower(part[5]) not in ENCODINGS:
                continue
            items = f"BINARY.SIZE[{section}] BINARY.PEEK[{section}] BINARY.PEEK[{section}]<2.9>"
            theirs = both.fetch_theirs(items, number).get(number, {})
            if len(theirs) < 3:
                continue
            for name, value in both.fetch_ours(items, number)[number].items():
                if value != theirs[name]:
                    found.append((number, name, value, theirs[name]))
    assert not found, unlike(found)


# --- SEARCH, SORT, THREAD


NOT_READ = (LookupError, ValueError, AttributeError, TypeError, AssertionError)  # Python's own opinion of it


def words_of(text, seed):
    """(key, words) that a person might look for in it."""
    try:
        message = email.message_from_bytes(text, policy=email.policy.default)
    except NOT_READ:
        return
    chosen = random.Random(seed)

    def some(key, value, count=1):
        words = re.findall(r"[^\W_]{4,20}", value)
        return [(key, word) for word in chosen.sample(words, min(count, len(words)))]
    for key in ("Subject", "From", "To"):
        try:
            yield from some(key.upper(), str(message[key] or ""))
        except NOT_READ:
            continue
    try:
        body = message.get_body(("plain",))
        yield from some("BODY", body.get_content() if body else "", 2)
    except NOT_READ:
        pass


def is_searched_alike(part):
    """A message inside is its header too (RFC 2046 5.2.1), which Dovecot leaves out of BODY (RFC 3501 6.4.4). What
    stands outside all parts is to be ignored (RFC 2046 5.1.1), where there are none it is Dovecot's text. And
    an encoding may be unknown (RFC 2045 6.4)."""
    return not is_only_empty(same_part(part)) and all(
        is_multipart(one) or (not is_message(one) and lower(one[5]) in ENCODINGS) for _, one in parts(part))


def numbers_of(line):
    return set(map(int, line.split()[2:]))


def test_search(both, structures):
    """RFC 3501 6.4.4: for words that stand in these messages, decoded. What is no text for Dovecot by one of the
    reasons above is not looked for."""
    asked = sorted({(key, word) for number, text in enumerate(both.texts) for key, word in words_of(text, number)
                    if key not in ("FROM", "TO") or word.lower() not in "missing_domain missing_mailbox"})
    alike = {number for number, (body, apart) in structures[0].items() if not apart and is_searched_alike(body)}
    addressed = sorted_alike(both, "FROM", "TO")
    found = []
    for key, word in random.Random(1).sample(asked, min(SEARCHES, len(asked))):
        octets = word.encode()
        ours, theirs = both.asked(b"SEARCH CHARSET UTF-8 %s {%d+}\r\n%s" % (key.encode(), len(octets), octets))
        unlike_numbers = numbers_of(ours) ^ numbers_of(theirs)
        comparable = {"BODY": alike, "FROM": addressed, "TO": addressed}.get(key, unlike_numbers)
        for number in sorted(unlike_numbers & comparable):
            found.append((number, f"SEARCH {key} {word}", number in numbers_of(ours), number in numbers_of(theirs)))
    assert not found, unlike(found)


@pytest.mark.parametrize("key", ["ARRIVAL", "SIZE", "SUBJECT", "DATE", "FROM", "TO", "CC", "DISPLAYFROM", "DISPLAYTO"])
def test_sort(both, key):
    """RFC 5256 2, RFC 5957. Left out is what is no address or no encoded word, a name that begins with white space in
    its quotes (sorted there with it, though shown without), a date that is none of RFC 5322 3.3 (2.2: as far as it can be read, else
    INTERNALDATE), and a subject that has a tab beside a space (2.1: all of it one space)."""
    alike = sorted_alike(both, key)
    orders = [[number for number in map(int, line.split()[2:]) if number in alike]
              for line in both.asked(f"SORT ({key}) UTF-8 ALL")]
    steps = difflib.SequenceMatcher(None, *orders, autojunk=False).get_opcodes()
    moved = [(number, f"SORT {key}", orders[0].index(number), orders[1].index(number))
             for step, begin, end, *_ in steps if step != "equal" for number in orders[0][begin:end]]
    assert orders[0] == orders[1], unlike(moved[:9])


def has_odd_words(text):
    """RFC 2047 2, 4: an encoded word whose text is none of its encoding, or is in a charset that nobody knows; 5: or
    that stands where none may, in an address. (And RFC 2231 5: one that names its language, which Dovecot does not decode.)"""
    words = re.compile(rb"=\?([\w.:+-]+)\?(?:q\?[!-<>@-~=]*|b\?(?:[\w+/]{4})*(?:[\w+/]{2}==|[\w+/]{3}=)?)\?=", re.I)
    if b"=?" in words.sub(b"", text) or re.search(rb"[\x00-\x08\x80-\xff]|\?= *@", text):
        return True
    try:
        return not all(codecs.lookup(name.decode()) for name in words.findall(text))
    except LookupError:
        return True


def sorted_alike(both, *keys):
    theirs = both.fetch_theirs("ENVELOPE")
    return {number for number, items in both.fetch_ours("ENVELOPE").items()
            if str(items["ENVELOPE"][2:8]) == str(theirs[number]["ENVELOPE"][2:8])
            and all(is_sorted_alike(key, items["ENVELOPE"], both.texts[number - 1]) for key in keys)}


def is_sorted_alike(key, envelope, text):
    if key in ("ARRIVAL", "SIZE"):
        return True
    if key == "DATE":
        return envelope[0] is None or re.match(rb"([A-Z][a-z]{2}, *)?\d+ [A-Z][a-z]{2} \d{4} \d\d?:\d\d(:\d\d)? [+-]\d{4}",
                                               envelope[0])
    if key == "SUBJECT":
        bodies = b"".join(field_bodies(text, b"Subject")).replace(b"\r\n", b"")
        return not re.search(rb"\S(\t | \t|  )", bodies) and not has_odd_words(bodies)
    bodies = field_bodies(text, key.removeprefix("DISPLAY").encode())
    return all(is_address_list(one) and not re.search(rb'[("]\s|"[^"]*"[^<,]*"', one) and not has_odd_words(one)
               for one in bodies)


def threads_of(line):
    """As sets, so that the order among siblings is none."""
    at = [0]

    def read():
        members = []
        while at[0] < len(tokens):
            token = tokens[at[0]]
            at[0] += 1
            if token == b")":
                break
            members.append(read() if token == b"(" else int(token))
        chain = [one for one in members if isinstance(one, int)]
        return tuple(chain), frozenset(one for one in members if not isinstance(one, int))
    tokens = re.findall(rb"[()]|\d+", line.partition(b"THREAD")[2])
    return read()[1]


@pytest.mark.parametrize("algorithm", ["REFERENCES", "REFS", "ORDEREDSUBJECT"])
def test_thread(both, algorithm):
    """RFC 5256 3; how its threads are sorted is not compared, nor what is no date or no subject to all."""
    numbers = ",".join(map(str, sorted(sorted_alike(both, "SUBJECT", "DATE"))))
    ours, theirs = (threads_of(line) - {((), frozenset())}
                    for line in both.asked(f"THREAD {algorithm} UTF-8 {numbers}"))
    assert ours == theirs, (sorted(map(str, ours - theirs))[:5], sorted(map(str, theirs - ours))[:5])
