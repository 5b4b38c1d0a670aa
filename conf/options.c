/* The table of options and the table of sections. To add an option: a field in config.h, a row here, a run of `make
 * man`. A field that a row leaves out is 0 or NULL; its default text is always given. */
#include "conf/options.h"

#include "conf/limits.h"
#include "conf/words.h"

#include <string.h>
#include <strings.h>

#define MS  UINT64_C(1)
#define SEC (1000 * MS)
#define MIN (60 * SEC)
#define DAY (1440 * MIN)

#define SINGLE(word, member, text)                                                                                     \
    {                                                                                                                  \
        .name = word, .offset = offsetof(struct config, member), .bytes = sizeof(((struct config *)0)->member),        \
        .most = 1, .help = text                                                                                        \
    }
#define NAMED(word, member, at_most, text)                                                                             \
    {                                                                                                                  \
        .name = word, .is_named = true, .offset = offsetof(struct config, member),                                     \
        .count_offset = offsetof(struct config, member##_count), .bytes = sizeof(*((struct config *)0)->member),       \
        .most = at_most, .help = text                                                                                  \
    }

const struct section_type section_types[SECTIONS_COUNT] = {
    [SECTION_GLOBAL] = SINGLE("global", global, "The process."),
    [SECTION_LISTEN] = NAMED("listen", listens, CONFIG_LISTENS_MAX, "Where clients connect."),
    [SECTION_TIMEOUTS] = SINGLE("timeouts", timeouts, "How long postern waits, for whom."),
    [SECTION_TIER] = NAMED("tier", tiers, CONFIG_TIERS_MAX, "A group of backends; tiers stand in order of priority."),
    [SECTION_BACKEND] = NAMED("backend", backends, CONFIG_BACKENDS_MAX, "A mail server behind postern."),
    [SECTION_REPUTATION] = SINGLE("reputation", reputation, "Who is vetted."),
    [SECTION_DNSLIST] = NAMED("dnslist", dnslists, CONFIG_DNSLISTS_MAX, "A DNS block or allow list (RFC 5782)."),
    [SECTION_GATE] = SINGLE("gate", gate, "The strict dialog before a tier with gate = on."),
    [SECTION_LIMITS] =
        SINGLE("limits", limits, "What one client may have, beside the limits of its listener and tier."),
    [SECTION_DNS] = SINGLE("dns", dns, "The resolver."),
    [SECTION_CONTROL] = SINGLE("control", control, "The control socket."),
    [SECTION_STATUS] = SINGLE("status", status, "The status page and metrics."),
    [SECTION_FEEDBACK] = SINGLE("feedback", feedback, "Where mail filters report outcomes."),
};

#define OPTION(its_section, its_name, its_type, its_place, ...)                                                        \
    { .section = SECTION_##its_section, .name = its_name, .type = OPTION_##its_type, .offset = its_place, __VA_ARGS__ }
#define AT(type, member) offsetof(struct config_##type, member)
#define NOT_YET          OPTION_NO_EFFECT

const struct option options[] = {
    OPTION(GLOBAL, "hostname", HOSTNAME, AT(global, hostname), .default_text = "",
           .help = "The name in postern's own replies. Default: the host's full name."),
    OPTION(GLOBAL, "workers", NUMBER, AT(global, workers), .default_text = "auto", .max = CONFIG_WORKERS_MAX,
           .flags = OPTION_AUTO, .help = "Threads with a ring each; auto = one per CPU."),
    OPTION(GLOBAL, "user", USER, AT(global, user), .default_text = "postern",
           .help = "The user to drop to after binding, when started as root; it has to exist. empty = stay root, with "
                   "a warning."),
    OPTION(GLOBAL, "max-sessions", NUMBER, AT(global, sessions_max), .default_text = "auto", .max = 1000000,
           .flags = OPTION_AUTO,
           .help = "Sessions at once over all workers; auto = what RLIMIT_NOFILE allows, 20000 at most."),
    OPTION(GLOBAL, "state-dir", PATH, AT(global, state_dir), .default_text = "/var/lib/postern",
           .help = "Where reputations are kept over restarts; empty = nothing is kept."),
    OPTION(GLOBAL, "drain-time", DURATION, AT(global, drain_time_ms), .default_text = "10m", .max = DAY,
           .help = "How long `wait drained` waits for sessions to end."),
    OPTION(GLOBAL, "stop-timeout", DURATION, AT(global, stop_timeout_ms), .default_text = "90s", .max = DAY,
           .help = "After SIGTERM, `shutdown sessions` or `del server NAME force`: how long sessions in content, at "
                   "the final dot or inside STARTTLS may go on. Then they are cut, and mails that might be delivered "
                   "twice are logged. A service manager must wait longer (systemd: TimeoutStopSec)."),
    OPTION(GLOBAL, "log", LOG, AT(global, log), .default_text = "stderr", .flags = OPTION_REQUIRED,
           .help = "stderr, syslog, or the path of a file."),
    OPTION(GLOBAL, "log-level", WORD_OF, AT(global, log_level), .default_text = "info", .words = log_level_words,
           .help = "The least that is logged; info has a line for each session."),

    OPTION(LISTEN, "address", ADDRESSES, AT(listen, addresses), .default_text = "", .flags = OPTION_REQUIRED,
           .default_port = 25,
           .help = "One or more addresses, as 0.0.0.0:25 [::]:25; without a port: 25. [::] takes IPv6 alone, so that "
                   "both are named for both."),
    OPTION(
        LISTEN, "proxy-from", CIDRS, AT(listen, proxy_from), .default_text = "",
        .help =
            "Networks whose clients must send a PROXY header first; all others must not: such a session is ended, "
            "also where the header is the first that is said behind the greeting. Where networks are given, all "
            "others hear a server's greeting 50 ms after they have connected, not sooner, so that a balancer that was "
            "forgotten here is cut before it has heard one; the gate's own greeting does not wait. A header that names "
            "no client (v2 "
            "LOCAL, v1 UNKNOWN) is the health check of the balancer there: it is greeted while any tier serves "
            "anybody, else hears 421, and its MAIL hears 421; it is no client, takes no place of max-sessions, and "
            "is logged at level debug. ::ffff:192.0.2.0/120 is 192.0.2.0/24, here and in all files."),
    OPTION(LISTEN, "proxy-timeout", DURATION, AT(listen, proxy_timeout_ms), .default_text = "3s", .min = MS,
           .max = 10 * MIN, .help = "How long to wait for the PROXY header."),
    OPTION(LISTEN, "max-per-client", NUMBER, AT(listen, per_client_max), .default_text = "50",
           .max = CONFIG_PER_CLIENT_MAX,
           .help =
               "Sessions at once from one client, an IPv4 /32 or IPv6 /64, where a PROXY header names it: that one; "
               "more hear 421 4.7.0. Not for limits-except, and more for who is vetted, see [limits]; 0 = off."),
    OPTION(LISTEN, "connect-rate", RATE, AT(listen, connect_rate), .default_text = "0",
           .help = "Connections that one client may make in a time, as 30/1m; more hear 421 4.7.0, and count neither "
                   "here nor in max-per-client; 0 = off."),

    OPTION(TIMEOUTS, "connect", DURATION, AT(timeouts, connect_ms), .default_text = "3s", .min = MS, .max = 10 * MIN,
           .help = "A backend's TCP connection; then the next one is tried."),
    OPTION(TIMEOUTS, "greeting", DURATION, AT(timeouts, greeting_ms), .default_text = "10s", .min = MS, .max = 10 * MIN,
           .help = "A backend's complete 220; then the next one is tried."),
    OPTION(TIMEOUTS, "hedge-after", DURATION, AT(timeouts, hedge_after_ms), .default_text = "1s", .max = 10 * MIN,
           .help = "Silence after which another backend is tried in parallel; 0 = off."),
    OPTION(TIMEOUTS, "client", DURATION, AT(timeouts, client_ms), .default_text = "5m", .min = MS, .max = DAY,
           .help = "A client's next command (RFC 5321 section 4.5.3.2.7: 5 minutes), its next octets of content, and "
                   "its taking of what it was told. What the other side says meanwhile does not put it off; nor does "
                   "it with the next two."),
    OPTION(TIMEOUTS, "reply", DURATION, AT(timeouts, reply_ms), .default_text = "60s", .min = MS, .max = DAY,
           .help =
               "A backend's reply before content, from when the oldest command was owed one, or from its last reply."),
    OPTION(TIMEOUTS, "server", DURATION, AT(timeouts, server_ms), .default_text = "9m", .min = MS, .max = DAY,
           .help = "A backend's reply to content and the final dot; clients wait 10 minutes."),

    OPTION(TIER, "balance", WORD_OF, AT(tier, balance), .default_text = "leastconn", .words = balance_words,
           .help = "How a backend is chosen."),
    OPTION(TIER, "admit", WORD_OF, AT(tier, admit), .default_text = "all", .words = admit_words,
           .help = "Whom this tier serves. A client that no tier which is up serves hears 421 4.3.2, or what [gate] "
                   "refuse says."),
    OPTION(TIER, "gate", BOOL, AT(tier, gate), .default_text = "no",
           .help = "Whether postern speaks SMTP itself by the rules of [gate], and connects to a backend only at the "
                   "first recipient that they let pass, or at STARTTLS."),
    OPTION(TIER, "min-up", NUMBER, AT(tier, up_min), .default_text = "1", .max = CONFIG_BACKENDS_MAX,
           .help = "With fewer usable backends the tier hands over to the next one."),
    OPTION(TIER, "failback-delay", DURATION, AT(tier, failback_delay_ms), .default_text = "10s", .max = DAY,
           .help = "How long min-up must hold before the tier takes over again from a lower one."),
    OPTION(TIER, "queue", NUMBER, AT(tier, queue_max), .default_text = "1000", .max = 1000000,
           .help = "Sessions that may wait for a free slot; more hear 421."),
    OPTION(TIER, "queue-timeout", DURATION, AT(tier, queue_timeout_ms), .default_text = "30s", .min = MS, .max = DAY,
           .help = "How long a session may wait."),
    OPTION(TIER, "check", WORD_OF, AT(tier, check), .default_text = "ehlo", .words = check_words,
           .help = "How deep a probe goes, each level including those before; mail uses TLS where it is offered. gate "
                   "= on needs ehlo or a higher one. Where sessions fail in a row one goes as deep as they did, up "
                   "to RCPT (see outlier)."),
    OPTION(TIER, "check-require", WORDS, AT(tier, check_require), .default_text = "",
           .help = "EHLO keywords a backend must offer, as STARTTLS PIPELINING."),
    OPTION(TIER, "check-from", SENDER, AT(tier, check_from), .default_text = "<>",
           .help = "The sender of a mail probe."),
    OPTION(TIER, "check-rcpt", MAILBOX, AT(tier, check_rcpt), .default_text = "",
           .help = "The recipient of a mail probe; empty = postmaster, where one is sent for outlier."),
    OPTION(TIER, "check-timeout", DURATION, AT(tier, check_timeout_ms), .default_text = "8s", .min = MS,
           .max = 10 * MIN, .help = "A whole probe; postscreen lets one wait 6 seconds."),
    OPTION(TIER, "inter", DURATION, AT(tier, inter_ms), .default_text = "2s", .min = 10 * MS, .max = DAY,
           .help = "Between probes."),
    OPTION(TIER, "fastinter", DURATION, AT(tier, fastinter_ms), .default_text = "500ms", .min = 10 * MS, .max = DAY,
           .help = "Between probes while the state is changing."),
    OPTION(TIER, "downinter", DURATION, AT(tier, downinter_ms), .default_text = "2s", .min = 10 * MS, .max = DAY,
           .help = "Between probes while down."),
    OPTION(TIER, "rise", NUMBER, AT(tier, rise), .default_text = "2", .min = 1, .max = 64,
           .help = "Probes passed in a row to be up."),
    OPTION(TIER, "fall", NUMBER, AT(tier, fall), .default_text = "3", .min = 1, .max = 64,
           .help = "Probes failed in a row to be down."),
    OPTION(TIER, "outlier", NUMBER, AT(tier, outlier), .default_text = "5", .max = 1000,
           .help = "Sessions in a row that a backend failed, and others of the tier served, that eject it where a "
                   "probe fails there, too; 0 = off. See postern(8)."),
    OPTION(TIER, "slowstart", DURATION, AT(tier, slowstart_ms), .default_text = "0s", .max = DAY,
           .help = "How long weight and limit grow after coming up."),
    OPTION(TIER, "proxy", WORD_OF, AT(tier, proxy), .default_text = "none", .words = proxy_words,
           .help = "The PROXY header that backends expect."),
    OPTION(TIER, "source", HOSTS, AT(tier, source), .default_text = "",
           .help = "Own addresses to connect from, in turn; empty = the system's choice. Of IPv6 with or without "
                   "brackets; where the last group could be taken for a port, as in [2001:db8::11:25], with them."),
    OPTION(TIER, "max-sessions", NUMBER, AT(tier, backend_sessions_max), .default_text = "0", .max = 1000000,
           .help = "Sessions at once on each backend; 0 = no limit."),
    OPTION(TIER, "max-per-client", NUMBER, AT(tier, per_client_max), .default_text = "0", .max = CONFIG_PER_CLIENT_MAX,
           .help = "Sessions at once from one client on this tier, those that wait for it among them; more hear 421 "
                   "4.7.0 in place of the greeting. One that the client has been greeted in goes on, whatever the "
                   "tier that takes it over allows; 0 = off."),
    OPTION(TIER, "connect-rate", RATE, AT(tier, connect_rate), .default_text = "0",
           .help = "Sessions of one client that this tier takes in a time, likewise; 0 = off."),

    OPTION(BACKEND, "tier", SECTION, AT(backend, tier_name), .default_text = "", .flags = OPTION_REQUIRED,
           .help = "Its tier."),
    OPTION(BACKEND, "address", ENDPOINT, 0, .default_text = "", .flags = OPTION_REQUIRED, .default_port = 25,
           .help = "Where it listens, as 192.0.2.11:25, or its name, as vm1.example.net:25. A name is asked of the DNS "
                   "alone, whole, and not of /etc/hosts, and no search domain is added. Of a name all addresses, A and "
                   "AAAA, are candidates: one is in use while it answers probes, then the next. What no host has "
                   "(0.0.0.0, multicast) and postern's own listeners are refused, from the DNS with an alarm; so is a "
                   "loopback address in place of another one."),
    OPTION(BACKEND, "weight", NUMBER, AT(backend, weight), .default_text = "100", .max = 256,
           .help = "Its share of sessions; 0 = no new ones."),
    OPTION(BACKEND, "state", WORD_OF, AT(backend, state), .default_text = "ready", .words = admin_words,
           .help = "ready takes sessions; drain finishes those it has; maint is not probed either."),
    OPTION(BACKEND, "proxy", WORD_OF, AT(backend, proxy), .default_text = "none", .words = proxy_words,
           .flags = OPTION_INHERITS, .help = "Default: the tier's."),
    OPTION(BACKEND, "source", HOSTS, AT(backend, source), .default_text = "", .flags = OPTION_INHERITS,
           .help = "Default: the tier's."),
    OPTION(BACKEND, "max-sessions", NUMBER, AT(backend, sessions_max), .default_text = "0", .max = 1000000,
           .flags = OPTION_INHERITS, .help = "Default: the tier's."),

    OPTION(REPUTATION, "enabled", BOOL, AT(reputation, enabled), .default_text = "yes",
           .help = "Whether clients earn a reputation."),
    OPTION(REPUTATION, "min-score", NUMBER, AT(reputation, score_min), .default_text = "90", .max = 100,
           .help = "The score of a vetted client."),
    OPTION(REPUTATION, "min-days", NUMBER, AT(reputation, days_min), .default_text = "3", .max = 3650,
           .help = "Distinct days with mail."),
    OPTION(REPUTATION, "min-age", DURATION, AT(reputation, age_min_ms), .default_text = "7d", .max = 3650 * DAY,
           .help = "Time since first seen."),
    OPTION(REPUTATION, "good-half-life", DURATION, AT(reputation, good_half_life_ms), .default_text = "60d", .min = DAY,
           .max = 3650 * DAY, .help = "In which good evidence fades to half."),
    OPTION(REPUTATION, "good-per-day", NUMBER, AT(reputation, good_per_day), .default_text = "2", .min = 1, .max = 1000,
           .help = "Most good units that one client earns in a day."),
    OPTION(REPUTATION, "clean-evidence", WORD_OF, AT(reputation, clean_evidence), .default_text = "reply",
           .words = evidence_words, .help = "What counts as clean: the reply after the dot, or only the feed's word."),
    OPTION(REPUTATION, "bad-half-life", DURATION, AT(reputation, bad_half_life_ms), .default_text = "90d", .min = DAY,
           .max = 3650 * DAY, .help = "In which bad evidence fades to half."),
    OPTION(REPUTATION, "max-entries", NUMBER, AT(reputation, entries_max), .default_text = "1000000", .min = 1000,
           .max = 100000000, .help = "Clients remembered at most."),
    OPTION(REPUTATION, "allow-file", PATH, AT(reputation, allow_file), .default_text = "",
           .help = "Networks, and .domains confirmed by reverse DNS, that are always vetted, one a line."),
    OPTION(REPUTATION, "deny-file", PATH, AT(reputation, deny_file), .default_text = "",
           .help = "Networks that are never served, one a line."),
    OPTION(REPUTATION, "require-fcrdns", BOOL, AT(reputation, require_fcrdns), .default_text = "yes",
           .help = "Whether a vetted client needs forward-confirmed reverse DNS."),

    OPTION(DNSLIST, "zone", ZONE, AT(dnslist, zone), .default_text = "", .flags = OPTION_REQUIRED,
           .help = "The list's DNS zone."),
    OPTION(DNSLIST, "answers", WORDS, AT(dnslist, answers), .default_text = "", .flags = OPTION_REQUIRED,
           .help = "The answers that count, as 127.0.0.2-7 127.0.0.9."),
    OPTION(DNSLIST, "action", WORD_OF, AT(dnslist, action), .default_text = "veto", .words = dnslist_action_words,
           .help = "veto, or halve the evidence needed (an allow list)."),

    OPTION(GATE, "refuse", WORD_OF, AT(gate, refuse), .default_text = "greeting", .words = refuse_words,
           .help = "Where the unvetted are told 4xx: in place of the greeting, or at each recipient, so that the "
                   "sender's log names it."),
    OPTION(GATE, "pregreet-wait", DURATION, AT(gate, pregreet_wait_ms), .default_text = "2s", .max = MIN,
           .help =
               "How long a client must keep silent after the first line of the greeting; who talks hears 421 4.7.0. "
               "Asked once a day of a client, a third under stress (more than 80% of max-sessions); 0 = off."),
    OPTION(GATE, "relay-domains-file", PATH, AT(gate, relay_domains_file), .default_text = "",
           .help = "The file of the domains that are ours, one a line; .example.test takes what is below example.test; "
                   "# begins a comment. Mail to others is refused. Read anew by a reload; one that has become "
                   "unreadable or empty leaves the last good one in force, and until there is one each recipient is "
                   "refused with 4xx. Empty = the rule is off."),
    OPTION(GATE, "recipients-file", PATH, AT(gate, recipients_file), .default_text = "",
           .help =
               "The file of the addresses that exist, one a line, in any case, up to a million and more; @example.test "
               "takes all of a domain; # begins a comment. Other recipients are refused; postmaster of our domains "
               "always exists. Read anew, and missing or empty, as relay-domains-file. Empty = the rule is off."),
    OPTION(GATE, "recipient-delimiter", DELIMITERS, AT(gate, recipient_delimiter), .default_text = "+",
           .help =
               "The characters that part an address from its extension, which is left out where recipients-file does "
               "not have the whole address, as Postfix's option of this name. Empty = there are no extensions."),
    OPTION(GATE, "access-file", PATH, AT(gate, access_file), .default_text = "",
           .help = "The file of what is done with which client, in the form of Postfix's access(5): a client_access "
                   "moves over as it is (its text, not the .db). Clients: an address, 192.0.2 or 192.0.2.0/24, "
                   "2001:db8 or 2001:db8::/32, example.org with what is below it, .example.org for that alone, unknown "
                   "for those without a confirmed name. Actions: OK, REJECT [text], DEFER [text], 4NN text, 5NN text, "
                   "DUNNO, INFO, WARN; a number alone is OK. The first of name, its parents, address and networks in "
                   "the order of the file, beginnings of the address decides. Where the name could not be looked up, "
                   "450 4.7.25 stands for a 5NN that it might have averted. Read anew, and missing or without a line, "
                   "as relay-domains-file. Empty = the rule is off."),
    OPTION(GATE, "max-recipients", NUMBER, AT(gate, recipients_max), .default_text = "100", .max = 100000,
           .help = "Refused recipients of one mail after which all others hear 452 4.5.3; 0 = no limit. Those that are "
                   "accepted the host behind counts."),
    OPTION(GATE, "max-size", SIZE, AT(gate, message_bytes_max), .default_text = "15728640", .max = UINT64_C(1) << 40,
           .help = "A mail that is announced with more octets (SIZE) is refused: with 552 5.3.4 where the tiers before "
                   "would refuse it too, else with 452 4.3.1; 0 = no limit."),
    OPTION(GATE, "pipelining", BOOL, AT(gate, pipelining), .default_text = "on",
           .help = "Octets behind EHLO, HELO or DATA before its reply end the session with 421 4.7.0; behind STARTTLS "
                   "they always do."),
    OPTION(GATE, "helo-required", BOOL, AT(gate, helo_required), .default_text = "on",
           .help = "MAIL before HELO or EHLO is refused with 503 5.5.1."),
    OPTION(GATE, "helo-syntax", BOOL, AT(gate, helo_syntax), .default_text = "on",
           .help = "A HELO name that is neither a domain nor an address literal is refused with 501 5.5.2; underscores "
                   "are taken."),
    OPTION(GATE, "helo-fqdn", BOOL, AT(gate, helo_fqdn), .default_text = "on",
           .help = "A HELO name without a dot, or an address without brackets, is refused with 450 4.7.1."),
    OPTION(GATE, "sender-fqdn", BOOL, AT(gate, sender_fqdn), .default_text = "on",
           .help = "A sender without a fully qualified domain is refused with 450 4.1.8; the null sender and address "
                   "literals are not."),
    OPTION(GATE, "sender-domain", BOOL, AT(gate, sender_domain), .default_text = "on",
           .help = "A sender whose domain has neither MX nor address, or whose DNS gives no answer, is refused with "
                   "450 4.1.8, and one with a null MX (RFC 7505) with 550 5.7.27."),
    OPTION(GATE, "recipient-fqdn", BOOL, AT(gate, recipient_fqdn), .default_text = "on",
           .help =
               "A recipient without a fully qualified domain is refused with 450 4.1.3; postmaster alone is taken."),
    OPTION(GATE, "recipient-domain", BOOL, AT(gate, recipient_domain), .default_text = "on",
           .help = "A recipient whose domain is not in relay-domains-file is refused with 554 5.7.1, and so is one "
                   "that routes, as x%other@ours; with 454 4.7.1 where the hosts might take it: below a domain of "
                   "ours, or at an address."),

    OPTION(LIMITS, "limits-except", CIDRS, AT(limits, except), .default_text = "127.0.0.0/8 ::1/128",
           .help = "Networks whose clients no limit is for, and that are not counted; empty = none. Where a proxy "
                   "before postern sends no PROXY header, all of its clients are one: put it here."),
    OPTION(LIMITS, "vetted-factor", NUMBER, AT(limits, vetted_factor), .default_text = "10", .min = 1, .max = 1000,
           .help = "How many times as much as others a vetted client may have of each limit; 1 = no more than others."),
    OPTION(LIMITS, "max-per-network", NUMBER, AT(limits, per_network_max), .default_text = "0",
           .max = CONFIG_PER_CLIENT_MAX,
           .help = "Sessions at once from one network, an IPv4 /24 or IPv6 /48, over all listeners; more hear 421 "
                   "4.7.0. Big senders mail from whole networks; 0 = off."),
    OPTION(LIMITS, "network-rate", RATE, AT(limits, network_rate), .default_text = "0",
           .help = "Connections that one network may make in a time, as 300/1m; more hear 421 4.7.0; 0 = off."),

    OPTION(DNS, "servers", ADDRESSES, AT(dns, servers), .default_text = "", .default_port = 53,
           .help = "Resolvers, as 127.0.0.1:5353; empty = the system's."),
    OPTION(DNS, "timeout", DURATION, AT(dns, timeout_ms), .default_text = "2s", .min = MS, .max = MIN,
           .help = "One try."),
    OPTION(DNS, "tries", NUMBER, AT(dns, tries), .default_text = "2", .min = 1, .max = 10,
           .help = "Tries of one query."),

    OPTION(CONTROL, "socket", PATH, AT(control, socket), .default_text = "/run/postern/control.sock", .max = 107,
           .flags = OPTION_REQUIRED, .help = "The UNIX socket that posternctl talks to."),
    OPTION(CONTROL, "mode", OCTAL, AT(control, mode), .default_text = "0660", .max = 0777, .help = "Its permissions."),
    OPTION(CONTROL, "ro-socket", PATH, AT(control, ro_socket), .default_text = "", .max = 107, .flags = NOT_YET,
           .help = "A socket that only shows; empty = none."),

    OPTION(STATUS, "listen", ADDRESSES, AT(status, listen), .default_text = "", .flags = NOT_YET | OPTION_ONE,
           .help = "Address of the status page, as 127.0.0.1:8025; empty = off."),

    OPTION(FEEDBACK, "listen", ADDRESSES, AT(feedback, listen), .default_text = "", .flags = OPTION_ONE,
           .help = "Address of the feedback listener, as 192.0.2.1:8026; empty = off."),
    OPTION(FEEDBACK, "key-file", PATH, AT(feedback, key_file), .default_text = "",
           .help = "The file of the shared key."),
};

const size_t options_count = sizeof options / sizeof options[0];

const struct option *option_find(enum section section, const char *name) {
    for (size_t i = 0; i < options_count; i++)
        if (options[i].section == section && strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

/* How many letters at the beginning and the end two names share. */
static size_t likeness(const char *a, const char *b) {
    size_t length_a = strlen(a), length_b = strlen(b), shared = 0;
    while (shared < length_a && shared < length_b && strncasecmp(a + shared, b + shared, 1) == 0)
        shared++;
    size_t tail = 0;
    while (shared + tail < length_a && shared + tail < length_b &&
           strncasecmp(a + length_a - 1 - tail, b + length_b - 1 - tail, 1) == 0)
        tail++;
    return shared + tail;
}

const char *option_nearest(enum section section, const char *name) {
    const char *nearest = NULL;
    size_t best = 0;
    for (size_t i = 0; i < options_count; i++) {
        if (options[i].section != section)
            continue;
        size_t like = likeness(options[i].name, name);
        if (like > best && like + 3 >= strlen(options[i].name) && like + 3 >= strlen(name)) {
            best = like;
            nearest = options[i].name;
        }
    }
    return best >= 3 ? nearest : NULL;
}

void **section_items(struct config *config, enum section section) {
    return (void **)(void *)((char *)config + section_types[section].offset);
}

size_t *section_count(struct config *config, enum section section) {
    return (size_t *)(void *)((char *)config + section_types[section].count_offset);
}

bool section_name_is_good(const char *name) {
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    bool is_reserved = strcmp(name, "auto") == 0 || strcmp(name, "json") == 0; /* words of the control socket */
    return !is_reserved && strchr("-_.", name[0]) == NULL && length > 0 && length <= CONFIG_NAME_MAX &&
           name[length] == '\0';
}
