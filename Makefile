# postern. `make help` lists what there is to do here.
#   CC=clang                  another compiler
#   SAN=address,undefined     a sanitised build, beside the plain one in build/san

CC      = gcc
PREFIX  = /usr/local
DESTDIR =
VERSION = 0.1.0

OUT := build$(if $(findstring fuzzer,$(SAN)),/fuzz,$(if $(SAN),/san))$(if $(filter clang%,$(CC)),/clang)

CPPFLAGS += -I. -D_GNU_SOURCE -DPOSTERN_VERSION='"$(VERSION)"'
CFLAGS   += -std=c17 -g -Wall -Wextra -Werror -Wswitch -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
            -Wpointer-arith -Wwrite-strings -fno-common -fstack-protector-strong
CFLAGS   += $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all,-O2 -D_FORTIFY_SOURCE=2)
LDFLAGS  += $(if $(SAN),-fsanitize=$(SAN)) -pthread
LDLIBS    = -luring -linih -ljansson -lcares -lpsl -llmdb -lssl -lcrypto -lm

# Debian 12 packages; `make deps` installs what is missing.
DEPS_BUILD = gcc libc6-dev liburing-dev libinih-dev libjansson-dev libssl-dev libc-ares-dev libpsl-dev liblmdb-dev
DEPS_TEST  = $(DEPS_BUILD) libcriterion-dev postfix amavisd-new spamassassin swaks libnet-ssleay-perl openssl unbound clang libclang-rt-14-dev clang-format clang-tidy cppcheck \
             perl procps git
DEPS_BENCH = $(DEPS_BUILD) perl postfix haproxy nginx unbound libnginx-mod-stream gnuplot-nox
# Clients that send mail in tests/system/clients.c; from libnss-wrapper on for Exim (tests/exim).
DEPS_TEST += curl msmtp python3 nodejs node-nodemailer libnss-wrapper libgnutls-dane0 libidn12 libnsl2
# Packages a goal needs; see tools in deps below.
DEPS       = $(DEPS_BUILD)

PARTS      := lb/base conf lb/privileges lb/smtp lb/dns lb/engine backends health lb/reputation lb/limits lb/gate lb/relay lb/feedback lb/control lb/manager
SOURCES    := $(filter-out conf/man.c,$(sort $(wildcard $(addsuffix /*.c,$(PARTS)))))
OBJECTS    := $(SOURCES:%.c=$(OUT)/obj/%.o)
LIBRARY    := $(OUT)/libpostern.a
PROGRAMS   := $(OUT)/postern $(OUT)/posternctl
BENCH      := $(OUT)/bench/sink $(OUT)/bench/load $(OUT)/bench/year $(OUT)/bench/reputations $(OUT)/bench/junk $(OUT)/bench/rude
UNIT       := $(sort $(wildcard tests/unit/*.c))
SYSTEM     := $(sort $(wildcard tests/system/*.c))
FUZZ       := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*.c)))
# Seconds that each fuzz target runs.
TIME       = 600

.PHONY: all deps deps-test deps-bench run test test-unit test-system test-fuzz test-sim fuzz sim bench bench-publish bench-failover bench-flood bench-rude bench-endings bench-year format tidy man install clean help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
# A make within this one shares its jobs.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

all: deps ## build postern and posternctl into build/
	@$(MAKE) --no-print-directory programs

.PHONY: programs bench-programs fuzz-programs
programs: $(PROGRAMS) ; @:
bench-programs: $(BENCH) ; @:

$(OUT)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC    $@'
	@$(CC) $(CPPFLAGS) $(CFLAGS) -pthread -MMD -MP -c -o $@ $<

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/postern: $(OUT)/obj/lb/main.o $(LIBRARY)
	@echo '  LINK  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# A program of its own: of the library it takes a few pure files, which need OpenSSL's HMAC and nothing else.
$(OUT)/posternctl: $(patsubst %.c,$(OUT)/obj/%.o,$(sort $(wildcard lb/posternctl/*.c))) $(LIBRARY)
	@echo '  LINK  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ -lcrypto

$(OUT)/man: $(OUT)/obj/conf/man.o $(LIBRARY)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

man: $(OUT)/man ## make conf/postern.ini.5 anew from the option table
	@$(OUT)/man > conf/postern.ini.5

# Of posternctl and of the load, what tests see.
FEED_PURE  := $(OUT)/obj/lb/posternctl/feed_join.o $(OUT)/obj/lb/posternctl/feed_log.o
LOAD_PURE  := $(OUT)/obj/bench/histogram.o $(OUT)/obj/bench/sizes.o $(OUT)/obj/bench/arrivals.o $(OUT)/obj/bench/load_report.o
$(OUT)/bench/sink: $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard bench/sink*.c) bench/tls.c) $(LIBRARY)
$(OUT)/bench/load: $(patsubst %.c,$(OUT)/obj/%.o,$(filter-out bench/load_report.c,$(wildcard bench/load*.c)) bench/tls.c) $(LOAD_PURE) $(LIBRARY)
$(OUT)/bench/junk: $(OUT)/obj/bench/junk.o $(LIBRARY)
$(OUT)/bench/rude: $(OUT)/obj/bench/rude.o $(LIBRARY)
$(OUT)/bench/year: $(OUT)/obj/bench/year.o $(LIBRARY)
$(OUT)/bench/reputations: $(OUT)/obj/bench/reputations.o $(LIBRARY)
$(BENCH):
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/unit: $(UNIT:%.c=$(OUT)/obj/%.o) $(FEED_PURE) $(LOAD_PURE) $(LIBRARY)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

$(OUT)/tests/system: $(SYSTEM:%.c=$(OUT)/obj/%.o) $(LIBRARY)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcriterion

# The simulator brings its own ring and log: the library's are not linked.
$(OUT)/tests/sim: $(patsubst %.c,$(OUT)/obj/%.o,$(sort $(wildcard tests/sim/*.c))) $(LIBRARY)
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/fuzz/feed: $(FEED_PURE)
$(OUT)/tests/fuzz/%: $(OUT)/obj/tests/fuzz/%.o $(LIBRARY)
	@mkdir -p $(@D) $(OUT)/corpus/$*
	@echo '  LINK  $@'
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

fuzz-programs: $(FUZZ:%=$(OUT)/tests/fuzz/%)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)

deps: ## install the Debian packages that a build needs, where missing
	@./tests/deps $(DEPS)
deps-test: ; @./tests/deps $(DEPS_TEST) && ./tests/exim
deps-bench: ; @./tests/deps $(DEPS_BENCH)

run: deps ## the demo: three backends, a strict host and postern on 127.0.0.1:2525; CONFIG=my.ini runs yours
	@$(MAKE) --no-print-directory programs bench-programs
	@$(if $(CONFIG),exec $(OUT)/postern -c '$(CONFIG)',exec bench/demo $(OUT))

test: deps-test ## everything that must hold: tidy, unit, fuzz, sim, system, with sanitizers
	@$(MAKE) --no-print-directory programs bench-programs
	@$(MAKE) --no-print-directory SAN=address,undefined programs bench-programs build/san/tests/unit
	@$(MAKE) --no-print-directory build/tests/system
	@$(MAKE) --no-print-directory tidy
	@$(MAKE) --no-print-directory test-fuzz
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-sim
	@$(MAKE) --no-print-directory test-system

test-unit: ## the pure parts, sanitised; FILTER='suite/name'
	@$(MAKE) --no-print-directory SAN=address,undefined build/san/tests/unit
	build/san/tests/unit $(if $(FILTER),--filter='$(FILTER)')

test-system: ## the real binary against real peers; FILTER='suite/name'
	@$(MAKE) --no-print-directory programs bench-programs
	@$(MAKE) --no-print-directory SAN=address,undefined programs bench-programs
	@$(MAKE) --no-print-directory build/tests/system
	build/tests/system -j3 $(if $(FILTER),--filter='$(FILTER)')

# Each target alone says little when all is well; when it is not, its input is left in build/fuzz.
test-fuzz:
	@$(MAKE) --no-print-directory fuzz TIME=2

test-sim:
	@$(MAKE) --no-print-directory SAN=address,undefined SEEDS=300 sim

# Seeds of the simulator, from which, and how many sessions each.
SEEDS    = 1000
FROM     = 1
sim: deps ## simulated worlds of clients and backends; SEEDS=N FROM=seed
	@$(MAKE) --no-print-directory $(OUT)/tests/sim
	@$(OUT)/tests/sim --from $(FROM) --seeds $(SEEDS)

fuzz: deps-test ## each parser under libFuzzer; TIME=seconds each
	@$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined fuzz-programs
	@echo $(FUZZ) | xargs -n 1 -P 2 tests/fuzz/run build/fuzz/clang $(TIME)

format: ## rewrite the sources by .clang-format
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

tidy: ## style and structure; prints nothing when all is well
	@./tests/tidy

# Parts of bench/compare.
BENCH_PARTS = sessions bulk throughput latency idle start growth load

bench: deps-bench ## what all costs, side by side with HAProxy and nginx; a part: bench-sessions, -bulk, -throughput, -latency, -idle, -start, -growth, -load
	@$(MAKE) --no-print-directory programs bench-programs
	@bench/compare $(if $(QUICK),--quick) $(OUT)

.PHONY: $(BENCH_PARTS:%=bench-%)
$(BENCH_PARTS:%=bench-%): bench-%: deps-bench
	@$(MAKE) --no-print-directory programs bench-programs
	@bench/compare $(if $(QUICK),--quick) --only $* $(OUT)

bench-publish: ## the last `make bench` into bench/FIGURES.md and bench/plots
	@bench/report --publish $(OUT)

bench-failover: deps-bench ## what sessions meet when a backend fails, side by side with HAProxy and nginx
	@$(MAKE) --no-print-directory programs bench-programs
	@bench/failover $(OUT)

bench-flood: deps-bench ## junk before the gate, each against one rule, and a good client's mail meanwhile
	@$(MAKE) --no-print-directory programs bench-programs
	@bench/flood $(OUT)

bench-rude: deps-bench ## ten minutes of rude clients before healthy backends, good mail meanwhile, and one that really fails
	@$(MAKE) --no-print-directory programs bench-programs
	@bench/rude-clients $(OUT)

bench-endings: deps-bench ## 9,000 sessions brought to their end in one instant, in seven ways, and good mail meanwhile
	@$(MAKE) --no-print-directory programs bench-programs
	@bench/endings $(OUT)

bench-year: deps ## a simulated year of mail: who is vetted, and what the strict host would have met
	@$(MAKE) --no-print-directory programs bench-programs
	@$(OUT)/bench/year

install: all ## into $(DESTDIR)$(PREFIX)
	install -D -m 0755 build/postern $(DESTDIR)$(PREFIX)/sbin/postern
	install -D -m 0755 build/posternctl $(DESTDIR)$(PREFIX)/bin/posternctl
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 lb/postern.8
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man5 conf/postern.ini.5
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man1 lb/posternctl/posternctl.1
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/postern README.md LICENSE conf/postern.ini conf/vetted
	find conf/postfix -type f -printf '%P\n' | while read -r file; do \
	    install -D -m 0644 conf/postfix/$$file $(DESTDIR)$(PREFIX)/share/doc/postern/postfix/$$file; done

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
