/* The observer of a session: two state machines, one for each direction, tied together by the runs of commands that
 * await a reply. The relay shows it both in the order in which they pass. Pure: struct dialog is the session's. */
#include "lb/smtp/dialog.h"

#include "lb/smtp/content.h"
#include "lb/smtp/dialog_guard.h"

#include <string.h>

static const char *const phase_names[] = {"greeting", "idle", "ehlo", "mail", "rcpt",     "data",
                                          "content",  "dot",  "quit", "tls",  "untrusted"};

void dialog_init(struct dialog *dialog) {
    memset(dialog, 0, sizeof *dialog);
    dialog_forget_partial_reply(dialog);
    dialog->runs[0].verb = AWAITED_GREETING;
    dialog->runs[0].count = dialog->runs_count = 1;
}

void dialog_guard(struct dialog *dialog) {
    unsigned last = dialog->runs_count;
    dialog->is_guarded = true;
    if (dialog->client_mode == CLIENT_COMMANDS && last > 0 && dialog->runs[last - 1].verb == VERB_OTHER)
        dialog->client_mode = CLIENT_AWAITS_OTHER;
}

void dialog_note_chunking(struct dialog *dialog, bool is_offered) {
    dialog->takes_chunks = is_offered;
}

void dialog_note_prdr(struct dialog *dialog, bool is_offered) {
    dialog->answers_each = is_offered;
}

static void stop_interpreting(struct dialog *dialog, struct dialog_event *event) {
    dialog->client_mode = CLIENT_OPAQUE;
    dialog->is_untrusted = true;
    dialog->phase = PHASE_UNTRUSTED;
    event->kind = DIALOG_UNTRUSTED;
}

/* --- what awaits a reply --- */

_Static_assert(AWAITED_RECIPIENT < 32, "a verb has room in a run");

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

static bool awaits(const struct dialog *dialog, uint8_t verb, uint8_t or_verb) {
    for (unsigned i = 0; i < dialog->runs_count; i++)
        if (dialog->runs[i].verb == verb || dialog->runs[i].verb == or_verb)
            return true;
    return false;
}

static bool awaits_hello(const struct dialog *dialog) {
    return awaits(dialog, VERB_EHLO, VERB_HELO);
}

static bool awaits_chunk(const struct dialog *dialog) {
    return awaits(dialog, VERB_BDAT, AWAITED_BDAT_LAST);
}

/* --- the client's side --- */

/* The chunk that begins would be counted as the server counts it. */
static bool can_count_chunk(const struct dialog *dialog, size_t prefix_length) {
    return !dialog->is_guarded || (dialog->takes_chunks && !awaits_hello(dialog) &&
                                   dialog_guard_takes_chunk(dialog->prefix, prefix_length, dialog->chunk_left));
}

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
        if (!command_parse_bdat(dialog->prefix, length, &dialog->chunk_left, &is_last) ||
            !can_count_chunk(dialog, length)) {
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
        dialog->client_mode = CLIENT_AWAITS_AUTH;
        break;
    case VERB_OTHER:
        if (dialog->is_guarded)
            dialog->client_mode = CLIENT_AWAITS_OTHER;
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

static uint32_t line_max(const struct dialog *dialog) {
    return dialog->client_mode == CLIENT_AUTH ? GUARDED_ANSWER_MAX : GUARDED_COMMAND_MAX;
}

static size_t feed_line(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *event) {
    dialog->has_pipelined_hello |= dialog->line_octets == 0 && awaits_hello(dialog);
    for (size_t i = 0; i < length; i++) {
        uint8_t octet = data[i];
        bool is_bare = dialog->has_cr != (octet == '\n');
        bool is_long = dialog->is_guarded && dialog->line_octets == line_max(dialog);
        if (is_bare || is_long) {
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

static void end_content(struct dialog *dialog, struct dialog_event *event) {
    dialog->client_mode = CLIENT_COMMANDS;
    dialog->phase = PHASE_DOT;
    await_reply(dialog, AWAITED_DOT);
    event->kind = DIALOG_CONTENT_END;
    event->verb = VERB_DATA;
}

static size_t feed_content(struct dialog *dialog, const uint8_t *data, size_t length, struct dialog_event *event) {
    enum content_found found;
    dialog->has_passed_content |= length > 0;
    size_t done = content_feed(&dialog->content_state, data, length, &found);
    switch (found) {
    case CONTENT_GOES_ON:
        break;
    case CONTENT_ENDS:
        end_content(dialog, event);
        break;
    case CONTENT_BARE_LINE_END:
        stop_interpreting(dialog, event);
        break;
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
    case CLIENT_AWAITS_AUTH:
    case CLIENT_AWAITS_OTHER:
        dialog->has_pipelined |= dialog->client_mode == CLIENT_AWAITS_DATA;
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
    return dialog->client_mode == CLIENT_CHUNK || awaits_chunk(dialog);
}

static void end_transaction(struct dialog *dialog) {
    dialog->is_in_transaction = false;
    dialog->recipients = dialog->recipients_to_hear = 0;
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
    dialog->content_state = CONTENT_START;
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
        dialog->recipients += is_good;
        break;
    case VERB_DATA:
        on_data_reply(dialog, code);
        break;
    case AWAITED_DOT:
    case AWAITED_BDAT_LAST:
        on_content_reply(dialog, code);
        break;
    case VERB_AUTH:
        if (dialog->client_mode == CLIENT_AWAITS_AUTH)
            dialog->client_mode = code == 334 ? CLIENT_AUTH : CLIENT_COMMANDS;
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
        if (dialog->client_mode == CLIENT_COMMANDS || dialog->client_mode == CLIENT_AWAITS_OTHER)
            dialog->client_mode = code == 334 ? CLIENT_AUTH : CLIENT_COMMANDS;
        break;
    default:
        break;
    }
    if (dialog->has_quit && dialog->client_mode == CLIENT_COMMANDS)
        dialog->phase = PHASE_QUIT;
}

/* Part of the answer to content under PRDR, behind which the final reply is still owed. */
static bool is_for_recipient(struct dialog *dialog, uint16_t code) {
    unsigned verb = dialog_next_answer(dialog);
    if (verb != AWAITED_DOT && verb != AWAITED_BDAT_LAST)
        return false;
    if (dialog->recipients_to_hear > 0) {
        dialog->recipients_to_hear -= code / 100 != 3;
        return code / 100 != 3;
    }
    if (code != 353 || !dialog->answers_each || dialog->is_guarded)
        return false;
    dialog->recipients_to_hear = dialog->recipients;
    return true;
}

/* Which command, or content, the reply answers. */
static void match_reply(struct dialog *dialog, struct dialog_event *event) {
    if (is_for_recipient(dialog, event->code))
        event->verb = AWAITED_RECIPIENT;
    else
        event->is_unsolicited = !take_awaited(dialog, &event->verb);
}

/* A mail may have been taken, and its client will not hear of it. */
static bool hides_acceptance(const struct dialog *dialog, const struct dialog_event *event) {
    bool is_refusal = event->code / 100 >= 4;
    bool is_final = event->verb == AWAITED_DOT || event->verb == AWAITED_BDAT_LAST;
    return !is_refusal && (event->is_unsolicited ? dialog_is_in_content(dialog) : is_final);
}

/* The client would take it for the answer to what it says next, or to its mail. Outside content, 221 is a farewell;
 * half a command may be answered at the client's end, and one that is not known here more than once (LHLO). */
static bool agrees_to_nothing(const struct dialog *dialog, uint16_t code) {
    bool may_come = code == 221 || dialog->line_octets > 0 || dialog->has_unknown_state;
    return code / 100 < 4 && !dialog_awaits_server(dialog) && (!may_come || dialog_is_in_content(dialog));
}

/* What the client may say behind this reply, or has said already, the server does not take for what we take it for. */
static bool leaves_in_doubt(const struct dialog *dialog, const struct dialog_event *event) {
    bool is_known = event->is_unsolicited || event->verb == AWAITED_RECIPIENT;
    if (!is_known && dialog_asks_for_unknown(event->verb, event->code))
        return true;
    return dialog->is_guarded && dialog_guard_doubts(dialog, event);
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
        ret_event->kind = DIALOG_JUNK;
        return consumed;
    }
    ret_event->kind = DIALOG_REPLY;
    ret_event->code = dialog->reply.code;
    ret_event->enhanced = dialog->reply.enhanced;
    if (ret_event->code == 421) {
        ret_event->kind = DIALOG_421;
        ret_event->is_unsolicited = !dialog_awaits_server(dialog);
        ret_event->verb = dialog->runs[0].verb;
    } else if (!dialog->is_guarded && agrees_to_nothing(dialog, ret_event->code)) {
        ret_event->kind = DIALOG_UNASKED;
    } else {
        match_reply(dialog, ret_event);
        if (leaves_in_doubt(dialog, ret_event)) {
            dialog->hides_acceptance = hides_acceptance(dialog, ret_event);
            stop_interpreting(dialog, ret_event);
            return length;
        }
        if (!ret_event->is_unsolicited)
            on_reply_to(dialog, ret_event->verb, ret_event->code, ret_event);
    }
    dialog_forget_partial_reply(dialog);
    return consumed;
}

void dialog_accept_421(struct dialog *dialog) {
    struct dialog_event event;
    uint8_t verb;
    dialog->has_heard_421 = true;
    if (take_awaited(dialog, &verb))
        on_reply_to(dialog, verb, 421, &event);
}

void dialog_forget_partial_reply(struct dialog *dialog) {
    reply_parser_init(&dialog->reply, REPLY_NO_BOUND, REPLY_NO_BOUND); /* nothing of it is held here */
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

bool dialog_awaits_server(const struct dialog *dialog) {
    bool is_one = dialog->runs_count == 1 && dialog->runs[0].count == 1;
    return dialog->runs_count > 0 && !(is_one && dialog->client_mode == CLIENT_CHUNK);
}

bool dialog_has_quit(const struct dialog *dialog) {
    return dialog->has_quit;
}

bool dialog_only_quit_is_open(const struct dialog *dialog) {
    return dialog_is_clear(dialog) && dialog->runs_count == 1 && dialog->runs[0].verb == VERB_QUIT &&
           dialog->runs[0].count == 1;
}

bool dialog_takes_commands(const struct dialog *dialog) {
    return dialog->client_mode == CLIENT_COMMANDS;
}

bool dialog_is_repeatable(const struct dialog *dialog) {
    return dialog_is_clear(dialog) && !dialog->has_passed_content && !dialog->is_authenticated &&
           !dialog->has_unknown_state && dialog->client_mode != CLIENT_AUTH &&
           dialog->client_mode != CLIENT_AWAITS_AUTH;
}

bool dialog_is_in_content(const struct dialog *dialog) {
    return dialog->client_mode == CLIENT_CONTENT || dialog->client_mode == CLIENT_CHUNK;
}

bool dialog_has_passed_content(const struct dialog *dialog) {
    return dialog->has_passed_content;
}

bool dialog_awaits_final_reply(const struct dialog *dialog) {
    unsigned complete = 0;
    for (unsigned i = 0; i < dialog->runs_count; i++)
        if (dialog->runs[i].verb == AWAITED_DOT || dialog->runs[i].verb == AWAITED_BDAT_LAST)
            complete += dialog->runs[i].count;
    bool last_is_incomplete = dialog->client_mode == CLIENT_CHUNK && dialog->chunk_is_last;
    return complete > last_is_incomplete;
}

bool dialog_may_hide_acceptance(const struct dialog *dialog) {
    return dialog->hides_acceptance || dialog_awaits_final_reply(dialog);
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
