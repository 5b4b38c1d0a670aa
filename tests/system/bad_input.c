/* Wrong input of every kind gets a clear answer and never a crash, a hang or a half-applied change. */
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Connects, sends, and returns all that comes until the end. */
static char *heard_by(struct scene *scene, const void *octets, size_t length) {
    struct talk talk;
    const char *reply;
    talk_begin(&talk, NULL, scene->port);
    talk_say(&talk, octets, length);
    do
        reply = talk_hear(&talk, TALK_MS);
    while (talk_is_reply(reply));
    cr_assert(strcmp(reply, "closed") == 0 || strcmp(reply, "reset") == 0, "%s behind %s", reply, talk.heard);
    talk_end(&talk);
    return strdup(talk.heard);
}

static void begin(struct scene *scene, struct test_sink *sink, const char *listen) {
    scene_begin(scene, false);
    sink_begin(scene, sink, "vm1", "--proxy v1");
    postern_listen(scene, listen);
    postern_lines(scene, "[timeouts]\ngreeting = 2s\n");
    postern_tier(scene, "primary", "proxy = v1\ncheck = none\n");
    postern_backend(scene, "vm1", sink->port, "");
    postern_start(scene);
}

Test(bad_input, a_client_that_talks_too_much_before_the_greeting_hears_421_4_7_0) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "");
    sink_fault(&sink, "hang");
    json_t *result = load_run(&scene, "--sessions 3 --early 5000");
    cr_assert(figure(result, "tempfailed") == 3, "%s", json_dumps(result, 0));
    cr_assert_not_null(strstr(json_string_value(json_object_get(result, "last_reply")), "421 4.7.0"));
    json_decref(result);
    scene_end(&scene);
}

Test(bad_input, a_command_that_began_before_the_greeting_may_end_after_it) {
    struct scene scene;
    struct test_sink sink;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "--greeting-delay 200");
    postern_tier(&scene, "primary", "check = none\n");
    postern_backend(&scene, "vm1", sink.port, "");
    postern_start(&scene);
    talk_script("two halves", NULL, scene.port,
                (const char *const[]){"", "EHLO cl", "220", "ient.test\r\nQUIT\r\n", "250", "", "221", NULL});
    scene_end(&scene);
}

Test(bad_input, a_client_that_talks_a_little_early_is_served_with_all_it_said) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "");
    char *text = heard_by(&scene, "EHLO early\r\nQUIT\r\n", 18);
    cr_assert(strncmp(text, "220 ", 4) == 0 && strstr(text, "250-PIPELINING") != NULL && strstr(text, "221 ") != NULL,
              "%s", text);
    free(text);
    scene_end(&scene);
}

static void expect_closed_and_logged(struct scene *scene, const void *octets, size_t length, const char *logged) {
    char *text = heard_by(scene, octets, length);
    cr_assert_str_eq(text, "", "a peer with a wrong PROXY header heard: %s", text);
    WAIT_FOR(log_has(scene, logged), 10000);
    free(text);
}

#define PROXIES "proxy-from = 127.0.0.0/8\nproxy-timeout = 500ms\n"

Test(bad_input, a_listed_peer_that_sends_no_proxy_header_is_closed_with_a_log_line) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, PROXIES);
    expect_closed_and_logged(&scene, "PROXY TCP4 1", 12, "no PROXY header came in time");
    expect_closed_and_logged(&scene, "EHLO x\r\n", 8, "the PROXY header is malformed");
    scene_end(&scene);
}

Test(bad_input, a_malformed_or_too_long_proxy_header_is_closed_with_a_log_line) {
    struct scene scene;
    struct test_sink sink;
    char octets[200] = "PROXY TCP4 ";
    begin(&scene, &sink, PROXIES);
    expect_closed_and_logged(&scene, "PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n", 40, "is malformed");
    memset(octets + 11, '1', sizeof octets - 11);
    expect_closed_and_logged(&scene, octets, sizeof octets, "is too long");
    scene_end(&scene);
}

Test(bad_input, a_proxy_header_from_a_peer_that_is_not_listed_is_closed_with_a_log_line) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, "");
    sink_fault(&sink, "hang");
    expect_closed_and_logged(&scene, "PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n", 37, "not in proxy-from");
    scene_end(&scene);
}

Test(bad_input, a_listed_peers_proxy_header_names_the_client) {
    struct scene scene;
    struct test_sink sink;
    begin(&scene, &sink, PROXIES);
    static const char dialog[] = "PROXY TCP4 192.0.2.77 192.0.2.2 4711 25\r\nEHLO x\r\nMAIL FROM:<>\r\nRCPT "
                                 "TO:<a@b.test>\r\nDATA\r\n";
    talk_script("proxied", NULL, scene.port,
                (const char *const[]){"", dialog, "220", "", "250", "", "250", "", "250", "", "354", NULL});
    WAIT_FOR(log_has(&scene, "client=192.0.2.77:4711"), 10000);
    scene_end(&scene);
}

static char *start_with(const char *text, int *ret_status) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/postern-bad-%d.ini", (int)getpid());
    FILE *file = fopen(path, "we");
    fputs(text, file);
    fclose(file);
    char *said = shell(ret_status, "build/san/postern -c %s 2>&1", path);
    unlink(path);
    return said;
}

Test(bad_input, every_mistake_of_a_configuration_is_named_at_once_with_its_line) {
    int status;
    char *text = start_with("[global]\nuser =\nhostnam = x\n[listen mx]\naddress = 1.2.3.4:99999\n[tier a]\nrise = "
                            "0\n[backend b]\ntier = c\naddress = 127.0.0.1:1\n[nonsense]\n",
                            &status);
    cr_assert(status == 1);
    static const char *const said[] = {
        ":3: [global] hostnam: unknown option; did you mean hostname?", ":5: [listen mx] address: \"1.2.3.4:99999\"",
        ":7: [tier a] rise: \"0\" is wrong; allowed: a number from 1 to 64",
        ":9: [backend b] tier: there is no [tier c]", ":11: [nonsense]: unknown section"};
    for (unsigned i = 0; i < sizeof said / sizeof said[0]; i++)
        cr_assert(strstr(text, said[i]) != NULL, "not said: %s in\n%s", said[i], text);
    free(text);
}

Test(bad_input, every_file_that_a_configuration_names_is_looked_into_at_once) {
    int status;
    char *text = shell(
        &status, "printf '[global]\\nuser =\\n[listen mx]\\naddress = 127.0.0.1:1\\n[tier a]\\n[backend b]\\ntier = "
                 "a\\naddress = 127.0.0.1:2\\n[reputation]\\nallow-file = /nonexistent/allow\\n[gate]\\naccess-file = "
                 "/nonexistent/access\\n[feedback]\\nlisten = 127.0.0.1:3\\nkey-file = /nonexistent/key\\n' | "
                 "build/san/postern -T -c /dev/stdin 2>&1");
    static const char *const said[] = {"/nonexistent/allow", "/nonexistent/access", "/nonexistent/key"};
    cr_assert(status == 1);
    for (unsigned i = 0; i < sizeof said / sizeof said[0]; i++)
        cr_assert(strstr(text, said[i]) != NULL, "not said: %s in\n%s", said[i], text);
    free(text);
}

Test(bad_input, an_address_in_use_is_named) {
    struct scene scene;
    struct test_sink sink;
    int status;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, "vm1", "");
    scene.port = sink.port;
    postern_tier(&scene, "primary", "");
    postern_backend_at(&scene, "vm1", "192.0.2.11", 25, "");
    postern_write(&scene);
    char *text = shell(&status, "%s/postern -c %s/postern.ini 2>&1", scene.build, scene.dir);
    cr_assert(status == 1 && strstr(text, "[listen mx] address: 127.0.0.1:") != NULL &&
                  strstr(text, "Address already in use") != NULL,
              "%s", text);
    free(text);
    scene_end(&scene);
}

Test(bad_input, more_sessions_than_descriptors_allow_fails_with_the_arithmetic) {
    int status;
    char *text = start_with("[global]\nuser =\nworkers = 1\nmax-sessions = 900000\n[listen mx]\naddress = "
                            "127.0.0.1:1\n[tier a]\n[backend b]\ntier = a\naddress = 127.0.0.1:2\n",
                            &status);
    cr_assert(status == 1 && strstr(text, "max-sessions: 900000 do not fit: 1 workers x (") != NULL, "%s", text);
    free(text);
}
