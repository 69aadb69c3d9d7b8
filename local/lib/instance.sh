# An instance: one local Kubernetes, by name. `demo` lives in .local, any other in
# .local/NAME. What must not change while it exists (ports, and whether it has a
# node) is written once to its env file, which other programs may source.
# shellcheck shell=bash

instance_options() { # ARGUMENT...: takes --name NAME away, leaves the rest in `arguments`
    local asked=demo
    arguments=()
    while [ $# -gt 0 ]; do
        case $1 in
        --name) need_value "$@"; asked=$2; shift 2 ;;
        *) arguments+=("$1"); shift ;;
        esac
    done
    instance "$asked"
}

# instance NAME: sets name, directory and identity, and what the env file says.
instance() {
    name=$1
    [[ $name =~ ^[a-z][a-z0-9-]{0,30}$ ]] ||
        fail "'$name' can't name an instance" "write a lower-case letter, then up to 30 letters, digits and dashes"
    case $name in bin | data | log | run) fail "'$name' can't name an instance: the demo has a folder of that name" ;; esac
    directory=$checkout/.local
    [ "$name" = demo ] || directory+=/$name
    # Two checkouts may each have an instance of this name.
    identity=coins-$name-$(printf %s "$directory" | content_hash | cut -c1-6)
    # shellcheck source=/dev/null
    [ ! -e "$directory/env" ] || . "$directory/env"
}

# instance_lock: held until this script ends, so that no two change it at once.
instance_lock() {
    mkdir -p "$checkout/.local"
    exec 9>"$checkout/.local/.$name.lock"
    flock --timeout 600 9 || fail "another up or down of '$name' has been busy for ten minutes"
}

# instance_create NODE: chooses ports and writes the env file, unless it is there.
instance_create() {
    local node=$1
    if [ -e "$directory/env" ]; then
        [ "$NODE" = "$node" ] || fail "'$name' exists, with NODE=$NODE" "take it down first: local/down --name $name"
        return
    fi
    rm -rf "${directory:?}"/{run,data,bin,log}
    mkdir -p "$directory"/{run,data,bin,log}
    local api registry etcd peer
    if [ "$name" = demo ]; then
        api=$(claim_port "$directory" 6443)
        registry=$(claim_port "$directory" 5000)
    else
        api=$(claim_port "$directory")
        registry=$(claim_port "$directory")
    fi
    etcd=$(claim_port "$directory")
    peer=$(claim_port "$directory")
    cat >"$directory/env.part" <<EOF
NODE=$node
KUBECONFIG='$directory/kubeconfig'
REGISTRY=127.0.0.1:$registry
AUDIT_LOG='$directory/log/audit.log'
NODE_IP=$([ "$node" = no ] || echo "$node_address")
NETNS=$([ "$node" = no ] || echo "'$directory/run/netns'")
API_PORT=$api
REGISTRY_PORT=$registry
ETCD_PORT=$etcd
ETCD_PEER_PORT=$peer
EOF
    mv "$directory/env.part" "$directory/env"
    # shellcheck source=/dev/null
    . "$directory/env"
}

# Addresses inside an instance. Each has a network of its own, so all have the same.
node_address=10.89.0.1
# shellcheck disable=SC2034
{
    pod_network=10.244.0.0/16
    service_network=10.96.0.0/16
    api_service_address=10.96.0.1
    dns_service_address=10.96.0.10
}

# claim_port OWNER [PREFERRED]: prints a loopback port that nobody listens on and
# no other instance of this user has claimed. The claim lasts as long as the
# folder OWNER, or until release_ports.
claim_port() {
    local owner=$1 preferred=${2:-} claims=$cache/ports port lock attempt
    mkdir -p "$claims"
    exec {lock}>"$claims/.lock"
    flock "$lock"
    for attempt in {1..200}; do
        port=$preferred
        # Below the ports that the kernel and NodePorts draw from.
        [ -n "$port" ] || port=$((20000 + RANDOM % 9000))
        preferred=
        if port_is_free "$port" && ! claimed "$claims/$port"; then
            printf '%s\n' "$owner" >"$claims/$port"
            exec {lock}>&-
            printf '%s\n' "$port"
            return
        fi
    done
    fail "no free port after $attempt attempts between 20000 and 29000"
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

claimed() { [ -e "$1" ] && [ -d "$(<"$1")" ]; }

release_ports() { # OWNER
    local claim
    for claim in "$cache"/ports/*; do
        [ ! -e "$claim" ] || [ "$(<"$claim")" != "$1" ] || rm -f "$claim"
    done
}
