/* What a service manager is told, as sd_notify(3) does it. */
#ifndef POSTERN_MANAGER_NOTIFY_H
#define POSTERN_MANAGER_NOTIFY_H

/* `state`: as READY=1 or STOPPING=1. Nothing happens, and nothing is said, where nobody wants to know. */
void notify_service_manager(const char *state);

#endif
