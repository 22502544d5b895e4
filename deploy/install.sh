#!/bin/sh
# Installs an offline bundle (make bundle) without a network, into a new virtual environment:
#
#   sh install.sh FOLDER
#
# Whoever alters the bundle can alter this file as well. So verify its signature before anything of it is run, by the
# commands of docs/install.md. The digests are checked here once more, for what was damaged by accident.
#
# PYTHON=python3.11 sh install.sh ...  chooses the interpreter: of the version and machine that the bundle was made with.
set -eu
if [ $# -ne 1 ]; then
    echo "usage: sh install.sh FOLDER (verify the signature before, see docs/install.md)" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
(cd "$here" && sha256sum --check --strict --quiet SHA256SUMS)
ours=$(sed -n 's|^[0-9a-f]*  \./\(wheels/zweitblick-[^/]*\.whl\)$|\1|p' "$here/SHA256SUMS")
# -I: Python runs no module that lies in the folder where this is typed, such as a pip.py beside the bundle
"${PYTHON:-python3}" -I -m venv "$1"
pip="$1/bin/python -I -m pip --disable-pip-version-check --quiet --no-input"
$pip install --no-index --find-links "$here/wheels" --require-hashes --requirement "$here/requirements.lock"
$pip install --no-index --no-deps "$here/$ours"
"$1/bin/zweitblick" --version
