# staffetta: `make help` lists what there is to make.
#
# Convention instead of lists: a file NAME_main.c holds the main() of a program and of nothing else;
# all other sources of a top-level folder form that folder's archive, from which the linker takes
# only what a program calls (so `mailbox` never meets OpenSSL). A test is one file, one program.

BUILD  ?= build
PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := gcc
endif
PYTHON ?= /usr/bin/python3
JOBS   ?= $(shell nproc)
MAKEFLAGS += --no-builtin-rules

include packages.mk

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wformat=2 -Wundef -Wvla -Wpointer-arith -Wwrite-strings -Wcast-qual \
	-Wimplicit-fallthrough -Werror
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
OPTIMISE ?= -O2 -g
SANITISE ?=
LINKER ?=
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I$(BUILD)/generated
CFLAGS   += -std=gnu11 $(WARNINGS) $(OPTIMISE) $(HARDENING) $(SANITISE) -MMD -MP
LDFLAGS  += -pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed $(SANITISE) $(LINKER)
LIBRARIES := -lev -lsodium -lssl -lcrypto -ldb-5.3 -lpam -lseccomp -lconfuse -lidn2 -lidn -lunistring -lunbound -lcurl -lmicrohttpd -ljansson -lz -lresolv

FOLDERS  := common storage smtpd imapd pop3d ctl
sources   = $(sort $(shell find $(1) -name '*.c' ! -name '*_main.c'))
objects   = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
archive   = $(BUILD)/lib/lib$(1).a

# program: source of main(), then the archives it may take from (the rule of who may use whom)
PROGRAMS := \
	libexec/master:ctl/master/master_main.c:ctl,common \
	libexec/journal:ctl/journal/journal_main.c:ctl,common \
	libexec/http:ctl/http/http_main.c:ctl,common \
	libexec/auth:common/auth/auth_main.c:common \
	libexec/check:common/auth/check_main.c:common \
	libexec/keys:common/auth/keys_main.c:common \
	libexec/resolver:common/dns/resolver_main.c:common \
	libexec/smtpd-session:smtpd/session/session_main.c:smtpd,storage,common \
	libexec/smtpd-filter:smtpd/filter/filter_main.c:smtpd,storage,common \
	libexec/smtpd-queue:smtpd/queue/queue_main.c:smtpd,storage,common \
	libexec/smtpd-deliver:smtpd/deliver/deliver_main.c:smtpd,storage,common \
	libexec/smtpd-relay:smtpd/relay/relay_main.c:smtpd,common \
	libexec/fetch:smtpd/fetch/fetch_main.c:smtpd,common \
	libexec/imapd-login:imapd/login_main.c:imapd,storage,common \
	libexec/imapd-mailbox:imapd/mailbox_main.c:imapd,storage,common \
	libexec/pop3d-login:pop3d/login_main.c:pop3d,storage,common \
	libexec/pop3d-maildrop:pop3d/maildrop_main.c:pop3d,storage,common \
	staffetta:ctl/command/staffetta_main.c:ctl,storage,common

# One short line for each file; the whole commands with V=1.
run = $(if $(V),,@$(info $(space) $(1) $(space)$@))

comma := ,
space := $(subst ,, )
field  = $(word $(2),$(subst :, ,$(1)))
program_paths := $(foreach p,$(PROGRAMS),$(BUILD)/$(call field,$(p),1))

.DEFAULT_GOAL := all
.PHONY: all
all: $(program_paths) ## build the programs into build/ (the default)

define program_rule
$(BUILD)/$(call field,$(1),1): $(BUILD)/obj/$(patsubst %.c,%.o,$(call field,$(1),2)) \
		$(foreach f,$(subst $(comma), ,$(call field,$(1),3)),$(call archive,$(f)))
	@mkdir -p $$(@D)
	$$(call run,LD) $$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBRARIES)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

define archive_rule
$(call archive,$(1)): $(call objects,$(call sources,$(1)))
	@mkdir -p $$(@D) && rm -f $$@
	$$(call run,AR) $$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive_rule,$(f))))

# Neither a shell nor a mkdir for each of a thousand files: a tenth of the time they take.
.SECONDEXPANSION:
.PRECIOUS: $(BUILD)/obj/%/.
$(BUILD)/obj/%/.:
	@mkdir -p $@
$(BUILD)/obj/%.o: %.c | $$(@D)/.
	$(call run,CC) $(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Tables of characters, by iconv(3) of the machine that builds.
$(BUILD)/tools/charset_tables: $(BUILD)/obj/common/mime/charset_tables_main.o
	@mkdir -p $(@D)
	$(call run,LD) $(CC) $(LDFLAGS) -o $@ $^
$(BUILD)/generated/common/mime/charset_tables.h: $(BUILD)/tools/charset_tables
	@mkdir -p $(@D)
	$(call run,GEN) $< >$@.new && mv $@.new $@
$(BUILD)/obj/common/mime/charset.o: $(BUILD)/generated/common/mime/charset_tables.h

all_archives := $(foreach f,ctl smtpd imapd pop3d storage common,$(call archive,$(f)))

# Unit tests: tests/unit/NAME_test.c is build/unit/NAME_test.
unit_sources := $(sort $(wildcard tests/unit/*_test.c))
unit_programs := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(unit_sources))

.PHONY: unit
unit: $(unit_programs) ## build the unit tests into $(BUILD)/unit/
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(all_archives)
	@mkdir -p $(@D)
	$(call run,LD) $(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBRARIES)

# What only tests is compiled for one run of it.
$(BUILD)/obj/tests/unit/%.o $(BUILD)/obj/tests/fuzz/replay.o: override OPTIMISE := -O0 -g1

# PAM's own entry points come before libpam's: no test touches the system's accounts.
$(BUILD)/unit/pam_check_test: private LIBRARIES := -lpam_wrapper $(LIBRARIES)

# Fuzz targets: tests/fuzz/NAME_fuzz.c is build/fuzz/fuzz/NAME_fuzz, FUZZ_SECONDS each; and
# $(BUILD)/replay/NAME_fuzz, which only takes files, for `make check`.
FUZZ_SECONDS ?= 60
fuzz_sources := $(sort $(wildcard tests/fuzz/*_fuzz.c))
fuzz_programs := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(fuzz_sources))
replay_programs := $(patsubst tests/fuzz/%.c,$(BUILD)/replay/%,$(fuzz_sources))

.PHONY: fuzz fuzz-build fuzz-programs
fuzz: fuzz-build ## run each fuzz target for FUZZ_SECONDS (60)
	$(PYTHON) tests/fuzz/run.py build/fuzz/fuzz --seconds $(FUZZ_SECONDS)
fuzz-build: deps-test
	+$(MAKE) -j$(JOBS) BUILD=build/fuzz CC=clang OPTIMISE='-O1 -g' HARDENING=-fPIE \
		SANITISE='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined' \
		fuzz-programs
fuzz-programs: $(fuzz_programs)
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(all_archives)
	@mkdir -p $(@D)
	$(call run,LD) $(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBRARIES)
$(BUILD)/replay/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(all_archives)
	@mkdir -p $(@D)
	$(call run,LD) $(CC) $(LDFLAGS) -o $@ $^ $(LIBRARIES)

# All tests, in a build of their own under sanitizers; a part of them with what users run, too:
# run.py makes that meanwhile.
.PHONY: check check-build check-programs torture
check: check-build ## install what tests need, build, run all tests under sanitizers
	$(PYTHON) tests/run.py build/check --plain $(BUILD)
# Line numbers alone, and a linker that takes a third of the time: this is built to be run once. Nothing
# to relocate, and no libstdc++ for libubsan: thousands of its processes are started.
check-build: deps-test
	+$(MAKE) -j$(JOBS) BUILD=build/check OPTIMISE='-O1 -g1' HARDENING=-fno-pie \
		LINKER='-fuse-ld=gold -no-pie -static-libubsan' \
		SANITISE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' check-programs
check-programs: all unit $(replay_programs) $(BUILD)/e2e/hijacker $(BUILD)/e2e/mailbox_hijacker $(BUILD)/fault/fail_call.so $(BUILD)/fault/step_clock.so
$(BUILD)/fault/%.so: tests/fault/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -fPIC -shared $(SANITISE) -o $@ $< -ldl
$(BUILD)/e2e/hijacker: $(BUILD)/obj/tests/e2e/hijacker.o $(call archive,common)
	@mkdir -p $(@D)
	$(call run,LD) $(CC) $(LDFLAGS) -o $@ $^ $(LIBRARIES)
$(BUILD)/e2e/mailbox_hijacker: $(BUILD)/obj/tests/e2e/mailbox_hijacker.o $(call archive,imapd) $(call archive,storage) $(call archive,common)
	@mkdir -p $(@D)
	$(call run,LD) $(CC) $(LDFLAGS) -o $@ $^ $(LIBRARIES)
torture: check-build ## the fault loops whole, not a sample
	$(PYTHON) tests/run.py build/check --only fault --torture

# Where Debian's postfix, dovecot-imapd and dovecot-pop3d are installed they are measured too.
.PHONY: bench
bench: deps-test all $(BUILD)/bench/load $(BUILD)/bench/imap_load ## measure speed and memory, beside Postfix and Dovecot
	STAFFETTA_BUILD=$(BUILD) $(PYTHON) tests/bench/bench.py
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/obj/tests/bench/client.o
	@mkdir -p $(@D)
	$(call run,LD) $(CC) $(LDFLAGS) -o $@ $^ -lssl -lcrypto

.PHONY: lint
lint: deps-lint ## format, includes, forbidden calls, man pages, clang-tidy
	$(PYTHON) tests/lint.py

# Debian packages; see packages.mk.
.PHONY: deps deps-build deps-demo deps-test deps-lint
deps: ## install all Debian packages that anything here needs
	@sh conf/deps.sh $(sort $(PACKAGES_BUILD) $(PACKAGES_DEMO) $(PACKAGES_TEST) $(PACKAGES_LINT))
	@sh conf/receivers.sh build/receivers $(RECEIVERS)
deps-build:
	@sh conf/deps.sh $(PACKAGES_BUILD)
deps-demo:
	@sh conf/deps.sh $(sort $(PACKAGES_BUILD) $(PACKAGES_DEMO))
deps-test:
	@sh conf/deps.sh $(sort $(PACKAGES_BUILD) $(PACKAGES_TEST))
	@sh conf/receivers.sh build/receivers $(RECEIVERS)
deps-lint:
	@sh conf/deps.sh $(sort $(PACKAGES_BUILD) $(PACKAGES_LINT))

# A demo domain in the foreground. DEMO_DIR, PORT_BASE and DEMO_ROUTES are conf/demo.sh's.
.PHONY: demo demo-build
demo: demo-build ## build and run a demo domain on ports from PORT_BASE (10000); DEMO_ROUTES="d.test=127.0.0.1:2525": mail for d.test goes there
	@exec sh conf/demo.sh $(BUILD)
demo-build: deps-demo
	+@$(MAKE) -j$(JOBS) all

# Man pages. The keys of staffetta.conf(5) are those of docs/configuration.md, written once.
man_sources := $(wildcard docs/man/*.8)
man_configuration := $(BUILD)/man/staffetta.conf.5
.PHONY: man
man: $(man_configuration)
$(man_configuration): docs/configuration.md $(wildcard docs/man/staffetta.conf.5.*) docs/man/markdown.awk
	@mkdir -p $(@D)
	$(call run,MAN) cat docs/man/staffetta.conf.5.head >$@.new \
		&& awk -f docs/man/markdown.awk docs/configuration.md >>$@.new \
		&& cat docs/man/staffetta.conf.5.tail >>$@.new && mv $@.new $@

# The programs find each other by their place: lib/staffetta is build/ again.
SYSCONFDIR ?= /etc
installed = $(DESTDIR)$(PREFIX)/lib/staffetta
with_prefix = sed 's|@PREFIX@|$(PREFIX)|g'
sendmail_names = sendmail mailq newaliases

# Where programs look for sendmail. Debian's servers conflict as packages and bring it as a file: that is
# theirs, and left alone. Where there is none, or a link of update-alternatives, we are a choice of those.
LINKS ?= /usr
UPDATE_ALTERNATIVES ?= update-alternatives
.PHONY: install-alternatives uninstall-alternatives
install-alternatives:
	@if ! command -v $(firstword $(UPDATE_ALTERNATIVES)) >/dev/null; then \
		echo "There is no update-alternatives: $(LINKS)/sbin/sendmail is left as it is."; \
	elif test -e $(LINKS)/sbin/sendmail && ! test -L $(LINKS)/sbin/sendmail; then \
		echo "$(LINKS)/sbin/sendmail is another mail server's (dpkg -S tells whose), and left as it is."; \
	else \
		install -d $(LINKS)/sbin $(LINKS)/bin; \
		$(UPDATE_ALTERNATIVES) --install $(LINKS)/sbin/sendmail mta-sendmail $(PREFIX)/sbin/sendmail 30 \
			--slave $(LINKS)/bin/mailq mta-mailq $(PREFIX)/sbin/mailq \
			--slave $(LINKS)/bin/newaliases mta-newaliases $(PREFIX)/sbin/newaliases; fi
uninstall-alternatives:
	@! command -v $(firstword $(UPDATE_ALTERNATIVES)) >/dev/null \
		|| $(UPDATE_ALTERNATIVES) --remove mta-sendmail $(PREFIX)/sbin/sendmail 2>/dev/null || true

.PHONY: uninstall
uninstall: ## take away what install brought; configuration, state and mail stay
	test -n "$(DESTDIR)" || $(MAKE) --no-print-directory uninstall-alternatives
	for name in staffetta $(sendmail_names); do file=$(DESTDIR)$(PREFIX)/sbin/$$name; \
		case "$$(readlink $$file)" in ../lib/staffetta/staffetta) rm $$file ;; esac; done
	rm -rf $(installed) $(DESTDIR)$(PREFIX)/share/doc/staffetta
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man5/,$(notdir $(man_configuration)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,$(notdir $(man_sources)))
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/staffetta.service $(DESTDIR)$(PREFIX)/lib/sysusers.d/staffetta.conf

.PHONY: install
install: all man ## install to PREFIX (/usr/local) below DESTDIR; configuration that is there stays
	install -d $(installed)/libexec $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(BUILD)/staffetta $(installed)/staffetta
	install -m 755 $(filter $(BUILD)/libexec/%,$(program_paths)) $(installed)/libexec/
	ln -sf ../lib/staffetta/staffetta $(DESTDIR)$(PREFIX)/sbin/staffetta
	for name in $(sendmail_names); do \
		test -e $(DESTDIR)$(PREFIX)/sbin/$$name || ln -s ../lib/staffetta/staffetta $(DESTDIR)$(PREFIX)/sbin/$$name; done
	install -d $(DESTDIR)$(PREFIX)/share/doc/staffetta
	install -m 644 README.md $(filter-out docs/README.md,$(wildcard docs/*.md)) conf/staffetta.conf $(DESTDIR)$(PREFIX)/share/doc/staffetta/
	install -d $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(man_configuration) $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 $(man_sources) $(DESTDIR)$(PREFIX)/share/man/man8/
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d
	$(with_prefix) conf/staffetta.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/staffetta.service
	install -m 644 conf/staffetta.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/staffetta.conf
	install -d $(DESTDIR)$(SYSCONFDIR)/pam.d $(DESTDIR)$(SYSCONFDIR)/staffetta
	test -e $(DESTDIR)$(SYSCONFDIR)/pam.d/staffetta \
		|| install -m 644 conf/staffetta.pam $(DESTDIR)$(SYSCONFDIR)/pam.d/staffetta
	for name in staffetta.conf aliases; do \
		test -e $(DESTDIR)$(SYSCONFDIR)/staffetta/$$name \
			|| install -m 644 conf/$$name $(DESTDIR)$(SYSCONFDIR)/staffetta/$$name; done
	test -n "$(DESTDIR)" || $(MAKE) --no-print-directory install-alternatives
	@test -n "$(DESTDIR)" || if command -v systemd-sysusers >/dev/null; \
		then systemd-sysusers $(PREFIX)/lib/sysusers.d/staffetta.conf; \
		else echo "Make the users in $(PREFIX)/lib/sysusers.d/staffetta.conf: systemd-sysusers is not here."; fi

.PHONY: clean
clean: ## remove what was built, the demo's state too
	rm -rf build

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.PRECIOUS: $(BUILD)/obj/%.o
