# How the scripts here speak, fail, wait and write.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

# fail WHAT [ADVICE...]: what failed, then a line for each thing to do about it.
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# usage SCRIPT: the comment at the head of a script is its help.
usage() { sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$1" >&2; }

need_value() { [ $# -ge 2 ] || fail "$1 needs a value"; }

# wait_for WHAT SECONDS LOG COMMAND...: until the command succeeds; at the
# deadline, the end of the log and where the rest of it is.
wait_for() {
    local what=$1 seconds=$2 log=$3 deadline
    shift 3
    deadline=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail_with_log "$what: not within $seconds s" "$log"
        sleep 0.1
    done
}

fail_with_log() {
    say "--- the last lines of $2"
    tail -n 15 "$2" >&2 || true
    say "---"
    fail "$1" "the whole log: $2"
}

# content_hash: a short hash of what is read, to name things by content.
content_hash() { sha256sum | cut -c1-12; }

# write FILE: what is read, all at once, and only if it is new: some programs watch.
write() {
    cat >"$1.part"
    if cmp -s "$1.part" "$1"; then rm "$1.part"; else mv "$1.part" "$1"; fi
}
