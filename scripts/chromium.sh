#!/usr/bin/env bash
# Installs Chromium from Debian's or Ubuntu's packages where this user may; without it the tests of pages are skipped.
[ -n "${CHROMIUM:-}" ] && exit
for name in chromium chromium-browser google-chrome chrome; do
    command -v "$name" > /dev/null && exit
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "no Chromium found: the tests of pages will be skipped"
    exit
fi
echo "installing Chromium for the tests of pages, at most 5 minutes"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! timeout 300 sh -c 'apt-get update && apt-get install -y --no-install-recommends chromium' > "$log" 2>&1; then
    echo "Chromium could not be installed, the tests of pages will be skipped: $(tail -n 1 "$log")"
fi
rm -f "$log"
