/* From what was seen to verdicts: neighbours, the DNS's part, and a flood. */
#include "lb/reputation/reputation.h"
#include "lb/reputation/hosts.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Key, verdict, and addresses, which an IPv4 client does not touch. */
#define PLACE_OCTETS 9u
#define DAY_S        86400u
#define START        (20000u * DAY_S)

static char zone[] = "zen.test", name_[] = "zen", answer[] = "127.0.0.2";
static char *answers[] = {answer};
static struct config_dnslist list = {.name = name_, .zone = zone, .answers = {answers, 1}};
static struct config config;
static struct reputation reputation;

static void begin_with(unsigned entries, bool requires_name, size_t lists) {
    config = (struct config){.reputation = {.enabled = true,
                                            .score_min = 90,
                                            .days_min = 3,
                                            .age_min_ms = 7ull * DAY_S * 1000,
                                            .good_half_life_ms = 60ull * DAY_S * 1000,
                                            .good_per_day = 2,
                                            .bad_half_life_ms = 90ull * DAY_S * 1000,
                                            .entries_max = entries,
                                            .require_fcrdns = requires_name},
                             .dnslists = &list,
                             .dnslists_count = lists};
    cr_assert_eq(reputation_init(&reputation, &config, START), 0);
}

static void end(void) {
    reputation_finish(&reputation);
}

TestSuite(reputation, .fini = end);

static struct address address(const char *text) {
    struct address result;
    cr_assert_eq(address_parse(text, 25, &result), 0);
    return result;
}

static uint64_t key(const char *text) {
    struct address of = address(text);
    return reputation_key(&of);
}

static void sweep(uint32_t now_s) {
    for (unsigned pass = reputation.parents.pass; pass == reputation.parents.pass;)
        reputation_sweep(&reputation, 4096, now_s);
}

/* Two clean mails a day. */
static void send_good(uint64_t client, unsigned from_day, unsigned days) {
    for (unsigned day = from_day; day < from_day + days; day++)
        reputation_take(&reputation, &(struct sighting){.key = client, .clean = 2}, START + day * DAY_S);
}

static void find_name(uint64_t client, const char *name, uint32_t now_s) {
    struct dns_findings findings = {.has_name_answer = true, .name = name[0] != '\0' ? NAME_CONFIRMED : NAME_NONE};
    snprintf(findings.confirmed, sizeof findings.confirmed, "%s", name);
    findings.answered = 1;
    reputation_take_findings(&reputation, client, 0, &findings, now_s);
}

static bool is_vetted(uint64_t client) {
    return reputation_table_is_vetted(&reputation.table, client, 0);
}

static struct vetting explain(uint64_t client, uint32_t now_s) {
    struct vetting vetting;
    const struct client *found = reputation_table_find(&reputation.table, client);
    cr_assert_not_null(found);
    reputation_explain(&reputation, client, 0, found, now_s, &vetting);
    return vetting;
}

Test(reputation, a_client_with_good_neighbours_needs_less_and_one_with_bad_ones_more) {
    begin_with(4000, false, 0);
    for (unsigned i = 1; i <= 6; i++) {
        send_good(key("192.0.2.0") + i, 0, 60);
        reputation_take(&reputation, &(struct sighting){.key = key("198.51.100.0") + i, .rejected = 20},
                        START + 59 * DAY_S);
    }
    sweep(START + 60 * DAY_S);
    send_good(key("192.0.2.77"), 61, 8);
    send_good(key("203.0.113.77"), 61, 8);
    send_good(key("198.51.100.77"), 61, 20);
    sweep(START + 69 * DAY_S);
    cr_assert(is_vetted(key("192.0.2.77")), "16 good units in a good neighbourhood");
    cr_assert_not(is_vetted(key("203.0.113.77")), "16 alone");
    sweep(START + 81 * DAY_S);
    cr_assert_not(is_vetted(key("198.51.100.77")), "40 among spammers");
    struct vetting vetting = explain(key("192.0.2.77"), START + 69 * DAY_S);
    cr_assert(vetting.parent == parent_of_network(key("192.0.2.77")) && vetting.parent_bound > 0.9);
    cr_assert_lt(explain(key("198.51.100.77"), START + 81 * DAY_S).parent_bound, 0.3);
}

Test(reputation, a_new_address_of_a_big_provider_is_admitted_on_its_name_and_not_of_a_small_one) {
    begin_with(4000, true, 0);
    for (unsigned i = 0; i < 60; i++) {
        uint64_t big = key("192.0.2.1") + i % 10 * 256 + i / 10, small = key("203.0.113.1") + i;
        send_good(big, 0, 70);
        send_good(small, 0, 70);
        find_name(big, "a.big.test", START + 70 * DAY_S);
        find_name(small, "a.small.test", START + 70 * DAY_S);
    }
    sweep(START + 70 * DAY_S);
    sweep(START + 70 * DAY_S);
    send_good(key("10.9.8.7"), 70, 1);
    send_good(key("10.9.8.8"), 70, 1);
    find_name(key("10.9.8.7"), "new.big.test", START + 70 * DAY_S);
    find_name(key("10.9.8.8"), "new.small.test", START + 70 * DAY_S);
    cr_assert(is_vetted(key("10.9.8.7")));
    cr_assert_not(is_vetted(key("10.9.8.8")), "sixty addresses in one /24");
    reputation_take(&reputation, &(struct sighting){.key = key("10.9.8.7"), .rejected = 1}, START + 70 * DAY_S);
    cr_assert_not(is_vetted(key("10.9.8.7")), "its own spam counts");
}

Test(reputation, results_of_the_dns_count_for_a_day) {
    begin_with(4000, true, 1);
    reputation.lists[0].state = DNSLIST_ON;
    uint64_t client = key("192.0.2.1");
    uint32_t now = START + 40 * DAY_S;
    send_good(client, 0, 40);
    sweep(now);
    cr_assert_not(is_vetted(client), "nothing is known of its name");
    find_name(client, "mx.test", now);
    cr_assert(is_vetted(client));
    sweep(now + 22 * 3600);
    cr_assert(is_vetted(client));
    sweep(now + 24 * 3600);
    cr_assert_not(is_vetted(client), "too old");
    find_name(client, "", now + 25 * 3600);
    cr_assert_not(is_vetted(client), "no name");
    struct dns_findings listed = {.answered = 1, .listed = 1};
    find_name(client, "mx.test", now + 26 * 3600);
    cr_assert(is_vetted(client));
    reputation_take_findings(&reputation, client, 0, &listed, now + 26 * 3600);
    cr_assert_not(is_vetted(client), "listed");
    struct vetting vetting = explain(client, now + 26 * 3600);
    cr_assert(vetting.vetoes == 1 && vetting.has_fcrdns && vetting.has_list_answers && vetting.has_score);
    reputation.lists[0].state = DNSLIST_OFF;
    sweep(now + 26 * 3600);
    cr_assert(is_vetted(client), "a list that is off is no condition");
}

Test(reputation, an_allow_list_halves_what_is_needed_and_admits_nobody_alone) {
    list.action = DNSLIST_HALVE;
    begin_with(4000, true, 1);
    reputation.lists[0].state = DNSLIST_ON;
    uint64_t client = key("192.0.2.1"), stranger = key("192.0.2.200");
    uint32_t now = START + 8 * DAY_S;
    struct dns_findings findings = {
        .has_name_answer = true, .name = NAME_CONFIRMED, .confirmed = "mx.test", .answered = 1, .listed = 1};
    send_good(client, 0, 8);
    send_good(stranger, 7, 1);
    reputation_take_findings(&reputation, client, 0, &findings, now);
    reputation_take_findings(&reputation, stranger, 0, &findings, now);
    cr_assert(is_vetted(client), "16 units, twice as much worth");
    cr_assert_not(is_vetted(stranger));
}

static unsigned asked;
static void on_wants_lookup(void *context, uint64_t client, uint64_t host) {
    (void)context;
    (void)client;
    (void)host;
    asked++;
}

Test(reputation, only_who_matters_is_looked_up_and_not_again_while_results_are_fresh) {
    begin_with(4000, true, 0);
    reputation.wants_lookup = on_wants_lookup;
    uint64_t client = key("192.0.2.1");
    reputation_take(&reputation, &(struct sighting){.key = key("192.0.2.9"), .rejected = 3}, START);
    cr_assert_eq(asked, 0, "a spammer is not vetted, whatever its name");
    reputation_take(&reputation, &(struct sighting){.key = client, .clean = 1}, START);
    cr_assert_eq(asked, 1);
    find_name(client, "mx.test", START);
    reputation_take(&reputation, &(struct sighting){.key = client, .clean = 1}, START + 60);
    cr_assert_eq(asked, 1);
    reputation_take(&reputation, &(struct sighting){.key = client, .clean = 1}, START + 7 * 3600);
    cr_assert_eq(asked, 2);
    reputation_take(&reputation, &(struct sighting){.key = key("192.0.2.10"), .needed_vetting = true}, START);
    cr_assert_eq(asked, 3, "who was refused in an outage");
}

Test(reputation, results_are_kept_for_their_ttl_but_not_under_5_minutes_nor_over_6_hours) {
    begin_with(4000, true, 0);
    reputation.wants_lookup = on_wants_lookup;
    uint64_t client = key("192.0.2.1");
    static const struct {
        uint32_t ttl_s;
        bool has_answer;
        uint32_t fresh_s;
    } cases[] = {{10, true, 300}, {2000, true, 2000}, {1000000, true, 6 * 3600}, {2000, false, 60}};
    uint32_t now = START;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++, now += DAY_S) {
        struct dns_findings findings = {
            .has_name_answer = cases[i].has_answer, .name = NAME_NONE, .ttl_s = cases[i].ttl_s};
        reputation_take(&reputation, &(struct sighting){.key = client, .clean = 1}, now);
        reputation_take_findings(&reputation, client, 0, &findings, now);
        asked = 0;
        reputation_take(&reputation, &(struct sighting){.key = client, .clean = 1}, now + cases[i].fresh_s - 1);
        cr_assert_eq(asked, 0, "ttl %u", cases[i].ttl_s);
        reputation_take(&reputation, &(struct sighting){.key = client, .clean = 1}, now + cases[i].fresh_s);
        cr_assert_eq(asked, 1, "ttl %u", cases[i].ttl_s);
    }
}

static size_t resident_octets(void) {
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    cr_assert(file != NULL && fscanf(file, "%lu %lu", &all, &resident) == 2);
    fclose(file);
    return resident * 4096;
}

Test(reputation, a_million_strangers_push_out_nobody_and_the_table_keeps_its_bound) {
    begin_with(100000, false, 0);
    enum { REGULARS = 500 };
    for (unsigned i = 0; i < REGULARS; i++)
        send_good(key("192.0.2.1") + i * 97, 0, 60);
    uint32_t now = START + 60 * DAY_S;
    sweep(now);
    cr_assert_eq(reputation_count_vetted(&reputation), REGULARS);
    size_t resident = resident_octets();
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (unsigned i = 0; i < 1000000; i++)
        reputation_take(&reputation, &(struct sighting){.key = key("10.0.0.0") + i, .rejected = i % 2, .clean = 1},
                        now);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    cr_assert_eq(reputation_count_vetted(&reputation), REGULARS);
    for (unsigned i = 0; i < REGULARS; i++)
        cr_assert(is_vetted(key("192.0.2.1") + i * 97));
    cr_assert_leq(reputation.table.count, 131072);
    size_t bound = (size_t)131072 * (sizeof(struct client) + PLACE_OCTETS + 1);
    cr_assert_leq(resident_octets() - resident, bound + 1000000, "%zu octets more", resident_octets() - resident);
    double each = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 1e6;
    fprintf(stderr, "a flood of a million strangers: %.0f ns each, %u clients in %u places, %zu octets a place\n", each,
            reputation.table.count, reputation_table_places(&reputation.table), sizeof(struct client) + PLACE_OCTETS);
}

Test(reputation, what_was_stored_and_loaded_gives_the_same_verdict) {
    begin_with(4000, false, 0);
    send_good(key("192.0.2.1"), 0, 60);
    sweep(START + 60 * DAY_S);
    struct client stored = *reputation_table_find(&reputation.table, key("192.0.2.1"));
    reputation_finish(&reputation);
    begin_with(4000, false, 0);
    cr_assert(reputation_load(&reputation, key("192.0.2.1"), &stored, START + 60 * DAY_S));
    reputation_on_loaded(&reputation);
    cr_assert(is_vetted(key("192.0.2.1")));
}

/* --- several addresses of one /64 --- */

#define NETWORK "2001:db8:5::"

static void find_for(uint64_t client, uint64_t host, const char *name, bool is_listed, uint32_t now_s) {
    struct dns_findings findings = {.has_name_answer = true,
                                    .name = name[0] != '\0' ? NAME_CONFIRMED : NAME_NONE,
                                    .answered = 1,
                                    .listed = is_listed};
    snprintf(findings.confirmed, sizeof findings.confirmed, "%s", name);
    reputation_take_findings(&reputation, client, host, &findings, now_s);
}

static bool is_host_vetted(uint64_t client, uint64_t host) {
    return reputation_table_is_vetted(&reputation.table, client, host);
}

Test(reputation, a_name_in_allow_file_admits_the_address_that_has_it_and_no_neighbour) {
    char domain[] = ".partner.test";
    char *domains[] = {domain};
    struct access access = {.allowed.domains = {domains, 1}};
    begin_with(4000, true, 0);
    reputation_set_access(&reputation, &access, START);
    uint64_t client = key(NETWORK "a");
    uint32_t now = START + DAY_S;
    reputation_take(&reputation, &(struct sighting){.key = client, .host = 0xa, .needed_vetting = true}, now);
    find_for(client, 0xa, "mx.partner.test", false, now);
    cr_assert(is_host_vetted(client, 0xa));
    cr_assert_not(is_host_vetted(client, 0xb), "never asked for");
    find_for(client, 0xb, "", false, now);
    cr_assert(is_host_vetted(client, 0xa) && !is_host_vetted(client, 0xb), "it has no name");
    find_for(client, 0xb, "mx2.partner.test", false, now + 1);
    cr_assert(is_host_vetted(client, 0xa) && is_host_vetted(client, 0xb));
    find_for(client, 0xa, "", false, now + 2);
    cr_assert(!is_host_vetted(client, 0xa) && is_host_vetted(client, 0xb), "its name has gone");
}

Test(reputation, conduct_is_the_networks_and_a_listing_the_addresss) {
    begin_with(4000, true, 1);
    list.action = DNSLIST_VETO;
    reputation.lists[0].state = DNSLIST_ON;
    uint64_t client = key(NETWORK "a");
    uint32_t now = START + 40 * DAY_S;
    send_good(client, 0, 40);
    find_for(client, 0xa, "mx.test", false, now);
    cr_assert(is_host_vetted(client, 0xa) && is_host_vetted(client, 0xb), "by conduct");
    find_for(client, 0xb, "mx.bad.test", true, now + 1);
    cr_assert(is_host_vetted(client, 0xa), "not its listing");
    cr_assert_not(is_host_vetted(client, 0xb));
    cr_assert_not(is_host_vetted(client, 0xc), "against a veto only by its own look-up");
    find_for(client, 0xc, "mx3.test", false, now + 2);
    cr_assert(is_host_vetted(client, 0xc));
    find_for(client, 0xc, "", false, now + 3);
    cr_assert(!is_host_vetted(client, 0xc) && is_host_vetted(client, 0xa), "no name of its own");
    find_for(client, 0xb, "mx.bad.test", false, now + 4);
    cr_assert(is_host_vetted(client, 0xb) && is_host_vetted(client, 0xd), "off the list again");
}

Test(reputation, no_neighbour_can_take_the_place_of_an_address_that_is_vetted_or_listed) {
    begin_with(4000, true, 1);
    reputation.lists[0].state = DNSLIST_ON;
    uint64_t client = key(NETWORK "a");
    uint32_t now = START + 40 * DAY_S;
    send_good(client, 0, 40);
    find_for(client, 0xa, "mx.test", false, now);
    find_for(client, 0xb, "mx.bad.test", true, now);
    for (uint64_t host = 0x100; host < 0x200; host++)
        find_for(client, host, "", false, now + (uint32_t)host);
    cr_assert(is_host_vetted(client, 0xa) && !is_host_vetted(client, 0xb) && !is_host_vetted(client, 0x1ff));
    asked = 0;
    reputation.wants_lookup = on_wants_lookup;
    uint32_t later = now + 0x200;
    reputation_take(&reputation, &(struct sighting){.key = client, .host = 0x300, .clean = 1}, later);
    cr_assert_eq(asked, 0, "the third place has just been taken");
    reputation_take(&reputation, &(struct sighting){.key = client, .host = 0x300, .clean = 1}, later + 60);
    cr_assert_eq(asked, 1);
    find_for(client, 0xc, "mx.test", false, now + 25 * 3600);
    find_for(client, 0xd, "mx.test", false, now + 25 * 3600);
    find_for(client, 0xe, "mx.test", false, now + 25 * 3600);
    cr_assert(is_host_vetted(client, 0xc) && is_host_vetted(client, 0xd) && is_host_vetted(client, 0xe),
              "results of yesterday make room");
}

Test(reputation, each_address_is_asked_for_once_and_again_by_its_own_ttl) {
    begin_with(4000, true, 0);
    reputation.wants_lookup = on_wants_lookup;
    uint64_t client = key(NETWORK "a");
    asked = 0;
    for (uint64_t host = 1; host <= 3; host++) {
        reputation_take(&reputation, &(struct sighting){.key = client, .host = host, .clean = 1}, START);
        find_for(client, host, "mx.test", false, START);
    }
    cr_assert_eq(asked, 3);
    for (uint64_t host = 1; host <= 3; host++)
        reputation_take(&reputation, &(struct sighting){.key = client, .host = host, .clean = 1}, START + 100);
    cr_assert_eq(asked, 3);
    struct vetting vetting;
    reputation_explain(&reputation, client, 2, reputation_table_find(&reputation.table, client), START, &vetting);
    cr_assert(vetting.has_fcrdns && vetting.has_name_answer);
}
