# Programs that come as Debian packages. They are unpacked in the cache, not
# installed: nothing of the machine's changes, no service starts, and no root is
# needed. Where a library is not installed, its package is unpacked beside them.
# shellcheck shell=bash

# debian GROUP: prints the folder in which the packages of a group are unpacked.
debian() {
    local packages target
    case $1 in
    node) packages="containerd runc containernetworking-plugins nftables iproute2" ;;
    firewall) packages="iptables ipset" ;;
    registry) packages="docker-registry" ;;
    certificates) packages="openssl" ;;
    lint) packages="shellcheck" ;;
    monitoring) packages="prometheus" ;;
    redis) packages="redis-server redis-tools dash" ;;
    browser) packages="chromium chromium-common chromium-sandbox fontconfig-config fonts-dejavu-core" ;;
    *) fail "no group of packages is called $1" ;;
    esac
    # The libraries that were left out belong to this release of this system.
    target=$cache/debian/$1-$({ echo "$packages"; cat /etc/os-release; } 2>/dev/null | content_hash)
    # shellcheck disable=SC2086 # a list of names
    [ -d "$target" ] || build_once "$target" unpack_packages $packages
    printf '%s\n' "$target"
}

# unpack_packages PACKAGE... TARGET
unpack_packages() {
    local target=${*: -1} packages=("${@:1:$#-1}") downloads package
    command -v apt-get >/dev/null ||
        fail "this system has no apt, and ${packages[*]} come from Debian" \
            "use Debian 12 or later, or Ubuntu (a container or a virtual machine will do)," \
            "or a cluster of your own: make demo KUBECONFIG=... REGISTRY=..."
    say "unpacking ${packages[*]} from Debian's packages in $cache: some seconds, once (nothing is installed)"
    downloads=$(mktemp -d)
    if ! download "$downloads" "${packages[@]}"; then
        refresh_package_lists "${packages[@]}"
        download "$downloads" "${packages[@]}" ||
            fail "could not download ${packages[*]}" "see what it says: apt-get update && apt-get download ${packages[*]}"
    fi
    for package in "$downloads"/*.deb; do dpkg-deb --extract "$package" "$target"; done
    rm -rf "$downloads"
}

# packages_needed PACKAGE...: these, and what they depend on that is not installed.
packages_needed() {
    local plan
    plan=$(apt-get install --simulate --no-install-recommends "$@" 2>/dev/null) || return 1
    { printf '%s\n' "$@"; sed -n 's/^Inst \([^ ]*\) .*/\1/p' <<<"$plan"; } | sort -u
}

# download FOLDER PACKAGE...: with what they need.
download() {
    local folder=$1 needed
    shift
    needed=$(packages_needed "$@") || return 1
    # apt's own download user may not write into our folder.
    # shellcheck disable=SC2086 # a list of names
    (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root $needed) >/dev/null 2>&1
}

refresh_package_lists() {
    [ "$(id -u)" -eq 0 ] || fail "Debian's package lists are missing or old, and $* are needed" \
        "run: sudo apt-get update"
    say "refreshing Debian's package lists (apt-get update)"
    apt-get update -qq >&2 || fail "apt-get update failed, and $* are needed"
}

# chromium: prints the path of an installed Chromium, or of a script that runs an
# unpacked one. Only tests and screenshots need it.
chromium() {
    local program unpacked
    for program in chromium chromium-browser google-chrome; do
        if type -P "$program"; then return; fi
    done
    unpacked=$(debian browser)
    program=$unpacked/run-chromium
    if [ ! -e "$program" ]; then
        write "$program" <<EOF
#!/bin/sh
export LD_LIBRARY_PATH='$(libraries "$unpacked")' FONTCONFIG_FILE='$unpacked/fonts.conf'
exec '$unpacked/usr/lib/chromium/chromium' "\$@"
EOF
        write "$unpacked/fonts.conf" <<EOF
<?xml version="1.0"?>
<fontconfig><dir>$unpacked/usr/share/fonts</dir><cachedir>$unpacked/font-cache</cachedir></fontconfig>
EOF
        chmod +x "$program"
    fi
    printf '%s\n' "$program"
}

# redis_server: prints the path of a script that runs the unpacked Redis.
redis_server() {
    local program unpacked
    unpacked=$(debian redis)
    program=$unpacked/run-redis-server
    if [ ! -e "$program" ]; then
        # Its executable has another name, and acts by the name it is called.
        write "$program" <<EOF
#!/bin/bash
export LD_LIBRARY_PATH='$(libraries "$unpacked")'
exec -a redis-server '$unpacked/usr/bin/redis-check-rdb' "\$@"
EOF
        chmod +x "$program"
    fi
    printf '%s\n' "$program"
}

# use_packages GROUP: this shell, and what it starts, finds the group's programs.
use_packages() {
    local unpacked
    unpacked=$(debian "$1")
    PATH=$unpacked/usr/sbin:$unpacked/sbin:$unpacked/usr/bin:$unpacked/bin:$PATH
    LD_LIBRARY_PATH=$(libraries "$unpacked")
    export PATH LD_LIBRARY_PATH
}

# libraries FOLDER: a search path for the libraries that were unpacked there.
libraries() {
    local folders
    folders=$(find "$1/lib" "$1/usr/lib" -maxdepth 3 -name '*.so*' -printf '%h\n' 2>/dev/null | sort -u)
    paste -sd: <<<"$folders"
}
