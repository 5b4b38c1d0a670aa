/* Clients. The first part is for the world; the rest for the files client*.c. */
#ifndef POSTERN_TESTS_SIM_CLIENT_H
#define POSTERN_TESTS_SIM_CLIENT_H

#include "tests/sim/network.h"
#include "tests/sim/script.h"

void clients_begin(unsigned count);
/* One more comes, perhaps; true when one did. */
bool clients_arrive(void);
/* When the next one comes; UINT64_MAX: none does before another one goes. */
uint64_t clients_next_ms(void);
/* No more come. */
void clients_stop_coming(void);
/* Those that have not ended. */
unsigned clients_open(void);
/* All have come and gone. */
bool clients_are_over(void);
/* The host has closed a connection that it never accepted. */
void client_on_refused(struct agent *agent);

/* --- the inside --- */

enum manner {
    POLITE,
    PIPELINES,
    TRICKLES,    /* an octet or some at a time */
    TALKS_EARLY, /* does not await the greeting, nor replies to commands */
    RESETS,      /* somewhere */
    LEAVES,      /* somewhere, without QUIT */
    HALF_CLOSES, /* when all is said, or earlier */
    IDLES,       /* for longer than anybody waits */
    DEAF,        /* reads nothing for a long time, and goes on talking */
    IS_REFUSED,  /* by a backend that says so and hangs up */
    DRIPS,       /* from some point on an octet now and then, for a while */
    READS_SLOWLY,
    RESETS_BEHIND_DOT,
    GOES_TLS,
    TALKS_JUNK,
    FLOODS, /* before the greeting */
    MANNERS_COUNT
};

/* Behind a proxy that speaks for it. */
enum peer {
    PEER_NONE,
    PEER_V1,
    PEER_V2,
    PEER_MALFORMED,
    PEER_CHECK,
    PEER_SILENT,
    PEER_UNLISTED, /* who may not speak for others, and does */
};

struct sim_client {
    struct agent agent;
    bool is_open;
    enum manner manner;
    enum peer peer;
    unsigned number, network;
    struct address address; /* as postern is to see it */
    struct wire *wire;
    struct item items[ITEMS_MAX];
    unsigned items_count, next_item;
    struct item awaited[ITEMS_MAX];
    unsigned awaited_first, awaited_count;
    unsigned fate; /* the item at which RESETS, LEAVES, IDLES, DRIPS and DEAF do so */
    unsigned content_line;
    unsigned chunk_lines; /* left to say of the chunk that has begun */
    bool chunk_is_last;
    bool is_in_content, may_send_content, mail_has_failed, is_in_tls;
    bool is_dropped;   /* it was told to go, and waits for the end */
    bool was_refused;  /* by a policy that is a healthy backend's own */
    bool is_untrusted; /* it has said what servers read differently */
    bool talks_behind_starttls;
    unsigned last_code;
    unsigned drops_left;
    unsigned tls_said, tls_heard, tls_count;
    bool has_greeting, has_heard_end, has_shut, is_deaf, has_dawdled, has_met_fate;
    bool has_talked_behind_dot; /* and so the dot's reply can be lost with what a backend does at the next command */
    uint64_t pause_ms, began_ms, heard_ms;
    uint64_t asked_ms; /* since when it awaits the oldest reply, its command said whole; 0: none */
    unsigned out_at, out_length, line_length;
    bool is_continued; /* the line before was one of several */
    char out[4000], line[600], first_line[600];
};

bool client_is_polite(const struct sim_client *client);
void client_await(struct sim_client *client, const struct item *item);
/* It closes its end. */
void client_hang_up(struct sim_client *client, const char *how);
void client_reset(struct sim_client *client, const char *how);

/* client_says.c: puts the next thing to say into its buffer; false when there is nothing to say now. */
bool client_thinks(struct sim_client *client);
bool client_has_said_all(const struct sim_client *client);
/* Line `line` of what is said inside TLS: binary, with a line's end. Returns its length. */
unsigned client_tls_line(const struct sim_client *client, unsigned line, char text[static 300]);

/* client_hears.c: reads some of what has come; false when there is nothing. */
bool client_reads(struct sim_client *client);

#endif
