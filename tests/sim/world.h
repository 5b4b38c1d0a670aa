/* What a seed has drawn of its world as a whole; set by site.c, read by clients and backends. */
#ifndef POSTERN_TESTS_SIM_WORLD_H
#define POSTERN_TESTS_SIM_WORLD_H

#include "conf/config.h"

#include <stdbool.h>
#include <stdint.h>

enum sim_probes { PROBES_NONE, PROBES_BANNER, PROBES_EHLO, PROBES_MAIL };

/* Of a worker's, the one that has few places. */
enum sim_pool { POOL_NONE, POOL_SESSIONS, POOL_ATTEMPTS, POOL_CHUNKS, POOL_GATES, POOL_QUESTIONS, POOLS_COUNT };

struct sim_world {
    unsigned workers;
    /* Clients come one after the other, `gap_ms` apart at most, and so many are there at a time at most. */
    unsigned clients_at_once, gap_ms;
    bool has_bias; /* half of the clients have this manner */
    unsigned bias;
    bool is_trial;    /* of one backend that fails all its sessions in words, at one stage: it must be put out */
    bool has_bots;    /* most clients say EHLO and QUIT, and no more */
    bool is_thorough; /* some mails are answered after a while, as by a filter */
    bool is_rich;     /* in buffers, memory and places */
    bool has_no_hedges;
    bool is_slow;             /* some greetings of whomever come later than anybody waits */
    bool has_silence;         /* some backends don't answer */
    bool refuses;             /* backends refuse some clients and mails for what they are */
    bool talks_long;          /* backends say replies of several kilooctets */
    bool has_chunks;          /* backends take BDAT, and some clients send their mails by it */
    bool has_tls;             /* backends offer STARTTLS, and some clients take it */
    bool has_strict;          /* a tier behind the gate, for vetted clients */
    bool has_gate;            /* on the first tier */
    bool has_peers;           /* proxies that send PROXY headers */
    bool has_operator;        /* who adds, drains and deletes servers, and changes reputations */
    bool asks_dns;            /* the gate, whether a sender's domain takes mail */
    bool is_to_be_stopped;    /* at some time, by SIGTERM */
    bool refuses_at_rcpt;     /* the unvetted, and not at the greeting */
    enum proxy_version proxy; /* that backends expect */
    enum sim_probes probes;
    unsigned places;                  /* max-sessions */
    unsigned queue_max, sessions_max; /* of a backend; 0: no limit */
    unsigned queue_s;                 /* queue-timeout */
    enum sim_pool scarce;
    unsigned scarce_count;
    /* True while nothing but backends' faults can have cost a mail: each mail of a polite client must be taken then. */
    bool is_polite_served;
    /* Postern itself answers commands that a backend would answer by their tags. */
    bool may_answer_itself;
    /* Sessions are being cut, as a stop may in the end. */
    bool is_cutting;
    uint64_t cut_ms; /* while it stops: from then on what has not come to its end is cut, and said to be */
    bool is_stopping;
};

extern struct sim_world sim_world;

/* --- site.c --- */

/* Draws the world, its backends among it. */
void site_draw(void);
/* The configuration of what was drawn; ends the program when it is refused. The caller frees it. */
struct config *site_configure(void);
/* Makes the files that configurations name, and takes them away; once each. */
void site_make_files(void);
void site_remove_files(void);

#endif
