/* What the DNS said of single addresses of a client: a few places for each client, in which those that are worth
 * something stay. reputation.c and vetting.c ask. Pure; the places are the client's. */
#include "lb/reputation/hosts.h"

bool result_is_recent(uint32_t then_s, uint32_t now_s) {
    return then_s != 0 && (now_s < then_s || now_s - then_s <= RESULT_AGE_MAX_S);
}

const struct client_dns *hosts_find(const struct client *client, uint64_t host) {
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        if (client->dns[i].is_used && client->dns[i].host == host)
            return &client->dns[i];
    return NULL;
}

struct client_dns hosts_of_others(const struct client *client, uint32_t now_s) {
    struct client_dns all = {.name = NAME_UNKNOWN};
    for (unsigned i = 0; i < CLIENT_HOSTS; i++) {
        const struct client_dns *dns = &client->dns[i];
        if (!dns->is_used)
            continue;
        if (dns->name == NAME_CONFIRMED && result_is_recent(dns->name_s, now_s) && dns->name_s >= all.name_s) {
            all.name = NAME_CONFIRMED;
            all.name_s = dns->name_s;
        }
        all.listed |= dns->listed;
        all.lists_s = dns->lists_s > all.lists_s ? dns->lists_s : all.lists_s;
    }
    return all;
}

static uint32_t answered_s(const struct client_dns *dns) {
    return dns->name_s > dns->lists_s ? dns->name_s : dns->lists_s;
}

static bool may_go(const struct client_dns *dns, bool is_vetted, uint16_t vetoes, uint32_t now_s) {
    if (!result_is_recent(answered_s(dns), now_s))
        return true;
    return !is_vetted && (dns->listed & vetoes) == 0 && now_s >= answered_s(dns) + HOST_KEPT_S;
}

unsigned hosts_choose(const struct client *client, uint64_t host, uint8_t verdict, uint16_t vetoes, uint32_t now_s) {
    unsigned chosen = CLIENT_HOSTS;
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        if (client->dns[i].is_used && client->dns[i].host == host)
            return i;
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        if (!client->dns[i].is_used)
            return i;
    for (unsigned i = 0; i < CLIENT_HOSTS; i++)
        if (may_go(&client->dns[i], (verdict & VERDICT_HOST(i)) != 0, vetoes, now_s) &&
            (chosen == CLIENT_HOSTS || answered_s(&client->dns[i]) < answered_s(&client->dns[chosen])))
            chosen = i;
    return chosen;
}
