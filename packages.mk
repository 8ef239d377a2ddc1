# Every Debian 12 package that the project needs, by purpose. `make deps` installs all of them.

PACKAGES_BUILD := gcc libc6-dev pkg-config libssl-dev libsodium-dev libdb5.3-dev libpam0g-dev \
	libev-dev libseccomp-dev libconfuse-dev libidn2-dev libidn-dev libunistring-dev libunbound-dev libcurl4-openssl-dev libmicrohttpd-dev zlib1g-dev libjansson-dev uthash-dev
PACKAGES_DEMO := dns-root-data openssl ca-certificates curl swaks libnet-ssleay-perl
PACKAGES_TEST := clang llvm libclang-rt-14-dev libcmocka-dev libpam-wrapper libnss-wrapper python3 \
	python3-pytest python3-pytest-timeout python3-pytest-xdist openssl curl swaks libnet-ssleay-perl msmtp \
	neomutt isync fetchmail knot dns-root-data strace e2fsprogs xfsprogs iproute2 $(RECEIVER_LIBRARIES)
PACKAGES_LINT := clang clang-tidy clang-format
# Mail servers that tests send to: unpacked into build/receivers, never installed. What they need is installed.
RECEIVERS := postfix exim4-daemon-light opensmtpd
RECEIVER_LIBRARIES := libicu72 libsasl2-2 libnsl2 libgnutls-dane0 libidn12 libpcre2-8-0 libevent-2.1-7
