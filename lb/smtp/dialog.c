/* The observer: two small state machines, one a direction, tied together by the runs of commands that await a reply.
 * What the client's octets mean depends on the replies passed on before them; the relay tells both in that order. */
#include "lb/smtp/dialog.h"

#include <string.h>

/* RFC 5321 §4.5.3.1.5 for a line; the whole of a multi-line reply is the server's affair. */
#define REPLY_LINE_MAX  2048
#define REPLY_TOTAL_MAX UINT16_MAX

/* Where in CRLF "." CRLF the content stands (RFC 5321 §4.1.1.4). */
enum content_state { AT_LINE_START, IN_TEXT, AFTER_CR, AFTER_DOT, AFTER_DOT_CR };

static const char *const phase_names[] = {"greeting", "idle", "ehlo", "mail", "rcpt",     "data",
                                          "content",  "dot",  "quit", "tls",  "untrusted"};

void dialog_init(struct dialog *dialog) {
    memset(dialog, 0, sizeof *dialog);
    reply_parser_init(&dialog->reply, REPLY_LINE_MAX, REPLY_TOTAL_MAX);
    dialog->runs[0].verb = AWAITED_GREETING;
    dialog->runs[0].count = 1;
    dialog->runs_count = 1;
}

static void stop_interpreting(struct dialog *dialog, struct dialog_event *event) {
    dialog->client_mode = CLIENT_OPAQUE;
    dialog->is_untrusted = true;
    dialog->phase = PHASE_UNTRUSTED;
    event->kind = DIALOG_UNTRUSTED;
}

/* --- what awaits a reply --- */

_Static_assert(AWAITED_BDAT_LAST < 32, "a verb has room in a run");

static bool can_await(const struct dialog *dialog) {
    return dialog->runs_count < DIALOG_RUNS_MAX &&
           dialog->runs[dialog->runs_count == 0 ? 0 : dialog->runs_count - 1].count < DIALOG_RUN_MAX;
}

static void await_reply(struct dialog *dialog, uint8_t verb) {
    unsigned last = dialog->runs_count;
    if (last > 0 && dialog->runs[last - 1].verb == verb) {
        dialog->runs[last - 1].count++;
        return;
    }
    dialog->runs[last].verb = verb & 31;
    dialog->runs[last].count = 1;
    dialog->runs_count++;
}

/* Returns false when nothing is awaited. */
static bool take_awaited(struct dialog *dialog, uint8_t *ret_verb) {
    if (dialog->runs_count == 0)
        return false;
    *ret_verb = dialog->runs[0].verb;
    if (--dialog->runs[0].count == 0) {
        dialog->runs_count--;
        memmove(&dialog->runs[0], &dialog->runs[1], dialog->runs_count * sizeof dialog->runs[0]);
    }
    return true;
}

/* --- the client's side --- */

static void begin_command(struct dialog *dialog, enum smtp_verb verb, struct dialog_event *event) {
    size_t length = dialog->line_octets < DIALOG_PREFIX_MAX ? dialog->line_octets : DIALOG_PREFIX_MAX;
    bool is_last;
    switch (verb) {
    case VERB_DATA:
        dialog->client_mode = CLIENT_AWAITS_DATA;
        dialog->phase = PHASE_DATA;
        break;
    case VERB_BDAT:
        /* A size that cannot be read leaves the end of the content unknown. */
        if (!command_parse_bdat(dialog->prefix, length, &dialog->chunk_left, &is_last)) {
            stop_interpreting(dialog, event);
            return;
        }
        dialog->chunk_is_last = is_last;
        dialog->has_passed_content = true;
        dialog->phase = PHASE_CONTENT;
        if (dialog->chunk_left > 0)
            dialog->client_mode = CLIENT_CHUNK;
        break;
    case VERB_AUTH:
        dialog->client_mode = CLIENT_AUTH;
        break;
    case VERB_STARTTLS:
        dialog->client_mode = CLIENT_AWAITS_TLS;
        break;
    case VERB_QUIT:
        dialog->has_quit = true;
        dialog->phase = PHASE_QUIT;
        break;
    default:
        break;
    }
    uint8_t awaited = (uint8_t)verb;
    if (verb == VERB_BDAT && dialog->chunk_is_last)
        awaited = AWAITED_BDAT_LAST;
    await_reply(dialog, awaited);
}

static void end_line(struct dialog *dialog, struct dialog_event *event) {
    size_t length = dialog->line_octets < DIALOG_PREFIX_MAX ? dialog->line_octets : DIALOG_PREFIX_MAX;
    enum smtp_verb verb = VERB_AUTH; /* a line of the AUTH exchange awaits a reply like the command itself */
    if (dialog->client_mode != CLIENT_AUTH) {
        verb = command_verb(dialog->prefix, length);
        dialog->is_not_smtp |= verb == VERB_OTHER && command_is_foreign(dialog->prefix, length);
        bool is_cut = verb == VERB_BDAT && dialog->line_octets > DIALOG_PREFIX_MAX;
        if (is_cut || command_is_ambiguous(dialog->prefix, length)) {
            stop_interpreting(dialog, event);
            return;
        }
    }
    event->kind = DIALOG_COMMAND;
    event->verb = (uint8_t)verb;
    begin_command(dialog, verb, event);
    dialog->line_octets = 0;
    dialog->has_cr = false;
}

static bool awaits_hello(const struct dialog *dialog) {
    for (unsigned i = 0; i < dialog->runs_count; i++)
        if (dialog->runs[i].verb == VERB_EHLO || dialog->runs[i].verb == VERB_HELO)
            return true;
    return false;
}

static size_t feed_line(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *event) {
    dialog->has_pipelined |= dialog->line_octets == 0 && awaits_hello(dialog);
    for (size_t i = 0; i < length; i++) {
        uint8_t octet = data[i];
        bool is_bare = dialog->has_cr != (octet == '\n');
        if (is_bare) {
            stop_interpreting(dialog, event);
            return i;
        }
        if (dialog->line_octets < DIALOG_PREFIX_MAX)
            dialog->prefix[dialog->line_octets] = octet;
        dialog->line_octets++;
        dialog->has_cr = octet == '\r';
        if (octet == '\n') {
            end_line(dialog, event);
            return i + 1;
        }
    }
    return length;
}

static size_t end_content(struct dialog *dialog, size_t consumed, struct dialog_event *event) {
    dialog->client_mode = CLIENT_COMMANDS;
    dialog->phase = PHASE_DOT;
    await_reply(dialog, AWAITED_DOT);
    event->kind = DIALOG_CONTENT_END;
    event->verb = VERB_DATA;
    return consumed;
}

/* Text is looked at in blocks (GCC's and clang's vectors, SSE2 or NEON as the machine has it). */
typedef uint8_t octets16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));
#define TEXT_BLOCK 64u

static octets16 load16(const uint8_t *from) {
    octets16 octets;
    memcpy(&octets, from, sizeof octets);
    return octets;
}

/* A bare CR or LF, or a dot at a line's start, ends in this block. Reads one octet before it. */
static bool needs_a_look(const uint8_t *block) {
    octets16 found = {0};
    for (unsigned i = 0; i < TEXT_BLOCK; i += 16) {
        octets16 here = load16(block + i), before = load16(block + i - 1);
        found |= (octets16)((before == '\r') ^ (here == '\n'));
        found |= (octets16)((before == '\n') & (here == '.'));
    }
    words2 words = (words2)found;
    return (words[0] | words[1]) != 0;
}

/* Passes over blocks in which nothing happens; an octet stands before `data`. Returns the octets passed over. */
static size_t skip_text(const uint8_t *data, size_t length) {
    size_t done = 0;
    while (length - done >= TEXT_BLOCK && !needs_a_look(data + done))
        done += TEXT_BLOCK;
    return done;
}

static enum content_state state_behind(uint8_t octet) {
    return octet == '\n' ? AT_LINE_START : octet == '\r' ? AFTER_CR : IN_TEXT;
}

/* Returns the next state, or -1 at a bare CR or LF. */
static int next_content_state(enum content_state state, uint8_t octet) {
    switch (state) {
    case AT_LINE_START:
        if (octet == '.')
            return AFTER_DOT;
        return octet == '\r' ? AFTER_CR : octet == '\n' ? -1 : IN_TEXT;
    case IN_TEXT:
        return octet == '\r' ? AFTER_CR : octet == '\n' ? -1 : IN_TEXT;
    case AFTER_CR:
        return octet == '\n' ? AT_LINE_START : -1;
    case AFTER_DOT:
        return octet == '\r' ? AFTER_DOT_CR : octet == '\n' ? -1 : IN_TEXT;
    case AFTER_DOT_CR:
        return octet == '\n' ? AT_LINE_START : -1;
    }
    return -1;
}

/* One octet at a time, which alone changes what is awaited. Returns the octets up to `length` or the end of the event.
 */
static size_t feed_text(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *event) {
    for (size_t i = 0; i < length; i++) {
        int state = next_content_state((enum content_state)dialog->content_state, data[i]);
        if (state < 0) {
            stop_interpreting(dialog, event);
            return i;
        }
        bool is_end = dialog->content_state == AFTER_DOT_CR;
        dialog->content_state = (uint8_t)state;
        if (is_end)
            return end_content(dialog, i + 1, event);
    }
    return length;
}

static size_t feed_content(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *event) {
    size_t done = 0;
    if (length > 0)
        dialog->has_passed_content = true;
    while (done < length && event->kind == DIALOG_NONE) {
        bool is_in_dot = dialog->content_state == AFTER_DOT || dialog->content_state == AFTER_DOT_CR;
        size_t skipped = done > 0 && !is_in_dot ? skip_text(data + done, length - done) : 0;
        if (skipped > 0) {
            done += skipped;
            dialog->content_state = (uint8_t)state_behind(data[done - 1]);
        }
        size_t left = length - done;
        done += feed_text(dialog, data + done, left < TEXT_BLOCK ? left : TEXT_BLOCK, event);
    }
    return done;
}

static size_t feed_chunk(struct dialog *dialog, size_t length, struct dialog_event *event) {
    size_t taken = length < dialog->chunk_left ? length : (size_t)dialog->chunk_left;
    dialog->chunk_left -= taken;
    if (dialog->chunk_left == 0) {
        dialog->client_mode = CLIENT_COMMANDS;
        dialog->phase = PHASE_DOT;
        event->kind = DIALOG_CONTENT_END;
        event->verb = VERB_BDAT;
    }
    return taken;
}

size_t dialog_feed_client(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *ret_event) {
    *ret_event = (struct dialog_event){.kind = DIALOG_NONE};
    if (length == 0)
        return 0;
    switch ((enum dialog_client_mode)dialog->client_mode) {
    case CLIENT_COMMANDS:
    case CLIENT_AUTH:
        if (!can_await(dialog)) {
            ret_event->kind = DIALOG_BLOCKED;
            return 0;
        }
        return feed_line(dialog, data, length, ret_event);
    case CLIENT_AWAITS_DATA: /* whether this is content, only the reply will tell */
        dialog->has_pipelined = true;
        stop_interpreting(dialog, ret_event);
        return 0;
    case CLIENT_AWAITS_TLS:
        dialog->has_pipelined = true;
        ret_event->kind = DIALOG_STARTTLS_BEHIND;
        return 0;
    case CLIENT_CONTENT:
        return feed_content(dialog, data, length, ret_event);
    case CLIENT_CHUNK:
        return feed_chunk(dialog, length, ret_event);
    case CLIENT_OPAQUE:
        return length;
    }
    return length;
}

/* --- the server's side --- */

/* A client that pipelines may have sent the next mail's content already. */
static bool content_is_open(const struct dialog *dialog) {
    if (dialog->client_mode == CLIENT_CHUNK)
        return true;
    for (unsigned i = 0; i < dialog->runs_count; i++)
        if (dialog->runs[i].verb == VERB_BDAT || dialog->runs[i].verb == AWAITED_BDAT_LAST)
            return true;
    return false;
}

static void end_transaction(struct dialog *dialog) {
    dialog->is_in_transaction = false;
    dialog->has_passed_content = content_is_open(dialog);
    dialog->phase = PHASE_EHLO;
}

static void on_content_reply(struct dialog *dialog, uint16_t code) {
    if (code / 100 == 2)
        dialog->mails_accepted++;
    end_transaction(dialog);
}

static void on_data_reply(struct dialog *dialog, uint16_t code) {
    if (dialog->client_mode != CLIENT_AWAITS_DATA)
        return;
    dialog->client_mode = code == 354 ? CLIENT_CONTENT : CLIENT_COMMANDS;
    dialog->content_state = AT_LINE_START;
    dialog->phase = code == 354 ? PHASE_CONTENT : PHASE_RCPT;
}

static void on_reply_to(struct dialog *dialog, uint8_t verb, uint16_t code, struct dialog_event *event) {
    bool is_good = code / 100 == 2;
    switch (verb) {
    case AWAITED_GREETING:
        dialog->phase = PHASE_IDLE;
        break;
    case VERB_HELO:
    case VERB_EHLO:
    case VERB_RSET:
        if (is_good)
            end_transaction(dialog);
        break;
    case VERB_MAIL:
        dialog->is_in_transaction |= is_good;
        dialog->phase = is_good ? PHASE_MAIL : dialog->phase;
        break;
    case VERB_RCPT:
        dialog->phase = PHASE_RCPT;
        break;
    case VERB_DATA:
        on_data_reply(dialog, code);
        break;
    case AWAITED_DOT:
    case AWAITED_BDAT_LAST:
        on_content_reply(dialog, code);
        break;
    case VERB_AUTH:
        if (code != 334 && dialog->client_mode == CLIENT_AUTH)
            dialog->client_mode = CLIENT_COMMANDS;
        dialog->is_authenticated |= code == 235;
        break;
    case VERB_STARTTLS:
        dialog->client_mode = code == 220 ? CLIENT_OPAQUE : CLIENT_COMMANDS;
        if (code == 220) {
            dialog->phase = PHASE_TLS;
            event->kind = DIALOG_TLS;
        }
        break;
    case VERB_OTHER: /* 334 asks for lines that are no commands, as Exchange does behind X-EXPS */
        dialog->has_unknown_state |= is_good || code / 100 == 3;
        if (code == 334 && dialog->client_mode == CLIENT_COMMANDS)
            dialog->client_mode = CLIENT_AUTH;
        break;
    default:
        break;
    }
    if (dialog->has_quit && dialog->client_mode == CLIENT_COMMANDS)
        dialog->phase = PHASE_QUIT;
}

size_t dialog_feed_server(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *ret_event) {
    enum reply_status status;
    *ret_event = (struct dialog_event){.kind = DIALOG_NONE};
    if (dialog->client_mode == CLIENT_OPAQUE)
        return length;
    size_t consumed = reply_parser_feed(&dialog->reply, data, length, &status);
    if (status == REPLY_MORE)
        return consumed;
    if (status == REPLY_INVALID) {
        stop_interpreting(dialog, ret_event);
        return length;
    }
    ret_event->kind = DIALOG_REPLY;
    ret_event->code = dialog->reply.code;
    ret_event->enhanced = dialog->reply.enhanced;
    if (ret_event->code == 421) {
        ret_event->kind = DIALOG_421;
        ret_event->is_unsolicited = dialog->runs_count == 0;
        ret_event->verb = dialog->runs[0].verb;
    } else {
        ret_event->is_unsolicited = !take_awaited(dialog, &ret_event->verb);
        if (!ret_event->is_unsolicited)
            on_reply_to(dialog, ret_event->verb, ret_event->code, ret_event);
    }
    dialog_forget_partial_reply(dialog);
    return consumed;
}

void dialog_accept_421(struct dialog *dialog) {
    struct dialog_event event;
    uint8_t verb;
    if (take_awaited(dialog, &verb))
        on_reply_to(dialog, verb, 421, &event);
}

void dialog_forget_partial_reply(struct dialog *dialog) {
    reply_parser_init(&dialog->reply, REPLY_LINE_MAX, REPLY_TOTAL_MAX);
}

/* --- questions --- */

bool dialog_is_clear(const struct dialog *dialog) {
    return dialog->client_mode != CLIENT_OPAQUE;
}

bool dialog_owes_reply(const struct dialog *dialog) {
    return dialog->runs_count > 0;
}

unsigned dialog_next_answer(const struct dialog *dialog) {
    return dialog->runs_count > 0 ? dialog->runs[0].verb : VERB_OTHER;
}

bool dialog_has_quit(const struct dialog *dialog) {
    return dialog->has_quit;
}

bool dialog_only_quit_is_open(const struct dialog *dialog) {
    return dialog->runs_count == 1 && dialog->runs[0].verb == VERB_QUIT && dialog->runs[0].count == 1;
}

bool dialog_takes_commands(const struct dialog *dialog) {
    return dialog->client_mode == CLIENT_COMMANDS;
}

bool dialog_is_repeatable(const struct dialog *dialog) {
    return dialog_is_clear(dialog) && !dialog->has_passed_content && !dialog->is_authenticated &&
           !dialog->has_unknown_state && dialog->client_mode != CLIENT_AUTH;
}

bool dialog_is_in_content(const struct dialog *dialog) {
    return dialog->client_mode == CLIENT_CONTENT || dialog->client_mode == CLIENT_CHUNK;
}

bool dialog_is_between_transactions(const struct dialog *dialog) {
    return dialog->client_mode == CLIENT_COMMANDS && dialog->runs_count == 0 && !dialog->is_in_transaction &&
           dialog->line_octets == 0;
}

unsigned dialog_mails_accepted(const struct dialog *dialog) {
    return dialog->mails_accepted;
}

enum dialog_phase dialog_phase(const struct dialog *dialog) {
    return (enum dialog_phase)dialog->phase;
}

const char *dialog_phase_name(enum dialog_phase phase) {
    return phase_names[phase];
}
