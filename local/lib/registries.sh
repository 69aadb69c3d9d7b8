# Registries that images are pushed to, asked by crane. What a failure means, and what
# to do about it, is said here; what crane said, only where we don't know better.
# shellcheck shell=bash

# registry_place TEXT: reads host[:port][/path] or a namespace of Docker Hub, with
# http:// in front for plain HTTP on another host than this one. Sets place, without
# http://, and place_host and place_flags for the functions below.
registry_place() {
    place=${1%/} place_flags=()
    if [[ $place == http://* ]]; then
        place=${place#http://}
        place_flags=(--insecure)
    fi
    [[ $place =~ ^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?(/[a-z0-9._-]+)*$ ]] ||
        fail "'$1' is no place for images: write host:port/path, without https:// and without a tag"
    # The host, by the rule that tells it from a namespace of Docker Hub.
    place_host=${place%%/*}
    [[ $place_host == *[.:]* || $place_host == localhost ]] || place_host=docker.io
}

image_tag() { # TAG: fails unless it can be one
    [[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
        fail "'$1' is no tag: write up to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'"
}

# ask_registry ARGUMENT...: runs crane at the place that was read last.
ask_registry() {
    local crane said log
    crane=${CRANE:-$(tool crane)}
    log=$(mktemp)
    if "$crane" "$@" ${place_flags[@]+"${place_flags[@]}"} 2>"$log"; then
        rm -f "$log"
        return
    fi
    said=$(<"$log")
    rm -f "$log"
    case $said in
    *MANIFEST_UNKNOWN* | *NAME_UNKNOWN* | *'404 Not Found'*) fail "registry $place_host: it has no ${*: -1}" ;;
    *'no basic auth credentials'* | *UNAUTHORIZED* | *'401 Unauthorized'* | *DENIED* | *'403 Forbidden'*)
        # shellcheck disable=SC2016 # for the reader to run
        fail "registry $place_host: it wants a login that may push there" "log in: docker login $place_host" \
            'without docker: "$(local/tool crane)" auth login '"$place_host" ;;
    *'connection refused'* | *'no such host'* | *'i/o timeout'* | *'no route to host'*)
        fail "registry $place_host: it can't be reached" "is the address right, and the registry running?" ;;
    *'HTTP response to HTTPS client'*)
        fail "registry $place_host: it speaks plain HTTP" "if that is meant, write http://$place" ;;
    *x509*)
        fail "registry $place_host: its certificate is not trusted" "name its authority's in SSL_CERT_FILE" ;;
    esac
    fail "registry $place_host: crane $1 failed" "it said: ${said##*$'\n'}"
}

# digest_there REFERENCE: the digest that the registry has for it, or nothing. Some
# registries answer "denied" for what is not there yet; then the push will tell.
digest_there() {
    local refusal
    refusal=$(mktemp)
    if (ask_registry digest "$1") 2>"$refusal" || grep -qE ': it has no |wants a login' "$refusal"; then
        rm -f "$refusal"
        return
    fi
    cat "$refusal" >&2
    rm -f "$refusal"
    return 1
}

push_layout() { # LAYOUT REFERENCE [--index]
    ask_registry push "$@" >/dev/null
}
