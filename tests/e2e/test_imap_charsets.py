"""SEARCH, SORT and THREAD over the charsets of mail (RFC 3501 6.4.4, RFC 5256 3, RFC 2047). imapd-mailbox alone."""

import base64

import pytest

from mailbox_role import Mailbox, needs_mailbox  # noqa: F401

pytestmark = needs_mailbox

# Charset as Python and as mail call it, a text in it.
TEXTS = [
    ("iso8859-2", "ISO-8859-2", "Zażółć gęślą jaźń"), ("cp1250", "windows-1250", "Příliš žluťoučký kůň"),
    ("cp1251", "windows-1251", "Съешь же ещё этих булок"), ("koi8-r", "KOI8-R", "Широкая электрификация"),
    ("koi8-u", "KOI8-U", "Чуєш їх, доцю"), ("cp1253", "windows-1253", "Ξεσκεπάζω την ψυχοφθόρα"),
    ("iso8859-9", "ISO-8859-9", "Şoföre öğüt güvenç"), ("cp1255", "windows-1255", "דג סקרן שט בים"),
    ("cp1256", "windows-1256", "نص حكيم له سر قاطع"), ("tis-620", "TIS-620", "เป็นมนุษย์สุดประเสริฐ"),
    ("gb2312", "gb2312", "视野无限广"), ("gbk", "GBK", "鎔鎰丂"), ("gb18030", "GB18030", "窗外有藍天€𠀀"),
    ("big5", "Big5", "天地玄黃宇宙洪荒"), ("euc-jp", "EUC-JP", "いろはにほへと色は匂へど"), ("shift_jis", "Shift_JIS", "ちりぬるを散りぬるを"),
    ("iso2022_jp", "ISO-2022-JP", "わかよたれそ我が世誰ぞ"), ("cp932", "windows-31j", "①髙﨑つねならむ"), ("euc-kr", "EUC-KR", "다람쥐 헌 쳇바퀴"),
    ("cp949", "ks_c_5601-1987", "똠방각하 펲시콜라"), ("iso2022_kr", "ISO-2022-KR", "키스의 고유조건은"),
    ("hz", "HZ-GB-2312", "己所不欲"), ("utf-7", "UTF-7", "Übergröße 日本"), ("utf-16-le", "UTF-16LE", "Vær så god €")]


def message(codec, charset, text, number):
    word = base64.b64encode(f"{number} {text}".encode(codec)).decode()
    body = base64.encodebytes(f"inside: {text} :outside\n".encode(codec)).replace(b"\n", b"\r\n")
    return (f"From: a@test.example\r\nSubject: =?{charset}?B?{word}?=\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: text/plain; charset=\"{charset}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n").encode() + body


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    mailbox = Mailbox(tmp_path_factory.mktemp("charsets"))
    with mailbox.connect() as connected:
        for number, (codec, charset, text) in enumerate(TEXTS, 1):
            connected.append(message(codec, charset, text, number))
        connected.ok("SELECT INBOX")
        yield connected
    mailbox.stop()


def search(client, charset, key, octets):
    client.send(b"x SEARCH CHARSET %s %s {%d+}\r\n%s\r\n" % (charset.encode(), key, len(octets), octets))
    lines, tagged = client.answer()
    assert tagged.startswith(b"OK"), tagged
    return lines


@pytest.mark.parametrize("key", [b"SUBJECT", b"BODY", b"TEXT"])
def test_what_is_in_mail(client, key):
    """RFC 2047 6.3, RFC 3501 6.4.4: decoded, and compared in any case; asked for in UTF-8."""
    for number, (_, charset, text) in enumerate(TEXTS, 1):
        assert search(client, "UTF-8", key, text.upper().encode()) == [b"* SEARCH %d" % number], charset


def test_utf8_between_quotes(client):
    """RFC 9051 9: quoted strings may hold it; many clients send it so before they have enabled anything. What is no
    UTF-8 wants a literal, as RFC 3501 9 has it."""
    for number, (_, charset, text) in enumerate(TEXTS, 1):
        assert client.ok(b'SEARCH CHARSET UTF-8 SUBJECT "%s"' % text.encode()) == [b"* SEARCH %d" % number], charset
        assert client.ok(b'SEARCH HEADER Subject "%s"' % text.encode()) == [b"* SEARCH %d" % number], charset
    assert client.command(b'SEARCH CHARSET ISO-8859-1 SUBJECT "\xfc"')[1].startswith(b"BAD")
    assert client.command('SEARCH SUBJECT ü')[1].startswith(b"BAD")
    assert client.command('SELECT "ü"')[1].startswith(b"BAD")


def test_what_is_asked_for(client):
    """RFC 3501 6.4.4: the string of the command is in the charset that it names."""
    for number, (codec, charset, text) in enumerate(TEXTS, 1):
        if b"\0" not in text.encode(codec):
            assert search(client, charset, b"BODY", text.encode(codec)) == [b"* SEARCH %d" % number], charset


def test_cyrillic_of_three_charsets_is_one(client):
    """What was written in KOI8-R is found by windows-1251."""
    assert search(client, "windows-1251", b"SUBJECT", "ЭЛЕКТРИФИКАЦИЯ".encode("cp1251")) == [b"* SEARCH 4"]
    assert search(client, "IBM866", b"SUBJECT", "электрификация".encode("cp866")) == [b"* SEARCH 4"]


def test_not_what_is_not_there(client):
    assert search(client, "Shift_JIS", b"TEXT", "色は散りぬ".encode("shift_jis")) == [b"* SEARCH"]


def test_sort_and_thread(client):
    """RFC 5256 3: by the decoded subject, in the charset of the command; here the numbers that begin them."""
    wanted = sorted(range(1, len(TEXTS) + 1), key=str)
    assert client.ok("SORT (SUBJECT) KOI8-R ALL") == [b"* SORT " + b" ".join(b"%d" % number for number in wanted)]
    assert client.ok("THREAD ORDEREDSUBJECT GB18030 2:3") == [b"* THREAD (2)(3)"]


@pytest.mark.parametrize("command", ["SEARCH CHARSET", "SORT (DATE)", "THREAD REFS", "ESEARCH IN (selected) CHARSET"])
def test_an_unknown_one(client, command):
    """RFC 3501 6.4.4, 7.1: BADCHARSET lists those that are known."""
    tagged = client.command(f"{command} X-NONE ALL")[1]
    assert tagged.startswith(b"NO [BADCHARSET (UTF-8 US-ASCII ISO-8859-1 ")
    names = tagged[tagged.index(b"(") + 1:tagged.index(b")")].split(b" ")
    assert {b"KOI8-R", b"GB18030", b"BIG5", b"ISO-2022-JP", b"UTF-7"} < set(names)
    for name in names:
        client.ok(b"SEARCH CHARSET " + name + b" ALL")
