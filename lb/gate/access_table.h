/* access-file: what is done with which client, in the form of Postfix's access(5), so that a site's client_access (its
 * text, not the .db) moves over unchanged; networks with a prefix length, as in cidr_table(5), may stand among them.
 *
 * A client is looked up as Postfix's check_client_access does: its name, then each parent domain; if no entry is found,
 * its address, then its networks. The first entry found decides, be it DUNNO.
 * - `domain.tld` takes itself and its subdomains (smtpd_access_maps is in parent_domain_matches_subdomains by default),
 *   `.domain.tld` its subdomains alone; where both are there, a subdomain gets the latter.
 * - `unknown` is the name of a client without a confirmed one, as in Postfix.
 * - Addresses and networks with a prefix length: the first in the file that contains the client, as cidr_table(5).
 * - After those `192.0.2`, `192.0`, `2001:db8`: the longest, as access(5). They are compared as text, cut at the last
 *   dot or colon, so that `2001:db8:1` takes no client that is written `2001:db8::1`, while `2001:db8:` does, and
 *   `2001:db8::1` takes `2001:db8::1:5` as well as itself.
 * - Of two entries with the same key the first counts, as postmap(1) has it. */
#ifndef POSTERN_GATE_ACCESS_TABLE_H
#define POSTERN_GATE_ACCESS_TABLE_H

#include "lb/base/address.h"
#include "lb/gate/access_action.h"
#include "lb/gate/text_map.h"

#include <stdio.h>

struct access_table {
    struct text_map keys; /* each with its place in `entries` */
    uint32_t *entries;    /* owned; in the order of the file: places in `actions` */
    size_t entries_count, entries_room;
    struct text_map written;       /* what stands behind keys, each with its place in `actions`: mostly a few */
    struct access_action *actions; /* owned */
    size_t actions_count, actions_room;
    bool has_ipv4[33], has_ipv6[129]; /* whether there is a network with so many bits */
    bool has_names;
    bool has_mild_names; /* of those some do not refuse for good */
};

/* Returns 0, with an empty table where there is nothing but comments; -EINVAL with every mistake on `errors`; or -errno
 * of open and read, about which nothing has been said. *ret_is_blank: not even a comment is in it. *ret_table is
 * untouched on failure. */
int access_table_read(const char *path, FILE *errors, struct access_table *ret_table, bool *ret_is_blank);
/* Accepts a zeroed one. */
void access_table_finish(struct access_table *table);
/* `name`: in lower case, no dot at its end; NULL or "": unknown. */
bool access_table_find(const struct access_table *table, const struct address *client, const char *name,
                       struct access_action *ret_action);
/* Refused with a 5xx whatever its name may be. */
bool access_table_bars(const struct access_table *table, const struct address *client);

#endif
