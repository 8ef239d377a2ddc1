"""What a FETCH response says, as Python values: `read_fetch(line)` gives the message's number and a dict of
items. A string is bytes, NIL is None, a number an int, a list a list."""

import re

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S)
_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n")
_WORD = re.compile(rb"[^\s()\"{]+")
_ITEM = re.compile(rb"[A-Z0-9.]+(?:\[[^\]]*\](?:<\d+>)?)?", re.I)


def read_value(text, at):
    """(value, where it ends)"""
    if text[at : at + 1] == b"(":
        at, values = at + 1, []
        while text[at : at + 1] != b")":
            value, at = read_value(text, at + (text[at : at + 1] == b" "))
            values.append(value)
        return values, at + 1
    found = _QUOTED.match(text, at)
    if found:
        return re.sub(rb"\\(.)", rb"\1", found[1], flags=re.S), found.end()
    found = _LITERAL.match(text, at)
    if found:
        end = found.end() + int(found[1])
        return text[found.end() : end], end
    found = _WORD.match(text, at)
    assert found, text[max(0, at - 50) : at + 50]
    word = found[0]
    return (None if word == b"NIL" else int(word) if word.isdigit() else word), found.end()


def read_fetch(line):
    head = re.match(rb"\* (\d+) FETCH \(", line)
    at, items = head.end(), {}
    while line[at : at + 1] != b")":
        name = _ITEM.match(line, at)
        items[name[0].decode().upper()], at = read_value(line, name.end() + 1)
        at += line[at : at + 1] == b" "
    return int(head[1]), items


def is_multipart(part):
    """Of BODY and BODYSTRUCTURE."""
    return isinstance(part[0], list)


def children(part):
    """The parts of a multipart; those of the message that a message/rfc822 holds."""
    if not is_multipart(part):
        return [part]
    return part[: next(i for i, one in enumerate(part) if not isinstance(one, list))]


def is_message(part):
    return not is_multipart(part) and part[0].lower() == b"message" and len(part) > 9 and isinstance(part[7], list)


def parts(body, prefix=""):
    """(section, part) of all parts, outer ones first (RFC 3501 6.4.5)."""
    for number, part in enumerate(children(body), 1):
        section = f"{prefix}{number}"
        yield section, part
        if is_multipart(part):
            yield from parts(part, section + ".")
        elif is_message(part):
            yield from parts(part[8], section + ".")
