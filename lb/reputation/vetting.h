/* From what is known of a client to who of its addresses is vetted; for reputation.c alone. */
#ifndef POSTERN_REPUTATION_VETTING_H
#define POSTERN_REPUTATION_VETTING_H

#include "lb/reputation/reputation.h"

/* Decides for each of the client's addresses by its own results of the DNS and puts the verdict into the table. Returns
 * how often it took the whole arithmetic. *ret_vetting: of one of them; is_vetted: of any. */
unsigned vetting_decide(struct reputation *reputation, uint64_t key, struct client *client, uint32_t now_s,
                        struct vetting *ret_vetting);

/* A bit for each list of which a listing is a veto. */
uint16_t vetting_vetoes(const struct reputation *reputation);

/* What stands for a domain of allow-file in client_dns.allowed_by; never 0. */
uint32_t vetting_domain_number(const char *domain);

#endif
