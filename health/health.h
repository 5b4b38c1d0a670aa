/* Health: probes every backend by its tier's `check`, and tells the roster. On the manager's ring. What sessions tell
 * of backends goes to convictions.h. */
#ifndef POSTERN_HEALTH_HEALTH_H
#define POSTERN_HEALTH_HEALTH_H

#include "backends/roster.h"
#include "lb/engine/io.h"

struct health;

/* Begins to probe all of the roster's backends at once. Returns 0 or -ENOMEM. All three outlive it. */
int health_create(struct io *io, const struct config *config, struct roster *roster, struct health **ret_health);
/* Begins no probe any more; those that run say QUIT as soon as SMTP lets them, within PROBE_QUIT_MS. */
void health_stop(struct health *health);
bool health_has_stopped(const struct health *health);
/* After the manager's loop has ended. */
void health_destroy(struct health *health);

/* A backend that was added at run time. Returns 0 or -ENOMEM (it stays `starting` then). */
int health_add(struct health *health, struct backend *backend);
/* Before a backend is deleted: nothing of it is read afterwards. */
void health_remove(struct health *health, struct backend *backend);
/* After a change of its administrative state: maint is not probed. */
void health_on_admin_changed(struct health *health, struct backend *backend);

/* The last 64 results, the newest in bit 0, 1 = passed; `ret_count` of them are real. */
uint64_t health_history(const struct backend *backend, unsigned *ret_count);
/* How long the last probe took until its verdict. */
uint64_t health_last_check_ms(const struct backend *backend);
/* Days until the certificate that the last handshake saw ends; false when none was seen. */
bool health_certificate_days(const struct backend *backend, int *ret_days);

#endif
