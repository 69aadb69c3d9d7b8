# Images without a daemon: an image of one layer is written as an OCI layout, whose
# digest depends on its content alone, and pushed with crane.
# shellcheck shell=bash

# push_image REFERENCE LAYER ENTRYPOINT ENVIRONMENT WORKDIR: LAYER is a tar file,
# ENTRYPOINT and ENVIRONMENT are JSON lists. Does nothing when it is there already.
push_image() {
    local reference=$1 layer=$2 entrypoint=$3 environment=$4 workdir=$5 layout digest
    layout=$(mktemp -d)
    digest=$(write_layout "$layout" "$layer" "$entrypoint" "$environment" "$workdir")
    if [ "$("$(tool crane)" digest "$reference" 2>/dev/null)" != "$digest" ]; then
        "$(tool crane)" push "$layout" "$reference" >/dev/null 2>"$layout/log" || fail_with_log "can't push $reference" "$layout/log"
    fi
    rm -rf "$layout"
}

# write_layout FOLDER LAYER ENTRYPOINT ENVIRONMENT WORKDIR: prints the digest.
write_layout() {
    local layout=$1 blobs=$1/blobs/sha256 unpacked architecture layer config manifest
    unpacked=$(digest_of "$2")
    architecture=$(image_architecture)
    mkdir -p "$blobs"
    # Without its name and time, gzip writes the same bytes for the same input.
    gzip -n -6 <"$2" >"$layout/layer"
    layer=$(digest_of "$layout/layer")
    cat >"$layout/config" <<EOF
{"architecture":"$architecture","os":"linux","config":{"Entrypoint":$3,"Env":$4,"WorkingDir":"$5"},"rootfs":{"type":"layers","diff_ids":["sha256:$unpacked"]}}
EOF
    config=$(digest_of "$layout/config")
    cat >"$layout/manifest" <<EOF
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$(stat -c %s "$layout/config")},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$(stat -c %s "$layout/layer")}]}
EOF
    manifest=$(digest_of "$layout/manifest")
    cat >"$layout/index.json" <<EOF
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest","size":$(stat -c %s "$layout/manifest")}]}
EOF
    echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
    mv "$layout/layer" "$blobs/$layer"
    mv "$layout/config" "$blobs/$config"
    mv "$layout/manifest" "$blobs/$manifest"
    printf 'sha256:%s\n' "$manifest"
}

digest_of() { sha256sum <"$1" | cut -d' ' -f1; }

image_architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) fail "no image can be built for $(uname -m)" ;;
    esac
}

# layer_of FOLDER: prints the tar file of a folder's content, the same bytes for
# the same content. Kept beside the folder.
layer_of() {
    tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar \
        --directory "$1" --file "$1.tar" .
    printf '%s\n' "$1.tar"
}

# pause_layer: the program that holds a pod's namespaces, for containerd.
pause_layer() {
    local content=$directory/data/pause
    mkdir -p "$content"
    install -m 755 "$(tool pause)" "$content/pause"
    layer_of "$content"
}
