/* store.h on LMDB: one file, memory-mapped, always whole: a transaction is in it or not, whenever the process is
 * killed. No WRITEMAP, with which a full disk is a SIGBUS (DESIGN §9). A file that was cut short would be one too, so
 * its length is compared with what its own header says. Each record carries a checksum of itself. The keeper's thread
 * alone calls it. Owns the environment of LMDB. Nothing is fatal here: a damaged file is an error, and the keeper's to
 * set aside. */
#include "lb/reputation/store.h"

#include "lb/base/hash.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "reputation.mdb"
#define FORMAT    "postern reputation 1"
#define PATH_ROOM 512
/* A record of 208 octets with its node, in pages two thirds full, and as much again for a transaction under way. */
#define BYTES_A_CLIENT 1024u
#define BYTES_LEAST    (UINT64_C(64) << 20)

static char meta_key[6] = {'f', 'o', 'r', 'm', 'a', 't'}; /* keys of clients have 8 octets */

struct record {
    uint64_t check;
    struct client client;
};

/* As it was written when results of the DNS were kept for one address a client; still read. */
struct client_of_one {
    struct evidence evidence;
    uint64_t domain;
    uint32_t name_s, lists_s, ask_after_s;
    uint16_t listed;
    uint8_t name;
    uint64_t host;
    uint8_t decree;
    uint32_t allowed_by;
};

struct record_of_one {
    uint64_t check;
    struct client_of_one client;
};

struct meta {
    char format[32];
    uint32_t record_bytes;
    uint32_t unused;
    uint64_t marks;
};

struct store {
    MDB_env *env;
    MDB_dbi dbi;
    int lock_fd; /* one postern at a time */
};

static int to_errno(int result) {
    switch (result) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
        return -ENOSPC;
    default:
        return result > 0 ? -result : -EBADMSG; /* LMDB's own codes are negative */
    }
}

static uint64_t checksum(uint64_t key, const void *client, size_t size) {
    return hash_octets(HASH_START ^ key, client, size);
}

static bool is_amount(float value) {
    return isfinite(value) && value >= 0;
}

static bool has_names_that_make_sense(const struct client *client) {
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        if (client->dns[i].name > NAME_CONFIRMED)
            return false;
    return true;
}

/* Nothing that arithmetic could not bear. */
static bool makes_sense(const struct client *client) {
    const struct evidence *evidence = &client->evidence;
    return is_amount(evidence->good) && is_amount(evidence->bad) && is_amount(evidence->month_mails) &&
           is_amount(evidence->month_bad) && is_amount(evidence->today_bad_weight) &&
           is_amount(evidence->today_extra_good) && is_amount(evidence->today_extra_bad) &&
           evidence->today_bad <= evidence->today_mails && client->decree <= DECREE_REFUSED &&
           has_names_that_make_sense(client);
}

static bool decode_of_one(uint64_t key, const void *data, struct client *ret_client) {
    struct record_of_one record;
    memcpy(&record, data, sizeof record);
    const struct client_of_one *one = &record.client;
    if (record.check != checksum(key, one, sizeof *one))
        return false;
    memset(ret_client, 0, sizeof *ret_client);
    ret_client->evidence = one->evidence;
    ret_client->host = one->host;
    ret_client->decree = one->decree;
    ret_client->dns[0] = (struct client_dns){.host = one->host,
                                             .domain = one->domain,
                                             .name_s = one->name_s,
                                             .lists_s = one->lists_s,
                                             .ask_after_s = one->ask_after_s,
                                             .allowed_by = one->allowed_by,
                                             .listed = one->listed,
                                             .name = one->name,
                                             .is_used = one->name_s != 0 || one->lists_s != 0};
    return makes_sense(ret_client);
}

static bool decode(uint64_t key, const MDB_val *value, struct client *ret_client) {
    struct record record;
    if (value->mv_size == sizeof(struct record_of_one))
        return decode_of_one(key, value->mv_data, ret_client);
    if (value->mv_size != sizeof record)
        return false;
    memcpy(&record, value->mv_data, sizeof record);
    if (record.check != checksum(key, &record.client, sizeof record.client) || !makes_sense(&record.client))
        return false;
    *ret_client = record.client;
    return true;
}

/* --- opening --- */

/* Its header names its last page: a file that ends before it would be read past its end. */
static int check_length(MDB_env *env, const char *path) {
    MDB_envinfo info;
    MDB_stat stat_;
    struct stat status;
    mdb_env_info(env, &info);
    mdb_env_stat(env, &stat_);
    if (stat(path, &status) < 0)
        return -errno;
    return (uint64_t)status.st_size < ((uint64_t)info.me_last_pgno + 1) * stat_.ms_psize ? -EBADMSG : 0;
}

static int open_env(const char *directory, unsigned clients_max, unsigned flags, MDB_env **ret_env) {
    char path[PATH_ROOM];
    uint64_t bytes = (uint64_t)clients_max * BYTES_A_CLIENT;
    MDB_env *env = NULL;
    if (snprintf(path, sizeof path, "%s/" FILE_NAME, directory) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int result = to_errno(mdb_env_create(&env));
    if (result == 0)
        result = to_errno(mdb_env_set_mapsize(env, bytes > BYTES_LEAST ? bytes : BYTES_LEAST));
    if (result == 0)
        result = to_errno(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | flags, 0600));
    if (result == -EINVAL) /* what is neither ours nor anybody's */
        result = -EBADMSG;
    if (result == 0)
        result = check_length(env, path);
    if (result < 0)
        mdb_env_close(env);
    else
        *ret_env = env;
    return result;
}

static int take_lock(const char *directory) {
    char path[PATH_ROOM];
    if (snprintf(path, sizeof path, "%s/lock", directory) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -EBUSY;
    }
    return fd;
}

static int write_meta(MDB_txn *txn, MDB_dbi dbi, uint64_t marks) {
    struct meta meta = {.format = FORMAT, .record_bytes = sizeof(struct record), .marks = marks};
    MDB_val key = {sizeof meta_key, meta_key}, value = {sizeof meta, &meta};
    return mdb_put(txn, dbi, &key, &value, 0);
}

/* A file with records and without our mark is another program's. */
static int check_meta(struct store *store, MDB_txn *txn, uint64_t marks, bool *ret_is_same) {
    MDB_val key = {sizeof meta_key, meta_key}, value;
    MDB_stat stat_;
    struct meta meta;
    *ret_is_same = true;
    int result = mdb_stat(txn, store->dbi, &stat_);
    if (result == MDB_SUCCESS && stat_.ms_entries == 0)
        return to_errno(write_meta(txn, store->dbi, marks));
    if (result == MDB_SUCCESS)
        result = mdb_get(txn, store->dbi, &key, &value);
    if (result != MDB_SUCCESS || value.mv_size != sizeof meta)
        return -EBADMSG;
    memcpy(&meta, value.mv_data, sizeof meta);
    bool is_of_one = meta.record_bytes == sizeof(struct record_of_one);
    if (strncmp(meta.format, FORMAT, sizeof meta.format) != 0 ||
        (meta.record_bytes != sizeof(struct record) && !is_of_one))
        return -EBADMSG;
    *ret_is_same = meta.marks == marks;
    return *ret_is_same && !is_of_one ? 0 : to_errno(write_meta(txn, store->dbi, marks));
}

static int open_records(struct store *store, uint64_t marks, bool *ret_is_same) {
    MDB_txn *txn;
    int result = to_errno(mdb_txn_begin(store->env, NULL, 0, &txn));
    if (result < 0)
        return result;
    result = to_errno(mdb_dbi_open(txn, NULL, 0, &store->dbi));
    if (result == 0)
        result = check_meta(store, txn, marks, ret_is_same);
    if (result < 0)
        mdb_txn_abort(txn);
    else
        result = to_errno(mdb_txn_commit(txn));
    return result;
}

int store_open(const char *directory, unsigned clients_max, uint64_t marks, struct store **ret_store,
               bool *ret_is_same) {
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return -ENOMEM;
    store->lock_fd = take_lock(directory);
    int result = store->lock_fd < 0 ? store->lock_fd : open_env(directory, clients_max, 0, &store->env);
    if (result == 0)
        result = open_records(store, marks, ret_is_same);
    if (result < 0)
        store_close(store);
    else
        *ret_store = store;
    return result;
}

void store_close(struct store *store) {
    if (store == NULL)
        return;
    if (store->env != NULL)
        mdb_env_close(store->env);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store);
}

int store_set_aside(const char *directory, char *ret_path, size_t path_size) {
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/" FILE_NAME, directory);
    snprintf(ret_path, path_size, "%s.bad", path);
    if (rename(path, ret_path) < 0 && errno != ENOENT)
        return -errno;
    snprintf(path, sizeof path, "%s/" FILE_NAME "-lock", directory);
    unlink(path);
    return 0;
}

/* --- records --- */

static int put_change(struct store *store, MDB_txn *txn, const struct store_change *change) {
    uint64_t key_octets = htobe64(change->key); /* so that neighbours stand together */
    MDB_val key = {sizeof key_octets, &key_octets};
    if (change->is_removed) {
        int result = mdb_del(txn, store->dbi, &key, NULL);
        return result == MDB_NOTFOUND ? MDB_SUCCESS : result;
    }
    struct record record;
    memcpy(&record.client, &change->client, sizeof record.client); /* with its padding, which is in the sum too */
    record.check = checksum(change->key, &record.client, sizeof record.client);
    MDB_val value = {sizeof record, &record};
    return mdb_put(txn, store->dbi, &key, &value, 0);
}

int store_batch(struct store *store, const struct store_change *changes, unsigned count) {
    MDB_txn *txn;
    int result = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (result != MDB_SUCCESS)
        return to_errno(result);
    for (unsigned i = 0; i < count && result == MDB_SUCCESS; i++)
        result = put_change(store, txn, &changes[i]);
    if (result == MDB_SUCCESS)
        return to_errno(mdb_txn_commit(txn));
    mdb_txn_abort(txn);
    return to_errno(result);
}

int store_get(struct store *store, uint64_t key, struct client *ret_client) {
    uint64_t key_octets = htobe64(key);
    MDB_val name = {sizeof key_octets, &key_octets}, value;
    MDB_txn *txn;
    int result = to_errno(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn));
    if (result < 0)
        return result;
    result = to_errno(mdb_get(txn, store->dbi, &name, &value));
    if (result == 0 && !decode(key, &value, ret_client))
        result = -EBADMSG;
    mdb_txn_abort(txn);
    return result;
}

static int walk(MDB_txn *txn, MDB_dbi dbi, bool (*visit)(void *context, uint64_t key, const struct client *client),
                void *context, unsigned *ret_skipped) {
    MDB_cursor *cursor;
    MDB_val name, value;
    int result = mdb_cursor_open(txn, dbi, &cursor);
    if (result != MDB_SUCCESS)
        return to_errno(result);
    while ((result = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == MDB_SUCCESS) {
        uint64_t key;
        struct client client;
        if (name.mv_size != sizeof key)
            continue;
        memcpy(&key, name.mv_data, sizeof key);
        key = be64toh(key);
        if (key == 0 || !decode(key, &value, &client))
            ++*ret_skipped;
        else if (!visit(context, key, &client))
            break;
    }
    mdb_cursor_close(cursor);
    return result == MDB_NOTFOUND ? 0 : to_errno(result);
}

int store_iterate(struct store *store, bool (*visit)(void *context, uint64_t key, const struct client *client),
                  void *context, unsigned *ret_skipped) {
    MDB_txn *txn;
    *ret_skipped = 0;
    int result = to_errno(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn));
    if (result < 0)
        return result;
    result = walk(txn, store->dbi, visit, context, ret_skipped);
    mdb_txn_abort(txn);
    return result;
}

static bool visit_all(void *context, uint64_t key, const struct client *client) {
    (void)context;
    (void)key;
    (void)client;
    return true;
}

/* A write that is given up reads the list of free pages too. */
static int try_a_write(MDB_env *env, MDB_dbi dbi) {
    MDB_txn *txn;
    int result = mdb_txn_begin(env, NULL, 0, &txn);
    if (result != MDB_SUCCESS)
        return to_errno(result);
    result = write_meta(txn, dbi, 0);
    mdb_txn_abort(txn);
    return to_errno(result);
}

/* What another file in its place would cure; not a lack of memory, say. */
static bool is_of_the_file(int error) {
    return error == -EBADMSG || error == -EACCES || error == -EPERM || error == -EISDIR || error == -EIO;
}

static int check_records(const char *directory, unsigned clients_max) {
    MDB_env *env = NULL;
    MDB_txn *txn;
    MDB_dbi dbi = 0;
    unsigned skipped;
    int result = open_env(directory, clients_max, MDB_NOLOCK, &env);
    if (result < 0)
        return result;
    result = to_errno(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    if (result == 0) {
        result = to_errno(mdb_dbi_open(txn, NULL, 0, &dbi));
        if (result == 0)
            result = walk(txn, dbi, visit_all, NULL, &skipped);
        mdb_txn_abort(txn);
    }
    if (result == 0)
        result = try_a_write(env, dbi);
    mdb_env_close(env);
    return result;
}

int store_check(const char *directory, unsigned clients_max) {
    int lock_fd = take_lock(directory);
    if (lock_fd < 0)
        return lock_fd;
    int result = check_records(directory, clients_max);
    close(lock_fd);
    return is_of_the_file(result) ? -EBADMSG : result;
}
