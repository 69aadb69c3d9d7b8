# Images without a daemon: an image of one layer is written as an OCI layout, whose
# digest depends on its content alone, and pushed with crane. What is written is an
# index, since the digest that the operator pins for a tag is that of one.
# shellcheck shell=bash

# write_image LAYOUT LAYER CONFIG [ANNOTATIONS]: writes the folder LAYOUT, prints the
# image's digest. LAYER is a tar file. CONFIG is a JSON object: the entrypoint, the user
# and the like. ANNOTATIONS is another: what the index says of itself.
write_image() {
    local layout=$1 annotations='' architecture unpacked layer config manifest
    [ -z "${4:-}" ] || annotations=$',\n  "annotations": '$4
    architecture=$(image_architecture)
    unpacked=$(digest_of "$2")
    mkdir -p "$layout/blobs/sha256"
    printf '{"imageLayoutVersion": "1.0.0"}\n' >"$layout/oci-layout"

    # Without its name and time, gzip writes the same bytes for the same input.
    gzip --no-name -9 <"$2" >"$layout/layer"
    layer=$(blob "$layout" layer)
    cat >"$layout/config" <<JSON
{
  "created": "1970-01-01T00:00:00Z", "architecture": "$architecture", "os": "linux",
  "config": $3,
  "rootfs": {"type": "layers", "diff_ids": ["$unpacked"]}
}
JSON
    config=$(blob "$layout" config)
    cat >"$layout/manifest" <<JSON
{
  "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {"mediaType": "application/vnd.oci.image.config.v1+json", $config},
  "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", $layer}]
}
JSON
    manifest=$(blob "$layout" manifest)
    cat >"$layout/index.json" <<JSON
{
  "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [{
    "mediaType": "application/vnd.oci.image.manifest.v1+json", $manifest,
    "platform": {"architecture": "$architecture", "os": "linux"}
  }]$annotations
}
JSON
    digest_of "$layout/index.json"
}

# write_attachment LAYOUT FILE MEDIA_TYPE SUBJECT: writes the folder LAYOUT: a file that
# belongs to the image of the layout SUBJECT, as registries list it among what refers to
# that. Prints its digest.
write_attachment() {
    local layout=$1 empty file manifest
    mkdir -p "$layout/blobs/sha256"
    printf '{"imageLayoutVersion": "1.0.0"}\n' >"$layout/oci-layout"
    printf '{}' >"$layout/empty"
    cp "$2" "$layout/file"
    empty=$(blob "$layout" empty)
    file=$(blob "$layout" file)
    cat >"$layout/manifest" <<JSON
{
  "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "artifactType": "$3",
  "config": {"mediaType": "application/vnd.oci.empty.v1+json", $empty},
  "layers": [{
    "mediaType": "$3", $file,
    "annotations": {"org.opencontainers.image.title": "${2##*/}"}
  }],
  "subject": {
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "digest": "$(digest_of "$4/index.json")", "size": $(stat -c %s "$4/index.json")
  }
}
JSON
    digest_of "$layout/manifest"
    manifest=$(blob "$layout" manifest)
    cat >"$layout/index.json" <<JSON
{
  "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", $manifest}]
}
JSON
}

# blob LAYOUT FILE: puts a file of the layout's among its blobs. Prints its digest and
# size, as fields of a JSON descriptor.
blob() {
    local layout=$1 file=$1/$2 digest
    digest=$(digest_of "$file")
    printf '"digest": "%s", "size": %d' "$digest" "$(stat -c %s "$file")"
    mv "$file" "$layout/blobs/sha256/${digest#sha256:}"
}

digest_of() { printf 'sha256:%s\n' "$(sha256sum <"$1" | cut -d' ' -f1)"; }

# image_size LAYOUT: in bytes, as it is pulled.
image_size() { cat "$1/index.json" "$1"/blobs/sha256/* | wc -c; }

image_architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) fail "no image can be built for $(uname -m)" "use the Dockerfile with a container engine" ;;
    esac
}

# layer_of FOLDER: prints the tar file of a folder's content, the same bytes for
# the same content. Kept beside the folder.
layer_of() {
    tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar \
        --directory "$1" --file "$1.tar" .
    printf '%s\n' "$1.tar"
}

# push_image REFERENCE LAYER CONFIG: does nothing when it is there already.
push_image() {
    local reference=$1 layout
    layout=$(mktemp -d)
    registry_place "${reference%/*}"
    if [ "$(digest_there "$reference")" != "$(write_image "$layout" "$2" "$3")" ]; then
        push_layout "$layout" "$reference" --index
    fi
    rm -rf "$layout"
}

# pause_layer: the program that holds a pod's namespaces, for containerd.
pause_layer() {
    local content=$directory/data/pause
    install -d -m 755 "$content"
    install -m 755 "$(tool pause)" "$content/pause"
    layer_of "$content"
}
