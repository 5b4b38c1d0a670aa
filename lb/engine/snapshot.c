/* Publishing to readers without locks. The order of the steps makes it right: a reader stores the version it has seen
 * and then loads the pointer; the publisher stores the pointer, then the version, and then looks at the readers. All
 * are seq_cst, so at least one of the two sees the other: a reader that the publisher took for offline or up to date
 * loads the new pointer.
 *
 * The roster publishes views by it, and the manager the files that were read anew. Owns what was retired, until no
 * reader can see it. */
#include "lb/engine/snapshot.h"

#include <stddef.h>
#include <string.h>

void snapshots_init(struct snapshots *snapshots, unsigned readers_count) {
    memset(snapshots, 0, sizeof *snapshots);
    snapshots->readers_count = readers_count;
    atomic_store(&snapshots->version, 1);
}

void snapshots_publish(struct snapshots *snapshots, void *object) {
    atomic_store(&snapshots->current, object);
    atomic_fetch_add(&snapshots->version, 1);
}

void snapshots_retire(struct snapshots *snapshots, struct retired *retired, void (*release)(struct retired *retired)) {
    retired->version = atomic_fetch_add(&snapshots->version, 1) + 1;
    retired->release = release;
    retired->next = snapshots->retired;
    snapshots->retired = retired;
}

static uint64_t oldest_seen(struct snapshots *snapshots) {
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < snapshots->readers_count; i++) {
        uint64_t seen = atomic_load(&snapshots->readers[i].seen);
        if (seen != SNAPSHOT_OFFLINE && seen < oldest)
            oldest = seen;
    }
    return oldest;
}

bool snapshots_reclaim(struct snapshots *snapshots) {
    uint64_t oldest = oldest_seen(snapshots);
    struct retired **link = &snapshots->retired;
    while (*link != NULL) {
        struct retired *retired = *link;
        if (retired->version <= oldest) {
            *link = retired->next;
            retired->release(retired);
        } else {
            link = &retired->next;
        }
    }
    return snapshots->retired != NULL;
}

void snapshots_offline(struct snapshots *snapshots, unsigned reader) {
    atomic_store(&snapshots->readers[reader].seen, SNAPSHOT_OFFLINE);
}

void *snapshots_online(struct snapshots *snapshots, unsigned reader) {
    atomic_store(&snapshots->readers[reader].seen, atomic_load(&snapshots->version));
    return atomic_load(&snapshots->current);
}
