# What this machine must be able to do, checked before anything is built.
# shellcheck shell=bash

your_own_cluster="or use a cluster of your own: make demo KUBECONFIG=... REGISTRY=..."

# machine_requirements: for an instance without a node.
machine_requirements() {
    [ "$(uname -s)" = Linux ] || fail "this needs Linux, and this is $(uname -s)" \
        "use a virtual machine with Debian 12," "$your_own_cluster"
    local program
    for program in flock setsid; do
        command -v "$program" >/dev/null || fail "$program is missing" \
            "install util-linux 2.32 or later" "$your_own_cluster"
    done
    command -v openssl >/dev/null || use_packages certificates
}

# as_root WHAT COMMAND...: goes on as the command, run by sudo, unless this is root.
as_root() {
    local what=$1
    shift
    [ "$(id -u)" -ne 0 ] || return 0
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        say "$what needs root: going on with sudo"
        exec sudo env HOME="$HOME" PATH="$PATH" XDG_CACHE_HOME="${XDG_CACHE_HOME:-}" "$@"
    fi
    fail "$what needs root, and sudo is missing or wants a password" "run it as root," "$your_own_cluster"
}

# give_back FILE...: what root made goes to the user who called sudo.
give_back() {
    [ -z "${SUDO_UID:-}" ] || chown "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" -- "$@"
}

# node_requirements: for pods. Needs root.
node_requirements() {
    # What pods and Services need of the kernel, tried in namespaces that vanish.
    local missing
    use_packages node
    missing=$(unshare --net --mount --pid --fork -- bash -c '
            ip link add one type veth peer name two 2>&1 || { echo "no veth devices"; exit; }
            nft -f - <<<"table ip probe {
                chain to { type nat hook output priority 0; dnat to numgen random mod 1 map { 0 : 192.0.2.2 }; }
                chain from { type nat hook postrouting priority 0; masquerade; }
            }" 2>&1 ||
                echo "no address translation by nftables"
            mount -t tmpfs tmpfs /run 2>&1 || echo "no mounts"
        ' 2>&1) || missing=${missing:-no namespaces}
    [ -z "$missing" ] || fail "the kernel, or the container around this, doesn't allow what pods need" \
        "it said: $missing" "try it on a virtual machine, or in a container with --privileged," "$your_own_cluster"
}
