#!/bin/sh
# Installs the programs that `make bench` compares with: rclone from Debian, and boto3 and psycopg2 in a virtual environment
# at $1. The report omits programs that could not be installed, so no failure here is an error.
set -u
here=$(dirname "$0")
venv=$1

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
if ! command -v rclone >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
    echo "Installing rclone to compare with ..."
    { $as_root apt-get -qq update && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends rclone; } >/dev/null 2>&1 ||
        echo "rclone could not be installed: the report omits it."
fi
if ! "$venv/bin/python" -c 'import boto3, psycopg2' >/dev/null 2>&1; then
    echo "Installing boto3 and psycopg2 to compare with ..."
    { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --requirement "$here/requirements.txt"; } >/dev/null 2>&1 ||
        echo "boto3 and psycopg2 could not be installed: the report omits the Python loop."
fi
exit 0
