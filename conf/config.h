/* The effective configuration: what postern.ini says, checked, with every default filled in and everything that a
 * backend inherits from its tier resolved. Made by config_load() (conf/load.h) from the option table in conf/options.c
 * and immutable afterwards: it is shared between threads without locks. Names are those of the file; durations are in
 * milliseconds, sizes in bytes; 0 means off or no limit wherever the option allows it. */
#ifndef POSTERN_CONF_CONFIG_H
#define POSTERN_CONF_CONFIG_H

#include "lb/base/address.h"
#include "lb/base/word_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum balance { BALANCE_ROUNDROBIN, BALANCE_LEASTCONN, BALANCE_RANDOM2, BALANCE_SOURCE };
enum admit { ADMIT_ALL, ADMIT_VETTED };
enum check_level { CHECK_NONE, CHECK_TCP, CHECK_BANNER, CHECK_EHLO, CHECK_STARTTLS, CHECK_MAIL };
enum proxy_version { PROXY_NONE, PROXY_V1, PROXY_V2 };
enum backend_admin { BACKEND_READY, BACKEND_DRAIN, BACKEND_MAINT };
enum refuse { REFUSE_GREETING, REFUSE_RCPT };
enum clean_evidence { CLEAN_EVIDENCE_REPLY, CLEAN_EVIDENCE_FEED };
enum dnslist_action { DNSLIST_VETO, DNSLIST_HALVE };

/* `events` in any `period_ms`; events == 0 is off. */
struct rate {
    uint32_t events;
    uint64_t period_ms;
};

struct config_global {
    char *hostname;        /* never NULL or empty after loading */
    uint32_t workers;      /* 0 = auto: one per CPU */
    char *user;            /* "" = stay */
    uint32_t sessions_max; /* 0 = auto */
    char *state_dir;       /* "" = nothing is kept */
    uint64_t drain_time_ms;
    uint64_t stop_timeout_ms;
    char *log; /* "stderr", "syslog" or a path */
    enum log_level log_level;
};

struct config_listen {
    char *name;
    unsigned line; /* of its [section] */
    struct address_list addresses;
    struct cidr_list proxy_from;
    uint64_t proxy_timeout_ms;
    uint32_t per_client_max;
    struct rate connect_rate;
};

struct config_timeouts {
    uint64_t connect_ms;
    uint64_t greeting_ms;
    uint64_t hedge_after_ms;
    uint64_t client_ms;
    uint64_t reply_ms;
    uint64_t server_ms;
};

struct config_tier {
    char *name;
    unsigned line; /* of its [section] */
    enum balance balance;
    enum admit admit;
    bool gate;
    uint32_t up_min;
    uint64_t failback_delay_ms;
    uint32_t queue_max;
    uint64_t queue_timeout_ms;
    enum check_level check;
    struct word_list check_require;
    char *check_from; /* with its <> */
    char *check_rcpt; /* "" = not set */
    uint64_t check_timeout_ms;
    uint64_t inter_ms;
    uint64_t fastinter_ms;
    uint64_t downinter_ms;
    uint32_t rise;
    uint32_t fall;
    uint32_t outlier;
    uint64_t slowstart_ms;
    enum proxy_version proxy;
    struct address_list source;
    uint32_t backend_sessions_max; /* `max-sessions`: for each backend */
    uint32_t per_client_max;
    struct rate connect_rate;
};

struct config_backend {
    char *name;
    unsigned line; /* of its [section] */
    char *tier_name;
    size_t tier;       /* index into config.tiers */
    char *host;        /* as written: an address or a name */
    uint16_t port;     /* host order */
    bool host_is_name; /* `address` is not valid then */
    struct address address;
    uint32_t weight; /* 0..256 */
    enum backend_admin state;
    /* From the tier, unless the backend overrides them. */
    enum proxy_version proxy;
    struct address_list source;
    uint32_t sessions_max;
};

struct config_reputation {
    bool enabled;
    uint32_t score_min;
    uint32_t days_min;
    uint64_t age_min_ms;
    uint64_t good_half_life_ms;
    uint32_t good_per_day;
    enum clean_evidence clean_evidence;
    uint64_t bad_half_life_ms;
    uint32_t entries_max;
    char *allow_file;
    char *deny_file;
    bool require_fcrdns;
};

struct config_dnslist {
    char *name;
    unsigned line; /* of its [section] */
    char *zone;
    struct word_list answers; /* as written: an address, or a range in its last octet as 127.0.0.2-7 */
    enum dnslist_action action;
};

struct config_gate {
    enum refuse refuse;
    uint64_t pregreet_wait_ms;
    char *relay_domains_file;
    char *recipients_file;
    char *recipient_delimiter;
    char *access_file;
    uint32_t recipients_max;
    uint64_t message_bytes_max;
    bool pipelining;
    bool helo_required;
    bool helo_syntax;
    bool helo_fqdn;
    bool sender_fqdn;
    bool sender_domain;
    bool recipient_fqdn;
    bool recipient_domain;
};

/* What one client may have; what a listener or tier allows stands there. */
struct config_limits {
    uint32_t per_network_max;
    struct rate network_rate;
    struct cidr_list except;
    uint32_t vetted_factor;
};

struct config_dns {
    struct address_list servers; /* empty = the system's */
    uint64_t timeout_ms;
    uint32_t tries;
};

struct config_control {
    char *socket;
    uint32_t mode;
    char *ro_socket; /* "" = off */
};

struct config_status {
    struct address_list listen; /* empty = off; one at most */
};

struct config_feedback {
    struct address_list listen; /* empty = off; one at most */
    char *key_file;
};

struct config {
    char *path; /* the file it came from */
    struct config_global global;
    struct config_timeouts timeouts;
    struct config_listen *listens;
    size_t listens_count;
    struct config_tier *tiers; /* in order of priority */
    size_t tiers_count;
    struct config_backend *backends;
    size_t backends_count;
    struct config_reputation reputation;
    struct config_dnslist *dnslists;
    size_t dnslists_count;
    struct config_gate gate;
    struct config_limits limits;
    struct config_dns dns;
    struct config_control control;
    struct config_status status;
    struct config_feedback feedback;
};

/* Whether any tier stands behind the gate. */
static inline bool config_uses_gate(const struct config *config) {
    for (size_t i = 0; i < config->tiers_count; i++)
        if (config->tiers[i].gate)
            return true;
    return false;
}

#endif
