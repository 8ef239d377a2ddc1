#!/bin/sh
# Unpacks Debian's mail servers that are named into DIRECTORY, side by side: tests send mail to them, and
# no two of them can be installed. Quick where all are there. Where they cannot be had it says so, and
# those tests are skipped.
#
#   receivers.sh DIRECTORY PACKAGE...
set -eu

directory=$1
shift
missing=
for package; do
    [ -d "$directory/$package" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

give_up() {
    echo "No other mail servers to test with, so those tests are skipped:$missing cannot be had ($1)." >&2
    exit 0
}
command -v apt-get >/dev/null || give_up "this is no Debian"

mkdir -p "$directory"
new=$(mktemp -d "$directory/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
get() {
    # shellcheck disable=SC2086 # a list of words
    (cd "$new" && apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=20 \
        download $missing) >/dev/null 2>&1
}
get || { apt-get -qq update >/dev/null 2>&1 && get; } || give_up "apt-get download fails"
for package in $missing; do
    dpkg -x "$new/$package"_*.deb "$new/$package"
    mv -T "$new/$package" "$directory/$package" 2>/dev/null || [ -d "$directory/$package" ]
done
