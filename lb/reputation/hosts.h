/* What the DNS said of single addresses of a client. An IPv4 client is one address, an IPv6 one a /64: its conduct is
 * that of the whole network, but a name, or a listing, is that of the address that was asked for. Pure. */
#ifndef POSTERN_REPUTATION_HOSTS_H
#define POSTERN_REPUTATION_HOSTS_H

#include "lb/reputation/table.h"

/* DNS results count for 24 h; the sweep comes round within the hour. */
#define RESULT_AGE_MAX_S (23u * 3600u)
/* An address makes room for another one of its client when its results are so old. */
#define HOST_KEPT_S 60u

/* A result of this time still counts. */
bool result_is_recent(uint32_t then_s, uint32_t now_s);

/* The results for this address, or NULL: it was never asked for. */
const struct client_dns *hosts_find(const struct client *client, uint64_t host);

/* What counts for an address of the client that was not asked for itself: a confirmed name of any other one, so that
 * conduct alone decides, and every listing of any other one; no domain, neither of allow-file nor of a provider. */
struct client_dns hosts_of_others(const struct client *client, uint32_t now_s);

/* Where results for this address go: its place, an unused one, or that of another address, whose results are too old to
 * count, or which is neither vetted nor listed (`vetoes`: a bit for each list that vetoes). Returns CLIENT_HOSTS when
 * all places are taken by those that stay. `verdict`: of the client. */
unsigned hosts_choose(const struct client *client, uint64_t host, uint8_t verdict, uint16_t vetoes, uint32_t now_s);

#endif
