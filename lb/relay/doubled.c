/* The line in the log on a mail that may be delivered twice: who sent it, from whom it is, and how far it had come. It
 * is written where a session is cut whose mail its backend may yet accept. Owns nothing. */
#include "lb/relay/doubled.h"

#include "lb/engine/log.h"
#include "lb/relay/attempt.h"
#include "lb/relay/worker_private.h"

#include <string.h>
#include <strings.h>

/* The word at `line`, up to the next blank or line end: printable, and no end of a value in the log. */
static void quote_word(const uint8_t *line, size_t length, char *text, size_t size) {
    size_t i = 0;
    for (; i < length && i + 1 < size && line[i] > ' '; i++)
        text[i] = (char)line[i];
    text[i] = '\0';
    log_quote(text);
}

static void find_hello(const struct session *session, char *text, size_t size) {
    uint8_t line[REPLAY_LINE_MAX];
    size_t verb = strlen("EHLO "), length = replay_log_hello(&session->replay.log, line);
    if (length > verb)
        quote_word(line + verb, length - verb, text, size);
}

/* Of the transaction that is open longest. */
static void find_sender(const struct session *session, char *text, size_t size) {
    static const char verb[] = "MAIL FROM:";
    struct replay_position position = replay_log_first(&session->replay.log);
    uint8_t line[REPLAY_LINE_MAX];
    size_t length, from = strlen(verb);
    unsigned code;
    while ((length = replay_log_next(&session->replay.log, &position, line, &code)) > 0) {
        if (length <= from || strncasecmp((const char *)line, verb, from) != 0)
            continue;
        while (from < length && line[from] == ' ')
            from++;
        quote_word(line + from, length - from, text, size);
        return;
    }
}

void doubled_log(const struct session *session) {
    char client[ADDRESS_TEXT_MAX], hello[80] = "-", sender[160] = "-";
    find_hello(session, hello, sizeof hello);
    find_sender(session, sender, sizeof sender);
    log_warning("mail possibly doubled: session id=%llu client=%s server=%s phase=%s in=%llu helo=\"%s\" from=\"%s\" "
                "was cut before the backend's final reply",
                (unsigned long long)session->id, address_format(&session->client.address, client),
                session->search.attempt->backend->name, dialog_phase_name(dialog_phase(&session->client.dialog)),
                (unsigned long long)session->client.flows[TO_BACKEND].bytes, hello, sender);
    counter_add(&session->worker->counters.doubled_total, 1);
}
