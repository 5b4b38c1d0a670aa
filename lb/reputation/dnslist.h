/* A DNS block or allow list (RFC 5782): what its answers mean, and whether it may be believed. Pure; time is passed in.
 *
 * Only answers that [dnslist NAME] names count. A list is believed once it lists 127.0.0.2 and does not list 127.0.0.1
 * (RFC 5782 §5), and is tested again daily: dead zones have listed the whole internet. */
#ifndef POSTERN_REPUTATION_DNSLIST_H
#define POSTERN_REPUTATION_DNSLIST_H

#include "conf/config.h"
#include "conf/limits.h"
#include "lb/dns/resolver.h"

#include <stdbool.h>
#include <stdint.h>

enum dnslist_state {
    DNSLIST_TESTING, /* no test has been answered yet: nobody who needs its word is newly vetted */
    DNSLIST_ON,
    DNSLIST_OFF, /* failed its test, or no test was answered for a day: not asked, and no condition */
};

enum dnslist_result { DNSLIST_LISTED, DNSLIST_NOT_LISTED, DNSLIST_NO_ANSWER };

struct dnslist {
    const struct config_dnslist *config;
    struct ipv4_range answers[CONFIG_LIST_MAX];
    unsigned answers_count;
    enum dnslist_state state;
    char why[100];    /* it is off */
    uint32_t since_s; /* when a test was last answered, or the start */
    uint32_t test_s;  /* when to test next */
    uint32_t alarm_s; /* when a strange answer was last said */
    uint64_t listed;  /* clients found on it */
};

/* `config` outlives it and has been checked. */
void dnslist_init(struct dnslist *list, const struct config_dnslist *config, uint32_t now_s);
/* What its queries must not miss: an answer that counts among many. The list outlives them. */
struct dns_wanted dnslist_wanted(const struct dnslist *list);
/* What an answer says. One that counts for nothing goes to *ret_strange (host order, else 0): not listed, but somebody
 * should know, as 127.255.255.254 means that the list refuses to talk to this resolver. */
enum dnslist_result dnslist_judge(const struct dnslist *list, const struct dns_answer *answer, uint32_t *ret_strange);
/* The answers for 127.0.0.2 and 127.0.0.1. Sets the state, says every change of it in the log, sets the next test. */
void dnslist_take_test(struct dnslist *list, const struct dns_answer *listed, const struct dns_answer *unlisted,
                       uint32_t now_s);
/* Says a strange answer, once an hour. */
void dnslist_alarm(struct dnslist *list, uint32_t strange, const char *client, uint32_t now_s);
const char *dnslist_state_name(enum dnslist_state state);

#endif
