/* How many places for questions each client and each zone may have. For each question that begins all places are looked
 * through: two arrays of 4 KiB, a third of a microsecond. questions.c owns the struct. Pure. */
#include "lb/dns/shares.h"

static unsigned count(const uint64_t keys[SHARES_PLACES], uint64_t key) {
    unsigned found = 0;
    for (unsigned i = 0; i < SHARES_PLACES; i++)
        found += keys[i] == key;
    return found;
}

static unsigned part_of(unsigned free, unsigned part) {
    return free < part ? 1 : free / part;
}

bool shares_admit(const struct shares *shares, uint64_t client, uint64_t zone, bool is_vetted, unsigned free) {
    unsigned reserved = is_vetted ? 0 : SHARES_RESERVED;
    if (free <= reserved)
        return false;
    free -= reserved;
    unsigned of_client = count(shares->clients, client), of_zone = count(shares->zones, zone);
    if (of_client >= part_of(free, is_vetted ? SHARES_VETTED_PART : SHARES_CLIENT_PART))
        return false;
    if (of_client == 0)
        return of_zone < (is_vetted ? SHARES_ZONE_VETTED_MAX : SHARES_ZONE_MAX);
    return of_zone < part_of(free, SHARES_ZONE_PART);
}

void shares_take(struct shares *shares, unsigned place, uint64_t client, uint64_t zone) {
    shares->clients[place] = client;
    shares->zones[place] = zone;
}

void shares_give_back(struct shares *shares, unsigned place) {
    shares->clients[place] = shares->zones[place] = 0;
}
