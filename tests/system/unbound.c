/* Starts unbound with local data only: it asks nobody. */
#include "unbound.h"

#include <signal.h>
#include <stdlib.h>

/* Writes its configuration with this local data; on a running one it takes effect at once. */
void unbound_tell(struct test_unbound *unbound, const char *data) {
    free(shell(
        NULL,
        "cat > %s/unbound.conf <<'EOF'\nserver:\n  interface: 127.0.0.1@%u\n  port: %u\n  do-daemonize: no\n  "
        "chroot: \"\"\n  username: \"\"\n  directory: \"%s\"\n  pidfile: \"\"\n  use-syslog: no\n  module-config: "
        "\"iterator\"\n  local-zone: \"test.\" static\n%s\nremote-control:\n  control-enable: no\nEOF\n",
        unbound->scene->dir, unbound->port, unbound->port, unbound->scene->dir, data));
    if (unbound->pid != 0)
        kill(unbound->pid, SIGHUP);
}

void unbound_begin(struct scene *scene, struct test_unbound *unbound, const char *data) {
    char path[100];
    unbound->scene = scene;
    unbound->port = free_port();
    unbound->pid = 0;
    unbound_tell(unbound, data);
    snprintf(path, sizeof path, "%s/unbound.conf", scene->dir);
    unbound->pid = spawn(scene, "unbound.log", (const char *const[]){"unbound", "-d", "-c", path, NULL});
    WAIT_FOR(file_has(scene, "unbound.log", "start of service"), 10000);
}
