/* A real unbound for the tests, with local data only: it asks nobody. */
#include "unbound.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Writes its configuration with this local data; on a running one it takes effect at once. */
void unbound_tell(struct test_unbound *unbound, const char *data) {
    char system[96] = "";
    if (unbound->address[0] != '\0')
        snprintf(system, sizeof system, "  interface: %s@53\n  local-zone: \".\" static\n", unbound->address);
    free(shell(
        NULL,
        "cat > %s/unbound.conf <<'EOF'\nserver:\n  interface: 127.0.0.1@%u\n%s  port: %u\n  do-daemonize: no\n  "
        "chroot: \"\"\n  username: \"\"\n  directory: \"%s\"\n  pidfile: \"\"\n  use-syslog: no\n  module-config: "
        "\"iterator\"\n  local-zone: \"test.\" static\n%s\nremote-control:\n  control-enable: no\nEOF\n",
        unbound->scene->dir, unbound->port, system, unbound->port, unbound->scene->dir, data));
    if (unbound->pid != 0)
        kill(unbound->pid, SIGHUP);
}

static void start(struct scene *scene, struct test_unbound *unbound, const char *data) {
    char path[100];
    unbound->scene = scene;
    unbound->pid = 0;
    unbound_tell(unbound, data);
    snprintf(path, sizeof path, "%s/unbound.conf", scene->dir);
    unbound->pid = spawn(scene, "unbound.log", (const char *const[]){"unbound", "-d", "-c", path, NULL});
    WAIT_FOR(file_has(scene, "unbound.log", "start of service"), 10000);
}

void unbound_begin(struct scene *scene, struct test_unbound *unbound, const char *data) {
    unbound->port = free_port();
    unbound->address[0] = '\0';
    start(scene, unbound, data);
}

/* The port is this test's alone, so the address made of it is, too. */
void unbound_begin_as_system(struct scene *scene, struct test_unbound *unbound, const char *data) {
    unbound->port = free_port();
    snprintf(unbound->address, sizeof unbound->address, "127.53.%u.%u", unbound->port >> 8, unbound->port & 255);
    start(scene, unbound, data);
}
