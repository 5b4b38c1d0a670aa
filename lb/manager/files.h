/* The files that postern.ini names, as they are in force: allow-file and deny-file, the tables of the gate, the key of
 * feeds. They are read at the start, and anew by a reload while mail flows. */
#ifndef POSTERN_MANAGER_FILES_H
#define POSTERN_MANAGER_FILES_H

#include "lb/gate/tables.h"
#include "lb/manager/workers.h"
#include "lb/reputation/access.h"

#include <stdio.h>

struct feedback;
struct reputation;

/* The manager fills in the first four. */
struct files {
    const struct config *config;
    struct workers *workers;
    struct reputation *reputation;
    struct feedback *feedback; /* NULL: off */
    struct access *access;
    struct gate_tables *gate_tables;
};

/* Take a file's contents over; the old ones are freed when no worker looks at them any more. */
void files_set_access(struct files *files, struct access *access);
void files_set_gate_tables(struct files *files, struct gate_tables *tables);

/* Reads all anew: everything is checked first, then put in force as one change, or nothing is. The log is opened anew
 * as well. Returns how many alarms that left in the log; or -errno, nothing has changed then, and every mistake is on
 * `errors`. */
int files_reload(struct files *files, FILE *errors);
/* The same, with the mistakes in the log. */
void files_reload_by_signal(struct files *files);

/* Once no worker runs; accepts a zeroed one. */
void files_finish(struct files *files);

#endif
