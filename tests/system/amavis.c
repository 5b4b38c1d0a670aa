/* A real Amavis for the tests: Debian's own configuration first, then the file under test, then folders of the test's.
 * SpamAssassin asks no network. */
#include "amavis.h"

#include "talk.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void write_config(const struct test_amavis *amavis, const char *file, unsigned next_port) {
    int status;
    char *said = shell(
        &status,
        "exec 2>&1; set -e; dir=%s; from=conf/postfix\n"
        "mkdir -p $dir/amavis/tmp $dir/amavis/db $dir/amavis/home && chmod 755 $dir && chown -R amavis $dir/amavis\n"
        "rm -rf $dir/spamassassin; cp -r /etc/spamassassin $dir && cp $from/spamassassin/postern.cf $dir/spamassassin\n"
        "sed -e 's/\\[192\\.0\\.2\\.25\\]:25/[127.0.0.1]:%u/; s/\\[127\\.0\\.0\\.1\\]:10025/[127.0.0.1]:%u/' "
        "-e 's/= 10024/= %u/; s/example\\.net/example.test/' $from/amavis/%s > $dir/amavis.conf\n"
        "cat > $dir/amavis-test.conf <<EOF\nuse strict;\n"
        "\\$MYHOME = '$dir/amavis'; \\$TEMPBASE = '$dir/amavis/tmp'; \\$db_home = '$dir/amavis/db';\n"
        "\\$helpers_home = '$dir/amavis/home'; \\$QUARANTINEDIR = '$dir/amavis/home'; \\$quarantine_subdir_levels = "
        "0;\n"
        "\\$pid_file = '$dir/amavis/tmp/pid'; \\$lock_file = '$dir/amavis/tmp/lock'; \\$unix_socketname = undef;\n"
        "\\$daemon_user = \\$daemon_group = 'amavis'; \\$enable_db = \\$enable_global_cache = 0;\n"
        "\\$DO_SYSLOG = 0; \\$LOGFILE = undef; \\$log_level = 2; \\$max_servers = 2;\n"
        "\\$smtp_connection_cache_enable = 0; # a fault holds for new sessions only\n"
        "\\$sa_local_tests_only = 1; \\$sa_siteconfigpath = '$dir/spamassassin';\n1;\nEOF\n",
        amavis->scene->dir, next_port, next_port, amavis->port, file);
    cr_assert(status == 0, "%s", said);
    free(said);
}

static bool greets(const struct test_amavis *amavis) {
    char *heard = talk_lines(amavis->port, NULL, "QUIT");
    bool does = strncmp(heard, "220", 3) == 0;
    free(heard);
    return does;
}

/* A change of user clears PR_SET_PDEATHSIG (prctl(2)), so setpriv sets it anew: it has to end with a test that fails.
 */
void amavis_begin(struct scene *scene, struct test_amavis *amavis, const char *file, unsigned next_port) {
    amavis->scene = scene;
    char command[512];
    write_config(amavis, file, next_port);
    snprintf(command, sizeof command,
             "exec setpriv --reuid=amavis --regid=amavis --init-groups --pdeathsig TERM amavisd $(for f in "
             "/usr/share/amavis/conf.d/* /etc/amavis/conf.d/*; do echo -c $f; done) "
             "-c %s/amavis.conf -c %s/amavis-test.conf foreground",
             scene->dir, scene->dir);
    amavis->pid = spawn(scene, "amavis.log", (const char *const[]){"sh", "-c", command, NULL});
    WAIT_FOR(greets(amavis), 30000);
}

/* Its children end with it, as with systemd. */
void amavis_end(struct test_amavis *amavis) {
    kill_child(amavis->scene, amavis->pid, SIGTERM);
}
