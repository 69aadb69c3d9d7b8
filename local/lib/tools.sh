# The pinned binaries: built once for a user, kept in the cache under a hash of
# what they are built from, and shared by all checkouts.
# shellcheck shell=bash

# tool NAME: prints the path of a binary; builds or unpacks it first if need be.
tool() {
    local directory
    case $1 in
    kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubectl)
        directory=$(go_module kubernetes "the Kubernetes programs" "8 to 12 minutes on 2 cores") ;;
    etcd) directory=$(go_module etcd etcd "2 minutes") ;;
    coredns) directory=$(go_module coredns CoreDNS "2 minutes") ;;
    crane) directory=$(go_module crane crane "20 seconds") ;;
    pause | forward) directory=$(go_module own "pause and forward" "10 seconds") ;;
    chromium) chromium; return ;;
    docker-registry) directory=$(debian registry)/usr/bin ;;
    *) fail "no tool is called $1" ;;
    esac
    printf '%s\n' "$directory/$1"
}

# go_module MODULE WHAT DURATION: builds local/tools/MODULE, prints its folder.
go_module() {
    local module=$1 what=$2 duration=$3 source=$local_dir/tools/$1 hash target
    hash=$(cd "$source" && find . -type f | LC_ALL=C sort | xargs sha256sum | content_hash)
    target=$cache/tools/$module-$hash-$(uname -m)
    [ -d "$target" ] || build_once "$target" build_go "$source" "$what" "$duration"
    printf '%s\n' "$target"
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
    GOWORK=off CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "$flags" -o "$target/" tool ./... \
        >"$log" 2>&1 || fail_with_log "$what did not build" "$log"
    rm -f "$log"
    say "built $what in $((SECONDS - started)) s"
}
