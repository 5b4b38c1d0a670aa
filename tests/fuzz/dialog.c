/* The observer between a client and a backend that say anything. The input is a list of turns, each a head octet (its
 * top bit: who speaks; the rest: how many octets) and the octets; whatever the split, the same is seen. */
#include "lb/smtp/dialog.h"

#include "tests/fuzz/fuzz.h"

#define TRACE_MAX 4096

struct trace {
    size_t count;
    struct dialog_event events[TRACE_MAX];
    enum dialog_phase phase;
    unsigned mails;
};

static bool same_event(const struct dialog_event *a, const struct dialog_event *b) {
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case DIALOG_COMMAND:
        return a->verb == b->verb;
    case DIALOG_REPLY:
    case DIALOG_421:
        return a->verb == b->verb && a->code == b->code && a->is_unsolicited == b->is_unsolicited &&
               a->enhanced.class == b->enhanced.class && a->enhanced.subject == b->enhanced.subject &&
               a->enhanced.detail == b->enhanced.detail;
    case DIALOG_NONE:
    case DIALOG_CONTENT_END:
    case DIALOG_TLS:
    case DIALOG_UNTRUSTED:
    case DIALOG_JUNK:
    case DIALOG_UNASKED:
    case DIALOG_STARTTLS_BEHIND:
    case DIALOG_BLOCKED:
        return true;
    }
    return false;
}

/* Returns false where the dialog would end: no more may be taken. */
static bool speak(struct dialog *dialog, bool is_client, const uint8_t *data, size_t size, size_t step,
                  struct trace *trace) {
    size_t at = 0;
    while (at < size) {
        size_t length = size - at < step ? size - at : step;
        uint8_t *piece = fuzz_copy(data + at, length);
        struct dialog_event event = {0};
        size_t taken = is_client ? dialog_feed_client(dialog, piece, length, &event)
                                 : dialog_feed_server(dialog, piece, length, &event);
        free(piece);
        MUST(taken <= length);
        MUST(event.kind != DIALOG_NONE || taken == length);
        if (event.kind != DIALOG_NONE && trace->count < TRACE_MAX)
            trace->events[trace->count++] = event;
        if (event.kind == DIALOG_STARTTLS_BEHIND || event.kind == DIALOG_JUNK || event.kind == DIALOG_UNASKED)
            return false;
        if (event.kind == DIALOG_BLOCKED)
            return true; /* the rest of this turn would wait; here it is not said */
        at += taken;
    }
    return true;
}

static void run(const uint8_t *data, size_t size, size_t step, struct trace *trace) {
    struct dialog dialog;
    dialog_init(&dialog);
    trace->count = 0;
    for (size_t at = 0; at < size;) {
        bool is_client = data[at] & 0x80;
        size_t length = data[at] & 0x7f;
        at++;
        if (length > size - at)
            length = size - at;
        if (!speak(&dialog, is_client, data + at, length, step, trace))
            break;
        at += length;
        (void)dialog_is_between_transactions(&dialog);
        MUST(dialog_owes_reply(&dialog) || !dialog_awaits_server(&dialog));
        MUST(!dialog_is_in_content(&dialog) || dialog_is_clear(&dialog));
    }
    trace->phase = dialog_phase(&dialog);
    trace->mails = dialog_mails_accepted(&dialog);
    (void)dialog_phase_name(trace->phase);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct trace whole, split;
    run(data, size, 4096, &whole);
    static const size_t steps[] = {1, 2, 5};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        run(data, size, steps[i], &split);
        MUST(split.count == whole.count && split.phase == whole.phase && split.mails == whole.mails);
        for (size_t j = 0; j < whole.count; j++)
            MUST(same_event(&split.events[j], &whole.events[j]));
    }
    return 0;
}
