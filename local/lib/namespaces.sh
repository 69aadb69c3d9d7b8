# A node's kernel namespaces: network, mounts and process ids, all held by one
# process, `pause`, which is process 1 inside. When it ends, the kernel ends every
# process in there and takes back the mounts and the interfaces. Nothing that the
# kubelet or containerd leaves behind can outlive it.
# shellcheck shell=bash

# namespaces_open: starts the holder, unless it runs.
namespaces_open() {
    if alive namespaces; then return; fi
    local log=$directory/log/namespaces.log pause file process
    pause=$(tool pause)
    # The processes inside are gone, and the forwards lead to where they were.
    forwards_stop
    for file in "$directory"/run/*.pid; do
        process=${file##*/}
        alive "${process%.pid}" || rm -f "$file"
    done
    cgroups_remove || true
    detach "$log" unshare --net --mount --propagation private --pid --fork -- \
        "$local_dir/lib/namespaces-init" "$directory" "$pause" &
    wait_for "making the node's namespaces" 20 "$log" test -e "$directory/run/namespaces.pid"
    ln -sfn "/proc/$(namespaces_pid)/ns/net" "$directory/run/netns"
}

namespaces_pid() {
    local pid _
    read -r pid _ <"$directory/run/namespaces.pid"
    printf '%s\n' "$pid"
}

# inside COMMAND...: runs it in the namespaces.
inside() { nsenter --target "$(namespaces_pid)" --net --mount --pid --root --wd -- "$@"; }

# namespaces_close: ends everything in them, then removes their cgroups.
namespaces_close() {
    local pid attempt group
    if alive namespaces; then
        pid=$(namespaces_pid)
        kill -KILL "$pid"
        # The holder is gone from /proc when the last process inside is.
        for attempt in {1..300}; do
            alive namespaces || break
            sleep 0.05
        done
        if alive namespaces; then fail "process $pid, which holds the node, doesn't end" "look at /proc/$pid/stack"; fi
    fi
    rm -f "$directory"/run/{namespaces.pid,netns}
    for attempt in {1..100}; do
        cgroups_remove && break
        sleep 0.05
    done
    group=$(cgroups_left)
    [ -z "$group" ] || fail "cgroups are left behind" "$group"
}

# cgroup_roots: the hierarchies in which this node gets a group: one with cgroup v2,
# one for each controller with v1.
cgroup_roots() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        local controllers
        for controllers in /sys/fs/cgroup/*/; do
            [ ! -e "$controllers/cgroup.procs" ] || [ -h "${controllers%/}" ] || echo "${controllers%/}"
        done
    fi
}

cgroups_create() {
    local parent controllers
    for parent in $(cgroup_roots); do
        mkdir -p "$parent/$identity"
        if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
            # The kubelet insists on each of these that the machine has.
            controllers=$(grep -woE 'cpu|cpuset|hugetlb|io|memory|pids' "$parent/cgroup.controllers" | sed 's/^/+/' | paste -sd' ')
            { echo "$controllers" >"$parent/cgroup.subtree_control"; } 2>/dev/null ||
                fail "cgroup v2 gives this machine's root no controllers" \
                    "inside a container, start it with --privileged --cgroupns=host"
        elif [ -e "$parent/$identity/cpuset.cpus" ]; then
            # A new group has no processors and no memory, and takes no process.
            cat "$parent/cpuset.cpus" >"$parent/$identity/cpuset.cpus"
            cat "$parent/cpuset.mems" >"$parent/$identity/cpuset.mems"
        fi
    done
}

cgroups_left() {
    local parent
    for parent in $(cgroup_roots); do
        [ ! -d "$parent/$identity" ] || echo "$parent/$identity"
    done
}

cgroups_remove() {
    local group
    for group in $(cgroups_left); do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    [ -z "$(cgroups_left)" ]
}
