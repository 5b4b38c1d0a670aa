/* The health checks of a balancer before postern: a postern that serves is not taken out of service, and what checks it
 * is no client. */
#include "two_hosts.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define LOCAL     SIGNATURE "\x20\0\0\0"
#define UNSPEC    SIGNATURE "\x21\0\0\0"
#define UNKNOWN   "PROXY UNKNOWN\r\n"

static struct scene scene;
static struct test_sink vm, bastion;

static void begin_behind(const char *listen, const char *global) {
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    sink_begin(&scene, &bastion, "bastion", "");
    free(shell(NULL, "echo 192.0.2.0/24 > %s/allow; echo 127.0.0.1 > %s/deny", scene.dir, scene.dir));
    postern_global(&scene, global);
    postern_listen(&scene, listen);
    postern_lines(
        &scene,
        "[reputation]\nmax-entries = 1000\nallow-file = %s/allow\ndeny-file = %s/deny\n[dns]\nservers = 127.0.0.1:1\n",
        scene.dir, scene.dir);
    postern_tier(&scene, "primary", "inter = 200ms\n");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_tier(&scene, "strict", "admit = vetted\ninter = 200ms\n");
    postern_backend(&scene, "bastion", bastion.port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
    await_up(&scene, "bastion");
}

static void begin(const char *global) {
    begin_behind("proxy-from = 127.0.0.0/8\n", global);
}

/* Says the header, then what is given; compares the replies. */
static void check_from(const char *client, const char *header, size_t length, const char *const *steps) {
    struct talk talk;
    talk_begin(&talk, client, scene.port);
    talk_say(&talk, header, length);
    talk_steps(&talk, "checker", steps);
    talk_end(&talk);
}

#define CHECK_FROM(client, header, ...)                                                                                \
    check_from(client, header, sizeof(header) - 1, (const char *const[]){__VA_ARGS__, NULL})
#define CHECK(header, ...) CHECK_FROM("127.0.0.1", header, __VA_ARGS__)

Test(proxy_checks, each_kind_is_greeted_and_may_quit) {
    begin("");
    CHECK(LOCAL, "220 mx.example.test", "EHLO lb.test\r\n", "250-", "QUIT\r\n", "221", "", "closed");
    CHECK(UNSPEC, "220", "HELO lb.test\r\n", "250 ", "QUIT\r\n", "221", "", "closed");
    CHECK(UNKNOWN, "220", "QUIT\r\n", "221", "", "closed");
    CHECK("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "220", "QUIT\r\n", "221", "", "closed");
    CHECK(LOCAL "QUIT\r\n", "220", "", "221", "", "closed");
    CHECK(LOCAL, "220"); /* and leaves */
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    cr_assert_eq(info_figure(&scene, "relayed_total"), 0, "no backend is asked");
    cr_assert_not(log_has_by_now(&scene, "health check of the proxy"), "the log is not filled with them");
    scene_end(&scene);
}

Test(proxy_checks, mail_is_not_taken_and_is_no_evidence) {
    begin("");
    CHECK(LOCAL, "220", "EHLO lb.test\r\n", "250-", "MAIL FROM:<a@b.test>\r\n", "421 4.3.2", "", "closed");
    CHECK(LOCAL "EHLO lb.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<u@x.test>\r\nDATA\r\n", "220", "", "250-", "", "421",
          "", "closed");
    CHECK(UNKNOWN "GET / HTTP/1.0\r\n", "220", "", "421", "", "closed");
    WAIT_FOR(log_has(&scene, "code=421 "), 5000);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    char *said = ctl(&scene, NULL, "show reputation");
    cr_assert_not_null(strstr(said, "clients: 0\n"), "%s", said);
    free(said);
    cr_assert_eq(sink_figure(&vm, "mails") + sink_figure(&bastion, "mails"), 0);
    scene_end(&scene);
}

static bool primary_serves(void) {
    char *serves = row_value(&scene, "tiers", "primary", "serves");
    bool does = strcmp(serves, "yes") == 0 || strcmp(serves, "true") == 0;
    free(serves);
    return does;
}

Test(proxy_checks, in_an_outage_of_the_primaries_the_vetted_are_not_cut_off) {
    begin("");
    free(ctl(&scene, NULL, "set server vm1 state maint"));
    CHECK(LOCAL, "220", "QUIT\r\n", "221");
    CHECK("PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n", "220 bastion", "QUIT\r\n", "221");
    CHECK("PROXY TCP4 198.51.100.7 192.0.2.1 4000 25\r\n", "421", "", "closed");
    free(ctl(&scene, NULL, "set server bastion state maint"));
    CHECK(LOCAL, "421 4.3.2", "", "closed");
    CHECK(UNKNOWN, "421 4.3.2", "", "closed");
    free(ctl(&scene, NULL, "set server vm1 state ready"));
    WAIT_FOR(server_figure(&scene, "vm1", "sessions") == 0, 5000);
    WAIT_FOR(primary_serves(), 10000); /* failback-delay */
    CHECK(LOCAL, "220", "QUIT\r\n", "221");
    scene_end(&scene);
}

Test(proxy_checks, a_full_postern_is_no_dead_one) {
    struct talk held;
    static const char header[] = "PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n";
    begin("max-sessions = 1\nworkers = 1\n");
    talk_begin(&held, "127.0.0.1", scene.port);
    talk_say(&held, header, sizeof header - 1);
    talk_expect(&held, "220");
    for (unsigned i = 0; i < 5; i++)
        CHECK(LOCAL, "220", "QUIT\r\n", "221", "", "closed");
    CHECK("PROXY TCP4 192.0.2.8 192.0.2.1 4000 25\r\n", "421 4.3.2", "", "closed");
    talk_end(&held);
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    CHECK("PROXY TCP4 192.0.2.8 192.0.2.1 4000 25\r\n", "220", "QUIT\r\n", "221");
    scene_end(&scene);
}

/* A balancer that is not listed, slower than the host greets; no backend is told who it says that it speaks for. */
Test(proxy_checks, a_header_behind_the_greeting_reaches_no_host) {
    static const struct {
        const char *octets;
        size_t length;
    } headers[] = {
#define HEADER(octets) {octets, sizeof(octets) - 1}
        HEADER("PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\n"),
        HEADER("PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\nEHLO client.test\r\n"),
        HEADER(UNKNOWN),
        HEADER(LOCAL),
        HEADER(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\7\xc0\0\2\x08\x0f\xa0\0\x19"),
    };
    struct two_hosts site;
    two_hosts_begin(&site, "");
    for (unsigned i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct talk talk;
        talk_begin(&talk, NULL, site.scene.port);
        talk_expect(&talk, "220 ");
        talk_say(&talk, headers[i].octets, headers[i].length);
        talk_expect(&talk, "421 4.7.0");
        talk_expect(&talk, "closed");
        talk_end(&talk);
    }
    scripted_expect_told(&site.first, "", "the first");
    talk_script(
        "a client that says it later", NULL, site.scene.port,
        (const char *const[]){"220 ", HELLO, "250", UNKNOWN, "500 5.5.2", "QUIT\r\n", "221", "", "closed", NULL});
    WAIT_FOR(log_has(&site.scene, "code=421 phase=idle vetted=no replays=0 end=PP"), 5000);
    two_hosts_end(&site);
}

/* The host greets at once; the header comes right behind the connection, as balancers send it. */
Test(proxy_checks, a_balancer_that_is_not_listed_has_a_moment_before_it_is_greeted) {
    static const char stranger[] = "127.9.0.1";
    begin_behind("proxy-from = 127.8.0.0/16\n", "");
    uint64_t since_ms = now_ms();
    CHECK_FROM(stranger, "", "220 vm1", "QUIT\r\n", "221", "", "closed");
    cr_assert_geq(now_ms() - since_ms, 49, "greeted before a header could have come");
    for (unsigned i = 0; i < 50; i++)
        CHECK_FROM(stranger, "PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\n", "closed");
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    struct talk gone;
    for (unsigned i = 0; i < 50; i++) { /* and leaves while its greeting is held back */
        talk_begin(&gone, stranger, scene.port);
        talk_end(&gone);
    }
    WAIT_FOR(info_figure(&scene, "sessions") == 0 && server_figure(&scene, "vm1", "sessions") == 0, 5000);
    cr_assert_eq(sink_figure(&vm, "mails"), 0);
    scene_end(&scene);
}

/* Where the balancer's header is still on its way, an end without reading it would be a reset, which eats the 421. */
Test(proxy_checks, a_header_that_comes_behind_the_421_of_a_stop_does_not_eat_it) {
    static const char header[] = "PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\n";
    struct talk peer;
    begin("");
    talk_begin(&peer, "127.0.0.1", scene.port);
    WAIT_FOR(info_figure(&scene, "sessions") == 1, 5000);
    kill(scene.postern, SIGTERM);
    WAIT_FOR(log_has(&scene, "server=- tier=- tries=0"), 5000);
    talk_say(&peer, header, sizeof header - 1);
    talk_expect(&peer, "421 4.3.2");
    talk_expect(&peer, "closed");
    talk_end(&peer);
    scene_end(&scene);
}
