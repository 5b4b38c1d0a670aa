/* The table itself. To add an option: a field in config.h, a row here, a run of `make man`. */
#include "conf/options.h"

#include "conf/limits.h"

#include <string.h>
#include <strings.h>

#define MS  UINT64_C(1)
#define SEC (1000 * MS)
#define MIN (60 * SEC)
#define DAY (1440 * MIN)

static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const balances[] = {"roundrobin", "leastconn", "random2", "source", NULL};
static const char *const admits[] = {"all", "vetted", NULL};
static const char *const checks[] = {"none", "tcp", "banner", "ehlo", "starttls", "mail", NULL};
static const char *const proxies[] = {"none", "v1", "v2", NULL};
static const char *const admins[] = {"ready", "drain", "maint", NULL};
static const char *const refuses[] = {"greeting", "rcpt", NULL};
static const char *const evidences[] = {"reply", "feed", NULL};
static const char *const actions[] = {"veto", "halve", NULL};

#define SINGLE(section, member, help)                                                                                  \
    { section, false, offsetof(struct config, member), 0, sizeof(((struct config *)0)->member), 1, help }
#define NAMED(section, member, most, help)                                                                             \
    {                                                                                                                  \
        section, true, offsetof(struct config, member), offsetof(struct config, member##_count),                       \
            sizeof(*((struct config *)0)->member), most, help                                                          \
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
    [SECTION_DNS] = SINGLE("dns", dns, "The resolver."),
    [SECTION_CONTROL] = SINGLE("control", control, "The control socket."),
    [SECTION_STATUS] = SINGLE("status", status, "The status page and metrics."),
    [SECTION_FEEDBACK] = SINGLE("feedback", feedback, "Where mail filters report outcomes."),
};

#define AT(type, member) offsetof(struct config_##type, member)
#define NOT_YET          OPTION_NO_EFFECT

const struct option options[] = {
    {SECTION_GLOBAL, "hostname", OPTION_HOSTNAME, AT(global, hostname), "", 0, 0, NULL, 0, 0,
     "The name in postern's own replies. Default: the host's full name."},
    {SECTION_GLOBAL, "workers", OPTION_NUMBER, AT(global, workers), "auto", 0, CONFIG_WORKERS_MAX, NULL, OPTION_AUTO, 0,
     "Threads with a ring each; auto = one per CPU."},
    {SECTION_GLOBAL, "user", OPTION_USER, AT(global, user), "postern", 0, 0, NULL, 0, 0,
     "The user to drop to after binding, when started as root; empty = stay."},
    {SECTION_GLOBAL, "max-sessions", OPTION_NUMBER, AT(global, sessions_max), "auto", 0, 1000000, NULL, OPTION_AUTO, 0,
     "Sessions at once over all workers; auto = what RLIMIT_NOFILE allows, 20000 at most."},
    {SECTION_GLOBAL, "state-dir", OPTION_PATH, AT(global, state_dir), "/var/lib/postern", 0, 0, NULL, 0, 0,
     "Where reputations are kept over restarts; empty = nothing is kept."},
    {SECTION_GLOBAL, "drain-time", OPTION_DURATION, AT(global, drain_time_ms), "10m", 0, DAY, NULL, 0, 0,
     "How long `wait drained` waits for sessions to end."},
    {SECTION_GLOBAL, "stop-timeout", OPTION_DURATION, AT(global, stop_timeout_ms), "90s", 0, DAY, NULL, 0, 0,
     "After SIGTERM, `shutdown sessions` or `del server NAME force`: how long sessions in content, at the final dot or "
     "inside STARTTLS may go on. Then they are cut, and mails that might be delivered twice are logged. A service "
     "manager must wait longer (systemd: TimeoutStopSec)."},
    {SECTION_GLOBAL, "log", OPTION_LOG, AT(global, log), "stderr", 0, 0, NULL, OPTION_REQUIRED, 0,
     "stderr, syslog, or the path of a file."},
    {SECTION_GLOBAL, "log-level", OPTION_WORD_OF, AT(global, log_level), "info", 0, 0, log_levels, 0, 0,
     "The least that is logged; info has a line for each session."},

    {SECTION_LISTEN, "address", OPTION_ADDRESSES, AT(listen, addresses), "", 0, 0, NULL, OPTION_REQUIRED, 25,
     "One or more addresses, as 0.0.0.0:25 [::]:25; without a port: 25. [::] takes IPv6 alone, so that both are named "
     "for "
     "both."},
    {SECTION_LISTEN, "proxy-from", OPTION_CIDRS, AT(listen, proxy_from), "", 0, 0, NULL, 0, 0,
     "Networks whose clients must send a PROXY header first; all others must not: such a session is ended, also where "
     "the header is the first that is said behind the greeting. A header that names no client (v2 LOCAL, v1 UNKNOWN) "
     "is the health check of the balancer there: it is greeted while any tier serves anybody, else "
     "hears 421, and its MAIL hears 421; it is no client, takes no place of max-sessions, and is logged at level "
     "debug. ::ffff:192.0.2.0/120 is 192.0.2.0/24, here and in all files."},
    {SECTION_LISTEN, "proxy-timeout", OPTION_DURATION, AT(listen, proxy_timeout_ms), "3s", MS, 10 * MIN, NULL, 0, 0,
     "How long to wait for the PROXY header."},
    {SECTION_LISTEN, "max-per-client", OPTION_NUMBER, AT(listen, per_client_max), "50", 0, 1000000, NULL, NOT_YET, 0,
     "Sessions at once from one client, an IPv4 /32 or IPv6 /64; 0 = off."},
    {SECTION_LISTEN, "connect-rate", OPTION_RATE, AT(listen, connect_rate), "0", 0, 0, NULL, NOT_YET, 0,
     "Connections from one client in a time, as 30/1m; 0 = off."},

    {SECTION_TIMEOUTS, "connect", OPTION_DURATION, AT(timeouts, connect_ms), "3s", MS, 10 * MIN, NULL, 0, 0,
     "A backend's TCP connection; then the next one is tried."},
    {SECTION_TIMEOUTS, "greeting", OPTION_DURATION, AT(timeouts, greeting_ms), "10s", MS, 10 * MIN, NULL, 0, 0,
     "A backend's complete 220; then the next one is tried."},
    {SECTION_TIMEOUTS, "hedge-after", OPTION_DURATION, AT(timeouts, hedge_after_ms), "1s", 0, 10 * MIN, NULL, 0, 0,
     "Silence after which another backend is tried in parallel; 0 = off."},
    {SECTION_TIMEOUTS, "client", OPTION_DURATION, AT(timeouts, client_ms), "5m", MS, DAY, NULL, 0, 0,
     "A client's next command (RFC 5321 section 4.5.3.2.7: 5 minutes), its next octets of content, and its taking of "
     "what "
     "it was told. What the other side says meanwhile does not put it off; nor does it with the next two."},
    {SECTION_TIMEOUTS, "reply", OPTION_DURATION, AT(timeouts, reply_ms), "60s", MS, DAY, NULL, 0, 0,
     "A backend's reply before content, from when the oldest command was owed one, or from its last reply."},
    {SECTION_TIMEOUTS, "server", OPTION_DURATION, AT(timeouts, server_ms), "9m", MS, DAY, NULL, 0, 0,
     "A backend's reply to content and the final dot; clients wait 10 minutes."},

    {SECTION_TIER, "balance", OPTION_WORD_OF, AT(tier, balance), "leastconn", 0, 0, balances, 0, 0,
     "How a backend is chosen."},
    {SECTION_TIER, "admit", OPTION_WORD_OF, AT(tier, admit), "all", 0, 0, admits, 0, 0,
     "Whom this tier serves; all others hear 421 4.3.2."},
    {SECTION_TIER, "gate", OPTION_BOOL, AT(tier, gate), "no", 0, 0, NULL, 0, 0,
     "Whether postern speaks SMTP itself by the rules of [gate], and connects to a backend only at the first recipient "
     "that they let pass, or at STARTTLS."},
    {SECTION_TIER, "min-up", OPTION_NUMBER, AT(tier, up_min), "1", 0, CONFIG_BACKENDS_MAX, NULL, 0, 0,
     "With fewer usable backends the tier hands over to the next one."},
    {SECTION_TIER, "failback-delay", OPTION_DURATION, AT(tier, failback_delay_ms), "10s", 0, DAY, NULL, 0, 0,
     "How long min-up must hold before the tier takes over again from a lower one."},
    {SECTION_TIER, "queue", OPTION_NUMBER, AT(tier, queue_max), "1000", 0, 1000000, NULL, 0, 0,
     "Sessions that may wait for a free slot; more hear 421."},
    {SECTION_TIER, "queue-timeout", OPTION_DURATION, AT(tier, queue_timeout_ms), "30s", MS, DAY, NULL, 0, 0,
     "How long a session may wait."},
    {SECTION_TIER, "check", OPTION_WORD_OF, AT(tier, check), "ehlo", 0, 0, checks, 0, 0,
     "How deep a probe goes, each level including those before; mail uses TLS where it is offered. gate = on needs "
     "ehlo or a higher one."},
    {SECTION_TIER, "check-require", OPTION_WORDS, AT(tier, check_require), "", 0, 0, NULL, 0, 0,
     "EHLO keywords a backend must offer, as STARTTLS PIPELINING."},
    {SECTION_TIER, "check-from", OPTION_SENDER, AT(tier, check_from), "<>", 0, 0, NULL, 0, 0,
     "The sender of a mail probe."},
    {SECTION_TIER, "check-rcpt", OPTION_MAILBOX, AT(tier, check_rcpt), "", 0, 0, NULL, 0, 0,
     "The recipient of a mail probe."},
    {SECTION_TIER, "check-timeout", OPTION_DURATION, AT(tier, check_timeout_ms), "8s", MS, 10 * MIN, NULL, 0, 0,
     "A whole probe; postscreen lets one wait 6 seconds."},
    {SECTION_TIER, "inter", OPTION_DURATION, AT(tier, inter_ms), "2s", 10 * MS, DAY, NULL, 0, 0, "Between probes."},
    {SECTION_TIER, "fastinter", OPTION_DURATION, AT(tier, fastinter_ms), "500ms", 10 * MS, DAY, NULL, 0, 0,
     "Between probes while the state is changing."},
    {SECTION_TIER, "downinter", OPTION_DURATION, AT(tier, downinter_ms), "2s", 10 * MS, DAY, NULL, 0, 0,
     "Between probes while down."},
    {SECTION_TIER, "rise", OPTION_NUMBER, AT(tier, rise), "2", 1, 64, NULL, 0, 0, "Probes passed in a row to be up."},
    {SECTION_TIER, "fall", OPTION_NUMBER, AT(tier, fall), "3", 1, 64, NULL, 0, 0, "Probes failed in a row to be down."},
    {SECTION_TIER, "outlier", OPTION_NUMBER, AT(tier, outlier), "5", 0, 1000, NULL, 0, 0,
     "Sessions in a row that a backend failed, and others of the tier served, that eject it; 0 = off. See postern(8)."},
    {SECTION_TIER, "slowstart", OPTION_DURATION, AT(tier, slowstart_ms), "0s", 0, DAY, NULL, 0, 0,
     "How long weight and limit grow after coming up."},
    {SECTION_TIER, "proxy", OPTION_WORD_OF, AT(tier, proxy), "none", 0, 0, proxies, 0, 0,
     "The PROXY header that backends expect."},
    {SECTION_TIER, "source", OPTION_HOSTS, AT(tier, source), "", 0, 0, NULL, 0, 0,
     "Own addresses to connect from, in turn; empty = the system's choice. Of IPv6 with or without brackets; where the "
     "last group could be taken for a port, as in [2001:db8::11:25], with them."},
    {SECTION_TIER, "max-sessions", OPTION_NUMBER, AT(tier, backend_sessions_max), "0", 0, 1000000, NULL, 0, 0,
     "Sessions at once on each backend; 0 = no limit."},
    {SECTION_TIER, "max-per-client", OPTION_NUMBER, AT(tier, per_client_max), "0", 0, 1000000, NULL, NOT_YET, 0,
     "Sessions at once from one client on this tier; 0 = off."},
    {SECTION_TIER, "connect-rate", OPTION_RATE, AT(tier, connect_rate), "0", 0, 0, NULL, NOT_YET, 0,
     "Sessions of one client on this tier in a time; 0 = off."},

    {SECTION_BACKEND, "tier", OPTION_SECTION, AT(backend, tier_name), "", 0, 0, NULL, OPTION_REQUIRED, 0, "Its tier."},
    {SECTION_BACKEND, "address", OPTION_ENDPOINT, 0, "", 0, 0, NULL, OPTION_REQUIRED, 25,
     "Where it listens, as 192.0.2.11:25, or its name, as vm1.example.net:25. A name is asked of "
     "the DNS alone, whole, and not of /etc/hosts, and no search domain is added. Of a name all addresses, A and AAAA, "
     "are "
     "candidates: one is in use while it answers probes, then the next. What no host has (0.0.0.0, multicast) and "
     "postern's own listeners are refused, from the DNS with an alarm; so is a loopback address in place of another "
     "one."},
    {SECTION_BACKEND, "weight", OPTION_NUMBER, AT(backend, weight), "100", 0, 256, NULL, 0, 0,
     "Its share of sessions; 0 = no new ones."},
    {SECTION_BACKEND, "state", OPTION_WORD_OF, AT(backend, state), "ready", 0, 0, admins, 0, 0,
     "ready takes sessions; drain finishes those it has; maint is not probed either."},
    {SECTION_BACKEND, "proxy", OPTION_WORD_OF, AT(backend, proxy), "none", 0, 0, proxies, OPTION_INHERITS, 0,
     "Default: the tier's."},
    {SECTION_BACKEND, "source", OPTION_HOSTS, AT(backend, source), "", 0, 0, NULL, OPTION_INHERITS, 0,
     "Default: the tier's."},
    {SECTION_BACKEND, "max-sessions", OPTION_NUMBER, AT(backend, sessions_max), "0", 0, 1000000, NULL, OPTION_INHERITS,
     0, "Default: the tier's."},

    {SECTION_REPUTATION, "enabled", OPTION_BOOL, AT(reputation, enabled), "yes", 0, 0, NULL, 0, 0,
     "Whether clients earn a reputation."},
    {SECTION_REPUTATION, "min-score", OPTION_NUMBER, AT(reputation, score_min), "90", 0, 100, NULL, 0, 0,
     "The score of a vetted client."},
    {SECTION_REPUTATION, "min-days", OPTION_NUMBER, AT(reputation, days_min), "3", 0, 3650, NULL, 0, 0,
     "Distinct days with mail."},
    {SECTION_REPUTATION, "min-age", OPTION_DURATION, AT(reputation, age_min_ms), "7d", 0, 3650 * DAY, NULL, 0, 0,
     "Time since first seen."},
    {SECTION_REPUTATION, "good-half-life", OPTION_DURATION, AT(reputation, good_half_life_ms), "60d", DAY, 3650 * DAY,
     NULL, 0, 0, "In which good evidence fades to half."},
    {SECTION_REPUTATION, "good-per-day", OPTION_NUMBER, AT(reputation, good_per_day), "2", 1, 1000, NULL, 0, 0,
     "Most good units that one client earns in a day."},
    {SECTION_REPUTATION, "clean-evidence", OPTION_WORD_OF, AT(reputation, clean_evidence), "reply", 0, 0, evidences, 0,
     0, "What counts as clean: the reply after the dot, or only the feed's word."},
    {SECTION_REPUTATION, "bad-half-life", OPTION_DURATION, AT(reputation, bad_half_life_ms), "90d", DAY, 3650 * DAY,
     NULL, 0, 0, "In which bad evidence fades to half."},
    {SECTION_REPUTATION, "max-entries", OPTION_NUMBER, AT(reputation, entries_max), "1000000", 1000, 100000000, NULL, 0,
     0, "Clients remembered at most."},
    {SECTION_REPUTATION, "allow-file", OPTION_PATH, AT(reputation, allow_file), "", 0, 0, NULL, 0, 0,
     "Networks, and .domains confirmed by reverse DNS, that are always vetted, one a line."},
    {SECTION_REPUTATION, "deny-file", OPTION_PATH, AT(reputation, deny_file), "", 0, 0, NULL, 0, 0,
     "Networks that are never served, one a line."},
    {SECTION_REPUTATION, "require-fcrdns", OPTION_BOOL, AT(reputation, require_fcrdns), "yes", 0, 0, NULL, 0, 0,
     "Whether a vetted client needs forward-confirmed reverse DNS."},

    {SECTION_DNSLIST, "zone", OPTION_ZONE, AT(dnslist, zone), "", 0, 0, NULL, OPTION_REQUIRED, 0,
     "The list's DNS zone."},
    {SECTION_DNSLIST, "answers", OPTION_WORDS, AT(dnslist, answers), "", 0, 0, NULL, OPTION_REQUIRED, 0,
     "The answers that count, as 127.0.0.2-7 127.0.0.9."},
    {SECTION_DNSLIST, "action", OPTION_WORD_OF, AT(dnslist, action), "veto", 0, 0, actions, 0, 0,
     "veto, or halve the evidence needed (an allow list)."},

    {SECTION_GATE, "refuse", OPTION_WORD_OF, AT(gate, refuse), "greeting", 0, 0, refuses, 0, 0,
     "Where the unvetted are told 4xx: in place of the greeting, or at each recipient, so that the sender's log names "
     "it."},
    {SECTION_GATE, "pregreet-wait", OPTION_DURATION, AT(gate, pregreet_wait_ms), "2s", 0, MIN, NULL, 0, 0,
     "How long a client must keep silent after the first line of the greeting; who talks hears 421 4.7.0. Asked once a "
     "day of a client, a third under stress (more than 80% of max-sessions); 0 = off."},
    {SECTION_GATE, "relay-domains-file", OPTION_PATH, AT(gate, relay_domains_file), "", 0, 0, NULL, 0, 0,
     "The file of the domains that are ours, one a line; .example.test takes what is below example.test; # begins a "
     "comment. Mail to others is refused. Read anew by a reload; one that has become unreadable or empty leaves the "
     "last good one in force, and until there is one each recipient is refused with 4xx. Empty = the rule is off."},
    {SECTION_GATE, "recipients-file", OPTION_PATH, AT(gate, recipients_file), "", 0, 0, NULL, 0, 0,
     "The file of the addresses that exist, one a line, in any case, up to a million and more; @example.test takes all "
     "of a domain; # begins a comment. Other recipients are refused; postmaster of our domains always exists. Read "
     "anew, and missing or empty, as relay-domains-file. Empty = the rule is off."},
    {SECTION_GATE, "recipient-delimiter", OPTION_DELIMITERS, AT(gate, recipient_delimiter), "+", 0, 0, NULL, 0, 0,
     "The characters that part an address from its extension, which is left out where recipients-file does not have "
     "the whole address, as Postfix's option of this name. Empty = there are no extensions."},
    {SECTION_GATE, "access-file", OPTION_PATH, AT(gate, access_file), "", 0, 0, NULL, 0, 0,
     "The file of what is done with which client, in the form of Postfix's access(5): a client_access moves over as it "
     "is (its text, not the .db). Clients: an address, 192.0.2 or 192.0.2.0/24, 2001:db8 or 2001:db8::/32, example.org "
     "with what is below it, .example.org for that alone, unknown for those without a confirmed name. Actions: OK, "
     "REJECT [text], DEFER [text], 4NN text, 5NN text, DUNNO, INFO, WARN; a number alone is OK. The first of name, its "
     "parents, address and networks in the order of the file, beginnings of the address decides. Where the name could "
     "not be looked up, 450 4.7.25 stands for a 5NN that it might have averted. Read anew, and missing or without a "
     "line, as relay-domains-file. Empty = the rule is off."},
    {SECTION_GATE, "max-recipients", OPTION_NUMBER, AT(gate, recipients_max), "100", 0, 100000, NULL, 0, 0,
     "Refused recipients of one mail after which all others hear 452 4.5.3; 0 = no limit. Those that are accepted the "
     "host behind counts."},
    {SECTION_GATE, "max-size", OPTION_SIZE, AT(gate, message_bytes_max), "15728640", 0, UINT64_C(1) << 40, NULL, 0, 0,
     "A mail that is announced with more octets (SIZE) is refused: with 552 5.3.4 where the tiers before would "
     "refuse it too, else with 452 4.3.1; 0 = no limit."},
    {SECTION_GATE, "pipelining", OPTION_BOOL, AT(gate, pipelining), "on", 0, 0, NULL, 0, 0,
     "Octets behind EHLO, HELO or DATA before its reply end the session with 421 4.7.0; behind STARTTLS they always "
     "do."},
    {SECTION_GATE, "helo-required", OPTION_BOOL, AT(gate, helo_required), "on", 0, 0, NULL, 0, 0,
     "MAIL before HELO or EHLO is refused with 503 5.5.1."},
    {SECTION_GATE, "helo-syntax", OPTION_BOOL, AT(gate, helo_syntax), "on", 0, 0, NULL, 0, 0,
     "A HELO name that is neither a domain nor an address literal is refused with 501 5.5.2; underscores are taken."},
    {SECTION_GATE, "helo-fqdn", OPTION_BOOL, AT(gate, helo_fqdn), "on", 0, 0, NULL, 0, 0,
     "A HELO name without a dot, or an address without brackets, is refused with 450 4.7.1."},
    {SECTION_GATE, "sender-fqdn", OPTION_BOOL, AT(gate, sender_fqdn), "on", 0, 0, NULL, 0, 0,
     "A sender without a fully qualified domain is refused with 450 4.1.8; the null sender and address literals are "
     "not."},
    {SECTION_GATE, "sender-domain", OPTION_BOOL, AT(gate, sender_domain), "on", 0, 0, NULL, 0, 0,
     "A sender whose domain has neither MX nor address, or whose DNS gives no answer, is refused with 450 4.1.8, and "
     "one with a null MX (RFC 7505) with 550 5.7.27."},
    {SECTION_GATE, "recipient-fqdn", OPTION_BOOL, AT(gate, recipient_fqdn), "on", 0, 0, NULL, 0, 0,
     "A recipient without a fully qualified domain is refused with 450 4.1.3; postmaster alone is taken."},
    {SECTION_GATE, "recipient-domain", OPTION_BOOL, AT(gate, recipient_domain), "on", 0, 0, NULL, 0, 0,
     "A recipient whose domain is not in relay-domains-file is refused with 554 5.7.1, and so is one that routes, as "
     "x%other@ours; with 454 4.7.1 where the hosts might take it: below a domain of ours, or at an address."},

    {SECTION_DNS, "servers", OPTION_ADDRESSES, AT(dns, servers), "", 0, 0, NULL, 0, 53,
     "Resolvers, as 127.0.0.1:5353; empty = the system's."},
    {SECTION_DNS, "timeout", OPTION_DURATION, AT(dns, timeout_ms), "2s", MS, MIN, NULL, 0, 0, "One try."},
    {SECTION_DNS, "tries", OPTION_NUMBER, AT(dns, tries), "2", 1, 10, NULL, 0, 0, "Tries of one query."},

    {SECTION_CONTROL, "socket", OPTION_PATH, AT(control, socket), "/run/postern/control.sock", 0, 107, NULL,
     OPTION_REQUIRED, 0, "The UNIX socket that posternctl talks to."},
    {SECTION_CONTROL, "mode", OPTION_OCTAL, AT(control, mode), "0660", 0, 0777, NULL, 0, 0, "Its permissions."},
    {SECTION_CONTROL, "ro-socket", OPTION_PATH, AT(control, ro_socket), "", 0, 107, NULL, NOT_YET, 0,
     "A socket that only shows; empty = none."},

    {SECTION_STATUS, "listen", OPTION_ADDRESSES, AT(status, listen), "", 0, 0, NULL, NOT_YET | OPTION_ONE, 0,
     "Address of the status page, as 127.0.0.1:8025; empty = off."},

    {SECTION_FEEDBACK, "listen", OPTION_ADDRESSES, AT(feedback, listen), "", 0, 0, NULL, OPTION_ONE, 0,
     "Address of the feedback listener, as 192.0.2.1:8026; empty = off."},
    {SECTION_FEEDBACK, "key-file", OPTION_PATH, AT(feedback, key_file), "", 0, 0, NULL, 0, 0,
     "The file of the shared key."},
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

const char *config_admin_name(enum backend_admin state) {
    return admins[state];
}

const char *config_balance_name(enum balance balance) {
    return balances[balance];
}

const char *config_check_name(enum check_level level) {
    return checks[level];
}

const char *config_admit_name(enum admit admit) {
    return admits[admit];
}

const char *config_proxy_name(enum proxy_version version) {
    return proxies[version];
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
