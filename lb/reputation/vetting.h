/* From what is known of a client to who of its addresses is vetted. Only reputation.c decides by it; others ask why. */
#ifndef POSTERN_REPUTATION_VETTING_H
#define POSTERN_REPUTATION_VETTING_H

#include "lb/reputation/state.h"

/* Why a client is vetted, or not. */
struct vetting {
    struct conditions own;
    bool has_score;
    bool has_fcrdns;       /* or needs none */
    bool has_list_answers; /* or needs none */
    bool has_name_answer;  /* not older than DNS results may be */
    uint16_t vetoes;       /* a bit for each list that vetoes it */
    bool is_halved;        /* an allow list halves the evidence that it needs */
    bool is_by_file;       /* its confirmed name stands in allow-file */
    bool is_by_provider;   /* on its big provider's reputation */
    bool is_vetted;
    struct prior prior;
    uint64_t parent; /* whose bound gives the prior; 0: none */
    double parent_bound;
    double score;
};

/* Decides for each of the client's addresses by its own results of the DNS and puts the verdict into the table. Returns
 * how often it took the whole arithmetic. *ret_vetting: of one of them; is_vetted: of any. */
unsigned vetting_decide(struct reputation *reputation, uint64_t key, struct client *client, uint32_t now_s,
                        struct vetting *ret_vetting);

/* A bit for each list of which a listing is a veto. */
uint16_t vetting_vetoes(const struct reputation *reputation);

/* What stands for a domain of allow-file in client_dns.allowed_by; never 0. */
uint32_t vetting_domain_number(const char *domain);

/* Why a client is vetted, or not. `host`: which of its addresses. */
void reputation_explain(const struct reputation *reputation, uint64_t key, uint64_t host, const struct client *client,
                        uint32_t now_s, struct vetting *ret_vetting);

#endif
