/* The memory of who behaved, on the manager's thread: takes what sessions, the DNS and feedback say of clients, keeps
 * verdicts. Workers read verdicts from its table. Reads no clock: times are passed in, in seconds since 1970. */
#ifndef POSTERN_REPUTATION_REPUTATION_H
#define POSTERN_REPUTATION_REPUTATION_H

#include "lb/reputation/state.h"
#include "lb/reputation/vetting.h"

/* What one session has seen of its client. */
struct sighting {
    uint64_t key;
    uint64_t host;
    uint16_t clean;      /* mails accepted after the dot */
    uint16_t rejected;   /* mails refused after the dot for what they are */
    uint16_t recipients; /* tried */
    uint16_t unknown;    /* of these, refused as unknown */
    bool has_talked_early;
    bool has_pipelined; /* without leave */
    bool is_not_smtp;
    bool needed_vetting; /* a tier with admit = vetted was asked for it, whatever the answer */
};

/* What the DNS has answered for one client. */
struct dns_findings {
    bool has_name_answer;
    enum client_name name;
    char confirmed[DNS_NAME_MAX + 1]; /* of NAME_CONFIRMED */
    uint16_t answered;                /* a bit for each list that has answered */
    uint16_t listed;
    uint32_t ttl_s; /* the least */
};

/* Returns 0 or -ENOMEM. `config` outlives it. */
int reputation_init(struct reputation *reputation, const struct config *config, uint32_t now_s);
/* Accepts a zeroed one. */
void reputation_finish(struct reputation *reputation);
/* `access` in place of the one before; outlives its use. What it says of networks is the workers' business. */
void reputation_set_access(struct reputation *reputation, const struct access *access, uint32_t now_s);

void reputation_take(struct reputation *reputation, const struct sighting *sighting, uint32_t now_s);
/* The word of an operator or of the feed. Returns 0, or -ENOSPC: no room in the table. */
int reputation_feed(struct reputation *reputation, const struct address *client, enum evidence_kind kind,
                    uint32_t now_s);
/* For the address that was asked for. */
void reputation_take_findings(struct reputation *reputation, uint64_t key, uint64_t host,
                              const struct dns_findings *findings, uint32_t now_s);
/* Returns 0 or -ENOSPC. */
int reputation_set_decree(struct reputation *reputation, const struct address *client, enum decree decree,
                          uint32_t now_s);
/* Forgets a client. Returns false when nothing was known of it. */
bool reputation_forget(struct reputation *reputation, const struct address *client);
/* Puts a client in, instead of what was known of it. Returns 0 or -ENOSPC. */
int reputation_put(struct reputation *reputation, const struct address *address, const struct client *client,
                   uint32_t now_s);
/* A record from the store, before anything else is known of that client. Returns false when there is no room. */
bool reputation_load(struct reputation *reputation, uint64_t key, const struct client *client, uint32_t now_s);
/* All records have been loaded. */
void reputation_on_loaded(struct reputation *reputation);
/* Goes on through the table: up to `places` places, or fewer when many clients there take time. Verdicts are decided
 * anew, since days pass and evidence fades; parents are added up; old DNS results are asked for again. */
void reputation_sweep(struct reputation *reputation, unsigned places, uint32_t now_s);

unsigned reputation_count_vetted(const struct reputation *reputation);

#endif
