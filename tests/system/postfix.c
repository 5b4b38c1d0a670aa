/* A real Postfix for the tests: an instance with a configuration, a queue and data of its own, nothing chrooted, its
 * log in a file by postlogd. */
#include "postfix.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_file(const char *dir, const char *name, const char *format, ...) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

static const char master_services[] = "pickup unix n - n 60 1 pickup\n"
                                      "cleanup unix n - n - 0 cleanup\n"
                                      "qmgr unix n - n 300 1 qmgr\n"
                                      "rewrite unix - - n - - trivial-rewrite\n"
                                      "bounce unix - - n - 0 bounce\n"
                                      "defer unix - - n - 0 bounce\n"
                                      "trace unix - - n - 0 bounce\n"
                                      "verify unix - - n - 1 verify\n"
                                      "flush unix n - n 1000? 0 flush\n"
                                      "proxymap unix - - n - - proxymap\n"
                                      "smtp unix - - n - - smtp\n"
                                      "relay unix - - n - - smtp\n"
                                      "showq unix n - n - - showq\n"
                                      "error unix - - n - - error\n"
                                      "retry unix - - n - - error\n"
                                      "discard unix - - n - - discard\n"
                                      "local unix - n n - - local\n"
                                      "anvil unix - - n - 1 anvil\n"
                                      "scache unix - - n - 1 scache\n"
                                      "tlsmgr unix - - n 1000? 1 tlsmgr\n"
                                      "postlog unix-dgram n - n - 1 postlogd\n";

/* In the foreground, so that it dies with a test that fails. */
void postfix_start(struct test_postfix *postfix) {
    char log[64];
    unsigned starts = postfix_log_count(postfix, "daemon started");
    snprintf(log, sizeof log, "%s.out", postfix->name);
    spawn(postfix->scene, log, (const char *const[]){"postfix", "-c", postfix->dir, "start-fg", NULL});
    WAIT_FOR(postfix_log_count(postfix, "daemon started") == starts + 1, 10000);
}

void postfix_begin(struct scene *scene, struct test_postfix *postfix, const char *name, bool proxy,
                   const char *main_cf) {
    postfix->scene = scene;
    postfix->port = free_port();
    snprintf(postfix->name, sizeof postfix->name, "%s", name);
    snprintf(postfix->dir, sizeof postfix->dir, "%s/%s", scene->dir, name);
    free(shell(NULL, "mkdir -p %s/queue %s/data && chmod 755 %s && chown postfix %s/data", postfix->dir, postfix->dir,
               scene->dir, postfix->dir));
    write_file(
        postfix->dir, "main.cf",
        "compatibility_level = 3.6\nconfig_directory = %s\nqueue_directory = %s/queue\ndata_directory = %s/data\n"
        "maillog_file = %s/mail.log\nmaillog_file_prefixes = /tmp\ninet_interfaces = 127.0.0.1\ninet_protocols = "
        "ipv4\nmyhostname = %s.example.test\nmydestination =\nmynetworks = 127.0.0.0/8\nrelay_domains = "
        "example.test\nrelay_transport = discard:\nsmtpd_recipient_restrictions = permit_mynetworks, "
        "reject_unauth_destination\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n%s%s",
        postfix->dir, postfix->dir, postfix->dir, postfix->dir, name,
        proxy ? "smtpd_upstream_proxy_protocol = haproxy\n" : "", main_cf);
    write_file(postfix->dir, "master.cf", "127.0.0.1:%u inet n - n - - smtpd\n%s", postfix->port, master_services);
    postfix_start(postfix);
}

void postfix_begin_reference(struct scene *scene, struct test_postfix *postfix, const char *reference,
                             const struct reference_options *options) {
    postfix_build_reference(scene, postfix, reference, options);
    postfix_start(postfix);
}

void postfix_restart(struct test_postfix *postfix) {
    postfix_end(postfix);
    postfix_start(postfix);
}

void postfix_end(struct test_postfix *postfix) {
    free(shell(NULL, "postfix -c %s stop 2>&1", postfix->dir));
}

static char *log_path(const struct test_postfix *postfix, char path[128]) {
    snprintf(path, 128, "%s/mail.log", postfix->dir + strlen(postfix->scene->dir) + 1);
    return path;
}

bool postfix_log_has(const struct test_postfix *postfix, const char *text) {
    char path[128];
    return file_has(postfix->scene, log_path(postfix, path), text);
}

unsigned postfix_log_count(const struct test_postfix *postfix, const char *text) {
    char *count = shell(NULL, "grep -s -c -F -- '%s' %s/mail.log", text, postfix->dir);
    unsigned number = (unsigned)strtoul(count, NULL, 10);
    free(count);
    return number;
}
