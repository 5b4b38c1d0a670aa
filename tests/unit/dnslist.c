/* What a list's answers mean, and when it is no longer believed. */
#include "lb/reputation/dnslist.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

static char name[] = "zen", zone[] = "zen.test", range[] = "127.0.0.2-7", single[] = "127.0.0.9";
static char *answers[] = {range, single};
static const struct config_dnslist config = {.name = name, .zone = zone, .answers = {answers, 2}};
static struct dnslist list;

static void begin(void) {
    dnslist_init(&list, &config, 1000);
}

TestSuite(dnslist, .init = begin);

static struct dns_answer answer(const char *text) {
    struct dns_answer result = {.status = DNS_NONE, .error = "no such name"};
    if (strcmp(text, "fails") == 0)
        return (struct dns_answer){.status = DNS_FAILED, .error = "SERVFAIL"};
    if (text[0] == '\0')
        return result;
    result.status = DNS_FOUND;
    result.count = 1;
    result.addresses[0].in4.sin_family = AF_INET;
    cr_assert_eq(inet_pton(AF_INET, text, &result.addresses[0].in4.sin_addr), 1);
    return result;
}

static enum dnslist_result judge(const char *text, bool *ret_is_strange) {
    uint32_t strange;
    struct dns_answer given = answer(text);
    enum dnslist_result result = dnslist_judge(&list, &given, &strange);
    *ret_is_strange = strange != 0;
    return result;
}

static void test(const char *listed, const char *unlisted, uint32_t now_s) {
    struct dns_answer first = answer(listed), second = answer(unlisted);
    dnslist_take_test(&list, &first, &second, now_s);
}

Test(dnslist, only_the_answers_that_are_configured_count) {
    bool is_strange;
    static const char *const counting[] = {"127.0.0.2", "127.0.0.7", "127.0.0.9"};
    static const char *const strange[] = {"127.0.0.1", "127.0.0.8", "127.255.255.254", "127.0.0.255", "192.0.2.1"};
    for (size_t i = 0; i < sizeof counting / sizeof counting[0]; i++)
        cr_assert(judge(counting[i], &is_strange) == DNSLIST_LISTED && !is_strange, "%s", counting[i]);
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        cr_assert(judge(strange[i], &is_strange) == DNSLIST_NOT_LISTED && is_strange, "%s", strange[i]);
    cr_assert(judge("", &is_strange) == DNSLIST_NOT_LISTED && !is_strange, "NXDOMAIN is an answer");
    cr_assert(judge("fails", &is_strange) == DNSLIST_NO_ANSWER);
}

Test(dnslist, a_list_is_used_only_after_its_test_and_not_after_it_failed_one) {
    cr_assert_eq(list.state, DNSLIST_TESTING);
    test("127.0.0.2", "", 1000);
    cr_assert_eq(list.state, DNSLIST_ON);
    cr_assert_eq(list.test_s, 1000 + 86400);
    test("127.0.0.2", "127.0.0.2", 90000);
    cr_assert(list.state == DNSLIST_OFF && strstr(list.why, "127.0.0.1") != NULL, "it lists everything");
    test("127.0.0.2", "", 94000);
    cr_assert_eq(list.state, DNSLIST_ON);
    test("", "", 200000);
    cr_assert(list.state == DNSLIST_OFF && strstr(list.why, "does not list") != NULL, "it is empty");
    test("127.255.255.254", "127.255.255.254", 210000);
    cr_assert(list.state == DNSLIST_OFF && strstr(list.why, "127.255.255.254") != NULL, "%s", list.why);
}

Test(dnslist, a_silent_list_keeps_its_state_for_a_day_and_is_then_switched_off) {
    test("fails", "", 1000);
    cr_assert_eq(list.state, DNSLIST_TESTING);
    test("127.0.0.2", "", 1060);
    test("127.0.0.2", "fails", 87000);
    cr_assert_eq(list.state, DNSLIST_ON);
    cr_assert_eq(list.test_s, 87060);
    test("fails", "fails", 1060 + 86400);
    cr_assert(list.state == DNSLIST_OFF && strstr(list.why, "SERVFAIL") != NULL);
    test("127.0.0.2", "", 90000);
    cr_assert_eq(list.state, DNSLIST_ON);
}
