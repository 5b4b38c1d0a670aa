/* The name of an address under which the DNS has its PTR records, and the walk from an address to its names and back.
 * Lookups of the reputation and questions of workers take that walk. Pure. */
#include "lb/dns/client_name.h"

#include <stdio.h>
#include <string.h>

bool dns_reverse_name(const struct address *address, const char *zone, char *ret_name, size_t size) {
    unsigned count;
    const uint8_t *octets = address_octets(address, &count);
    size_t length = 0;
    for (unsigned i = count; i-- > 0 && length < size;)
        length +=
            (size_t)(count == 16 ? snprintf(ret_name + length, size - length, "%x.%x.", octets[i] & 15u, octets[i] >> 4)
                                 : snprintf(ret_name + length, size - length, "%u.", octets[i]));
    if (length < size)
        length += (size_t)snprintf(ret_name + length, size - length, "%s", zone);
    return length < size;
}

void dns_pointer_name(const struct address *address, char ret_name[POINTER_NAME_MAX]) {
    dns_reverse_name(address, address->sa.sa_family == AF_INET6 ? "ip6.arpa" : "in-addr.arpa", ret_name,
                     POINTER_NAME_MAX);
}

/* --- the walk --- */

void client_name_begin(struct client_name_walk *walk, const struct address *address, uint64_t now_ms) {
    memset(walk, 0, sizeof *walk);
    walk->address = *address;
    address_set_port(&walk->address, 0);
    walk->begun_ms = now_ms;
    walk->ttl_s = UINT32_MAX;
    dns_pointer_name(address, walk->pointer);
    walk->name = walk->pointer;
    walk->type = DNS_PTR;
}

static bool is_wanted(const void *context, const struct address *address) {
    const struct client_name_walk *walk = context;
    return address_equal(address, &walk->address);
}

struct dns_wanted client_name_wanted(const struct client_name_walk *walk) {
    return (struct dns_wanted){is_wanted, walk};
}

static bool end(struct client_name_walk *walk, enum client_name_result result) {
    walk->result = result;
    return true;
}

/* The root is nobody's name. */
static void take_names(struct client_name_walk *walk, const struct dns_answer *answer) {
    for (unsigned i = 0; answer->status == DNS_FOUND && i < answer->count && i < CLIENT_NAMES_TRIED_MAX; i++)
        if (answer->names[i][0] != '\0')
            memcpy(walk->names[walk->names_count++], answer->names[i], sizeof walk->names[0]);
}

static bool leads_back(const struct client_name_walk *walk, const struct dns_answer *answer) {
    for (unsigned i = 0; answer->status == DNS_FOUND && i < answer->count; i++)
        if (is_wanted(walk, &answer->addresses[i]))
            return true;
    return false;
}

bool client_name_take(struct client_name_walk *walk, const struct dns_answer *answer, uint64_t now_ms) {
    bool has_failed = answer->status == DNS_FAILED;
    if (has_failed && walk->type == DNS_PTR)
        return end(walk, CLIENT_NAME_FAILED);
    if (!has_failed && answer->ttl_s < walk->ttl_s)
        walk->ttl_s = answer->ttl_s;
    if (walk->type == DNS_PTR)
        take_names(walk, answer);
    else if (leads_back(walk, answer))
        return end(walk, CLIENT_NAME_CONFIRMED);
    else
        walk->name_at++;
    walk->has_failure |= has_failed; /* RFC 7208 §5.5: that name is skipped */
    if (walk->name_at == walk->names_count)
        return end(walk, walk->has_failure ? CLIENT_NAME_FAILED : CLIENT_NAME_NONE);
    if (now_ms - walk->begun_ms >= CLIENT_NAME_TIME_MS)
        return end(walk, CLIENT_NAME_FAILED);
    walk->name = walk->names[walk->name_at];
    walk->type = walk->address.sa.sa_family == AF_INET ? DNS_A : DNS_AAAA;
    return false;
}
