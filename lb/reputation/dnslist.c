/* What the answers of one DNS list mean, and the tests of whether it is believed. lookups.c asks the DNS; what is found
 * changes verdicts in vetting.c. Pure but for warnings in the log. */
#include "lb/reputation/dnslist.h"

#include "lb/engine/log.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define DAY_S  86400u
#define HOUR_S 3600u
/* A test that the DNS did not answer, and one that the list has failed, are repeated after this. */
#define RETEST_S     60u
#define RETEST_OFF_S HOUR_S

void dnslist_init(struct dnslist *list, const struct config_dnslist *config, uint32_t now_s) {
    *list = (struct dnslist){.config = config, .since_s = now_s, .test_s = now_s};
    for (size_t i = 0; i < config->answers.count; i++)
        list->answers_count += ipv4_range_parse(config->answers.items[i], &list->answers[list->answers_count]) == 0;
}

const char *dnslist_state_name(enum dnslist_state state) {
    static const char *const names[] = {"testing", "on", "off"};
    return names[state];
}

static bool counts(const struct dnslist *list, uint32_t answer) {
    for (unsigned i = 0; i < list->answers_count; i++)
        if (answer >= list->answers[i].low && answer <= list->answers[i].high)
            return true;
    return false;
}

static bool is_wanted(const void *context, const struct address *address) {
    return counts(context, ntohl(address->in4.sin_addr.s_addr));
}

struct dns_wanted dnslist_wanted(const struct dnslist *list) {
    return (struct dns_wanted){is_wanted, list};
}

enum dnslist_result dnslist_judge(const struct dnslist *list, const struct dns_answer *answer, uint32_t *ret_strange) {
    *ret_strange = 0;
    if (answer->status == DNS_FAILED)
        return DNSLIST_NO_ANSWER;
    for (unsigned i = 0; answer->status == DNS_FOUND && i < answer->count; i++) {
        uint32_t value = ntohl(answer->addresses[i].in4.sin_addr.s_addr);
        if (counts(list, value))
            return DNSLIST_LISTED;
        *ret_strange = value;
    }
    return DNSLIST_NOT_LISTED;
}

static const char *text_of(uint32_t value, char text[INET_ADDRSTRLEN]) {
    struct in_addr address = {htonl(value)};
    return inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
}

static void enter(struct dnslist *list, enum dnslist_state state, const char *why) {
    bool is_new = list->state != state || strcmp(list->why, why) != 0;
    list->state = state;
    snprintf(list->why, sizeof list->why, "%s", why);
    if (is_new && state == DNSLIST_ON)
        log_info("dnslist %s: %s has passed its test and is used", list->config->name, list->config->zone);
    else if (is_new && state == DNSLIST_OFF)
        log_error("dnslist %s: %s is switched off: %s", list->config->name, list->config->zone, why);
}

void dnslist_take_test(struct dnslist *list, const struct dns_answer *listed, const struct dns_answer *unlisted,
                       uint32_t now_s) {
    uint32_t strange, strange_too;
    char why[sizeof list->why], text[INET_ADDRSTRLEN];
    enum dnslist_result first = dnslist_judge(list, listed, &strange);
    enum dnslist_result second = dnslist_judge(list, unlisted, &strange_too);
    list->test_s = now_s + RETEST_S;
    if (second == DNSLIST_LISTED) {
        list->test_s = now_s + RETEST_OFF_S;
        enter(list, DNSLIST_OFF, "it lists 127.0.0.1, so it may list everything");
    } else if (first == DNSLIST_NO_ANSWER || second == DNSLIST_NO_ANSWER) {
        const struct dns_answer *failed = first == DNSLIST_NO_ANSWER ? listed : unlisted;
        snprintf(why, sizeof why, "its test was not answered for a day: %.40s", failed->error);
        if (now_s - list->since_s >= DAY_S)
            enter(list, DNSLIST_OFF, why);
        return;
    } else if (first == DNSLIST_NOT_LISTED) {
        snprintf(why, sizeof why, "it does not list 127.0.0.2%s%s", strange != 0 ? " but answers " : "",
                 strange != 0 ? text_of(strange, text) : "");
        list->test_s = now_s + RETEST_OFF_S;
        enter(list, DNSLIST_OFF, why);
    } else {
        list->test_s = now_s + DAY_S;
        enter(list, DNSLIST_ON, "");
    }
    list->since_s = now_s;
}

void dnslist_alarm(struct dnslist *list, uint32_t strange, const char *client, uint32_t now_s) {
    char text[INET_ADDRSTRLEN];
    if (list->alarm_s != 0 && now_s - list->alarm_s < HOUR_S)
        return;
    list->alarm_s = now_s;
    log_warning("dnslist %s: %s answers %s for %s, which `answers` does not name: counted as not listed",
                list->config->name, list->config->zone, text_of(strange, text), client);
}
