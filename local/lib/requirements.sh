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

# node_requirements: for pods.
node_requirements() {
    machine_requirements
    [ "$(id -u)" -eq 0 ] || fail "running pods on this machine needs root" \
        "run it as root: sudo --preserve-env=HOME,PATH make demo" "$your_own_cluster"
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
