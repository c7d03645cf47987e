#!/bin/sh
# Checks licenses, bans and sources of all dependencies by `.deny.toml`, with a pinned cargo-deny below target/tools. The
# first run installs it, which takes some minutes. It fails if that fails.
#
# LONGSHORE_ADVISORIES names a git repository, by path or URL, with the RustSec advisory database. Without it, advisories
# are not checked, and the last line says so.
set -eu
cd "$(dirname "$0")/../.."

# Raised by hand, together with a look at what is new: a newer one may know more checks.
version=0.20.2
database=https://github.com/RustSec/advisory-db
tools=target/tools
deny=$tools/bin/cargo-deny

installed=$("$deny" --version 2>/dev/null) || installed=
if [ "$installed" != "cargo-deny $version" ]; then
    echo "Installing cargo-deny $version below $tools ..."
    cargo install cargo-deny --version "=$version" --locked --no-default-features --force --quiet --root "$tools" --target-dir "$tools/build"
    rm -rf "$tools/build"
fi

"$deny" --locked --config .deny.toml check licenses bans sources
if [ -z "${LONGSHORE_ADVISORIES:-}" ]; then
    echo "Advisories were not checked: LONGSHORE_ADVISORIES names no database, such as a clone of $database."
    exit 0
fi

# cargo-deny fetches with git, which takes the named database instead of the public one.
mkdir -p "$tools/advisories"
GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.$LONGSHORE_ADVISORIES.insteadOf" GIT_CONFIG_VALUE_0=$database \
    "$deny" --locked --config .deny.toml check advisories
echo "Advisories were checked with $LONGSHORE_ADVISORIES."
