# Processes in the background, remembered in $directory/run/NAME.pid as a process
# id and the time at which it started: an id alone may have passed to a stranger.
# shellcheck shell=bash

seen_to=()

# start NAME COMMAND...: unless it runs already.
start() {
    local process=$1
    shift
    seen_to+=("$process")
    if alive "$process"; then return; fi
    detach "$directory/log/$process.log" "$@" &
    remember "$process" $!
}

# detach LOG COMMAND...: becomes the command, in a session of its own. Open files are
# not passed on: a lock would be held, or a caller's pipe kept open, as long as it runs.
detach() {
    local log=$1 file
    shift
    exec </dev/null >>"$log" 2>&1
    for file in /proc/self/fd/*; do
        file=${file##*/}
        [ "$file" -le 2 ] || eval "exec $file>&-"
    done
    exec setsid "$@"
}

remember() { # NAME PID
    printf '%s %s\n' "$2" "$(started "$2")" >"$directory/run/$1.pid"
}

# started PID: the time it started, in clock ticks since the machine did.
started() {
    local line
    line=$(<"/proc/$1/stat") || return 1
    # The second field is the command's name and may hold spaces and brackets.
    line=${line##*) }
    # shellcheck disable=SC2086 # a list of numbers
    set -- $line
    [ "$1" != Z ] || return 1
    printf '%s\n' "${20}"
} 2>/dev/null

alive() { # NAME
    local pid began
    [ -e "$directory/run/$1.pid" ] || return 1
    read -r pid began <"$directory/run/$1.pid" || return 1
    [ -n "$began" ] && [ "$(started "$pid")" = "$began" ]
}

# all_alive: fails, with its log, for a process that this script saw to and that has
# ended since.
all_alive() {
    local process
    for process in "${seen_to[@]}"; do
        alive "$process" || fail_with_log "$process has ended" "$directory/log/$process.log"
    done
}

# stop NAME: asks it to end, then makes it end.
stop() {
    local pid _ attempt
    if alive "$1"; then
        read -r pid _ <"$directory/run/$1.pid"
        # It may end by itself meanwhile.
        kill -TERM "$pid" || true
        for attempt in {1..200}; do
            alive "$1" || break
            [ "$attempt" -ne 100 ] || kill -KILL "$pid" || true
            sleep 0.05
        done
        if alive "$1"; then fail "process $pid ($1) doesn't end" "look at /proc/$pid/stack"; fi
    fi
    rm -f "$directory/run/$1.pid"
}

# wait_alive_for WHAT SECONDS NAME COMMAND...: until the command succeeds, as long
# as the process lives.
wait_alive_for() {
    local what=$1 seconds=$2 process=$3
    shift 3
    wait_for "$what" "$seconds" "$directory/log/$process.log" still "$process" "$@"
    alive "$process" || fail_with_log "$what: $process has ended" "$directory/log/$process.log"
}

# still NAME COMMAND...: succeeds, to end the waiting, when the process has ended.
still() {
    local process=$1
    shift
    if ! alive "$process"; then return 0; fi
    "$@"
}
