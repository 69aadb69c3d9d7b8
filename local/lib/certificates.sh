# One authority for an instance, and a certificate for each who speaks to another. A second
# one is only for the API server, when it asks other servers in its users' names.
# shellcheck shell=bash

# certificates: makes those that are missing.
certificates() {
    local pki=$directory/data/pki
    mkdir -p "$pki"
    chmod 700 "$pki"
    authority ca
    authority front-proxy-ca
    if [ ! -e "$pki/service-accounts.pub" ]; then
        openssl_quietly genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$pki/service-accounts.key"
        openssl_quietly pkey -in "$pki/service-accounts.key" -pubout -out "$pki/service-accounts.pub"
    fi

    local api_names="DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    api_names+=",DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$node_address,IP:$api_service_address"
    certificate kube-apiserver /CN=kube-apiserver "$api_names"
    authority=front-proxy-ca certificate front-proxy-client /CN=front-proxy-client
    certificate admin /O=system:masters/CN=admin
    certificate controller-manager /CN=system:kube-controller-manager
    [ "$NODE" = yes ] || return 0
    # The API server asks the kubelet for logs and for exec as this user.
    certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    certificate scheduler /CN=system:kube-scheduler
    certificate proxy /CN=system:kube-proxy
    certificate coredns /CN=system:coredns
    certificate network-policies /CN=system:network-policies
    certificate metrics-server /CN=metrics-server "DNS:metrics-server.kube-system.svc"
    certificate kubelet "/O=system:nodes/CN=system:node:$name" "DNS:$name,IP:$node_address"
}

authority() { # FILE
    local file=$directory/data/pki/$1
    [ -e "$file.crt" ] ||
        openssl_quietly req -config <(request_configuration) -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
            -subj "/CN=$identity-$1" -keyout "$file.key" -out "$file.crt"
}

# certificate FILE SUBJECT [NAMES]: for a client, and with NAMES for a server too, by the
# instance's authority or that named by `authority`.
certificate() {
    local signer=$directory/data/pki/${authority:-ca}
    local file=$directory/data/pki/$1 subject=$2 names=${3:-} use=clientAuth
    [ ! -e "$file.crt" ] || return 0
    [ -z "$names" ] || use=clientAuth,serverAuth
    openssl_quietly req -config <(request_configuration) -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -subj "$subject" -keyout "$file.key" -out "$file.csr"
    openssl_quietly x509 -req -in "$file.csr" -days 3650 -out "$file.part" \
        -CA "$signer.crt" -CAkey "$signer.key" \
        -extfile <(printf 'extendedKeyUsage=%s\n%s' "$use" "${names:+subjectAltName=$names}")
    rm "$file.csr"
    mv "$file.part" "$file.crt"
}

# request_configuration: the machine's own may be missing, or ask for other things.
request_configuration() {
    printf '%s\n' '[req]' distinguished_name=name x509_extensions=authority '[name]' \
        '[authority]' basicConstraints=critical,CA:true keyUsage=critical,keyCertSign
}

openssl_quietly() {
    local said
    said=$(openssl "$@" 2>&1) || fail "openssl $1 failed" "$said"
}

# kubeconfig FILE CERTIFICATE: everything is in the file, so that it can be copied.
kubeconfig() {
    local file=$1 pki=$directory/data/pki certificate=$2
    [ ! -e "$file" ] || return 0
    (
        umask 077
        cat >"$file.part" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: $identity
  cluster:
    server: https://127.0.0.1:$API_PORT
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
- name: $certificate
  user:
    client-certificate-data: $(base64 -w0 "$pki/$certificate.crt")
    client-key-data: $(base64 -w0 "$pki/$certificate.key")
contexts:
- name: "$name"
  context: {cluster: $identity, user: $certificate}
current-context: "$name"
EOF
    )
    mv "$file.part" "$file"
}
