/* What a flow holds is shown to the observer, and cleared as far as it may go on (show.c). */
#ifndef POSTERN_RELAY_SHOW_H
#define POSTERN_RELAY_SHOW_H

#include "lb/relay/session.h"

/* What octets have turned out to be, and so what becomes of the session behind what may go on. */
enum shown {
    SHOWN,                 /* they may go on, as far as they are cleared */
    SHOWN_421,             /* the backend leaves: the session is carried over */
    SHOWN_JUNK,            /* the backend's, and no SMTP */
    SHOWN_UNASKED,         /* the backend's, and the answer to nothing */
    SHOWN_UNCLEAR,         /* a host's reply leaves open how it reads the client's octets */
    SHOWN_BARE_LINE_END,   /* the client's, before a host behind a gate: nothing of them goes on */
    SHOWN_STARTTLS_BEHIND, /* the client's, in clear behind STARTTLS: likewise */
    SHOWN_PROXY_HEADER,    /* the client's first, in the place of a command: likewise */
};

enum shown show_octets(struct session *session, enum direction direction);

#endif
