/* Faults, drains, stops and new servers at random, while mail flows: whatever happens, nobody is dropped, and no mail
 * is doubled or lost. What is done follows from the seed that is printed; POSTERN_SOAK_SEED=N gives it again. */
#include "harness.h"

#include "lb/base/chance.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 20

static const char *const faults[] = {"none",       "none",       "none",       "none",           "hang",
                                     "banner-421", "banner-554", "reset",      "banner-half",    "mail-die",
                                     "mail-421",   "rcpt-die",   "data-die",   "dot-close",      "dot-silent",
                                     "refuse",     "dot-550",    "mail-reset", "banner-garbage", "banner-421-policy"};

static struct chance chance;

static unsigned draw(unsigned below) {
    return chance_below(&chance, below);
}

static void disturb(struct scene *scene, struct test_sink sinks[3]) {
    unsigned i = draw(3);
    sink_fault(&sinks[i], faults[draw(sizeof faults / sizeof faults[0])]);
    switch (draw(6)) {
    case 0:
        free(ctl(scene, NULL, "set server %s state drain", sinks[i].name));
        break;
    case 1:
        free(ctl(scene, NULL, "shutdown sessions server %s", sinks[i].name));
        break;
    case 2:
        free(ctl(scene, NULL, "add server extra tier primary address 127.0.0.1:%u", sinks[i].port));
        break;
    case 3:
        free(ctl(scene, NULL, "del server extra force"));
        break;
    case 4:
        kill(sinks[i].pid, SIGSTOP);
        pause_ms(200);
        kill(sinks[i].pid, SIGCONT);
        break;
    default:
        break;
    }
    pause_ms(200);
    free(ctl(scene, NULL, "set server %s state ready", sinks[i].name));
}

Test(soak, whatever_happens_nobody_is_dropped_and_no_mail_is_doubled_or_lost) {
    static const char *const names[] = {"vm1", "vm2", "vm3"};
    struct scene scene;
    struct test_sink sinks[3];
    scene_begin(&scene, false);
    chance_init(&chance, test_seed("soak"));
    for (unsigned i = 0; i < 3; i++) {
        char options[120];
        snprintf(options, sizeof options, "--reply-delay 15 --ids %s/vm%u.ids", scene.dir, i + 1);
        sink_begin(&scene, &sinks[i], names[i], options);
    }
    postern_lines(&scene, "[timeouts]\nreply = 2s\nserver = 3s\ngreeting = 2s\nhedge-after = 300ms\n");
    postern_tier(&scene, "primary",
                 "balance = roundrobin\ninter = 300ms\nfastinter = 100ms\ndowninter = 200ms\ncheck-timeout = "
                 "1s\nslowstart = 1s\nqueue-timeout = 8s\n");
    postern_backend(&scene, "vm1", sinks[0].port, "");
    postern_backend(&scene, "vm2", sinks[1].port, "max-sessions = 20\n");
    postern_backend(&scene, "vm3", sinks[2].port, "");
    postern_start(&scene);
    pid_t load =
        load_begin(&scene, "load.json",
                   "--rate 100 --sessions 700 --mails 2 --size 20000 --source 127.0.0.0/16 --patience 20 --ids "
                   "%s/accepted.ids",
                   scene.dir);
    for (unsigned round = 0; round < ROUNDS; round++)
        disturb(&scene, sinks);
    json_t *result = load_end(&scene, load, "load.json");
    cr_assert(figure(result, "dropped") == 0 && figure(result, "timed_out") == 0, "%s", json_dumps(result, 0));
    cr_assert(figure(result, "accepted") > 0, "%s", json_dumps(result, 0));
    json_decref(result);
    for (unsigned i = 0; i < 3; i++)
        sink_fault(&sinks[i], "none");
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 10000);
    WAIT_FOR(info_figure(&scene, "buffers_in_use") == 0, 10000);
    char *doubled = shell(NULL, "cat %s/vm*.ids | sort | uniq -d | head -3", scene.dir);
    cr_assert_str_eq(doubled, "", "queued twice: %s", doubled);
    char *lost = shell(
        NULL, "cd %s && cat vm*.ids | sort -u > queued && sort accepted.ids | comm -23 - queued | head -3", scene.dir);
    cr_assert_str_eq(lost, "", "accepted and not queued: %s", lost);
    free(doubled);
    free(lost);
    scene_end(&scene);
}
