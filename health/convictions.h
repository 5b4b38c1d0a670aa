/* What sessions tell of backends, and what comes of it: a probe, a trial, an ejection. On the manager's ring. */
#ifndef POSTERN_HEALTH_CONVICTIONS_H
#define POSTERN_HEALTH_CONVICTIONS_H

#include "backends/backend.h"
#include "health/outlier.h"

struct check;
struct health;
struct probe;
struct timer;

/* Something was amiss with it in a session, be it the client's doing: it is probed at once, and the probe decides. */
void health_on_doubt(struct health *health, struct backend *backend);
/* It has said 421 unasked to a client, which may be its right: the same, and with `outlier` of these and no mail taken
 * in between the log tells of it. */
void health_on_left(struct health *health, struct backend *backend);
/* It has no other client than postern (`proxy = none`), and its greeting refused this client: the log tells of it. */
void health_on_refused(struct health *health, struct backend *backend);
/* It is convicted of having failed a session: the same went on elsewhere. Asks for a trial; with `outlier` of these in
 * a row (health/outlier.h) and a trial that failed, too, it is ejected, unless it is the last usable one of its tier.
 * At a step that the tier's own check goes through, it goes down instead, as soon as that fails once more. */
void health_on_conviction(struct health *health, struct backend *backend, const struct outlier_failure *failure);
/* Content of this client was lost on it: likewise, beside what the rest of its tier did meanwhile. */
void health_on_content_lost(struct health *health, struct backend *backend, uint32_t client);

/* --- for health.c --- */

/* The ejection's time is over. */
void convictions_on_ejection_over(struct timer *timer);
/* After what has changed the ejection's end. */
void convictions_set_ejection_timer(struct check *check);
/* When a probe begins: how far it is to go, whatever the check's level. */
enum backend_step convictions_begin_probe(struct check *check);
/* As struct probe's on_step. */
void convictions_on_step(struct probe *probe, enum backend_step step, bool has_passed);
/* The probe has ended, and the next is scheduled. */
void convictions_end_probe(struct check *check);

#endif
