#!/bin/sh
# Installs missing packages of the local stack: PostgreSQL, RabbitMQ, Redis and a C compiler.
# It does not start or change existing servers, and does nothing if all packages are installed. It does not install a
# server whose address is in DATABASE_URL, AMQP_URL or REDIS_URL. `install.sh tests` also installs the packages of the tests, and
# `install.sh label-studio` what Label Studio needs.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }
# Debian keeps these out of the PATH of ordinary users.
have_postgres() { have initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
have_nginx() { have nginx || [ -x /usr/sbin/nginx ]; }
have_rabbitmq() { have rabbitmq-server || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; }

missing= services=
if [ -z "${DATABASE_URL:-}" ] && ! have_postgres; then missing="$missing postgresql" services="$services postgresql"; fi
if [ -z "${AMQP_URL:-}" ] && ! have_rabbitmq; then missing="$missing rabbitmq-server" services="$services rabbitmq-server epmd"; fi
if [ -z "${REDIS_URL:-}" ] && ! have redis-server; then missing="$missing redis-server" services="$services redis-server"; fi
# Building the TLS library compiles C.
have cc || missing="$missing gcc libc6-dev"
# Label Studio and one of the tests' S3 servers are Python programs.
if [ -n "${1:-}" ] && ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then missing="$missing python3-venv"; fi
# A browser loads what URIs resolve to, nginx is the proxy in front of Label Studio, and the examples use curl and psql. Tests
# install Node with pip: Debian's is too old.
if [ "${1:-}" = tests ]; then
    have curl || missing="$missing curl"
    have psql || missing="$missing postgresql-client"
    have chromium || missing="$missing chromium"
    have_nginx || missing="$missing nginx" services="$services nginx"
fi
[ -n "$missing" ] || exit 0

if ! have apt-get; then
    instead=
    [ -z "$services" ] || instead=", or point DATABASE_URL, AMQP_URL and REDIS_URL at servers that are running"
    echo "Please install$missing$instead." >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    have sudo || { echo "Please run as root: apt-get install$missing" >&2; exit 1; }
    as_root=sudo
fi

# Debian starts a daemon on its default port when it is installed. This policy prevents that during the installation; an
# existing policy stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"; }
quietly() { # shows a command's output only when it fails
    if ! output=$("$@" 2>&1); then
        printf '%s\n' "$output" >&2
        exit 1
    fi
}

echo "Installing$missing ..."
quietly apt update
# shellcheck disable=SC2086 # a list of words
quietly apt install -y --no-install-recommends $missing

# Longshore runs private servers only: the installed services need not start at boot.
if [ -d /run/systemd/system ]; then
    for service in $services; do
        $as_root systemctl disable --quiet "$service" 2>/dev/null || true
    done
fi
