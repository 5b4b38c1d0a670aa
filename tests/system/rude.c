/* Rude clients, encrypted ones and shortages before backends that are well, and backends that are not: who is ejected.
 */
#include "harness.h"
#include "talk.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct site {
    struct scene scene;
    struct test_sink sinks[3];
};

static const char *const names[] = {"vm1", "vm2", "vm3"};

/* `options`: of each sink, beside --ids; `global`: lines of [global]; `timeouts`: that section;
 * `tier`: lines of the tier's. */
static void begin(struct site *site, const char *const options[3], const char *global, const char *timeouts,
                  const char *tier) {
    struct scene *scene = &site->scene;
    scene_begin(scene, false);
    for (unsigned i = 0; i < 3; i++) {
        char words[160];
        snprintf(words, sizeof words, "--ids %s/%s.ids %s", scene->dir, names[i], options[i]);
        sink_begin(scene, &site->sinks[i], names[i], words);
    }
    postern_global(scene, global);
    postern_lines(scene, "%s", timeouts);
    postern_tier(scene, "primary", tier);
    postern_sinks(scene, site->sinks, 3);
    postern_start(scene);
    await_up(scene, "vm1");
    await_up(scene, "vm2");
    await_up(scene, "vm3");
}

static void end(struct site *site) {
    WAIT_FOR(info_figure(&site->scene, "sessions") == 0, 15000);
    WAIT_FOR(info_figure(&site->scene, "buffers_in_use") == 0, 5000);
    scene_end(&site->scene);
}

static const char *const plain[3] = {"", "", ""};
static const char *const manners[3] = {"--starttls --manners postfix", "--starttls --manners exim",
                                       "--starttls --manners haraka"};

static bool is_ejected(struct site *site, unsigned number) {
    char text[40];
    snprintf(text, sizeof text, "server %s health up -> ejected", names[number]);
    return log_has(&site->scene, text);
}

/* When all that has happened is in the log. */
static bool was_ejected(struct site *site, unsigned number) {
    char text[40];
    snprintf(text, sizeof text, "server %s health up -> ejected", names[number]);
    return log_has_by_now(&site->scene, text);
}

static pid_t begin_rude(struct scene *scene, unsigned seconds) {
    char program[64], target[40], words[16];
    snprintf(program, sizeof program, "%s/bench/rude", scene->build);
    snprintf(target, sizeof target, "127.0.0.1:%u", scene->port);
    snprintf(words, sizeof words, "%u", seconds);
    return spawn(scene, "rude.json",
                 (const char *const[]){program, "--target", target, "--source", "127.64.0.0/18", "--rate", "100",
                                       "--seconds", words, NULL});
}

Test(rude, clients_of_every_bad_kind_eject_no_healthy_backend_and_cost_no_good_mail, .timeout = 120) {
    struct site site;
    begin(&site, manners, "", "[timeouts]\nclient = 3s\nreply = 3s\n", "check = ehlo\ninter = 500ms\n");
    pid_t rude = begin_rude(&site.scene, 10);
    pid_t load = load_begin(&site.scene, "good.json", "--rate 20 --sessions 200 --source 127.61.0.0/24");
    json_t *good = load_end(&site.scene, load, "good.json");
    ASSERT_ALL_ACCEPTED(good);
    json_decref(good);
    WAIT_FOR(info_figure(&site.scene, "sessions") == 0, 30000);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_not(was_ejected(&site, i), "%s", names[i]);
    kill_child(&site.scene, rude, 9);
    end(&site);
}

/* Those that were carried over by then; with the ejection all that wait are. */
static unsigned met_before_ejection(struct site *site) {
    char *count = shell(NULL,
                        "sed '/server vm1 health up -> ejected/q' %s/postern.log | grep -ac -- 'client=127.61.* "
                        "replays=[1-9]'",
                        site->scene.dir);
    unsigned number = (unsigned)strtoul(count, NULL, 10);
    free(count);
    return number;
}

/* Bots among the rude ones say EHLO and QUIT to it, and are served well. */
static void expect_out_soon(const char *fault) {
    struct site site;
    begin(&site, manners, "", "[timeouts]\nclient = 3s\nreply = 3s\n", "check = ehlo\ninter = 500ms\n");
    pid_t rude = begin_rude(&site.scene, 20);
    sink_fault(&site.sinks[0], fault);
    pid_t load = load_begin(&site.scene, "good.json", "--rate 20 --sessions 100 --source 127.61.0.0/24");
    WAIT_FOR(is_ejected(&site, 0), 20000);
    unsigned met = met_before_ejection(&site);
    cr_assert(met <= 10, "%s: %u good sessions had met it", fault, met);
    json_t *good = load_end(&site.scene, load, "good.json");
    ASSERT_ALL_ACCEPTED(good);
    json_decref(good);
    cr_assert_not(was_ejected(&site, 1) || was_ejected(&site, 2), "%s", fault);
    kill_child(&site.scene, rude, 9);
    end(&site);
}

Test(rude, a_backend_that_hangs_up_at_rcpt_is_out_soon_all_the_same, .timeout = 120) {
    expect_out_soon("rcpt-die");
}

Test(rude, a_backend_that_says_421_at_mail_is_out_soon_all_the_same, .timeout = 120) {
    expect_out_soon("mail-421");
}

Test(rude, a_backend_that_is_silent_at_rcpt_is_out_soon_all_the_same, .timeout = 120) {
    expect_out_soon("rcpt-silent");
}

Test(rude, sessions_in_tls_are_no_failures_and_the_log_does_not_call_them_such) {
    struct site site;
    begin(&site, manners, "", "", "balance = roundrobin\n");
    json_t *result = load_run(&site.scene, "--concurrency 4 --sessions 60 --starttls 100 --source 127.0.11.0/24");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(log_count(&site.scene, "mails=- code=- phase=tls .* end=-- ") == 60, 5000);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_not(was_ejected(&site, i), "%s", names[i]);
        cr_assert_eq(server_figure(&site.scene, names[i], "failures"), 0);
    }
    end(&site);
}

/* --- content, which can't be carried over --- */

Test(rude, a_backend_that_loses_all_content_while_the_others_take_theirs_is_ejected) {
    struct site site;
    begin(&site, plain, "", "", "balance = roundrobin\n");
    sink_fault(&site.sinks[0], "dot-close");
    json_t *result = load_run(&site.scene, "--rate 50 --sessions 60 --source 127.0.12.0/24");
    WAIT_FOR(is_ejected(&site, 0), 5000);
    cr_assert_not(was_ejected(&site, 1) || was_ejected(&site, 2));
    cr_assert(figure(result, "tempfailed") <= 10 && figure(result, "dropped") == 0, "%s", json_dumps(result, 0));
    json_decref(result);
    end(&site);
}

/* A mail that breaks every filter says nothing about one of them. */
Test(rude, content_that_all_backends_lose_ejects_none) {
    struct site site;
    begin(&site, plain, "", "", "balance = roundrobin\n");
    for (unsigned i = 0; i < 3; i++)
        sink_fault(&site.sinks[i], "dot-close");
    json_t *result = load_run(&site.scene, "--rate 50 --sessions 60 --source 127.0.13.0/24");
    cr_assert(figure(result, "tempfailed") == 60, "%s", json_dumps(result, 0));
    cr_assert_not(log_has_by_now(&site.scene, "-> ejected"));
    json_decref(result);
    end(&site);
}

/* --- want of our own --- */

static unsigned descriptors_of(pid_t pid) {
    char path[40];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    cr_assert_not_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2; /* . and .. */
}

/* Neither a try nor a probe that can't be made says that a backend is ill. */
Test(rude, without_descriptors_of_our_own_clients_hear_421_and_no_backend_is_blamed) {
    struct site site;
    struct rlimit before, none;
    begin(&site, plain, "", "", "check = ehlo\ninter = 200ms\nfastinter = 100ms\nfall = 2\n");
    cr_assert_eq(prlimit(site.scene.postern, RLIMIT_NOFILE, NULL, &before), 0);
    none = before;
    none.rlim_cur = descriptors_of(site.scene.postern) / 2;
    cr_assert_eq(prlimit(site.scene.postern, RLIMIT_NOFILE, &none, NULL), 0);
    WAIT_FOR(log_count(&site.scene, "not probed for want of our own") >= 9, 10000);
    for (unsigned i = 1; i <= 18; i++) {
        char source[20];
        snprintf(source, sizeof source, "127.0.14.%u", i);
        talk_script("no descriptors", source, site.scene.port, (const char *const[]){"421 4.3.0", "", "closed", NULL});
    }
    cr_assert_eq(prlimit(site.scene.postern, RLIMIT_NOFILE, &before, NULL), 0);
    WAIT_FOR(log_count(&site.scene, "end=PC ") == 18, 5000);
    cr_assert_not(log_has_by_now(&site.scene, "health up -> "));
    cr_assert_eq(info_figure(&site.scene, "tries_total"), 18);
    json_t *result = load_run(&site.scene, "--concurrency 2 --sessions 20");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    end(&site);
}

/* Each leaves a connection behind that awaits its greeting, to say QUIT. */
Test(rude, clients_that_connect_and_leave_do_not_use_up_what_good_ones_need) {
    struct site site;
    static const char *const slow[3] = {"--greeting-delay 4000", "--greeting-delay 4000", "--greeting-delay 4000"};
    begin(&site, slow, "workers = 1\n", "[timeouts]\nhedge-after = 0\n", "check = tcp\n");
    json_int_t held = 0;
    uint64_t until = now_ms() + 3000;
    for (unsigned i = 0; i < 600 && now_ms() < until; i++) {
        struct talk talk;
        talk_begin(&talk, "127.0.15.1", site.scene.port);
        if (i % 8 == 0) /* time for the backend's connection */
            pause_ms(2);
        talk_end(&talk);
    }
    WAIT_FOR(info_figure(&site.scene, "sessions") == 0, 5000);
    for (unsigned i = 0; i < 3; i++)
        held += server_figure(&site.scene, names[i], "sessions");
    cr_assert(held <= 128, "%lld connections without a session", (long long)held);
    talk_script("a good one", "127.0.16.1", site.scene.port,
                (const char *const[]){"220", "EHLO client.test\r\n", "250", "QUIT\r\n", "221", NULL});
    cr_assert_not(log_has_by_now(&site.scene, "-> ejected"));
    end(&site);
}
