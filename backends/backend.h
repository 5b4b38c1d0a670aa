/* One backend at run time. The object never moves and outlives every view that lists it; workers read it and count on
 * it, the manager alone changes its state (DESIGN §2, §6). */
#ifndef POSTERN_BACKENDS_BACKEND_H
#define POSTERN_BACKENDS_BACKEND_H

#include "conf/config.h"
#include "lb/engine/snapshot.h"
#include "lb/smtp/ehlo.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A name in commands, logs and tables; the configuration's bound. */
#define BACKEND_NAME_MAX 64

enum backend_health {
    HEALTH_STARTING,   /* never probed to an end: clients wait rather than fail */
    HEALTH_UP,         /* usable */
    HEALTH_GOING_DOWN, /* usable, but its last probes failed (fewer than `fall`) */
    HEALTH_DOWN,       /* not usable */
    HEALTH_GOING_UP,   /* not usable, but its last probes passed (fewer than `rise`) */
    HEALTH_EJECTED,    /* not usable for a time, since it fails sessions; its probes may pass */
};

/* How far a session comes with a backend. Who fails at one step may be good at those before it, and who came no further
 * than one step says nothing about those behind it. */
enum backend_step {
    STEP_GREETING, /* connect, PROXY header, 220 */
    STEP_HELLO,    /* EHLO, and what may be said outside a transaction */
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,    /* the reply to DATA */
    STEP_CONTENT, /* content, its end, and the reply to that: nothing of it can be told to another backend */
    STEPS_COUNT
};

/* What one worker keeps about one backend. Written by that worker alone, so that no cache line is shared; others read
 * the counters and add them up. */
struct backend_share {
    _Alignas(64) int32_t current_weight; /* smooth weighted round robin */
    atomic_uint sessions;                /* now, committed or being tried */
    atomic_ulong sessions_total;         /* that it greeted and that were relayed */
    atomic_ulong failures_total; /* tries that it refused or left unanswered, and sessions lost by its own doing */
    atomic_ulong bytes_in;       /* client to backend */
    atomic_ulong bytes_out;
    atomic_ulong passed_ms[STEPS_COUNT]; /* when it last passed a step: gave a session a good reply there (io_now_ms) */
    uint64_t doubted_ms; /* when the worker last told that something was amiss with it; no other thread reads it */
    atomic_ulong mails;  /* accepted after the final dot, as far as can be seen in clear */
};

struct backend {
    char name[BACKEND_NAME_MAX];
    uint8_t id; /* unique among living backends: the bit in a session's set of tried ones */
    unsigned tier;
    bool was_added;         /* by the control socket, not from the file */
    struct address address; /* of family 0 while its name has not been resolved */
    char host_name[254];    /* that the address came from; "" = none */
    char host_error[64];    /* why the name could not be resolved the last time */
    uint16_t host_port;
    enum proxy_version proxy;
    struct address_list source; /* owned */
    uint32_t sessions_max;      /* 0 = no limit */
    /* Written by the manager; workers act on the view's copies. */
    uint32_t weight;
    enum backend_admin admin;
    enum backend_health health;
    uint64_t health_since_ms;
    char health_reason[160];    /* of the last failed probe, as "EHLO: 451 4.3.0 …" */
    uint64_t ramp_since_ms;     /* slow start; 0: none */
    char offer[EHLO_LINES_MAX]; /* of its last reply to EHLO in clear, as ehlo_lines_read() leaves it */
    bool has_offer;
    bool invites_early_talk; /* that reply, by PIPECONNECT */
    bool is_deleted;
    uint32_t serial; /* never used twice: what outcomes are told by, which may come when it is gone */
    struct retired retired;
    void *check; /* the health module's own */
    /* Slots taken over all workers (orphans included). */
    _Alignas(64) atomic_uint in_use;
    /* When it last greeted anybody with a complete 220 (io_now_ms), and whether a session has since waited past
     * `hedge-after` in vain (DESIGN §5, suspects). Written by workers, cleared by the next 220 or probe that passes. */
    _Alignas(64) atomic_ulong greeted_ms;
    atomic_bool is_suspect;
    atomic_bool has_failed; /* by the manager: down or ejected */
    unsigned shares_count;
    struct backend_share shares[];
};

/* Makes a backend with `shares_count` workers' shares from its configuration; NULL when out of memory. */
struct backend *backend_create(const struct config_backend *config, uint8_t id, unsigned shares_count);
/* Accepts NULL. */
void backend_destroy(struct backend *backend);

/* Takes a slot if fewer than `sessions_max` are taken (0 = no limit). From any worker. */
bool backend_take_slot(struct backend *backend, uint32_t sessions_max);
/* Returns true when the backend had been full, so that somebody may wait for this slot. */
bool backend_release_slot(struct backend *backend, uint32_t sessions_max);

/* Sums over workers. */
uint64_t backend_sessions(const struct backend *backend);
uint64_t backend_sessions_total(const struct backend *backend);
uint64_t backend_failures_total(const struct backend *backend);
uint64_t backend_bytes_in(const struct backend *backend);
uint64_t backend_bytes_out(const struct backend *backend);
uint64_t backend_mails(const struct backend *backend);
/* When it last passed this step, or one behind it, in a session of whomever; 0: never. */
uint64_t backend_passed_ms(const struct backend *backend, enum backend_step step);

/* `ready`, up, and with an address (DESIGN §6). */
bool backend_is_usable(const struct backend *backend);
/* Down or ejected. */
bool backend_has_failed(const struct backend *backend);
/* "starting", "up", "going-down", "down", "going-up", "ejected"; "-" for a tier that is not checked is said by the
 * caller. */
const char *backend_health_name(enum backend_health health);
/* "the greeting", "EHLO", "MAIL" … for a sentence. */
const char *backend_step_name(enum backend_step step);

#endif
