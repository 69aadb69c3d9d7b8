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

# no_arguments "$@": for a script that takes none: its help, if that is asked for.
no_arguments() {
    [ $# -gt 0 ] || return 0
    known_argument "$1"
}

# known_argument ARGUMENT: called for one that the script does not know: help, or a refusal.
known_argument() {
    case $1 in
    -h | --help) usage "$0"; exit ;;
    *)
        say "error: ${0##*/} does not take '$1'"
        usage "$0"
        exit 2
        ;;
    esac
}

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

# tell_progress WHAT PATTERN LOG: now and then how far a build is, by the lines of its log
# that match, as long as this script runs.
tell_progress() {
    local what=$1 pattern=$2 log=$3 started=$SECONDS never
    # A `sleep` would outlive this, and hold on to the terminal.
    exec >&2 2>/dev/null {never}<> <(:)
    [ -z "${lock:-}" ] || exec {lock}>&-
    while ! read -r -t 20 -u "$never" && kill -0 $$; do
        printf '  %s %s after %s s\n' "$(grep -cE "$pattern" "$log")" "$what" "$((SECONDS - started))"
    done
}

# content_hash: a short hash of what is read, to name things by content.
content_hash() { sha256sum | cut -c1-12; }

# write FILE: what is read, all at once, and only if it is new: some programs watch.
write() {
    cat >"$1.part"
    if cmp -s "$1.part" "$1"; then rm "$1.part"; else mv "$1.part" "$1"; fi
}
