/* reputations: a store full of clients, as a year would have left it, for benches that ask what a large table costs.
 *
 *   reputations DIRECTORY COUNT
 *
 * The clients are 16.0.0.0 and those behind it; two in three have sent enough good mail to be vetted. */
#include "lb/base/hash.h"
#include "lb/reputation/store.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Records in one transaction. */
#define BATCH 10000u
/* The marks of a site without [dnslist] sections (keeper.c): under others, all would be asked about again. */
#define NO_LISTS HASH_START

static struct client make_client(unsigned number, uint32_t now_s) {
    uint16_t today = (uint16_t)(now_s / 86400);
    struct client client = {0};
    client.evidence.day = today;
    client.evidence.first_day = (uint16_t)(today - 30 - number % 300);
    client.evidence.days = (uint16_t)(3 + number % 28);
    client.evidence.good = (float)(number % 3 == 0 ? 2 : 60);
    client.evidence.month_mails = 20;
    client.dns[0] =
        (struct client_dns){.is_used = true, .name = NAME_CONFIRMED, .name_s = now_s, .ask_after_s = now_s + 43200};
    return client;
}

static int fill(struct store *store, unsigned count, uint32_t now_s) {
    static struct store_change changes[BATCH];
    for (unsigned first = 0; first < count; first += BATCH) {
        unsigned size = count - first < BATCH ? count - first : BATCH;
        for (unsigned i = 0; i < size; i++) {
            struct address address = {
                .in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl((16u << 24) + first + i)}};
            changes[i].key = reputation_key(&address);
            changes[i].client = make_client(first + i, now_s);
        }
        int result = store_batch(store, changes, size);
        if (result < 0)
            return result;
    }
    return 0;
}

int main(int argc, char **argv) {
    struct store *store;
    bool is_same;
    unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (count == 0 || count > 1u << 24) {
        fputs("usage: reputations DIRECTORY COUNT\n", stderr);
        return 2;
    }
    unsigned clients_max = count < 1000000 ? 1000000 : (unsigned)count;
    int result = store_open(argv[1], clients_max, NO_LISTS, &store, &is_same);
    if (result == 0) {
        result = fill(store, (unsigned)count, (uint32_t)time(NULL));
        store_close(store);
    }
    if (result < 0)
        fprintf(stderr, "reputations: %s: %s\n", argv[1], strerror(-result));
    return result < 0;
}
