/* How a mail server refuses a client in words and hangs up: as Postfix, Exim or Haraka do it, which is no failure of
 * the server. The words are those of Postfix 3.7 (smtpd.c), Exim 4.96 (smtp_in.c, an ACL's `drop`) and Haraka 3
 * (connection.js). */
#include "bench/sink_manners.h"

#include "bench/sink_reply.h"

#include <string.h>
#include <strings.h>

struct manners {
    const char *name;
    unsigned errors_max; /* unknown commands that are answered */
    const char *too_many;
    const char *no_smtp; /* to HTTP and the like; NULL: as to any unknown command */
    const char *drop;    /* to a recipient drop@… */
};

static const struct manners all[] = {
    {"postfix", 19, "421 4.7.0 Error: too many errors\r\n", "221 2.7.0 Error: I can break rules, too. Goodbye.\r\n",
     "521 5.7.1 Rejected: access denied\r\n"},
    {"exim", 3, "500 Too many unrecognized commands\r\n", NULL, "550 Administrative prohibition\r\n"},
    {"haraka", 9, "521 too many bad commands\r\n", "501 HTTP is not SMTP\r\n", "521 recipient denied\r\n"},
};

const struct manners *sink_manners_find(const char *name) {
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    return NULL;
}

static bool refuse(struct sink_session *session, const char *reply) {
    sink_say(session, "%s", reply);
    session->closes_after_send = true;
    return true;
}

bool sink_refuses(struct sink_session *session, const char *line) {
    static const char *const no_smtp[] = {"GET ", "POST ", "CONNECT "};
    static const char recipient[] = "RCPT TO:<drop@";
    const struct manners *manners = session->sink->manners;
    if (manners == NULL)
        return false;
    if (strncasecmp(line, recipient, sizeof recipient - 1) == 0)
        return refuse(session, manners->drop);
    for (size_t i = 0; i < sizeof no_smtp / sizeof no_smtp[0]; i++)
        if (manners->no_smtp != NULL && strncmp(line, no_smtp[i], strlen(no_smtp[i])) == 0)
            return refuse(session, manners->no_smtp);
    return false;
}

bool sink_has_had_enough(struct sink_session *session) {
    const struct manners *manners = session->sink->manners;
    return manners != NULL && ++session->errors > manners->errors_max && refuse(session, manners->too_many);
}
