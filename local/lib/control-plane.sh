# etcd, the API server, the controller manager and the registry: what every
# instance has. Runs inside the namespaces of a node, or on the machine itself.
# shellcheck shell=bash

control_plane() {
    local pki=$directory/data/pki reach
    certificates
    kubeconfig "$KUBECONFIG" admin
    kubeconfig "$directory/data/controller-manager.kubeconfig" controller-manager

    mapfile -t reach < <(api_server_reach)

    # In a node's own network, pods ask it too.
    start registry "$local_dir/registry" --dir "$directory/data/registry" \
        --address "$([ "$NODE" = no ] && echo 127.0.0.1 || echo 0.0.0.0)" --port "$REGISTRY_PORT" --log-requests
    start etcd "$(tool etcd)" --data-dir "$directory/data/etcd" --name "$identity" --log-level warn \
        --unsafe-no-fsync \
        --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
        --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
        --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
        --initial-cluster "$identity=http://127.0.0.1:$ETCD_PEER_PORT"
    start kube-apiserver "$(tool kube-apiserver)" \
        --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
        --secure-port "$API_PORT" "${reach[@]}" \
        --cert-dir "$pki" --tls-cert-file "$pki/kube-apiserver.crt" --tls-private-key-file "$pki/kube-apiserver.key" \
        --client-ca-file "$pki/ca.crt" --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction,OwnerReferencesPermissionEnforcement \
        --anonymous-auth=false --profiling=false \
        --service-cluster-ip-range "$service_network" \
        --requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
        --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
        --requestheader-extra-headers-prefix X-Remote-Extra- \
        --proxy-client-cert-file "$pki/front-proxy-client.crt" --proxy-client-key-file "$pki/front-proxy-client.key" \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --service-account-key-file "$pki/service-accounts.pub" \
        --service-account-signing-key-file "$pki/service-accounts.key" \
        --audit-policy-file "$local_dir/manifests/audit.yaml" \
        --audit-log-path "$AUDIT_LOG" --audit-log-maxsize 100 --audit-log-maxbackup 9

    wait_alive_for "etcd" 30 etcd port_answers "$ETCD_PORT"
    wait_alive_for "the registry" 30 registry port_answers "$REGISTRY_PORT"
    wait_alive_for "the API server" 300 kube-apiserver api_get /readyz

    # In a classroom's cluster, controllers that wait for their client's rate limit
    # are the slowest part of everything; and a class doesn't wait for an autoscaler.
    start kube-controller-manager "$(tool kube-controller-manager)" \
        --kubeconfig "$directory/data/controller-manager.kubeconfig" --leader-elect=false --secure-port 0 \
        --use-service-account-credentials --root-ca-file "$pki/ca.crt" \
        --service-account-private-key-file "$pki/service-accounts.key" \
        --kube-api-qps 200 --kube-api-burst 400 --horizontal-pod-autoscaler-sync-period 5s
    wait_alive_for "the controller manager" 300 kube-controller-manager \
        api_get /api/v1/namespaces/default/serviceaccounts/default
}

# api_server_reach: an option a line. Pods reach the API server at the node's address.
# Without a node nobody does, and a loopback address can't be advertised.
api_server_reach() {
    if [ "$NODE" = no ]; then
        printf '%s\n' --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --endpoint-reconciler-type=none
        return
    fi
    local pki=$directory/data/pki
    printf '%s\n' --bind-address=0.0.0.0 "--advertise-address=$node_address" \
        "--kubelet-client-certificate=$pki/kubelet-client.crt" "--kubelet-client-key=$pki/kubelet-client.key" \
        "--kubelet-certificate-authority=$pki/ca.crt" --kubelet-preferred-address-types=InternalIP
}

port_answers() { ! port_is_free "$1"; }

kubectl() { "$(tool kubectl)" --kubeconfig "$KUBECONFIG" "$@"; }

api_get() { kubectl get --raw "$1" --request-timeout 5s; }
