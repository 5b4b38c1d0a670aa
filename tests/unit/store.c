/* What was kept by an older version is read by this one. */
#include "lb/reputation/store.h"

#include "lb/base/hash.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A record as it was written when one address a client had results of the DNS. */
struct old_record {
    uint64_t check;
    struct {
        struct evidence evidence;
        uint64_t domain;
        uint32_t name_s, lists_s, ask_after_s;
        uint16_t listed;
        uint8_t name;
        uint64_t host;
        uint8_t decree;
        uint32_t allowed_by;
    } client;
};

struct old_meta {
    char format[32];
    uint32_t record_bytes;
    uint32_t unused;
    uint64_t marks;
};

#define KEY UINT64_C(0x20010db800050000)

static void put(MDB_txn *txn, MDB_dbi dbi, void *key, size_t key_size, void *data, size_t size) {
    MDB_val name = {key_size, key}, value = {size, data};
    cr_assert_eq(mdb_put(txn, dbi, &name, &value, 0), 0);
}

static void write_old(const char *directory) {
    char path[200], format[] = {'f', 'o', 'r', 'm', 'a', 't'};
    struct old_meta meta = {.format = "postern reputation 1", .record_bytes = sizeof(struct old_record), .marks = 7};
    struct old_record record;
    uint64_t key = htobe64(KEY);
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    memset(&record, 0, sizeof record);
    record.client.evidence.good = 42;
    record.client.evidence.days = 12;
    record.client.evidence.first_day = 3;
    record.client.domain = 99;
    record.client.name_s = 1000;
    record.client.lists_s = 2000;
    record.client.listed = 5;
    record.client.name = NAME_CONFIRMED;
    record.client.host = 0xabc;
    record.client.decree = DECREE_VETTED;
    record.client.allowed_by = 77;
    record.check = hash_octets(HASH_START ^ KEY, &record.client, sizeof record.client);
    snprintf(path, sizeof path, "%s/reputation.mdb", directory);
    cr_assert(mdb_env_create(&env) == 0 && mdb_env_open(env, path, MDB_NOSUBDIR, 0600) == 0);
    cr_assert(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
    put(txn, dbi, format, sizeof format, &meta, sizeof meta);
    put(txn, dbi, &key, sizeof key, &record, sizeof record);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void assert_known(struct store *store) {
    struct client client;
    cr_assert_eq(store_get(store, KEY, &client), 0);
    cr_assert(client.evidence.days == 12 && client.evidence.good > 41 && client.decree == DECREE_VETTED);
    cr_assert(client.host == 0xabc && client.dns[0].is_used && client.dns[0].host == 0xabc);
    cr_assert(client.dns[0].domain == 99 && client.dns[0].name_s == 1000 && client.dns[0].lists_s == 2000);
    cr_assert(client.dns[0].listed == 5 && client.dns[0].name == NAME_CONFIRMED && client.dns[0].allowed_by == 77);
    cr_assert(!client.dns[1].is_used && !client.dns[2].is_used);
}

Test(store, reputations_of_an_older_version_are_kept) {
    char directory[] = "/tmp/postern-unit-store-XXXXXX", command[100];
    struct store *store;
    bool is_same;
    cr_assert_not_null(mkdtemp(directory));
    write_old(directory);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(store_check(directory, 1000), 0);
        cr_assert_eq(store_open(directory, 1000, 7, &store, &is_same), 0);
        cr_assert(is_same);
        assert_known(store);
        store_close(store);
    }
    cr_assert_eq(store_open(directory, 1000, 7, &store, &is_same), 0);
    struct store_change change = {.key = KEY};
    cr_assert_eq(store_get(store, KEY, &change.client), 0);
    change.client.dns[2] = (struct client_dns){.is_used = true, .host = 5};
    cr_assert_eq(store_batch(store, &change, 1), 0);
    store_close(store);
    cr_assert_eq(store_open(directory, 1000, 7, &store, &is_same), 0);
    cr_assert_eq(store_get(store, KEY, &change.client), 0);
    cr_assert(change.client.dns[2].is_used && change.client.dns[2].host == 5 && change.client.dns[0].host == 0xabc);
    store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}
