#!/bin/sh
# What the tests need from the machine: Chromium, Node.js, Redis, PostgreSQL. Installs what is missing where that can be.
missing=""
command -v chromium >/dev/null 2>&1 || missing="chromium"
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
{ command -v postgres || ls /usr/lib/postgresql/*/bin/postgres; } >/dev/null 2>&1 || missing="$missing postgresql"
{ command -v node && command -v npm; } >/dev/null 2>&1 || missing="$missing nodejs npm"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "Installing $missing for the tests ..."
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
		>/dev/null 2>&1 || echo "$missing could not be installed; tests that need it are skipped" >&2
else
	echo "$missing is not there; tests that need it are skipped. As root: apt-get install $missing" >&2
fi
exit 0
