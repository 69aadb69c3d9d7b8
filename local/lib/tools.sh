# The pinned binaries: built once for a user, kept in the cache under a hash of
# what they are built from, and shared by all checkouts.
# shellcheck shell=bash

# tool NAME: prints the path of a binary; builds or unpacks it first if need be.
tool() {
    local directory program=$1
    case $1 in
    kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubectl)
        directory=$(go_module kubernetes "the Kubernetes programs" "8 to 12 minutes on 2 cores") ;;
    etcd) directory=$(go_module etcd etcd "2 minutes") ;;
    coredns) directory=$(go_module coredns CoreDNS "2 minutes") ;;
    crane) directory=$(go_module crane crane "20 seconds") ;;
    registry3) directory=$(go_module registry3 "distribution's registry" "3 minutes on 2 cores") program=registry ;;
    olareg) directory=$(go_module olareg olareg "20 seconds") ;;
    helm) directory=$(go_module helm Helm "4 minutes on 2 cores") ;;
    kustomize) directory=$(go_module kustomize Kustomize "20 seconds") ;;
    kustomize-controller)
        directory=$(go_module kustomize-controller "Flux's kustomize-controller" "3 minutes on 2 cores") ;;
    health) directory=$(go_module health "the judge of health" "1 minute") ;;
    judge) directory=$(go_source judge "$checkout/resolver/tests/judges/live" "the judge of names and logins" "2 minutes on 2 cores") ;;
    authorities) directory=$(go_module authorities "the list of certificate authorities" "10 seconds") ;;
    otlp) directory=$(go_module otlp "a receiver of traces" "1 minute") ;;
    metrics-server) directory=$(go_module metrics-server metrics-server "3 minutes on 2 cores") ;;
    ingress) directory=$(go_module ingress "the ingress controller" "1 minute on 2 cores") ;;
    source-controller) directory=$(go_module source-controller "Flux's source-controller" "5 minutes on 2 cores") ;;
    network-policies) directory=$(go_module network-policies "the controller of network policies" "90 seconds on 2 cores") ;;
    pause | forward | git-server) directory=$(go_module own "pause, forward and git-server" "10 seconds") ;;
    chromium) chromium; return ;;
    redis-server) redis_server; return ;;
    prometheus-crds)
        directory=$(go_files github.com/prometheus-operator/prometheus-operator v0.85.0 h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=)/example
        program=prometheus-operator-crd ;;
    gateway-crds)
        directory=$(go_files sigs.k8s.io/gateway-api v1.6.0 h1:735YBRj5NXFrOGX0GoSjwzUIzbz8kiEOfADsqHFmHgE=)/config/crd
        program=standard ;;
    flux-kustomize-crds)
        directory=$(go_files github.com/fluxcd/kustomize-controller v1.9.6 h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=)/config/crd
        program=bases ;;
    flux-source-crds)
        directory=$(go_files github.com/fluxcd/source-controller v1.9.6 h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc=)/config/crd
        program=bases ;;
    flux-helm-crds)
        directory=$(go_files github.com/fluxcd/helm-controller v1.6.4 h1:u/Ew7LehrwDQaE/NqWdaB3XnNDCxRGDcp1FZl7RKj4g=)/config/crd
        program=bases ;;
    argo-crds)
        directory=$(go_files github.com/argoproj/argo-cd/v3 v3.5.7 h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=)/manifests
        program=crds ;;
    docker-registry) directory=$(debian registry)/usr/bin ;;
    prometheus | promtool) directory=$(debian monitoring)/usr/bin ;;
    shellcheck) directory=$(debian lint)/usr/bin ;;
    cargo-deny) directory=$(cargo_program cargo-deny 0.20.2 "4 minutes on 2 cores")/bin ;;
    cargo-auditable) directory=$(cargo_program cargo-auditable 0.7.7 "30 seconds")/bin ;;
    cargo-cyclonedx) directory=$(cargo_program cargo-cyclonedx 0.5.9 "2 minutes on 2 cores")/bin ;;
    *) fail "no tool is called $1" ;;
    esac
    printf '%s\n' "$directory/$program"
}

# is_built NAME: whether a tool is there already. Where it would be depends on what it is
# made from.
is_built() { [ -e "$(build_once() { :; }; tool "$1")" ]; }

# go_module MODULE WHAT DURATION: builds local/tools/MODULE, prints its folder.
go_module() { go_source "$1" "$local_dir/tools/$1" "$2" "$3"; }

# go_source NAME SOURCE WHAT DURATION: builds what is in a folder, prints where to.
go_source() {
    local name=$1 source=$2 what=$3 duration=$4 hash target
    hash=$(cd "$source" && find . -type f | LC_ALL=C sort | xargs sha256sum | content_hash)
    target=$cache/tools/$name-$hash-$(uname -m)
    [ -d "$target" ] || build_once "$target" build_go "$source" "$what" "$duration"
    printf '%s\n' "$target"
}

# go_files MODULE VERSION SUM: prints the folder of a module's files, of which nothing is built.
go_files() {
    local known
    # Go keeps its own cache of them, and says what they sum up to.
    known=$(cd / && GOWORK=off go mod download -json "$1@$2") || fail "$1 $2 could not be downloaded" "$known"
    grep -qF "\"Sum\": \"$3\"" <<<"$known" || fail "$1 $2 is not what it was: its sum isn't $3"
    sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$known"
}

# cargo_program CRATE VERSION DURATION: builds a published program, prints its folder.
cargo_program() {
    local target
    target=$cache/tools/$1-$2-$(uname -m)
    [ -d "$target" ] || build_once "$target" build_cargo "$@"
    printf '%s\n' "$target"
}

build_cargo() {
    local crate=$1 version=$2 duration=$3 target=$4
    command -v cargo >/dev/null || fail "cargo is missing, and $crate must be built" "install Rust from https://rustup.rs"
    say "building $crate: about $duration, once (cached in $cache)"
    # A build folder set for the project is not for this.
    env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$target" --version "$version" "$crate" >"$target.log" 2>&1 ||
        fail_with_log "$crate did not build" "$target.log"
    rm -f "$target.log"
}

# build_once TARGET COMMAND...: runs the command with a new folder as its last
# argument, which becomes TARGET when it succeeds. Others who want the same wait.
build_once() {
    local target=$1 lock
    shift
    mkdir -p "$(dirname "$target")"
    exec {lock}>"$target.lock"
    flock "$lock"
    if [ ! -d "$target" ]; then
        rm -rf "$target.part"
        mkdir "$target.part"
        "$@" "$target.part"
        mv "$target.part" "$target"
    fi
    exec {lock}>&-
}

build_go() {
    local source=$1 what=$2 duration=$3 target=$4 flags='-s -w' log version started=$SECONDS
    command -v go >/dev/null || fail "Go is missing, and $what must be built" \
        "install Go 1.26 or later from https://go.dev/dl and put it on PATH," \
        "or use a cluster of your own: make demo KUBECONFIG=... REGISTRY=..."
    # A log of its own: several builds may run, and the cache outlives checkouts.
    log=$target.log
    cd "$source" || fail "can't enter $source"
    version=$(sed -n 's/^\(require\)\{0,1\}[[:space:]]*k8s.io\/kubernetes \(v[^ ]*\).*/\2/p' go.mod)
    if [ -n "$version" ]; then
        local package=k8s.io/component-base/version minor=${version#v1.}
        flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    fi
    say "building $what: about $duration, once (cached in $cache)"
    tell_progress packages '^[^ ]+$' "$log" &
    local progress=$! failed=no
    GOWORK=off CGO_ENABLED=0 go build -v -buildvcs=false -trimpath -ldflags "$flags" -o "$target/" tool ./... \
        >"$log" 2>&1 || failed=yes
    kill "$progress"
    [ "$failed" = no ] || fail_with_log "$what did not build" "$log"
    rm -f "$log"
    say "built $what in $((SECONDS - started)) s"
}
