#!/bin/sh
# A demo domain in the foreground, for `make demo`: demo.sh BUILD [the build directory].
#
# DEMO_DIR     where its state lies (BUILD/demo)    PORT_BASE  added to each standard port (10000)
# DEMO_ROUTES  "elsewhere.test=127.0.0.1:2525 other.test=[::1]:2526": mail for those domains goes
#              there, without DNS, and clients on this host may send it without a password
#
# As root the roles run under numeric uids from 62000 on; as anybody else all have that user's.
set -eu
umask 022

build=$(cd "$1" && pwd)
mkdir -p "${DEMO_DIR:-$build/demo}"
dir=$(cd "${DEMO_DIR:-$build/demo}" && pwd)
mkdir -p "$dir/names" # auth, with its own uid, is let into this directory alone
base=${PORT_BASE:-10000}
config=$dir/staffetta.conf
chain=$dir/certificate.pem
staffetta() { "$build/staffetta" -c "$config" "$@"; }
port() { echo $((base + $1)); }

addresses=127.0.0.1
if grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null; then
    addresses="127.0.0.1, ::1"
else
    echo "IPv6 is absent: ::1 is skipped."
fi

if [ ! -e "$chain" ]; then
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 \
        -keyout "$dir/certificate.key" -out "$chain") 2>/dev/null
    chmod 644 "$chain"
fi

# Routes from DOMAIN=HOST:PORT ...
print_routes() {
    [ -n "${DEMO_ROUTES:-}" ] || return 0
    set -f
    for route in $DEMO_ROUTES; do
        case $route in
        ?*=?*:*[0-9]) ;;
        *)
            echo "DEMO_ROUTES: \"$route\": write DOMAIN=HOST:PORT" >&2
            exit 1
            ;;
        esac
        target=${route#*=} host=${target%:*} host=${host#[} host=${host%]}
        echo "route \"${route%%=*}\" { host = \"$host\"  port = ${target##*:}  tls = may }"
    done
    set +f
    echo 'relay { networks = { 127.0.0.0/8, ::1/128 }  private-targets = yes }'
}

uids=
[ "$(id -u)" -ne 0 ] || uids="uid-base = 62000"
cat >"$config" <<END
# Made by make demo, anew at each start.
hostname = localhost
state = "$dir/state"
control-socket = "$dir/control"
$uids
domain demo.test { aliases = "$dir/names/aliases" }
accounts { source = file  file = "$dir/names/accounts"  mail = "$dir/mail" }
certificate localhost { chain = "$chain"  key = "$dir/certificate.key" }
listen smtp        { port = $(port 25)  addresses = { $addresses } }
listen submission  { port = $(port 587)  addresses = { $addresses } }
listen submissions { port = $(port 465)  addresses = { $addresses } }
listen imap        { port = $(port 143)  addresses = { $addresses } }
listen imaps       { port = $(port 993)  addresses = { $addresses } }
listen pop3        { port = $(port 110)  addresses = { $addresses } }
listen pop3s       { port = $(port 995)  addresses = { $addresses } }
END
print_routes >>"$config"

if [ ! -e "$dir/names/accounts" ]; then
    for name in alice bob carol; do
        echo staffetta | staffetta account add "$name@demo.test" >/dev/null
    done
fi
if [ ! -e "$dir/names/aliases" ]; then
    staffetta alias add postmaster@demo.test alice@demo.test >/dev/null
fi
staffetta check >/dev/null

# A greeting and an answer, not only a listening socket.
answers() { curl -sk -m 5 "$1://127.0.0.1:$(port "$2")" -X "$3" >/dev/null; }
all_answer() {
    answers smtp 25 NOOP && answers smtp 587 NOOP && answers smtps 465 NOOP &&
        answers imap 143 NOOP && answers imaps 993 NOOP &&
        answers pop3 110 CAPA && answers pop3s 995 CAPA
}

announce() {
    until all_answer; do
        kill -0 $$ 2>/dev/null || exit # the process of this shell is the master by now
        sleep 0.1
    done
    if [ -n "${DEMO_ROUTES:-}" ]; then
        routed=${DEMO_ROUTES%%=*}
        elsewhere="Mail for other domains goes to: $DEMO_ROUTES
swaks --server 127.0.0.1:$(port 25) --from alice@demo.test --to x@$routed"
    else
        elsewhere="Mail for other domains leaves by the DNS. DEMO_ROUTES='elsewhere.test=127.0.0.1:2525' make demo sends
that of elsewhere.test there, and takes it without a password from this host."
    fi
    cat <<END

The domain demo.test runs: alice, bob and carol have mailboxes, password "staffetta";
postmaster is an alias of alice. Configuration $config, log $dir/log.
Ctrl-C ends it, the mail stays. Paste into another terminal:

swaks --server 127.0.0.1:$(port 25) --from you@example.org --to alice@demo.test --header 'Subject: hello'
swaks --server 127.0.0.1:$(port 587) --tls --auth-user bob --auth-password staffetta --from bob@demo.test --to alice@demo.test
printf 'From: bob@demo.test\r\nSubject: by curl\r\n\r\nHello Alice.\r\n' | curl --cacert $chain smtps://localhost:$(port 465) -u bob:staffetta --mail-from bob@demo.test --mail-rcpt alice@demo.test -T -
curl --cacert $chain imaps://localhost:$(port 993)/INBOX -u alice:staffetta -X 'FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])'
curl --cacert $chain 'imaps://localhost:$(port 993)/INBOX;MAILINDEX=1' -u alice:staffetta
curl --cacert $chain pop3s://localhost:$(port 995)/ -u alice:staffetta
curl --cacert $chain pop3s://localhost:$(port 995)/1 -u alice:staffetta
$build/staffetta -c $config status

Thunderbird: name alice@demo.test, password staffetta; IMAP localhost $(port 993) SSL/TLS, or POP3 localhost
$(port 995) SSL/TLS; SMTP localhost $(port 465) SSL/TLS; confirm the exception for the self-signed certificate.

$elsewhere
ready
END
}
announce &
exec "$build/staffetta" -c "$config" run 2>>"$dir/log"
