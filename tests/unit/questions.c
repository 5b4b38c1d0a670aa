/* Questions on a real ring, by c-ares, to a server that this test plays: what is asked once, kept, and answered at
 * once. */
#include "lb/dns/questions.h"

#include "lb/dns/answer_cache.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    struct io *io;
    struct resolver *resolver;
    struct questions *questions;
    struct mailbox worker; /* the asker's; here on the same ring */
    struct timer wake;
    int fd;
    unsigned received; /* queries that came to the server */
    bool is_silent;
} scene;

static void on_wake(struct timer *timer) {
    timer_set(io_timers(scene.io), timer, io_now_ms(scene.io) + 5);
}

static void begin_with(uint64_t timeout_ms, unsigned tries) {
    char error[200];
    struct address server = {.in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof server.in4;
    struct io_options options = {.slots = 8, .buffers = 8};
    memset(&scene, 0, sizeof scene);
    scene.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(scene.fd, &server.sa, length), 0);
    getsockname(scene.fd, &server.sa, &length);
    struct config_dns dns = {.servers = {&server, 1}, .timeout_ms = timeout_ms, .tries = tries};
    cr_assert_eq(io_create(&options, &scene.io, error, sizeof error), 0, "%s", error);
    cr_assert_eq(resolver_create(scene.io, &dns, &scene.resolver, error, sizeof error), 0, "%s", error);
    cr_assert_eq(questions_create(scene.io, scene.resolver, &scene.questions), 0);
    cr_assert_eq(mailbox_init(&scene.worker, scene.io, NULL, NULL), 0);
    cr_assert_eq(io_start(scene.io), 0);
    questions_start(scene.questions);
    mailbox_start(&scene.worker);
    scene.wake.expire = on_wake;
    on_wake(&scene.wake);
}

static void begin(void) {
    begin_with(500, 1);
}

static void end(void) {
    questions_destroy(scene.questions);
    resolver_destroy(scene.resolver);
    mailbox_finish(&scene.worker);
    io_destroy(scene.io);
    close(scene.fd);
}

/* --- the server --- */

/* "name type" of the question, as "a.test 15". */
static size_t read_question(const uint8_t *packet, char *text, size_t size) {
    size_t at = 12, length = 0;
    while (packet[at] != 0 && length + packet[at] + 1 < size) {
        length += (size_t)snprintf(text + length, size - length, "%s%.*s", length > 0 ? "." : "", packet[at],
                                   (const char *)packet + at + 1);
        at += packet[at] + 1u;
    }
    snprintf(text + length, size - length, " %u", packet[at + 1] * 256u + packet[at + 2]);
    return at + 5;
}

static const struct {
    const char *question;
    const char *data; /* NULL: NXDOMAIN */
    uint8_t length, ttl_s;
} zone[] = {{"mx.test 15", "\0\12\2mx\300\14", 7, 200},
            {"null.test 15", "\0\0\0", 3, 200},
            {"a.test 1", "\300\0\2\12", 4, 200},
            {"aaaa.test 28", "\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1", 16, 200},
            {"none.test 15", NULL, 0, 0},
            {"10.2.0.192.in-addr.arpa 12", "\1A\4TEST\0", 8, 200}};

/* No such record, for all that is not in the zone; SERVFAIL for names that begin with it. */
static void serve(void) {
    uint8_t packet[600];
    char question[300];
    struct sockaddr_in peer;
    socklen_t peer_length = sizeof peer;
    ssize_t got;
    while ((got = recvfrom(scene.fd, packet, 512, 0, (struct sockaddr *)&peer, &peer_length)) > 12) {
        scene.received++;
        size_t length = read_question(packet, question, sizeof question);
        if (scene.is_silent)
            continue;
        packet[2] |= 0x80;
        packet[3] = strncmp(question, "servfail", 8) == 0 ? 2 : 0;
        memset(packet + 6, 0, 6);
        for (unsigned i = 0; i < sizeof zone / sizeof zone[0]; i++) {
            if (strcmp(question, zone[i].question) != 0)
                continue;
            packet[3] = zone[i].data == NULL ? 3 : 0;
            packet[7] = zone[i].data != NULL;
            if (zone[i].data == NULL)
                continue;
            uint8_t fixed[12] = {0xc0, 12, 0, packet[length - 3], 0, 1, 0, 0, 0, zone[i].ttl_s, 0, zone[i].length};
            memcpy(packet + length, fixed, sizeof fixed);
            memcpy(packet + length + sizeof fixed, zone[i].data, zone[i].length);
            length += sizeof fixed + zone[i].length;
        }
        sendto(scene.fd, packet, length, 0, (struct sockaddr *)&peer, peer_length);
    }
}

/* --- the asker --- */

static unsigned answered;

static void on_answer(struct dns_question *question) {
    (void)question;
    answered++;
}

static void ask_for(struct dns_question *question, uint32_t client, bool is_vetted, const char *domain) {
    *question = (struct dns_question){
        .reply = &scene.worker,
        .on_answer = on_answer,
        .is_vetted = is_vetted,
        .client.in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(client)},
    };
    snprintf(question->domain, sizeof question->domain, "%s", domain);
    questions_ask(scene.questions, question);
}

/* Each time another client, who is vetted. */
static void ask(struct dns_question *question, const char *domain) {
    static uint32_t last;
    ask_for(question, 0x0a000000 + ++last, true, domain);
}

/* Turns until `count` answers have come. */
static void await(unsigned count) {
    answered = 0;
    for (unsigned turns = 0; answered < count; turns++) {
        cr_assert_lt(turns, 2000, "%u of %u answers", answered, count);
        io_wait(scene.io);
        io_dispatch(scene.io);
        serve();
    }
}

static enum mail_domain ask_domain(const char *domain) {
    struct dns_question question;
    ask(&question, domain);
    await(1);
    return question.mail_domain;
}

static struct questions_stats stats(void) {
    struct questions_stats result;
    questions_read_stats(scene.questions, &result);
    return result;
}

Test(questions, a_domain_takes_mail_by_an_exchange_or_an_address) {
    begin();
    cr_assert_eq(ask_domain("mx.test"), MAIL_DOMAIN_TAKES_MAIL);
    cr_assert_eq(scene.received, 1);
    cr_assert_eq(ask_domain("a.test"), MAIL_DOMAIN_TAKES_MAIL);
    cr_assert_eq(ask_domain("aaaa.test"), MAIL_DOMAIN_TAKES_MAIL);
    cr_assert_eq(scene.received, 1 + 2 + 3);
    cr_assert_eq(ask_domain("null.test"), MAIL_DOMAIN_NULL_MX);
    cr_assert_eq(ask_domain("empty.test"), MAIL_DOMAIN_UNKNOWN);
    cr_assert_eq(ask_domain("none.test"), MAIL_DOMAIN_UNKNOWN);
    cr_assert_eq(scene.received, 6 + 1 + 3 + 1, "the walk ends at NXDOMAIN");
    cr_assert_eq(ask_domain("servfail.test"), MAIL_DOMAIN_FAILED);
    cr_assert(stats().asked == 7 && stats().failed == 1 && stats().queries == 12 && stats().under_way == 0);
    cr_assert_eq(ask_domain("[192.0.2.1]"), MAIL_DOMAIN_TAKES_MAIL);
    cr_assert_eq(scene.received, 12);
    end();
}

Test(questions, two_thousand_sessions_that_name_one_domain_are_one_query) {
    begin();
    struct dns_question *many = calloc(2000, sizeof *many);
    for (unsigned i = 0; i < 2000; i++)
        ask(&many[i], "mx.test");
    await(2000);
    for (unsigned i = 0; i < 2000; i++)
        cr_assert_eq(many[i].mail_domain, MAIL_DOMAIN_TAKES_MAIL);
    cr_assert(scene.received == 1 && stats().asked == 2000 && stats().cache_hits == 0);
    ask(&many[0], "mx.test");
    await(1);
    cr_assert(scene.received == 1 && stats().cache_hits == 1);
    free(many);
    end();
}

static struct dns_question ask_name(const char *client) {
    struct dns_question question = {
        .reply = &scene.worker, .on_answer = on_answer, .kind = QUESTION_CLIENT_NAME, .name = "left"};
    cr_assert_eq(address_parse(client, 25, &question.client), 0);
    questions_ask(scene.questions, &question);
    await(1);
    return question;
}

Test(questions, a_clients_name_is_the_one_that_leads_back) {
    begin();
    for (unsigned i = 0; i < 2; i++) {
        struct dns_question question = ask_name("192.0.2.10");
        cr_assert_str_eq(question.name, "a.test");
        cr_assert_not(question.has_failed);
        cr_assert_eq(scene.received, 2);
    }
    struct dns_question question = ask_name("[::ffff:192.0.2.10]");
    cr_assert_str_eq(question.name, "a.test", "the same client");
    question = ask_name("192.0.2.11");
    cr_assert_str_eq(question.name, "");
    cr_assert_not(question.has_failed);
    cr_assert(scene.received == 3 && stats().cache_hits == 2);
    end();
}

Test(questions, a_silent_server_fails_all_in_bounded_time_and_what_is_over_the_bound_at_once) {
    begin();
    unsigned count = QUESTIONS_AT_ONCE + 100;
    struct dns_question *many = calloc(count, sizeof *many);
    char domain[32];
    scene.is_silent = true;
    for (unsigned i = 0; i < count; i++) {
        snprintf(domain, sizeof domain, "n%u.test", i);
        ask(&many[i], domain);
        many[i].mail_domain = MAIL_DOMAIN_TAKES_MAIL;
    }
    uint64_t begun = io_now_ms(scene.io);
    await(100);
    cr_assert(stats().dropped == 100 && io_now_ms(scene.io) - begun < 400, "they had to wait");
    await(QUESTIONS_AT_ONCE);
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(many[i].mail_domain, MAIL_DOMAIN_FAILED);
    cr_assert(stats().failed == QUESTIONS_AT_ONCE && stats().under_way == 0);
    ask(&many[0], "n0.test"); /* the failure is remembered for a moment */
    await(1);
    cr_assert(stats().cache_hits == 1 && many[0].mail_domain == MAIL_DOMAIN_FAILED);
    free(many);
    end();
}

Test(questions, at_a_stop_nobody_waits_for_the_dns) {
    begin_with(5000, 3);
    struct dns_question open[3];
    cr_assert_eq(ask_domain("mx.test"), MAIL_DOMAIN_TAKES_MAIL);
    scene.is_silent = true;
    uint64_t begun = io_now_ms(scene.io);
    ask(&open[0], "a.test");
    ask(&open[1], "a.test");
    ask(&open[2], "null.test");
    while (stats().under_way < 2) {
        io_wait(scene.io);
        io_dispatch(scene.io);
    }
    questions_stop(scene.questions);
    await(3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(open[i].mail_domain, MAIL_DOMAIN_FAILED);
    cr_assert_eq(ask_domain("none.test"), MAIL_DOMAIN_FAILED);
    cr_assert_eq(ask_domain("mx.test"), MAIL_DOMAIN_TAKES_MAIL, "it is known");
    cr_assert(io_now_ms(scene.io) - begun < 2000 && stats().under_way == 0);
    end();
}

/* 12 clients ask for what nobody answers, each as much as it may. */
static unsigned flood(struct dns_question many[12][100], const char *parent) {
    char domain[64];
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned client = 0; client < 12; client++) {
            snprintf(domain, sizeof domain, "silent%u-%u%s", client, i, parent);
            ask_for(&many[client][i], 0xc0000200 + client, false, domain);
        }
    }
    do {
        io_wait(scene.io);
        io_dispatch(scene.io);
    } while (stats().asked < 1200);
    return stats().under_way;
}

static void expect_good_ones_get_in(bool is_vetted, const char *domain, uint32_t client) {
    struct dns_question good;
    uint64_t dropped = stats().dropped;
    ask_for(&good, client, is_vetted, domain);
    do {
        io_wait(scene.io);
        io_dispatch(scene.io);
    } while (stats().asked < 1201);
    cr_assert_eq(stats().dropped, dropped, "%s is not asked", domain);
    questions_stop(scene.questions);
    await(stats().under_way); /* all */
}

Test(questions, clients_whose_domains_never_answer_leave_room_for_all_others) {
    static struct dns_question many[12][100];
    begin_with(5000, 1);
    scene.is_silent = true;
    unsigned under_way = flood(many, ".test");
    cr_assert(under_way > 100 && under_way < QUESTIONS_AT_ONCE - SHARES_RESERVED, "%u", under_way);
    expect_good_ones_get_in(false, "mx.test", 0x0a000001);
    end();
}

Test(questions, a_silent_zone_leaves_room_for_another_and_for_new_clients_of_its_own) {
    static struct dns_question many[12][100];
    begin_with(5000, 1);
    scene.is_silent = true;
    unsigned under_way = flood(many, ".one.test");
    cr_assert(under_way > 50 && under_way <= SHARES_ZONE_MAX, "%u", under_way);
    expect_good_ones_get_in(false, "good.one.test", 0x0a000001);
    end();
}

static void on_other_answer(struct dns_query *query, const struct dns_answer *answer) {
    (void)query;
    cr_assert(answer->status == DNS_FOUND, "%s", answer->error);
    answered++;
}

/* c-ares doubles its timeout with each try: it holds these queries for 6.3 s, and they are answered after 1.6 s. */
Test(questions, a_dead_server_does_not_cost_reputation_its_places) {
    begin_with(100, 6);
    struct dns_question *many = calloc(3 * QUESTIONS_AT_ONCE, sizeof *many);
    char domain[32];
    scene.is_silent = true;
    for (unsigned i = 0; i < 3 * QUESTIONS_AT_ONCE; i++) {
        snprintf(domain, sizeof domain, "n%u.test", i);
        ask(&many[i], domain);
        if ((i + 1) % QUESTIONS_AT_ONCE == 0)
            await(QUESTIONS_AT_ONCE);
    }
    cr_assert(stats().failed == 2 * QUESTIONS_AT_ONCE && stats().dropped == QUESTIONS_AT_ONCE,
              "%lu failed, %lu dropped", (unsigned long)stats().failed, (unsigned long)stats().dropped);
    scene.is_silent = false;
    struct dns_query others[DNS_QUERIES_MAX - QUESTIONS_PLACES_MAX];
    for (unsigned i = 0; i < DNS_QUERIES_MAX - QUESTIONS_PLACES_MAX; i++) {
        others[i] = (struct dns_query){.on_answer = on_other_answer};
        resolver_ask(scene.resolver, &others[i], "mx.test", DNS_MX);
    }
    await(DNS_QUERIES_MAX - QUESTIONS_PLACES_MAX);
    uint64_t until = io_now_ms(scene.io) + 10000;
    do { /* until c-ares has let go */
        cr_assert_lt(io_now_ms(scene.io), until);
        ask(&many[0], "mx.test");
        await(1);
    } while (many[0].mail_domain != MAIL_DOMAIN_TAKES_MAIL);
    end();
    free(many);
}
