/* The rules for a guarded session, about what other servers might read in the client's octets. Each names the server
 * that has taught it. The observer calls them. Pure. */
#include "lb/smtp/dialog_guard.h"

/* Exim reads it with %u, and so 4294967297 as 1. */
#define GUARDED_CHUNK_MAX ((uint64_t)INT32_MAX)

bool dialog_asks_for_unknown(uint8_t verb, uint16_t code) {
    bool is_known = verb == VERB_DATA ? code == 354 : code == 334 && (verb == VERB_AUTH || verb == VERB_OTHER);
    return code / 100 == 3 && !is_known;
}

static bool is_in_content(const struct dialog *dialog) {
    return dialog->client_mode == CLIENT_CONTENT || dialog->client_mode == CLIENT_CHUNK;
}

/* RFC 3030 §2 wants the whole chunk read before its reply; a server that has replied earlier may have refused the
 * command alone, and read the octets behind it as commands (Exim and Postfix do where they have not offered CHUNKING).
 */
static bool is_early_for_chunk(const struct dialog *dialog) {
    bool is_awaited = false;
    for (unsigned i = 0; i < dialog->runs_count; i++)
        is_awaited |= dialog->runs[i].verb == VERB_BDAT || dialog->runs[i].verb == AWAITED_BDAT_LAST;
    return dialog->client_mode == CLIENT_CHUNK && !is_awaited;
}

bool dialog_guard_doubts(const struct dialog *dialog, const struct dialog_event *reply) {
    bool is_refusal = reply->code / 100 >= 4;
    if (reply->is_unsolicited) /* it has seen an end of content, or of a line, where we have not */
        return is_in_content(dialog) || !is_refusal;
    switch (reply->verb) {
    case VERB_DATA:
        return !is_refusal && reply->code != 354;
    case VERB_BDAT:
    case AWAITED_BDAT_LAST:
        return is_early_for_chunk(dialog);
    case VERB_OTHER: /* STARTTLS to the server, or XCLIENT, after which it begins anew */
        return reply->code == 220;
    default:
        return false;
    }
}

bool dialog_guard_takes_chunk(const uint8_t *line, size_t length, uint64_t size) {
    size_t digits = 0;
    while (digits < length && (line[digits] < '0' || line[digits] > '9'))
        digits++;
    bool has_leading_zero = size > 0 && digits < length && line[digits] == '0'; /* octal to strtol(…, 0) */
    return size <= GUARDED_CHUNK_MAX && !has_leading_zero;
}
