/* The memory of who behaved, on the manager's thread: takes what sessions have seen, keeps scores and verdicts. Workers
 * read verdicts from its table. */
#ifndef POSTERN_REPUTATION_REPUTATION_H
#define POSTERN_REPUTATION_REPUTATION_H

#include "lb/reputation/table.h"

/* What one session has seen of its client. */
struct sighting {
    uint64_t key;
    uint16_t clean;      /* mails accepted after the dot */
    uint16_t rejected;   /* mails refused after the dot for what they are */
    uint16_t recipients; /* tried */
    uint16_t unknown;    /* of these, refused as unknown */
    bool has_talked_early;
};

struct reputation {
    const struct config_reputation *config;
    struct reputation_table table;
    unsigned sweep_at;
    bool was_full_said;
};

/* Returns 0 or -ENOMEM. `config` outlives it. */
int reputation_init(struct reputation *reputation, const struct config_reputation *config);
void reputation_finish(struct reputation *reputation);
/* Today's day, as evidence counts it, of a time of day(2). */
uint16_t reputation_day(time_t now);
void reputation_take(struct reputation *reputation, const struct sighting *sighting, uint16_t today);
/* Decides `places` more places anew, since days pass and evidence fades. */
void reputation_sweep(struct reputation *reputation, unsigned places, uint16_t today);
/* Whether evidence like this is trusted today, and why (not). */
bool reputation_vet(const struct reputation *reputation, const struct evidence *evidence, uint16_t today,
                    struct vetting *ret_vetting);
unsigned reputation_count_vetted(const struct reputation *reputation);

#endif
