/* What one thread publishes and workers read without locks: an immutable object behind one pointer, and a way to know
 * when nobody can see an old one any more (quiescent-state reclamation, DESIGN §2).
 *
 * A reader is offline from before it waits until after it; online it holds the pointer for one turn of its loop at
 * most. What was retired is freed when every reader has since been offline or come round. */
#ifndef POSTERN_ENGINE_SNAPSHOT_H
#define POSTERN_ENGINE_SNAPSHOT_H

#include "lb/engine/container.h"
#include "lb/engine/limits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SNAPSHOT_OFFLINE 0u

/* Embedded in whatever is to be freed later. */
struct retired {
    struct retired *next;
    uint64_t version;
    void (*release)(struct retired *retired);
};

struct snapshots {
    _Atomic(void *) current;
    atomic_ulong version; /* of the newest change; starts at 1 */
    unsigned readers_count;
    struct retired *retired; /* newest first; the publisher's own */
    struct {
        _Alignas(64) atomic_ulong seen;
    } readers[WORKERS_MAX];
};

void snapshots_init(struct snapshots *snapshots, unsigned readers_count);
/* Publisher: makes `object` current; the caller retires the old one afterwards. */
void snapshots_publish(struct snapshots *snapshots, void *object);
/* Publisher: `release` is called once no reader can still hold what was reachable before this call. */
void snapshots_retire(struct snapshots *snapshots, struct retired *retired, void (*release)(struct retired *retired));
/* Publisher: releases what may go; true while something still waits. */
bool snapshots_reclaim(struct snapshots *snapshots);

/* Reader: before waiting. */
void snapshots_offline(struct snapshots *snapshots, unsigned reader);
/* Reader: after waiting; returns the current object, valid until the next snapshots_offline(). */
void *snapshots_online(struct snapshots *snapshots, unsigned reader);

#endif
