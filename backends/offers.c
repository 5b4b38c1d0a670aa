/* What a tier offers in EHLO: the intersection of what its backends have offered. The roster calls it at each change;
 * the gate says it to clients before any backend is connected. The struct tier_offers is the caller's. */
#include "backends/offers.h"

#include "lb/engine/log.h"

#include <stdio.h>
#include <string.h>

/* Returns false when no backend that counts has been heard. */
static bool intersect(struct backend *const *backends, unsigned count, unsigned tier, bool only_usable,
                      char lines[EHLO_LINES_MAX]) {
    bool is_known = false;
    for (unsigned i = 0; i < count; i++) {
        const struct backend *backend = backends[i];
        if (backend->tier != tier || !backend->has_offer || (only_usable && !backend_is_usable(backend)))
            continue;
        if (is_known)
            ehlo_lines_intersect(lines, backend->offer);
        else
            memcpy(lines, backend->offer, sizeof backend->offer);
        is_known = true;
    }
    return is_known;
}

void tier_offers_lacking(const struct tier_offers *offers, const struct config *config, unsigned tier,
                         char ret_text[OFFER_LACKING_MAX]) {
    char keywords[200];
    size_t length = 0;
    ret_text[0] = '\0';
    for (unsigned i = 0; i < config->tiers_count && length < OFFER_LACKING_MAX; i++) {
        if (i == tier || !offers->tiers[i].is_known)
            continue;
        ehlo_lines_lacking(offers->tiers[tier].lines, offers->tiers[i].lines, keywords, sizeof keywords);
        if (keywords[0] != '\0')
            length += (size_t)snprintf(ret_text + length, OFFER_LACKING_MAX - length, "%s%s (tier %s)",
                                       length > 0 ? ", " : "", keywords, config->tiers[i].name);
    }
}

static void warn(struct tier_offers *offers, const struct config *config, unsigned number) {
    struct tier_offer *tier = &offers->tiers[number];
    char lacking[OFFER_LACKING_MAX];
    bool is_same_offer = strcmp(tier->lines, tier->warned_lines) == 0;
    tier_offers_lacking(offers, config, number, lacking);
    if (is_same_offer && (lacking[0] == '\0' || strcmp(lacking, tier->warned_lacking) == 0))
        return;
    if (lacking[0] != '\0')
        log_warning("tier %s offers less than other tiers do: it lacks %s; senders may bounce mail that needs this "
                    "while it serves",
                    config->tiers[number].name, lacking);
    else if (tier->warned_lacking[0] != '\0')
        log_info("tier %s offers all that other tiers do", config->tiers[number].name);
    memcpy(tier->warned_lacking, lacking, sizeof tier->warned_lacking);
    memcpy(tier->warned_lines, tier->lines, sizeof tier->warned_lines);
}

static const struct backend *find(struct backend *const *backends, unsigned count, unsigned tier, bool invites) {
    for (unsigned i = 0; i < count; i++)
        if (backends[i]->tier == tier && backends[i]->has_offer && backends[i]->invites_early_talk == invites)
            return backends[i];
    return NULL;
}

/* A client remembers the invitation, and what was offered beside it, for the name that it connects to, and says all of
 * its envelope before it has heard whom it meets. */
static void warn_of_early_talk(struct tier_offers *offers, const struct config *config, struct backend *const *backends,
                               unsigned count, unsigned number) {
    const struct backend *inviting = find(backends, count, number, true), *other = find(backends, count, number, false);
    bool differ = inviting != NULL && other != NULL;
    if (differ && !offers->tiers[number].is_warned_of_early_talk)
        log_warning(
            "backends of tier %s differ in PIPECONNECT: %s offers it, %s does not; a client that one has invited "
            "to talk early is cut or bounced by the other: let all of them offer it, or none",
            config->tiers[number].name, inviting->name, other->name);
    else if (!differ && offers->tiers[number].is_warned_of_early_talk)
        log_info("backends of tier %s differ in PIPECONNECT no more", config->tiers[number].name);
    offers->tiers[number].is_warned_of_early_talk = differ;
}

bool tier_offers_update(struct tier_offers *offers, const struct config *config, struct backend *const *backends,
                        unsigned count) {
    bool has_changed = false;
    for (unsigned i = 0; i < config->tiers_count; i++) {
        struct tier_offer *tier = &offers->tiers[i];
        char lines[EHLO_LINES_MAX] = "";
        tier->is_known = intersect(backends, count, i, true, lines) || intersect(backends, count, i, false, lines);
        has_changed |= strcmp(lines, tier->lines) != 0;
        memcpy(tier->lines, lines, sizeof tier->lines);
    }
    for (unsigned i = 0; i < config->tiers_count; i++) {
        if (!config->tiers[i].gate)
            warn_of_early_talk(offers, config, backends, count, i);
        else if (offers->tiers[i].is_known)
            warn(offers, config, i);
    }
    return has_changed;
}
