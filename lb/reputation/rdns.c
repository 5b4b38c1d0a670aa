/* What a name tells of its owner: whether it is generic, and its organisational domain by libpsl's list. reputation.c
 * asks for names that lead back. Pure. */
#include "lb/reputation/rdns.h"

#include <ctype.h>
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many of the four octets stand in the name as numbers of their own; each number counts for one of them. */
static unsigned octets_in(const char *name, const uint8_t octets[4]) {
    bool is_found[4] = {false};
    unsigned found = 0;
    while (*name != '\0') {
        if (!isdigit((unsigned char)*name)) {
            name++;
            continue;
        }
        char *end;
        unsigned long number = strtoul(name, &end, 10);
        name = end;
        for (unsigned i = 0; i < 4; i++) {
            if (!is_found[i] && octets[i] == number) {
                is_found[i] = true;
                found++;
                break;
            }
        }
    }
    return found;
}

static bool has_hex(const char *name, const uint8_t *octets, unsigned count) {
    char text[17] = "";
    for (unsigned i = 0; i < count; i++)
        snprintf(text + 2 * i, sizeof text - 2 * i, "%02x", octets[i]);
    return strstr(name, text) != NULL;
}

/* Three of its groups that are more than one digit long, or eight digits in a row of the first 64 bits. */
static bool has_groups(const char *name, const uint8_t octets[16]) {
    unsigned found = 0;
    for (unsigned group = 0; group < 8; group++) {
        char text[5];
        snprintf(text, sizeof text, "%x", (unsigned)octets[2 * group] << 8 | octets[2 * group + 1]);
        found += strlen(text) > 1 && strstr(name, text) != NULL;
    }
    return found >= 3 || has_hex(name, octets, 4) || has_hex(name, octets + 4, 4);
}

bool rdns_is_generic(const char *name, const struct address *address) {
    unsigned count;
    const uint8_t *octets = address_octets(address, &count);
    if (count == 16)
        return has_groups(name, octets);
    return octets_in(name, octets) >= 2 || has_hex(name, octets, 4);
}

const char *rdns_domain(const char *name) {
    const char *domain = psl_registrable_domain(psl_builtin(), name);
    return domain != NULL && strchr(domain, '.') != NULL ? domain : NULL;
}
