#!/usr/bin/env bash
# Makes the Python environment of the comparison: $EPSILOSCOPE_PEERS/venv, or target/peers/venv. Prints its python.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
folder=${EPSILOSCOPE_PEERS:-$here/target/peers}
if [ ! -x "$folder/venv/bin/python" ]; then
  mkdir -p "$folder"
  python3 -m venv "$folder/venv"
fi
if ! "$folder/venv/bin/python" -c "import torch, safetensors, numpy, foolbox, torchattacks" 2>/dev/null; then
  "$folder/venv/bin/pip" install --quiet torch safetensors numpy foolbox torchattacks >&2
fi
echo "$folder/venv/bin/python"
