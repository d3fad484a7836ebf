# The image of a release: the very binaries of its archives, straight from the context, without a stage, a shell or an
# emulator between. .ci/release puts this file beside them; the Dockerfile at the top is for everybody else.
FROM scratch
# Set by BuildKit for each platform; to the classic builder it has to be given.
ARG TARGETARCH
ARG VERSION
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="exeunt" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.description="Lets a Kubernetes Job and its sidecars leave together" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY ${TARGETARCH}/exeunt /exeunt
# A number, because an empty image has no /etc/passwd, and because runAsNonRoot cannot judge a name.
USER 65532:65532
ENTRYPOINT ["/exeunt"]
