/* From sightings to verdicts. */
#include "lb/reputation/reputation.h"

#include "lb/engine/log.h"

/* DESIGN §9: more than 30% unknown of at least 5 tried. */
#define RECIPIENTS_FEW      5u
#define UNKNOWN_PER_HUNDRED 30u
#define SECONDS_A_DAY       86400

int reputation_init(struct reputation *reputation, const struct config_reputation *config) {
    *reputation = (struct reputation){.config = config};
    return reputation_table_init(&reputation->table, config->entries_max);
}

void reputation_finish(struct reputation *reputation) {
    reputation_table_finish(&reputation->table);
}

uint16_t reputation_day(time_t now) {
    return (uint16_t)(now / SECONDS_A_DAY);
}

bool reputation_vet(const struct reputation *reputation, const struct evidence *evidence, uint16_t today,
                    struct vetting *ret_vetting) {
    bool is_good = evidence_vet(evidence, prior_of_parent(-1), today, reputation->config, ret_vetting);
    return is_good && !reputation->config->require_fcrdns; /* reverse DNS is not looked up yet: nobody has it */
}

static void decide(struct reputation *reputation, const struct evidence *evidence, uint16_t today) {
    struct vetting vetting;
    reputation_table_set_verdict(&reputation->table, evidence, reputation_vet(reputation, evidence, today, &vetting));
}

static void say_full(struct reputation *reputation) {
    if (!reputation->was_full_said)
        log_warning("reputation: a client found no place: max-entries = %u is too few for those who behave",
                    reputation->config->entries_max);
    reputation->was_full_said = true;
}

void reputation_take(struct reputation *reputation, const struct sighting *sighting, uint16_t today) {
    const struct config_reputation *config = reputation->config;
    struct evidence *evidence = reputation_table_obtain(&reputation->table, sighting->key, today);
    if (evidence == NULL) {
        say_full(reputation);
        return;
    }
    if (sighting->clean > 0 && config->clean_evidence == CLEAN_EVIDENCE_REPLY)
        evidence_add(evidence, EVIDENCE_MAIL_CLEAN, sighting->clean, today, config);
    if (sighting->rejected > 0)
        evidence_add(evidence, EVIDENCE_MAIL_REJECTED, sighting->rejected, today, config);
    if (sighting->has_talked_early)
        evidence_add(evidence, EVIDENCE_PREGREET, 1, today, config);
    if (sighting->recipients >= RECIPIENTS_FEW && sighting->unknown * 100u > sighting->recipients * UNKNOWN_PER_HUNDRED)
        evidence_add(evidence, EVIDENCE_UNKNOWN_RECIPIENTS, 1, today, config);
    decide(reputation, evidence, today);
}

void reputation_sweep(struct reputation *reputation, unsigned places, uint16_t today) {
    unsigned all = reputation->table.buckets * 8;
    for (unsigned i = 0; i < places; i++) {
        uint64_t key;
        const struct evidence *evidence = reputation_table_at(&reputation->table, reputation->sweep_at, &key);
        if (evidence != NULL)
            decide(reputation, evidence, today);
        reputation->sweep_at = (reputation->sweep_at + 1) % all;
    }
}

unsigned reputation_count_vetted(const struct reputation *reputation) {
    unsigned vetted = 0;
    for (unsigned i = 0; i < reputation->table.buckets * 8; i++)
        vetted += atomic_load_explicit(&reputation->table.verdicts[i], memory_order_relaxed) != 0;
    return vetted;
}
