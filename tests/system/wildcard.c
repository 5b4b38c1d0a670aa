/* What a backend that wants a PROXY header is told of a client that came to a wildcard address. */
#include "talk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connects to postern at `host`; the line that its backend is sent first. */
static void expect_header(int listening, const char *host, unsigned port, const char *wanted) {
    struct talk client, backend;
    cr_assert_eq(talk_prepare(&client, NULL), 0);
    cr_assert_eq(talk_connect(&client, host, port), 0);
    talk_take(&backend, listening);
    talk_expect(&backend, wanted);
    talk_end(&client);
    talk_end(&backend);
}

Test(wildcard, a_server_added_with_proxy_is_told_the_address_that_the_client_came_to) {
    struct scene scene;
    struct test_sink sink;
    struct talk before;
    unsigned port;
    int status, listening = talk_listen(&port);
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    unsigned wildcard = free_port();
    char listen[80];
    snprintf(listen, sizeof listen, "[listen any]\naddress = 0.0.0.0:%u\n", wildcard);
    postern_listen(&scene, listen);
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    talk_begin(&before, NULL, wildcard);
    talk_expect(&before, "220");
    free(ctl(&scene, &status, "add server own tier primary address 127.0.0.1:%u proxy v1", port));
    cr_assert_eq(status, 0);
    free(ctl(&scene, &status, "set server vm1 state drain"));
    cr_assert_eq(status, 0);
    for (unsigned i = 0; i < 3; i++) {
        expect_header(listening, "127.0.0.1", wildcard, "PROXY TCP4 127.0.0.1 127.0.0.1 ");
        expect_header(listening, "127.0.0.7", wildcard, "PROXY TCP4 127.0.0.1 127.0.0.7 ");
        expect_header(listening, "127.0.0.1", scene.port, "PROXY TCP4 127.0.0.1 127.0.0.1 ");
    }
    /* One that was there before goes on where it is. */
    talk_exchange(&before, "NOOP\r\n", "250");
    talk_end(&before);
    close(listening);
    scene_end(&scene);
}

Test(wildcard, a_server_of_the_file_with_proxy_is_told_it_from_the_first_client_on) {
    struct scene scene;
    unsigned port;
    int listening = talk_listen(&port);
    scene_begin(&scene, false);
    unsigned wildcard = free_port();
    char listen[80];
    snprintf(listen, sizeof listen, "[listen any]\naddress = 0.0.0.0:%u\n", wildcard);
    postern_listen(&scene, listen);
    postern_tier(&scene, "primary", "check = none\nproxy = v1\n");
    postern_backend(&scene, "own", port, "");
    postern_start(&scene);
    expect_header(listening, "127.0.0.7", wildcard, "PROXY TCP4 127.0.0.1 127.0.0.7 ");
    close(listening);
    scene_end(&scene);
}

static bool is_greeted(unsigned port) {
    struct talk client;
    talk_begin(&client, NULL, port);
    bool is_so = strncmp(talk_hear(&client, 5000), "220", 3) == 0;
    talk_end(&client);
    return is_so;
}

/* Without a descriptor's number the address can't be asked for, and only that. */
Test(wildcard, without_descriptors_of_our_own_clients_are_not_left_without_a_word) {
    struct scene scene;
    struct test_sink sink;
    struct rlimit before, none;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "--proxy v1");
    unsigned wildcard = free_port();
    char listen[80];
    snprintf(listen, sizeof listen, "workers = 1\n[listen any]\naddress = 0.0.0.0:%u\n", wildcard);
    postern_global(&scene, listen);
    postern_tier(&scene, "primary", "check = none\nproxy = v1\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    cr_assert(is_greeted(wildcard));
    cr_assert_eq(prlimit(scene.postern, RLIMIT_NOFILE, NULL, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    cr_assert_eq(prlimit(scene.postern, RLIMIT_NOFILE, &none, NULL), 0);
    WAIT_FOR(!is_greeted(wildcard), 5000);
    for (unsigned i = 0; i < 100; i++) /* more than there are accepts in flight */
        talk_script("no descriptors", NULL, wildcard, (const char *const[]){"421 4.3.", "", "closed", NULL});
    cr_assert_eq(prlimit(scene.postern, RLIMIT_NOFILE, &before, NULL), 0);
    WAIT_FOR(is_greeted(wildcard), 10000);
    cr_assert_eq(log_count(&scene, "listen any: accept: "), 1);
    scene_end(&scene);
}

/* Postfix refuses UNKNOWN, which is all that version 1 has for a connection of the proxy's own. */
Test(wildcard, a_probe_by_version_1_names_the_addresses_and_ports_that_it_has) {
    struct scene scene;
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    unsigned port;
    char wanted[120];
    struct talk backend;
    int listening = talk_listen(&port);
    scene_begin(&scene, false);
    postern_tier(&scene, "primary", "proxy = v1\n");
    postern_backend(&scene, "own", port, "");
    postern_start(&scene);
    talk_take(&backend, listening);
    cr_assert_eq(getpeername(backend.fd, (struct sockaddr *)&peer, &length), 0);
    snprintf(wanted, sizeof wanted, "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n", ntohs(peer.sin_port), port);
    cr_assert_str_eq(talk_hear(&backend, TALK_MS), wanted);
    talk_end(&backend);
    close(listening);
    scene_end(&scene);
}
