/* What STARTTLS hides comes back by the feed: posternctl follows a VM's log and tells postern. */
#include "postfix.h"

#include <stdlib.h>
#include <string.h>

static struct scene scene;
static unsigned feedback_port;

static void begin(unsigned backend_port, const char *proxy) {
    feedback_port = free_port();
    free(shell(NULL, "umask 077; echo 0123456789abcdef0123 > %s/key; echo another-key-of-sixteen > %s/wrong", scene.dir,
               scene.dir));
    postern_lines(&scene,
                  "[reputation]\nclean-evidence = feed\nmax-entries = 1000\n[dns]\nservers = "
                  "127.0.0.1:1\n[feedback]\nlisten = 127.0.0.1:%u\nkey-file = %s/key\n",
                  feedback_port, scene.dir);
    postern_tier(&scene, "primary", "");
    postern_lines(&scene, "proxy = %s\n", proxy);
    postern_backend(&scene, "vm1", backend_port, "");
    postern_start(&scene);
    await_up(&scene, "vm1");
}

static pid_t feed_begin(const char *log, const char *key) {
    char path[128], target[32], key_path[128];
    snprintf(path, sizeof path, "%s/%s", scene.dir, log);
    snprintf(target, sizeof target, "127.0.0.1:%u", feedback_port);
    snprintf(key_path, sizeof key_path, "%s/%s", scene.dir, key);
    return spawn(&scene, "feed.log",
                 (const char *const[]){"build/san/posternctl", "feed", "--follow", path, "--to", target, "--key-file",
                                       key_path, "--trust-sent", NULL});
}

/* It has seen that the log was cut, and will read on from its beginning. */
static bool is_at_beginning(pid_t feed, const char *log) {
    int status;
    free(shell(&status,
               "cd /proc/%d/fd; for fd in *; do [ \"$(readlink $fd)\" = %s/%s ] && grep -q '^pos:[[:space:]]*0$' "
               "../fdinfo/$fd && exit 0; done; exit 1",
               (int)feed, scene.dir, log));
    return status == 0;
}

static json_int_t told_of(const char *address, const char *kind) {
    json_t *row = ctl_json(&scene, "show reputation %s", address);
    json_int_t count = json_integer_value(json_object_get(row, kind));
    json_decref(row);
    return count;
}

Test(feed, mail_that_a_real_postfix_delivered_counts_for_the_client_that_sent_it) {
    struct test_postfix vm;
    scene_begin(&scene, false);
    postfix_begin(&scene, &vm, "vm1", true, "");
    begin(vm.port, "v2");
    feed_begin("vm1/mail.log", "key");
    WAIT_FOR(log_has(&scene, "is connected"), 10000);
    json_t *result = load_run(&scene, "--concurrency 2 --sessions 6 --source 127.0.61.1");
    ASSERT_ALL_ACCEPTED(result);
    json_decref(result);
    WAIT_FOR(told_of("127.0.61.1", "feedback good") == 6, 15000);
    cr_assert_eq(told_of("127.0.61.1", "clean mails"), 0, "the 250 is no evidence here");
    postfix_end(&vm);
    scene_end(&scene);
}

/* Appends lines of one mail with its verdict, as Postfix and amavis write them. */
static void log_mail(const char *file, unsigned number, const char *verdict) {
    free(shell(NULL,
               "printf '%%s\\n%%s\\n' 'Nov 24 16:54:35 vm1 postfix/smtpd[1]: 4AA%u: client=mx[127.0.62.%u]' 'Nov 24 "
               "16:54:35 vm1 amavis[2]: (1-1) %s {X}, [127.0.62.9] <a@b> -> <c@d>, Queue-ID: 4AA%u, x' >> %s/%s",
               number, number, verdict, number, scene.dir, file));
}

Test(feed, a_rotated_log_and_a_restarted_postern_lose_no_verdict) {
    struct test_sink vm;
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    begin(vm.port, "none");
    free(shell(NULL, "touch %s/maillog", scene.dir));
    pid_t feed = feed_begin("maillog", "key");
    WAIT_FOR(log_has(&scene, "is connected"), 10000);
    log_mail("maillog", 1, "Passed CLEAN");
    WAIT_FOR(told_of("127.0.62.1", "feedback good") == 1, 10000);
    /* logrotate moves the file while its writer still has it open. */
    free(shell(NULL, "mv %s/maillog %s/maillog.1", scene.dir, scene.dir));
    log_mail("maillog.1", 2, "Blocked SPAM");
    log_mail("maillog", 3, "Blocked SPAM");
    WAIT_FOR(told_of("127.0.62.2", "feedback spam") == 1 && told_of("127.0.62.3", "feedback spam") == 1, 10000);
    free(shell(NULL, ": > %s/maillog", scene.dir)); /* copytruncate */
    WAIT_FOR(is_at_beginning(feed, "maillog"), 10000);
    log_mail("maillog", 4, "Passed CLEAN");
    WAIT_FOR(told_of("127.0.62.4", "feedback good") == 1, 10000);

    kill_child(&scene, scene.postern, 15);
    scene.postern = 0;
    log_mail("maillog", 5, "Blocked INFECTED");
    free(shell(NULL, "mv %s/postern.log %s/old.log", scene.dir, scene.dir));
    unsigned port = feedback_port;
    postern_lines(&scene,
                  "[reputation]\nclean-evidence = feed\nmax-entries = 1000\n[dns]\nservers = "
                  "127.0.0.1:1\n[feedback]\nlisten = 127.0.0.1:%u\nkey-file = %s/key\n",
                  port, scene.dir);
    postern_tier(&scene, "primary", "");
    postern_backend(&scene, "vm1", vm.port, "");
    postern_start(&scene);
    WAIT_FOR(told_of("127.0.62.5", "feedback virus") == 1 || told_of("127.0.62.5", "feedback spam") == 1, 20000);
    cr_assert_eq(told_of("127.0.62.1", "feedback good"), 1, "and nothing was forgotten or told twice");
    scene_end(&scene);
}

Test(feed, who_has_not_the_key_tells_nothing) {
    struct test_sink vm;
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    begin(vm.port, "none");
    free(shell(NULL, "touch %s/maillog", scene.dir));
    feed_begin("maillog", "wrong");
    WAIT_FOR(log_has(&scene, "the code is wrong: not the same key"), 10000);
    char *said = shell(NULL,
                       "bash -c 'exec 3<>/dev/tcp/127.0.0.1/%u; read -r greeting <&3; echo \"1 127.0.62.1 good "
                       "0000000000000000000000000000000000000000000000000000000000000000\" >&3; cat <&3'",
                       feedback_port);
    cr_assert_not_null(strstr(said, "error: the code is wrong"), "%s", said);
    free(said);
    said = shell(NULL,
                 "bash -c 'exec 3<>/dev/tcp/127.0.0.1/%u; head -c 100000 /dev/zero >&3 2>/dev/null; head -c 300 <&3'",
                 feedback_port);
    free(said);
    WAIT_FOR(log_has(&scene, "feedback: 127.0.0.1:") && log_has(&scene, "the line is too long"), 5000);
    cr_assert_eq(told_of("127.0.62.1", "feedback good"), 0);
    scene_end(&scene);
}

/* One who listens on the wire has lines with right codes; who speaks the protocol here is a shell. */
Test(feed, a_line_counts_once_on_its_own_connection_and_silent_strangers_keep_no_feed_out) {
    struct test_sink vm;
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    begin(vm.port, "none");
    char *said = shell(NULL,
                       "cat > %s/twice <<'END'\n"
                       "exec 3<>/dev/tcp/127.0.0.1/$1; read -r _ _ nonce <&3\n"
                       "mac=$(printf '%%s' \"$nonce 1 127.0.62.1 good\" | openssl dgst -sha256 -hmac $(cat $2))\n"
                       "line=\"1 127.0.62.1 good ${mac##* }\"\n"
                       "echo \"$line\" >&3; read -r answer <&3; echo \"first: $answer\"\n"
                       "echo \"$line\" >&3; read -r answer <&3; echo \"again: $answer\"\n"
                       "exec 3<>/dev/tcp/127.0.0.1/$1; read -r _ <&3\n"
                       "echo \"$line\" >&3; read -r answer <&3; echo \"elsewhere: $answer\"\n"
                       "END\nbash %s/twice %u %s/key 2>&1",
                       scene.dir, scene.dir, feedback_port, scene.dir);
    cr_assert_str_eq(said, "first: ok 1\nagain: error: the number was there before\n"
                           "elsewhere: error: the code is wrong: not the same key, or not of this connection\n");
    free(said);
    cr_assert_eq(told_of("127.0.62.1", "feedback good"), 1);

    char strangers[200];
    snprintf(strangers, sizeof strangers,
             "for i in {1..20}; do exec {fd}<>/dev/tcp/127.0.0.1/%u || exit 1; done; read -r -t 60 -N 9999 <&$fd",
             feedback_port);
    spawn(&scene, "strangers.log", (const char *const[]){"bash", "-c", strangers, NULL});
    WAIT_FOR(log_has(&scene, "has not shown the key in time: closed"), 20000);
    free(shell(NULL, "touch %s/maillog", scene.dir));
    feed_begin("maillog", "key");
    log_mail("maillog", 2, "Passed CLEAN");
    WAIT_FOR(file_has(&scene, "feed.log", "connected to"), 40000);
    scene_end(&scene);
}

Test(feed, strangers_who_hold_all_places_from_many_addresses_keep_no_feed_out) {
    struct test_sink vm;
    scene_begin(&scene, false);
    sink_begin(&scene, &vm, "vm1", "");
    begin(vm.port, "none");
    /* They stay below the bound of one address, and come again as soon as they are closed. */
    char strangers[400];
    snprintf(strangers, sizeof strangers,
             "import socket, time\n"
             "held = []\n"
             "for i in range(100):\n"
             "    held.append(socket.create_connection(('127.0.0.1', %u), source_address=('127.0.63.%%d' %% (i // 4 + "
             "1), 0)))\n"
             "print('held', flush=True)\n"
             "time.sleep(600)\n",
             feedback_port);
    spawn(&scene, "strangers.log", (const char *const[]){"python3", "-c", strangers, NULL});
    WAIT_FOR(file_has(&scene, "strangers.log", "held"), 20000);
    free(shell(NULL, "touch %s/maillog", scene.dir));
    feed_begin("maillog", "key");
    WAIT_FOR(file_has(&scene, "feed.log", "connected to"), 5000);
    log_mail("maillog", 2, "Passed CLEAN");
    WAIT_FOR(told_of("127.0.62.2", "feedback good") == 1, 10000);
    scene_end(&scene);
}
