# Loopback ports of this machine that lead into an instance's network. Each is a
# process `forward-PORT`, and a file run/forward-PORT.target that says where to.
# shellcheck shell=bash

# forward_start TARGET PORT: unless it runs.
forward_start() {
    local target=$1 port=$2
    alive "forward-$port" || port_is_free "$port" ||
        fail "port $port, which leads into '$name', has been taken by another program" \
            "find it: ss -tlnp 'sport = :$port'" "or take '$name' down and up again, for other ports"
    start "forward-$port" "$(tool forward)" "127.0.0.1:$port" "$target" "/proc/$(namespaces_pid)/ns/net"
    printf '%s\n' "$target" >"$directory/run/forward-$port.target"
    wait_alive_for "the forward from port $port" 10 "forward-$port" port_answers "$port"
}

# forward_port TARGET: prints the port that leads there, or fails.
forward_port() {
    local file
    for file in "$directory"/run/forward-*.target; do
        if [ -e "$file" ] && [ "$(<"$file")" = "$1" ]; then
            file=${file##*/forward-}
            printf '%s\n' "${file%.target}"
            return
        fi
    done
    return 1
}

# forwards_restart: those that have ended.
forwards_restart() {
    local file port
    for file in "$directory"/run/forward-*.target; do
        [ -e "$file" ] || continue
        port=${file##*/forward-}
        port=${port%.target}
        forward_start "$(<"$file")" "$port"
    done
}

# forwards_stop: the processes; the files stay, to be forwarded again.
forwards_stop() {
    local file process
    for file in "$directory"/run/forward-*.pid; do
        [ -e "$file" ] || continue
        process=${file##*/}
        stop "${process%.pid}"
    done
}
