# Sourced by every script here: all the rooms. None does anything until it is asked.
# shellcheck shell=bash
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
local_dir=$checkout/local
cache=${XDG_CACHE_HOME:-${HOME:?is not set, and the cache of binaries lies under it}/.cache}/dockercoins-operator

for room in say requirements tools packages instance process certificates namespaces forwards registries images build control-plane node add-ons; do
    # shellcheck source=/dev/null
    . "$local_dir/lib/$room.sh"
done
