/* Where reputations are kept over restarts: a small interface, behind which LMDB stands today. Everything here may
 * block on a disk, so it belongs to the keeper's thread alone. */
#ifndef POSTERN_REPUTATION_STORE_H
#define POSTERN_REPUTATION_STORE_H

#include "lb/reputation/table.h"

#include <stddef.h>

struct store;

/* Opens or makes the store in `directory`. `clients_max` bounds its size. `marks` names what the records depend on (the
 * configured lists): *ret_is_same is false when it was written under other marks. Returns 0; -EBADMSG: what is there is
 * damaged or not ours, set it aside with store_set_aside(); or -errno. */
int store_open(const char *directory, unsigned clients_max, uint64_t marks, struct store **ret_store,
               bool *ret_is_same);
/* Accepts NULL. */
void store_close(struct store *store);
/* Moves the files of a store that is closed out of the way; those set aside before are gone then. Returns 0 or -errno,
 * and where they are now. */
int store_set_aside(const char *directory, char *ret_path, size_t path_size);

struct store_change {
    uint64_t key;
    bool is_removed;
    struct client client;
};
/* All of them or none. Returns 0, -EBADMSG (damaged) or -errno (-ENOSPC: full). */
int store_batch(struct store *store, const struct store_change *changes, unsigned count);
/* Returns 0, -ENOENT, -EBADMSG or -errno. */
int store_get(struct store *store, uint64_t key, struct client *ret_client);
/* Until `visit` returns false. Records that make no sense are left out and counted. */
int store_iterate(struct store *store, bool (*visit)(void *context, uint64_t key, const struct client *client),
                  void *context, unsigned *ret_skipped);

/* Goes through a whole store as a reader and a writer would, changing nothing; a damaged file may kill the process that
 * does this, so it is one of its own. Returns 0; -EBADMSG: set it aside; or another -errno, which says nothing about
 * the file, as -EBUSY: another postern uses it, and may be writing. */
int store_check(const char *directory, unsigned clients_max);

#endif
