# A static binary in an empty root: no shell, no package, no C library to patch. Names are resolved by the binary itself,
# which is what allows glibc to be linked statically (getaddrinfo is never called). Random numbers come from /dev/urandom
# there: every container runtime has it, a bare chroot needs the nodes /dev/random and /dev/urandom.
#
#   docker build -t portcullis .
#   docker run --network host -v /etc/portcullis/config:/etc/portcullis/config portcullis
#
# The process is user 65532: the configuration and the keys that it names must be readable for it (`chown 65532`, mode 0400).
# Records of calls go where `[cdr]` says, inside the container unless that is mounted too:
# `-v /var/log/portcullis:/var/log/portcullis`, owned by 65532; likewise /var/lib/portcullis with the store of registrations.
#
# There is no espeak-ng in it: verbs that speak need a speech service of their tenant (`[speech_service.<name>]`), else they fail.
#
# `docker stop --timeout 3930 …`: longer than `drain` of sbc.toml and the hour of emergency calls, so that calls get their BYE.
#
# Host networking: a media range of thousands of UDP ports through Docker's proxy would cost more than the SBC itself.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The target is named, though it is the machine's own, so that build scripts and macros aren't linked statically too.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" --bin portcullis \
    && mkdir -p /root-fs/etc/portcullis/config /root-fs/etc/portcullis/certs /root-fs/var/lib/portcullis \
        /root-fs/var/log/portcullis /root-fs/etc/ssl/certs /root-fs/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ \
    && cp "target/$target/release/portcullis" /root-fs/portcullis \
    && strip --strip-debug /root-fs/portcullis \
    && cp -r certs/. /root-fs/etc/portcullis/certs/ \
    && if [ -d config ]; then cp -r config/. /root-fs/etc/portcullis/config/; fi \
    && chown -R 65532:65532 /root-fs/var/lib/portcullis /root-fs/var/log/portcullis /root-fs/etc/portcullis/config /root-fs/tmp

FROM scratch
COPY --from=build /root-fs/ /
USER 65532:65532
# `config/` and `certs/` are found from here.
WORKDIR /etc/portcullis
EXPOSE 5060/udp 5060/tcp 5061/tcp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/portcullis"]
CMD ["run"]
