# What a cluster may have beside, and this one has only when it is asked for: local/add-on.
# shellcheck shell=bash

# add_on_image NAME: pushes an image of that one program, and prints its name.
add_on_image() {
    local program=$1 content reference
    content=$directory/data/add-ons/$program
    install -d -m 755 "$content"
    install -m 555 "$(tool "$program")" "$content/$program"
    reference=$REGISTRY/add-ons/$program:$(content_hash <"$content/$program")
    push_image "$reference" "$(layer_of "$content")" '{
    "User": "65534:65534", "Entrypoint": ["/'"$program"'"], "WorkingDir": "/"
  }'
    printf '%s\n' "$reference"
}

# add_on_objects NAME: its manifest, with what is this instance's own.
add_on_objects() {
    local pki=$directory/data/pki image
    image=$(add_on_image "$1") || exit 1
    sed -e "s|IMAGE|$image|" -e "s|AUTHORITY|$(base64 -w0 "$pki/ca.crt")|" \
        -e "s|CERTIFICATE|$(base64 -w0 "$pki/metrics-server.crt")|" -e "s|KEY|$(base64 -w0 "$pki/metrics-server.key")|" \
        "$local_dir/manifests/$1.yaml"
}

# network_policies: as kube-proxy, their controller is a process on the node, since what it
# writes are rules of the node's. Runs inside the namespaces, once `local/add-on` has left a mark.
network_policies() {
    [ -e "$directory/data/network-policies" ] || return 0
    local unpacked program links=$directory/data/iptables
    unpacked=$(debian firewall)
    mkdir -p "$links"
    # The package leaves it to the system which of its two programs has these names.
    for program in iptables iptables-save iptables-restore; do
        ln -sfn "$unpacked/usr/sbin/xtables-nft-multi" "$links/$program"
    done
    kubeconfig "$directory/data/network-policies.kubeconfig" network-policies
    (
        use_packages firewall
        export PATH=$links:$PATH
        XTABLES_LIBDIR=$(dirname "$(find "$unpacked" -name libxt_set.so)")
        export XTABLES_LIBDIR
        start network-policies "$(tool network-policies)" --kubeconfig "$directory/data/network-policies.kubeconfig" \
            --node "$name" --services "$service_network"
    )
    seen_to+=(network-policies)
    wait_alive_for "the controller of network policies" 60 network-policies http_ok 8182 /ready
}
