/* How postern appears to a backend (outward.c). */
#ifndef POSTERN_RELAY_OUTWARD_H
#define POSTERN_RELAY_OUTWARD_H

#include "backends/backend.h"
#include "lb/base/chance.h"
#include "lb/relay/session.h"

/* An address to connect from: they take turns, those of the backend's own family only. NULL: the kernel's choice. */
const struct address *outward_source(const struct backend *backend, struct chance *chance);
/* Writes the PROXY header of this version (backends/proxy.h); returns its length. */
size_t outward_header(const struct session *session, enum proxy_version version, uint8_t *data);

#endif
