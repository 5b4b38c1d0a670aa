/* What each tier's backends offer in their replies to EHLO, so that the gate can offer the same before it has connected
 * to any of them. Pure but for warnings in the log. */
#ifndef POSTERN_BACKENDS_OFFERS_H
#define POSTERN_BACKENDS_OFFERS_H

#include "backends/backend.h"
#include "lb/engine/limits.h"

#define OFFER_LACKING_MAX 400

struct tier_offer {
    bool is_known;
    char lines[EHLO_LINES_MAX]; /* in the form of ehlo_lines_read() */
    /* What the log was last told: so that a primary that comes and goes is no new warning. */
    char warned_lacking[OFFER_LACKING_MAX]; /* "" = nothing is wrong */
    char warned_lines[EHLO_LINES_MAX];
    bool is_warned_of_early_talk;
};

struct tier_offers {
    struct tier_offer tiers[TIERS_MAX];
};

/* Works out each tier's offer: what its usable backends have in common or, while none is usable, all that have been
 * heard. Warns of a tier with `gate = on` that offers less than another one, once for each change, and of one without
 * whose backends differ in PIPECONNECT. Returns true when the offer of a tier has changed. */
bool tier_offers_update(struct tier_offers *offers, const struct config *config, struct backend *const *backends,
                        unsigned count);

/* The keywords that other tiers offer and this one does not, as "CHUNKING DSN (tier primary)"; "" when there are none.
 */
void tier_offers_lacking(const struct tier_offers *offers, const struct config *config, unsigned tier,
                         char ret_text[OFFER_LACKING_MAX]);

#endif
