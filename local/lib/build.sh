# Static programs of this workspace, for images FROM scratch.
# shellcheck shell=bash

# static_target: the target they are built for. It is given to cargo although it is this
# machine's own, so that the flags for static linking don't reach build scripts and macros.
static_target() {
    local target
    target=$(rustc -vV | sed -n 's/^host: //p')
    case $target in
    x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) printf '%s\n' "$target" ;;
    *) fail "can't build Linux images on $target" "use the Dockerfile with a container engine" ;;
    esac
}

# build_static CARGO...: runs a cargo's `build`, in the checkout; prints the folder of the
# programs. Paths of this machine are kept out of them: the same source gives the same
# digest in every checkout.
build_static() {
    local target
    target=$(static_target)
    # Tests run with it. Build scripts read it, and would have every dependency built anew.
    unset RUSTC_BOOTSTRAP
    RUSTFLAGS="-C target-feature=+crt-static \
--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$checkout=/src" \
        cargo_telling "$@" --locked --release --target "$target"
    printf '%s\n' "${CARGO_TARGET_DIR:-target}/$target/release"
}

# cargo_telling CARGO...: a build. On a terminal, cargo itself shows how far it is.
cargo_telling() {
    if [ -t 2 ]; then
        "$@" >&2
        return
    fi
    local log progress failed=no
    log=$(mktemp)
    tell_progress "crates compiled" '^ *Compiling ' "$log" &
    progress=$!
    "$@" >"$log" 2>&1 || failed=yes
    kill "$progress"
    [ "$failed" = no ] || fail_with_log "the build failed" "$log"
    rm -f "$log"
}
