/* What clients say, each in its own manner. */
#include "tests/sim/client.h"
#include "tests/sim/mails.h"
#include "tests/sim/sim.h"

#include "lb/engine/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CHUNKS_OPEN_MAX 8u /* of a client that pipelines */

bool client_has_said_all(const struct sim_client *client) {
    return client->next_item == client->items_count && client->out_length == 0 && !client->is_in_content &&
           (!client->is_in_tls || client->tls_said == client->tls_count);
}

static void say(struct sim_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct sim_client *client, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    client->out_at = 0;
    client->out_length = (unsigned)vsnprintf(client->out, sizeof client->out, format, arguments);
    va_end(arguments);
    sim_trace("client %u says %.*s", client->number, (int)client->out_length - 2, client->out);
}

/* What may be said before what is owed has come (RFC 2920 §3.1). */
static bool may_say(const struct sim_client *client, const struct item *item) {
    if (client->has_heard_end || client->is_dropped)
        return false;
    if (item->kind == CONTENT)
        return client->awaited_count == 0 && (item->is_chunked || client->may_send_content);
    if (client->manner == TALKS_EARLY && client->next_item < 4)
        return true;
    if (client->manner == FLOODS && client->next_item < 14)
        return true;
    if (client->awaited_count == 0)
        return true;
    enum item_kind last = client->awaited[(client->awaited_first + client->awaited_count - 1) % ITEMS_MAX].kind;
    bool is_group = last == MAIL || last == RCPT || last == RESET || (last == CONTENT && item->kind != CONTENT);
    return (client->manner == PIPELINES || client->manner == DRIPS) && client->has_greeting && is_group;
}

static void say_recipient(struct sim_client *client, const struct item *item) {
    static const char *const recipients[] = {"user", "unknown", "drop"};
    unsigned whom = client->manner == IS_REFUSED && sim_once_in(2) ? 2 : item->is_unknown;
    say(client, "RCPT TO:<%s#%u@example.test>\r\n", recipients[whom], item->tag);
}

static void say_other(struct sim_client *client, const struct item *item) {
    static const char filling[] = "and the dog that is lazy is jumped over once more, which it does not mind at all, ";
    unsigned wanted = item->form == LONG_LINE ? 2300 : item->form == HALF_LONG ? 350 : 0;
    unsigned length = (unsigned)snprintf(client->out, sizeof client->out, "NOOP #%u ", item->tag);
    if (item->form == HTTP)
        length = (unsigned)snprintf(client->out, sizeof client->out, "GET / HTTP/1.1 #%u", item->tag);
    while (length < wanted)
        length += (unsigned)snprintf(client->out + length, sizeof client->out - length, "%s", filling);
    client->is_untrusted |= item->form == BARE_LF;
    client->out_at = 0;
    client->out_length = length + (unsigned)snprintf(client->out + length, sizeof client->out - length, "%s",
                                                     item->form == BARE_LF ? "\n" : "\r\n");
    sim_trace("client %u says %.20s … of %u octets, form %u", client->number, client->out, client->out_length,
              item->form);
}

static void say_starttls(struct sim_client *client) {
    client->talks_behind_starttls = sim_once_in(8);
    say(client, "STARTTLS\r\n%s", client->talks_behind_starttls ? "NOOP\r\n" : "");
}

static void say_item(struct sim_client *client, const struct item *item) {
    switch (item->kind) {
    case HELLO:
        say(client, "%s client%u.test\r\n", item->form == HELO ? "HELO" : "EHLO", client->number);
        break;
    case NOOP:
    case JUNK:
        say_other(client, item);
        break;
    case RESET:
        say(client, "RSET\r\n");
        break;
    case MAIL:
        client->mail_has_failed = false;
        say(client, "MAIL FROM:<sender#%u@client.test>\r\n", item->tag);
        break;
    case RCPT:
        say_recipient(client, item);
        break;
    case DATA:
        client->may_send_content = false;
        say(client, "DATA\r\n");
        break;
    case QUIT:
        say(client, "QUIT\r\n");
        break;
    case STARTTLS:
        say_starttls(client);
        break;
    case CONTENT:
        client->is_in_content = true;
        client->content_line = client->chunk_lines = 0;
        return;
    case CHUNK:
    case GREETING:
        return;
    }
    for (unsigned i = 0; i < client->awaited_count; i++)
        client->has_talked_behind_dot |= client->awaited[(client->awaited_first + i) % ITEMS_MAX].kind == CONTENT;
    client_await(client, item);
}

/* One line, or as many as fit. */
static void say_mail_lines(struct sim_client *client, unsigned number, unsigned end) {
    unsigned most = sim_once_in(2) ? 1 : 40;
    client->out_at = client->out_length = 0;
    while (client->content_line < end && most-- > 0)
        client->out_length += (unsigned)mail_line(number, client->content_line++, client->out + client->out_length);
}

static void say_content_line(struct sim_client *client) {
    const struct item *item = &client->items[client->next_item - 1];
    struct mail *mail = mail_at(item->tag);
    if (client->content_line < mail->lines) {
        say_mail_lines(client, item->tag, mail->lines);
        return;
    }
    say(client, ".\r\n");
    client->is_in_content = false;
    mail->was_sent_whole = true;
    sim_trace("client %u has sent mail %u", client->number, item->tag);
    client_await(client, item);
}

/* The command; some last chunks are empty (RFC 3030 §2). */
static void begin_chunk(struct sim_client *client, unsigned number, unsigned left) {
    char text[MAIL_LINE_MAX];
    size_t octets = 0;
    client->chunk_lines = sim_once_in(3) ? left : sim_below(left < 9 ? left + 1 : 9);
    client->chunk_is_last = client->chunk_lines == left && (left == 0 || !sim_once_in(4));
    for (unsigned i = 0; i < client->chunk_lines; i++)
        octets += mail_line(number, client->content_line + i, text);
    say(client, "BDAT %zu%s\r\n", octets, client->chunk_is_last ? " LAST" : "");
}

static void end_chunk(struct sim_client *client, const struct item *item) {
    const struct item chunk = {.kind = CHUNK};
    client_await(client, client->chunk_is_last ? item : &chunk);
    client->is_in_content = !client->chunk_is_last;
    mail_at(item->tag)->was_sent_whole |= client->chunk_is_last;
}

static void go_to_quit(struct sim_client *client) {
    client->next_item = client->items_count - 1;
}

/* The next line, or the next chunk's command. False: the replies to those before are awaited first. */
static bool say_of_chunks(struct sim_client *client) {
    const struct item *item = &client->items[client->next_item - 1];
    if (client->chunk_lines > 0) {
        unsigned end = client->content_line + client->chunk_lines;
        say_mail_lines(client, item->tag, end);
        client->chunk_lines = end - client->content_line;
    } else if (client->has_heard_end || client->mail_has_failed) {
        client->is_in_content = false;
        go_to_quit(client);
        return true;
    } else if (client->awaited_count >= (client->manner == PIPELINES ? CHUNKS_OPEN_MAX : 1)) {
        return false;
    } else {
        begin_chunk(client, item->tag, mail_at(item->tag)->lines - client->content_line);
    }
    if (client->chunk_lines == 0)
        end_chunk(client, item);
    return true;
}

/* --- inside TLS --- */

unsigned client_tls_line(const struct sim_client *client, unsigned line, char text[static 300]) {
    uint32_t mix = (client->number * 2654435761u) ^ (line * 40503u);
    unsigned length = mix % 290;
    for (unsigned i = 0; i < length; i++) {
        mix = mix * 1664525u + 1013904223u;
        text[i] = (char)(0x80 | (mix >> 24));
    }
    text[length] = '\r';
    text[length + 1] = '\n';
    return length + 2;
}

static bool say_of_tls(struct sim_client *client) {
    if (client->talks_behind_starttls)
        return false;
    if (client->tls_said == client->tls_count || client->tls_said > client->tls_heard + 6)
        return false;
    client->out_at = 0;
    client->out_length = client_tls_line(client, client->tls_said++, client->out);
    return true;
}

/* --- */

static void pause_sometimes(struct sim_client *client) {
    if (sim_once_in(6))
        client->pause_ms = sim_now_ms() + sim_below(sim_once_in(10) ? 30000 : 300);
    /* Who says more before it has read what came is answered by a RST, which may eat that, once postern has gone. */
    client->has_dawdled |= client->pause_ms >= sim_now_ms() + LINGER_TIME_MS;
}

bool client_thinks(struct sim_client *client) {
    if (client->is_in_tls)
        return say_of_tls(client);
    if (client->is_in_content) {
        if (client->items[client->next_item - 1].is_chunked)
            return say_of_chunks(client);
        say_content_line(client);
        return true;
    }
    if (client->next_item == client->items_count || client->has_heard_end)
        return false;
    const struct item *item = &client->items[client->next_item];
    bool is_skipped =
        (item->kind == DATA || item->kind == CONTENT) && client->mail_has_failed && client->awaited_count == 0;
    if (is_skipped) {
        go_to_quit(client);
        return true;
    }
    if (!may_say(client, item))
        return false;
    client->next_item++;
    say_item(client, item);
    pause_sometimes(client);
    return true;
}
