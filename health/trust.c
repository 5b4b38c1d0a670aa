/* The warning about a backend that offers XCLIENT or XFORWARD to postern: it trusts postern's address so far that it
 * would trust every client whose octets postern relays. The probe shows each reply to EHLO. The warning is given once,
 * and anew when the offer has changed. Owns nothing; the memory of what was said is the probe's. */
#include "health/trust.h"

#include "lb/engine/log.h"
#include "lb/smtp/reply.h"

enum { TRUST_XCLIENT = 1, TRUST_XFORWARD = 2 };

void trust_look(struct trust_told *told, const char *name, const uint8_t *reply, size_t length, bool in_tls) {
    unsigned trust = (reply_offers(reply, length, "XCLIENT") ? TRUST_XCLIENT : 0u) |
                     (reply_offers(reply, length, "XFORWARD") ? TRUST_XFORWARD : 0u);
    if (in_tls)
        trust &= ~(unsigned)told->kinds[0];
    if (trust != 0 && trust != told->kinds[in_tls])
        log_warning("server %s offers %s to postern: clients could then claim any address with it; take postern's "
                    "address out of smtpd_authorized_xclient_hosts and smtpd_authorized_xforward_hosts",
                    name,
                    trust == TRUST_XCLIENT    ? "XCLIENT"
                    : trust == TRUST_XFORWARD ? "XFORWARD"
                                              : "XCLIENT and XFORWARD");
    told->kinds[in_tls] = (uint8_t)trust;
}
