#!/bin/sh
# The independent DICOM validators: say whether they are there, and install them where that is possible.
set -u
packages="dcmtk dicom3tools libpixelmed-java default-jdk-headless"
missing=""
for tool in dcmdump dsrdump dcmftest dciodvfy javac; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -e /usr/share/java/pixelmed.jar ] || missing="$missing pixelmed.jar"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "candor: installing the DICOM validators ($packages) ..."
    log=$(mktemp)
    # shellcheck disable=SC2086
    if apt-get update >"$log" 2>&1 \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages >>"$log" 2>&1; then
        exit 0
    fi
    tail -n 5 "$log"
fi
echo "candor: without$missing the tests against independent validators are skipped; on Debian: apt-get install $packages"
