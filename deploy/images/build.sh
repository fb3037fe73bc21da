#!/usr/bin/env bash
# Builds the stage image of the TrackerApplication: `make images`. Needs a Docker daemon.
#
#   BASE_IMAGE=my/python:3.11   base image. Default: the public Python image; if no registry can be reached, one that is
#                               built here from Debian packages (needs root and debootstrap).
#   ONNXRUNTIME=onnxruntime-gpu[cuda,cudnn]   detect vehicles on NVIDIA GPUs; onnxruntime-openvino: on Intel's
#   TAG=my/tracker:1            name of the image
#   PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_CERT, SSL_CERT_FILE   passed to the build if set; they leave no trace in the
#                               image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly SOURCE=tracker_application
readonly CACHE=.cache/images
readonly PULL_TIMEOUT_S=60
# Increase the last number when the content of the base image changes.
readonly BASE_RELEASE=bookworm
readonly BASE_TAG=winslow/python-base:$BASE_RELEASE-1
readonly BASE_TARBALL=$CACHE/python-base-$BASE_RELEASE-1.tar.gz

say() { printf 'images: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

public_base() { sed -n 's/^ARG BASE_IMAGE=//p' "$SOURCE/Dockerfile"; }

version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$SOURCE/pyproject.toml"; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Builds a small Debian with Python, without documentation, translations and package lists.
make_base_tarball() {
    command -v debootstrap >/dev/null || fail "no registry can be reached, and debootstrap, which could build a base" \
        "image, is not installed. Set BASE_IMAGE to a local image, or run: apt-get install debootstrap"
    [[ $(id -u) == 0 ]] || fail "no registry can be reached, and building a base image with debootstrap needs root." \
        "Set BASE_IMAGE to a local image, or run this as root"
    say "building a base image of Debian $BASE_RELEASE (one to two minutes, once; cached in $CACHE)"
    mkdir -p "$CACHE"
    local root
    root=$(mktemp -d)
    # shellcheck disable=SC2064  # expanded now, so that exactly this directory is removed
    trap "rm -rf --one-file-system '$root'" EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$BASE_RELEASE" "$root" \
        >"$CACHE/debootstrap.log" 2>&1 || fail "debootstrap failed: $(tail -n 1 "$CACHE/debootstrap.log")"
    tar --create --gzip --file "$BASE_TARBALL.part" --directory "$root" --one-file-system \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' --exclude='./dev/*' \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/info/*' \
        --exclude='./usr/share/locale/*' --exclude='__pycache__' .
    mv "$BASE_TARBALL.part" "$BASE_TARBALL"
    rm -rf "$root"
    trap - EXIT
}

# Prints the image to build on.
base_image() {
    if [[ -n ${BASE_IMAGE:-} ]]; then
        echo "$BASE_IMAGE"
        return
    fi
    local public
    public=$(public_base)
    if has_image "$public" || timeout "$PULL_TIMEOUT_S" docker pull --quiet "$public" >/dev/null 2>&1; then
        echo "$public"
        return
    fi
    say "$public cannot be pulled"
    if ! has_image "$BASE_TAG"; then
        [[ -f $BASE_TARBALL ]] || make_base_tarball
        docker import --change 'CMD ["python3"]' "$BASE_TARBALL" "$BASE_TAG" >/dev/null
    fi
    echo "$BASE_TAG"
}

# One build of this directory at a time: another one would repeat each step of it, and write the same files.
take_turns() {
    mkdir -p "$CACHE"
    exec 9>"$CACHE/lock"
    flock --nonblock 9 && return
    say "another build runs in $PWD: waiting for its end"
    flock 9
}

main() {
    docker version >/dev/null 2>&1 || fail "Docker is not available; without it, the stages run as processes"
    take_turns
    local base tag context certificates
    base=$(base_image)
    tag=${TAG:-winslow/tracker-application:$(version)}
    local options=(--network host --build-arg "BASE_IMAGE=$base" --tag "$tag")
    local name
    for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL ONNXRUNTIME; do
        if [[ -n ${!name:-} ]]; then
            options+=(--build-arg "$name")
        fi
    done
    context=$(mktemp -d)
    # shellcheck disable=SC2064  # expanded now, so that exactly this directory is removed
    trap "rm -rf '$context'" EXIT
    cp -r "$SOURCE"/{Dockerfile,.dockerignore,pyproject.toml,README.md,requirements.lock,slim_image.py,src} "$context"
    certificates=${PIP_CERT:-${SSL_CERT_FILE:-}}
    if [[ -n $certificates ]]; then
        [[ -r $certificates ]] || fail "cannot read $certificates (set by PIP_CERT or SSL_CERT_FILE)"
        cp -L "$certificates" "$context/ca-bundle.crt"
        options+=(--build-arg PIP_CERT=/source/ca-bundle.crt)
    fi
    say "building $tag on $base"
    DOCKER_BUILDKIT=0 docker build "${options[@]}" "$context" >&2
    docker run --rm --network none "$tag" --version >/dev/null
    say "$tag is ready: $(docker image inspect --format '{{.Size}}' "$tag" | numfmt --to=si --suffix=B)"
}

main
