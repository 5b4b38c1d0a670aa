/* Backends that trust postern's address further than they should. */
#ifndef POSTERN_HEALTH_TRUST_H
#define POSTERN_HEALTH_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the log was told of; in clear, and in TLS beyond that. Zeroed at first. */
struct trust_told {
    uint8_t kinds[2];
};

/* Looks at a complete reply to EHLO of the backend of this name, in TLS or in clear, and warns of what is new. */
void trust_look(struct trust_told *told, const char *name, const uint8_t *reply, size_t length, bool in_tls);

#endif
