# The Markdown of our docs as the body of a man page (man(7)): headings, paragraphs, lists, code, and
# tables of keys ("| key | value | default | meaning |"), each row a paragraph with its key as tag.

function plain(text)
{
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text
}

# `code` is bold, *word* italic, [text](target) the text.
function inline(text,    out, part)
{
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
        part = substr(text, RSTART + 1, RLENGTH - 2)
        sub(/\]\(.*/, "", part)
        text = substr(text, 1, RSTART - 1) part substr(text, RSTART + RLENGTH)
    }
    text = plain(text)
    out = ""
    while (match(text, /`[^`]*`|\*[a-z ]+\*/)) {
        part = substr(text, RSTART + 1, RLENGTH - 2)
        out = out substr(text, 1, RSTART - 1) \
            (substr(text, RSTART, 1) == "`" ? "\\fB" : "\\fI") part "\\fR"
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}

function say(text)
{
    if (text ~ /^[.']/)
        text = "\\&" text
    print text
}

/^```/ {
    in_code = !in_code
    print in_code ? ".PP\n.RS 4\n.nf" : ".fi\n.RE"
    next
}
in_code { say(plain($0)); next }
/^# / { next } # the page has a title of its own
/^## / { print ".SH " toupper(inline(substr($0, 4))); between = 0; next }
/^\| ---/ { next }
/^\|/ {
    split($0, cell, / \| |^\| | \|$/)
    if (cell[2] == "key")
        next
    print ".TP"
    say(inline(cell[2]))
    say(inline(cell[3] (cell[4] == "required" ? "; required." : "; default: " cell[4] ".")))
    print ".br"
    say(inline(cell[5]))
    between = 1
    next
}
/^- / { print ".IP \\(bu 2"; say(inline(substr($0, 3))); between = 1; next }
/^$/ { between = 1; next }
{
    if (between)
        print ".PP"
    between = 0
    say(inline($0))
}
