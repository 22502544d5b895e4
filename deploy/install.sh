#!/bin/sh
# Installs an offline bundle (make bundle) without a network:
#
#   sh install.sh FOLDER               a new virtual environment
#   sh install.sh FOLDER PUBLIC_KEY    the same, after its signature was verified (Ed25519, PEM)
#
# PYTHON=python3.11 sh install.sh ...  chooses the interpreter: of the version and machine that the bundle was made with.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ge 2 ]; then
    openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$here/SHA256SUMS" -sigfile "$here/SHA256SUMS.sig"
fi
(cd "$here" && sha256sum --check --strict --quiet SHA256SUMS)
ours=$(sed -n 's|^[0-9a-f]*  \./\(wheels/zweitblick-[^/]*\.whl\)$|\1|p' "$here/SHA256SUMS")
"${PYTHON:-python3}" -m venv "$1"
pip="$1/bin/python -m pip --disable-pip-version-check --quiet --no-input"
$pip install --no-index --find-links "$here/wheels" --require-hashes --requirement "$here/requirements.lock"
$pip install --no-index --no-deps "$here/$ours"
"$1/bin/zweitblick" --version
