/* What sessions tell of backends, on its way to the health module (outcomes.c). */
#ifndef POSTERN_MANAGER_OUTCOMES_H
#define POSTERN_MANAGER_OUTCOMES_H

struct backend;
struct health;
struct outcome;

/* Passes on what a worker's session has told of this backend. */
void outcomes_pass_on(struct health *health, struct backend *backend, const struct outcome *outcome);

#endif
