#!/bin/sh
# Installs the Debian packages that are named, those of them that are missing, where that is
# allowed; elsewhere it says what is missing. Quiet and quick where all are there.
set -eu

if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: make sure that you have what these packages hold: $*" >&2
    exit 0
fi
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
    sed -n 's/ installed$//p' | tr '\n' ' ')
missing=
for package; do
    case " $installed " in
    *" $package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Some packages are missing. As root:" >&2
    echo "    apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
apt-get install -y --no-install-recommends $missing >/dev/null ||
    { apt-get update >/dev/null && apt-get install -y --no-install-recommends $missing >/dev/null; }
