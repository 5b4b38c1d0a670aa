/* A real Exim for the tests, in the scene's folder. Its user need not exist: nss_wrapper says that it does. */
#include "exim.h"

#include <stdio.h>
#include <stdlib.h>

void exim_begin(struct scene *scene) {
    int status;
    char *said = shell(&status,
                       "cp build/peers/exim4 %s/ && cd %s && mkdir exim && chmod 755 . && "
                       "(echo 'Debian-exim:x:65534:65534::/:/bin/false'; cat /etc/passwd) >passwd && "
                       "(echo 'Debian-exim:x:65534:'; cat /etc/group) >group; chown -R 65534:65534 exim 2>&1",
                       scene->dir, scene->dir);
    cr_assert(status == 0, "%s (tests/exim puts Exim in build/peers)", said);
    free(said);
}

/* Begins a configuration; the caller goes on, and closes it. */
static FILE *open_configuration(struct scene *scene, const char *name, const char *host) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", scene->dir, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fprintf(file,
            "primary_hostname = %s\nexim_path = %s/exim4\nspool_directory = %s/exim\nlog_file_path = %s/exim/%%s.log\n"
            "keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP\n",
            host, scene->dir, scene->dir, scene->dir);
    return file;
}

void exim_write_sender(struct scene *scene, const char *file, const char *options, const char *transport) {
    FILE *configuration = open_configuration(scene, file, "exim.sender.test");
    fprintf(configuration,
            "deliver_drop_privilege = true\n%s"
            "begin routers\nall:\n  driver = manualroute\n  transport = out\n  route_list = * 127.0.0.1\n"
            "  self = send\nbegin transports\nout:\n  driver = smtp\n  port = %u\n%s",
            options, scene->port, transport);
    cr_assert_eq(fclose(configuration), 0);
}

unsigned exim_start_host(struct scene *scene, const char *options) {
    unsigned port = free_port();
    char command[400];
    FILE *configuration = open_configuration(scene, "host.conf", "vm1.example.test");
    fprintf(configuration,
            "local_interfaces = 127.0.0.1\ndaemon_smtp_ports = %u\nhost_lookup =\nchunking_advertise_hosts =\n"
            "tls_advertise_hosts =\nsmtputf8_advertise_hosts =\nqueue_only\nacl_smtp_rcpt = all\n%s"
            "begin acl\nall:\n  accept\nbegin routers\nall:\n  driver = redirect\n  data = :blackhole:\n",
            port, options);
    cr_assert_eq(fclose(configuration), 0);
    snprintf(command, sizeof command, "cd %s && exec " EXIM_RUN "host.conf -bdf", scene->dir);
    spawn(scene, "exim.out", (const char *const[]){"sh", "-c", command, NULL});
    return port;
}
