# An image that holds one static binary and nothing else, to be copied from:
#
#     docker build -t exeunt .
#     COPY --from=exeunt /exeunt /exeunt
#
# BUILD_IMAGE needs the toolchain of rust-toolchain.toml, or rustup to fetch it; no C library for musl, no package. Where
# the binary has been built already, any image with a shell will do:
#
#     docker build -t exeunt --build-arg BUILD_IMAGE=busybox \
#         --build-arg PREBUILT=target/x86_64-unknown-linux-musl/release/exeunt .
#
# For several platforms at once, from what was built for each (target/TARGET/release/exeunt): PREBUILT=target.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-slim-bookworm

FROM ${BUILD_IMAGE} AS build
# Engines keep this stage, nameless and large, as a cache; by the label it can be found:
# docker image prune --filter label=exeunt.build-image
ARG BUILD_IMAGE
LABEL exeunt.build-image="${BUILD_IMAGE}"
# Set by BuildKit, Podman and Buildah; the classic builder leaves it empty and builds for its own platform.
ARG TARGETARCH
# One stage for both ways, and not a stage that compiles beside one that copies: the classic builder runs every stage up
# to the one it was asked for.
ARG PREBUILT
WORKDIR /build
COPY . .
RUN if [ -f "$PREBUILT" ]; then cp "$PREBUILT" /exeunt; exit; fi; \
    case "${TARGETARCH:-$(uname -m)}" in \
        amd64 | x86_64) target=x86_64-unknown-linux-musl ;; \
        arm64 | aarch64) target=aarch64-unknown-linux-musl ;; \
        *) echo "no target for ${TARGETARCH:-$(uname -m)}" >&2; exit 1 ;; \
    esac; \
    if [ -z "$PREBUILT" ]; then \
        if command -v rustup >/dev/null; then rustup target add "$target" || exit; fi; \
        cargo build --release --locked -p exeunt --target "$target" || exit; \
    fi; \
    cp "${PREBUILT:-target}/$target/release/exeunt" /exeunt

FROM scratch
# The release says which it is; whatever else is built has no version.
ARG VERSION=unreleased
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="exeunt" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.description="Lets a Kubernetes Job and its sidecars leave together" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /exeunt /exeunt
# A number, because an empty image has no /etc/passwd, and because runAsNonRoot cannot judge a name.
USER 65532:65532
ENTRYPOINT ["/exeunt"]
