/* What a backend that wants a PROXY header is told of a client that came to a wildcard address. */
#include "talk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A backend of the test's own, whose accepted connection shows the header. */
static int listen_somewhere(unsigned *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 16), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 15}, sizeof(struct timeval));
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* Connects to postern at `host`; the line that its backend is sent first. */
static void expect_header(int listening, const char *host, unsigned port, const char *wanted) {
    char line[120] = "";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    cr_assert_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    int backend = accept(listening, NULL, NULL);
    cr_assert(backend >= 0, "no backend was asked");
    for (size_t at = 0; strchr(line, '\n') == NULL && at + 1 < sizeof line; at++)
        cr_assert_eq(recv(backend, line + at, 1, 0), 1);
    cr_assert(strncmp(line, wanted, strlen(wanted)) == 0, "%s instead of %s", line, wanted);
    close(client);
    close(backend);
}

Test(wildcard, a_server_added_with_proxy_is_told_the_address_that_the_client_came_to) {
    struct scene scene;
    struct test_sink sink;
    struct talk before;
    unsigned port;
    int status, listening = listen_somewhere(&port);
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    unsigned wildcard = free_port();
    char listen[80];
    snprintf(listen, sizeof listen, "[listen any]\naddress = 0.0.0.0:%u\n", wildcard);
    postern_begin_with(&scene, "", listen,
                       "[tier primary]\ncheck = none\n[backend vm1]\ntier = primary\naddress = 127.0.0.1:%u\n",
                       sink.port);
    talk_begin(&before, NULL, wildcard);
    cr_assert_eq(strncmp(talk_hear(&before, 15000), "220", 3), 0);
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
    talk_say(&before, "NOOP\r\n", 6);
    cr_assert_eq(strncmp(talk_hear(&before, 15000), "250", 3), 0);
    talk_end(&before);
    close(listening);
    scene_end(&scene);
}

Test(wildcard, a_server_of_the_file_with_proxy_is_told_it_from_the_first_client_on) {
    struct scene scene;
    unsigned port;
    int listening = listen_somewhere(&port);
    scene_begin(&scene, false);
    unsigned wildcard = free_port();
    char listen[80];
    snprintf(listen, sizeof listen, "[listen any]\naddress = 0.0.0.0:%u\n", wildcard);
    postern_begin_with(&scene, "", listen,
                       "[tier primary]\ncheck = none\nproxy = v1\n[backend own]\ntier = primary\naddress = "
                       "127.0.0.1:%u\n",
                       port);
    expect_header(listening, "127.0.0.7", wildcard, "PROXY TCP4 127.0.0.1 127.0.0.7 ");
    close(listening);
    scene_end(&scene);
}

/* Postfix refuses UNKNOWN, which is all that version 1 has for a connection of the proxy's own. */
Test(wildcard, a_probe_by_version_1_names_the_addresses_and_ports_that_it_has) {
    struct scene scene;
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    unsigned port;
    char line[120] = "", wanted[120];
    int listening = listen_somewhere(&port);
    scene_begin(&scene, false);
    postern_begin(&scene, "[tier primary]\nproxy = v1\n[backend own]\ntier = primary\naddress = 127.0.0.1:%u\n", port);
    int backend = accept(listening, (struct sockaddr *)&peer, &length);
    cr_assert(backend >= 0);
    for (size_t at = 0; strchr(line, '\n') == NULL && at + 1 < sizeof line; at++)
        cr_assert_eq(recv(backend, line + at, 1, 0), 1);
    snprintf(wanted, sizeof wanted, "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n", ntohs(peer.sin_port), port);
    cr_assert_str_eq(line, wanted);
    close(backend);
    close(listening);
    scene_end(&scene);
}
