#!/bin/sh
# The peers of the tests (validators, archives, a browser): say whether they are there, and install them where possible.
set -u
packages="dcmtk dicom3tools libpixelmed-java default-jdk-headless orthanc orthanc-dicomweb postgresql chromium"
missing=""
for tool in dcmdump dsrdump dcmftest dciodvfy javac storescu Orthanc chromium; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -e /usr/share/java/pixelmed.jar ] || missing="$missing pixelmed.jar"
# The MAP is built and run with docker where its daemon answers, else with these.
if ! docker info >/dev/null 2>&1; then
    packages="$packages buildah podman runc mmdebstrap"
    for tool in buildah podman runc mmdebstrap; do
        command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
    done
fi
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "candor: installing the tests' peers ($packages) ..."
    log=$(mktemp)
    # shellcheck disable=SC2086
    if apt-get update >"$log" 2>&1 \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages >>"$log" 2>&1; then
        exit 0
    fi
    tail -n 5 "$log"
fi
echo "candor: without$missing the tests against them are skipped; on Debian: apt-get install $packages"
