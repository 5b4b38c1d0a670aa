/* Two scripted hosts behind one postern. Each wait is bounded. */
#include "two_hosts.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

const char *const two_hosts_mail[] = {"220 ",   HELLO,
                                      "250",    "MAIL FROM:<a@client.test>\r\n",
                                      "250",    "RCPT TO:<user@example.test>\r\n",
                                      "250",    "DATA\r\n",
                                      "354",    "Subject: x\r\n\r\n..dot\r\n\r\n.\r\n",
                                      "250",    "QUIT\r\n",
                                      "221",    "",
                                      "closed", NULL};

void two_hosts_begin(struct two_hosts *site, const char *sections) {
    scene_begin(&site->scene, false);
    scripted_begin(&site->first);
    scripted_begin(&site->second);
    postern_global(&site->scene, "workers = 1\n");
    postern_lines(&site->scene, "%s", sections);
    postern_tier(&site->scene, "primary", "check = none\noutlier = 0\n");
    postern_backend(&site->scene, "vm1", site->first.port, "");
    postern_tier(&site->scene, "second", "check = none\n");
    postern_backend(&site->scene, "vm2", site->second.port, "");
    postern_start(&site->scene);
}

void two_hosts_end(struct two_hosts *site) {
    WAIT_FOR(info_figure(&site->scene, "sessions") == 0, 15000);
    WAIT_FOR(info_figure(&site->scene, "buffers_in_use") == 0, 5000);
    scripted_end(&site->first);
    scripted_end(&site->second);
    scene_end(&site->scene);
}

void two_hosts_hold_turn(struct two_hosts *site) {
    siginfo_t info;
    kill(site->scene.postern, SIGSTOP);
    cr_assert_eq(waitid(P_PID, (id_t)site->scene.postern, &info, WSTOPPED), 0);
}

void two_hosts_end_turn(struct two_hosts *site) {
    kill(site->scene.postern, SIGCONT);
}

void two_hosts_begin_held(struct two_hosts *site, struct talk *talk, const char *early, size_t length) {
    unsigned sessions = atomic_load(&site->first.sessions);
    atomic_store(&site->first.is_held, true);
    talk_begin(talk, NULL, site->scene.port);
    talk_say(talk, early, length);
    WAIT_FOR(atomic_load(&site->first.sessions) > sessions, 5000);
    WAIT_FOR(info_figure(&site->scene, "buffers_in_use") >= (length > 0), 5000);
}
