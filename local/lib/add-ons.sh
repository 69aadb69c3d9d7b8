# What a cluster may have beside, and this one has only when it is asked for: local/add-on.
# shellcheck shell=bash

# add_on_image PROGRAM: pushes an image of nothing but the program, and prints its name.
add_on_image() {
    local program=$1 content reference
    content=$directory/data/add-ons/$program
    install -d -m 755 "$content"
    install -m 555 "$(tool "$program")" "$content/$program"
    reference=$REGISTRY/add-ons/$program:$(content_hash <"$content/$program")
    registry_place "${reference%/*}"
    # Named by its content, it is this one; packing it again to see would take long.
    [ -n "$(digest_there "$reference")" ] || push_image "$reference" "$(layer_of "$content")" '{
        "User": "65534:65534", "Entrypoint": ["/'"$program"'"], "WorkingDir": "/"
    }'
    printf '%s\n' "$reference"
}

# add_on_objects ADD-ON PROGRAM...: prints its manifest, with the images of these programs
# and what else is this instance's own.
add_on_objects() {
    local pki=$directory/data/pki add_on=$1 program image
    local here
    # Not as arguments, which all of the machine can read.
    here="s|AUTHORITY|$(base64 -w0 "$pki/ca.crt")|
s|CERTIFICATE|$(base64 -w0 "$pki/metrics-server.crt")|
s|KEY|$(base64 -w0 "$pki/metrics-server.key")|"
    shift
    for program in "$@"; do
        image=$(add_on_image "$program") || return 1
        here+=$'\n'"s|IMAGE-OF-$program|$image|"
    done
    sed -f <(printf '%s\n' "$here") "$local_dir/manifests/$add_on.yaml"
}

# add_on_processes: some are processes on the node, as kube-proxy is. They run once
# `local/add-on` has left a mark. Runs inside the namespaces.
add_on_processes() {
    [ ! -e "$directory/data/network-policies" ] || network_policies
    [ ! -e "$directory/data/git" ] || git_server
}

git_server() {
    start git-server "$(tool git-server)" "$node_address:9418" "$directory/data/git"
    wait_alive_for "the Git server" 10 git-server git ls-remote "http://$node_address:9418/ready.git"
}

# network_policies: what their controller writes are rules of the node's network.
network_policies() {
    local unpacked program links=$directory/data/iptables
    unpacked=$(debian firewall)
    mkdir -p "$links"
    # The package leaves it to the system which of its two programs has these names.
    for program in iptables iptables-save iptables-restore; do
        ln -sfn "$unpacked/usr/sbin/xtables-nft-multi" "$links/$program"
    done
    kubeconfig "$directory/data/network-policies.kubeconfig" network-policies
    seen_to+=(network-policies)
    (
        use_packages firewall
        export PATH=$links:$PATH
        XTABLES_LIBDIR=$(dirname "$(find "$unpacked" -name libxt_set.so)")
        export XTABLES_LIBDIR
        start network-policies "$(tool network-policies)" --kubeconfig "$directory/data/network-policies.kubeconfig" \
            --node "$name" --services "$service_network"
    )
    wait_alive_for "the controller of network policies" 60 network-policies http_ok 8182 /ready
}
