# A node: containerd, the kubelet, kube-proxy, and what the control plane needs for
# pods (scheduler, CoreDNS). Runs inside the namespaces.
# shellcheck shell=bash

node() {
    local unpacked pause_image
    unpacked=$(debian node)
    pause_image=$REGISTRY/pause:$(content_hash <"$(tool pause)")
    use_packages node

    local role
    for role in scheduler proxy coredns kubelet; do kubeconfig "$directory/data/$role.kubeconfig" "$role"; done
    cgroups_create
    push_image "$pause_image" "$(pause_layer)" '{"Entrypoint": ["/pause"], "WorkingDir": "/"}'
    mkdir -p "$directory"/data/{containerd,cni}
    containerd_configuration "$unpacked" "$pause_image" | write "$directory/data/containerd.toml"
    pod_network_configuration | write "$directory/data/cni/10-pods.conflist"
    kubelet_configuration | write "$directory/data/kubelet.yaml"
    kube_proxy_configuration | write "$directory/data/kube-proxy.yaml"
    dns_configuration | write "$directory/data/Corefile"

    start kube-scheduler "$(tool kube-scheduler)" --kubeconfig "$directory/data/scheduler.kubeconfig" \
        --leader-elect=false --secure-port 0
    start containerd containerd --config "$directory/data/containerd.toml" --log-level warn
    wait_alive_for containerd 30 containerd test -S /run/containerd/containerd.sock
    start kubelet "$(tool kubelet)" --config "$directory/data/kubelet.yaml" \
        --kubeconfig "$directory/data/kubelet.kubeconfig" --hostname-override "$name" --node-ip "$node_address" \
        --root-dir "$directory/data/kubelet"
    start kube-proxy "$(tool kube-proxy)" --config "$directory/data/kube-proxy.yaml"
    cluster_objects
    start coredns "$(tool coredns)" -conf "$directory/data/Corefile"
    add_on_processes

    wait_alive_for "kube-proxy" 60 kube-proxy http_ok 10256 /healthz
    wait_alive_for "CoreDNS" 60 coredns http_ok 8181 /ready
    wait_alive_for "the kubelet's node" 90 kubelet node_ready
}

# node_ready: said by the kubelet that runs now, not by one that has died since.
node_ready() {
    local status heartbeat
    read -r status heartbeat < <(kubectl get node "$name" -o \
        'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{"\n"}{end}') || return 1
    [ "$status" = True ] && [ "$(date -d "$heartbeat" +%s)" -ge "$(stat -c %Y "$directory/run/kubelet.pid")" ]
}

http_ok() { # PORT PATH
    local status
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
    read -r -t 5 _ status _ <&3 || status=none
    exec 3>&-
    [ "$status" = 200 ]
}

# cluster_objects: applied once for each version of the manifests.
cluster_objects() {
    local objects mark
    objects=$(cat "$local_dir/manifests/dns.yaml"; echo ---; sed "s/PORT/$REGISTRY_PORT/" "$local_dir/manifests/registry.yaml")
    mark=$directory/data/applied-$(content_hash <<<"$objects")
    [ ! -e "$mark" ] || return 0
    kubectl apply --server-side -f - <<<"$objects" >/dev/null || fail "the objects of the cluster's DNS and registry were refused"
    touch "$mark"
}

containerd_configuration() { # UNPACKED PAUSE_IMAGE
    cat <<EOF
version = 2
root = "$directory/data/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$2"
  # Lowering oom_score_adj needs a right that a container or a small machine may lack.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  # Its profile would stay in the kernel after everything else has gone.
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$(snapshotter)"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "$(command -v runc)"
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$1/usr/lib/cni"
    conf_dir = "$directory/data/cni"
EOF
}

# snapshotter: an overlay can't lie on an overlay, as in a container; copies can.
snapshotter() {
    local probe=$directory/data/overlay-probe
    mkdir -p "$probe"/{lower,upper,work,merged}
    if mount -t overlay -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" overlay "$probe/merged" 2>/dev/null; then
        umount "$probe/merged"
        echo overlayfs
    else
        echo native
    fi
    rm -rf "$probe"
}

# Each pod has a cable of its own to the node and is routed, not bridged: on a
# bridge, the answer of a Service's pod to its neighbour would go round the address
# translation, unless the kernel has br_netfilter.
pod_network_configuration() {
    cat <<EOF
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {
      "type": "host-local",
      "ranges": [[{"subnet": "${pod_network%.0.0/16}.0.0/24"}]],
      "routes": [{"dst": "0.0.0.0/0"}],
      "dataDir": "/run/cni"
    }
  }]
}
EOF
}

kubelet_configuration() {
    cat <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_address
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $directory/data/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $directory/data/pki/kubelet.crt
tlsPrivateKeyFile: $directory/data/pki/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$identity
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [$dns_service_address]
clusterDomain: cluster.local
# Names outside the cluster can't be reached from here anyway.
resolvConf: ""
podLogsDir: $directory/data/pod-logs
volumePluginDir: $directory/data/kubelet/volume-plugins
makeIPTablesUtilChains: false
serializeImagePulls: false
# The disk is the developer's: it may be nearly full without hurting anyone's pods.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
EOF
}

kube_proxy_configuration() {
    cat <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $directory/data/proxy.kubeconfig}
clusterCIDR: $pod_network
hostnameOverride: "$name"
healthzBindAddress: 127.0.0.1:10256
oomScoreAdj: 0
# By default it gathers changes for a second: a new pod is reachable that much later.
nftables: {minSyncPeriod: 100ms}
# Zero leaves the machine's connection tracking as it is.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
EOF
}

dns_configuration() {
    cat <<EOF
cluster.local:53 in-addr.arpa:53 {
    bind $node_address
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $directory/data/coredns.kubeconfig
        ttl 5
    }
}

# There is no other network: say so at once instead of timing out.
.:53 {
    bind $node_address
    errors
    template ANY ANY . {
        rcode NXDOMAIN
    }
}
EOF
}
