/* A real Postfix from the configurations that operators copy (conf/postfix). The queue stands beside the configuration,
 * not in it, as on a real host: `postfix check` judges who owns what by folder. */
#include "postfix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run(const char *what, int status, char *said) {
    cr_assert(status == 0, "%s: %s", what, said);
    free(said);
}

static void write_tables(const struct test_postfix *postfix, const struct reference_options *options) {
    int status;
    char *said = shell(&status,
                       "exec 2>&1; set -e\n"
                       "for map in relay_domains relay_recipients transport client_access; do\n"
                       "  sed -e 's/example\\.net/example.test/g; s/\\[192\\.0\\.2\\.25\\]:25/[127.0.0.1]:%u/' "
                       "-e 's/\\[127\\.0\\.0\\.1\\]:10024/[127.0.0.1]:%u/' conf/postfix/maps/$map > %s/$map\ndone\n"
                       "cat >> %s/relay_recipients <<'EOF'\n%sEOF\ncat >> %s/client_access <<'EOF'\n%sEOF\n"
                       "for map in relay_recipients transport client_access; do postmap -c %s hash:%s/$map; done",
                       options->inner_port, options->filter_port, postfix->dir, postfix->dir,
                       options->recipients == NULL ? "" : options->recipients, postfix->dir,
                       options->clients == NULL ? "" : options->clients, postfix->dir, postfix->dir);
    run("tables", status, said);
}

/* What Debian's configure-instance.sh puts into the jail before each start. */
static void furnish_jail(const struct test_postfix *postfix, const struct reference_options *options) {
    int status;
    char resolver[64] = "cat /etc/resolv.conf";
    if (options->resolver != NULL)
        snprintf(resolver, sizeof resolver, "echo nameserver %s", options->resolver);
    char *said = shell(&status,
                       "exec 2>&1; set -e; cd %s/../queue; mkdir -p etc\n"
                       "for file in services hosts nsswitch.conf host.conf localtime; do\n"
                       "  [ ! -e /etc/$file ] || cp -L /etc/$file etc/$file\ndone; %s > etc/resolv.conf",
                       postfix->dir, resolver);
    run("jail", status, said);
}

static void make_certificate(const struct test_postfix *postfix) {
    int status;
    char *said = shell(&status,
                       "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "
                       "/CN=mx.example.test -keyout mx.pem -out certificate.pem 2>&1 && cat certificate.pem >> mx.pem",
                       postfix->dir);
    run("certificate", status, said);
}

static void write_configuration(const struct test_postfix *postfix, const char *reference,
                                const struct reference_options *options) {
    int status;
    char *said = shell(
        &status,
        "exec 2>&1; set -e; dir=%s; from=conf/postfix/%s\n"
        "sed \"s,/etc/postfix,$dir,g; s/\\[127\\.0\\.0\\.1\\]:10024/[127.0.0.1]:%u/\" $from/main.cf > $dir/main.cf\n"
        "sed 's/^2525 /127.0.0.1:%u /; s/^127\\.0\\.0\\.1:10025 /127.0.0.1:%u /' $from/master.cf > $dir/master.cf\n"
        "[ %u = 0 ] || echo '127.0.0.1:%u inet n - y - - smtpd' >> $dir/master.cf\n"
        "postconf -c $dir -e queue_directory=%s/%s/queue data_directory=%s/%s/data maillog_file=$dir/mail.log "
        "maillog_file_prefixes=/tmp myhostname=%s.example.test mydomain=example.test inet_interfaces=127.0.0.1 "
        "inet_protocols=ipv4 %s",
        postfix->dir, reference, options->filter_port, postfix->port,
        options->back_port == 0 ? free_port() : options->back_port, postfix->plain_port, postfix->plain_port,
        postfix->scene->dir, postfix->name, postfix->scene->dir, postfix->name, postfix->name,
        options->main_cf == NULL ? "" : options->main_cf);
    run("configuration", status, said);
}

void postfix_build_reference(struct scene *scene, struct test_postfix *postfix, const char *reference,
                             const struct reference_options *options) {
    int status;
    postfix->scene = scene;
    postfix->port = free_port();
    postfix->plain_port = options->plain ? free_port() : 0;
    snprintf(postfix->name, sizeof postfix->name, "%s", reference);
    snprintf(postfix->dir, sizeof postfix->dir, "%s/%s/etc", scene->dir, reference);
    char *said =
        shell(&status, "cd %s && chmod 755 . && mkdir -p %s/etc %s/queue %s/data && chown postfix %s/data 2>&1",
              scene->dir, reference, reference, reference, reference);
    run("folders", status, said);
    write_configuration(postfix, reference, options);
    write_tables(postfix, options);
    furnish_jail(postfix, options);
    make_certificate(postfix);
}

unsigned postfix_queue_count(const struct test_postfix *postfix) {
    char *count =
        shell(NULL, "cd %s/../queue && find incoming active deferred hold maildrop -type f | wc -l", postfix->dir);
    unsigned number = (unsigned)strtoul(count, NULL, 10);
    free(count);
    return number;
}
