#!/bin/sh
# Make .venv with all pinned packages. Usage: tools/setup.sh PYTHON
set -eu
python=$1
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "candor: $python is older than Python 3.11; run 'make PYTHON=python3.11 ...'" >&2
    exit 1
}
echo "candor: setting up .venv, once (about two minutes) ..."
"$python" -m venv .venv
log=.venv/setup.log
pip=".venv/bin/python -m pip install --disable-pip-version-check --constraint constraints.txt"
# libauc is an oracle of the tests: the two modules that they use need none of its many dependencies.
if ! { $pip --editable '.[sdk,node,train,test,dev]' && $pip --no-deps libauc; } >"$log" 2>&1; then
    grep -E '^ERROR' "$log" >&2 || tail -n 20 "$log" >&2
    echo "candor: the packages could not be installed; the whole log is in $log" >&2
    exit 1
fi
echo "candor: .venv is ready"
