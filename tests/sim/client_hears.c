/* What clients hear. Each client knows which replies are owed to it, in which order and whose, and fails the world,
 * with the reply's name, at every other one. */
#include "tests/sim/client.h"
#include "tests/sim/mails.h"
#include "tests/sim/ring.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MS 400000u
#define END_MS   100000u /* far less than an idle client's deadline */

/* It has half-closed, and nothing is owed to it: postern or the backend has to end the session now. */
static void check_wait(const struct sim_client *client) {
    bool awaits_end = client->has_shut && client->awaited_count == 0 && !client->is_in_tls && !client->is_untrusted;
    if (awaits_end && !sim_world.has_silence && sim_now_ms() - client->heard_ms > END_MS)
        sim_broken("client %u has half-closed with nothing owed to it, and waited %u ms for the end", client->number,
                   (unsigned)(sim_now_ms() - client->heard_ms));
}

/* The connection has ended by postern's doing. */
static void on_cut(struct sim_client *client, bool is_reset) {
    bool is_owed = client->awaited_count > 0 || client->next_item < client->items_count;
    bool is_peers_own = client->peer == PEER_MALFORMED || client->peer == PEER_SILENT || client->peer == PEER_UNLISTED;
    /* Who talks into a 421 in the greeting's place may lose it by the answer to that: an RST. */
    bool has_talked_early = (client->manner == TALKS_EARLY || client->manner == FLOODS) && !client->has_greeting;
    /* In the middle of a reply that is too long to be held, or where nothing can be read, there is nothing to say. */
    bool is_mid_reply = client->is_continued || client->line_length > 0;
    /* A refusal with the end behind it is the backend's last word, whatever was said meanwhile. */
    bool is_last_word = client->last_code >= 400;
    /* Its header may not have been read in time for want of a buffer. */
    bool is_unread = sim_buffers_max != 0 && client->peer != PEER_NONE && !client->has_greeting;
    bool may_be_cut = client->is_dropped || is_unread || is_last_word || is_mid_reply || client->is_untrusted ||
                      client->has_dawdled || has_talked_early || client->has_heard_end || client->has_shut ||
                      client->manner == DEAF || client->manner == READS_SLOWLY || client->is_in_tls || is_peers_own ||
                      sim_world.is_cutting ||
                      ((client->manner == IDLES || client->manner == DRIPS) && client->has_met_fate);
    if (is_owed && !may_be_cut)
        sim_broken("client %u was %s without a word: %u replies owed, the first to a command of kind %d",
                   client->number, is_reset ? "reset" : "cut", client->awaited_count,
                   client->awaited_count > 0 ? (int)client->awaited[client->awaited_first].kind : -1);
    check_wait(client);
    client_hang_up(client, "is cut");
}

static bool is_code_possible(const struct item *item, unsigned code) {
    static const unsigned good[] = {
        [HELLO] = 250,   [NOOP] = 250, [RESET] = 250,    [MAIL] = 250,  [RCPT] = 250,     [DATA] = 354,
        [CONTENT] = 250, [QUIT] = 221, [GREETING] = 220, [CHUNK] = 250, [STARTTLS] = 220, [JUNK] = 250};
    return code == good[item->kind] || code / 100 == 4 || code / 100 == 5;
}

/* Whose reply it is: a backend names the command's tag, postern's own are 4xx, but in the gate. */
static void check_tag(const struct sim_client *client, const struct item *item, unsigned code, const char *text) {
    bool is_quoted = sim_world.may_answer_itself && code / 100 != 2; /* the gate names sender and recipient */
    const char *at = is_quoted ? NULL : strchr(text, '#');
    bool has_tag = at != NULL && (unsigned)strtoul(at + 1, NULL, 10) == item->tag;
    bool is_tagged =
        item->kind == NOOP || item->kind == JUNK || item->kind == MAIL || item->kind == RCPT || item->kind == CONTENT;
    bool may_lack =
        sim_world.may_answer_itself && at == NULL && (item->kind == NOOP || item->kind == JUNK || item->kind == MAIL);
    if (is_tagged && code / 100 == 2 && !has_tag && !may_lack)
        sim_broken("client %u: the reply to command #%u of kind %d is another's: %s", client->number, item->tag,
                   item->kind, text);
    if (at != NULL && (!is_tagged || !has_tag))
        sim_broken("client %u: a reply came for another command: %s", client->number, text);
}

static void on_settled(struct sim_client *client, const struct item *item, unsigned code, bool is_dropped) {
    switch (item->kind) {
    case GREETING:
        client->has_greeting = code == 220;
        client->has_heard_end |= code != 220;
        break;
    case MAIL:
        client->mail_has_failed = code != 250;
        break;
    case DATA:
        client->may_send_content = code == 354;
        client->mail_has_failed |= code != 354;
        break;
    case CONTENT:
        mail_at(item->tag)->told = code;
        mail_check(item->tag);
        break;
    case QUIT:
        client->has_heard_end = true;
        break;
    case CHUNK:
    case RCPT:
    case HELLO:
        client->mail_has_failed |= code != 250 && !item->is_unknown;
        client->has_heard_end |= code == 521;
        client->is_dropped |= is_dropped;
        break;
    case STARTTLS:
        client->is_in_tls = code == 220;
        client->has_heard_end |= code != 220;
        break;
    case JUNK:
        client->has_heard_end |= code == 521;
        break;
    case NOOP:
    case RESET:
        break;
    }
    client->was_refused |= code / 100 == 5 && !item->is_unknown;
}

/* Each of three backends has `reply` for what is said before content, and a search between them has a minute. */
static void check_reply_time(struct sim_client *client, const struct item *item) {
    bool reads_at_once = client->manner <= TRICKLES || client->manner == DRIPS;
    bool is_early = item->kind == NOOP || item->kind == MAIL || item->kind == RCPT || item->kind == RESET;
    if (client->asked_ms != 0 && reads_at_once && is_early && sim_now_ms() - client->asked_ms > REPLY_MS)
        sim_broken("client %u had to wait %u ms for the reply to a command of kind %d", client->number,
                   (unsigned)(sim_now_ms() - client->asked_ms), item->kind);
    client->asked_ms = client->awaited_count > 0 && client->out_length == 0 ? sim_now_ms() : 0;
}

static void on_421(struct sim_client *client) {
    check_wait(client);
    if (client->awaited_count > 0)
        check_reply_time(client, &client->awaited[client->awaited_first]);
    for (unsigned i = 0; i < client->awaited_count; i++) {
        const struct item *item = &client->awaited[(client->awaited_first + i) % ITEMS_MAX];
        if (item->kind == CONTENT)
            mail_at(item->tag)->told = 421;
    }
    client->has_heard_end = true;
    client->awaited_count = 0;
}

static void on_reply(struct sim_client *client, unsigned code, const char *text) {
    sim_trace("client %u hears %s", client->number, text);
    client->is_untrusted |= strstr(text, SIM_AGREEMENT) != NULL; /* came when the dot was there: who can tell? */
    if (client->is_untrusted)
        return;
    if (client->has_heard_end && client->talks_behind_starttls)
        return; /* the answer to that */
    if (client->has_heard_end) {
        sim_broken("client %u: a reply behind the last one: %s", client->number, text);
        return;
    }
    if (code == 421) {
        on_421(client);
        return;
    }
    if (client->awaited_count == 0) {
        sim_broken("client %u: a reply that nothing asked for: %s", client->number, text);
        return;
    }
    struct item item = client->awaited[client->awaited_first];
    client->awaited_first = (client->awaited_first + 1) % ITEMS_MAX;
    client->awaited_count--;
    check_reply_time(client, &item);
    client->last_code = code;
    if (!is_code_possible(&item, code))
        sim_broken("client %u: an impossible reply to a command of kind %d: %s", client->number, item.kind, text);
    check_tag(client, &item, code, text);
    on_settled(client, &item, code, strstr(text, "not wanted") != NULL);
}

/* The gate breaks its greeting off for who talks into it, as postscreen(8) does. */
static bool may_break_off(const struct sim_client *client) {
    bool is_greeting = client->awaited_count > 0 && client->awaited[client->awaited_first].kind == GREETING;
    return is_greeting && sim_world.may_answer_itself && strncmp(client->first_line, "220-mx", 6) == 0;
}

static void on_line(struct sim_client *client) {
    const char *line = client->line;
    if (client->is_untrusted) /* nobody looks at what the backend says any more */
        return;
    bool is_reply = client->line_length >= 4 && strspn(line, "0123456789") == 3 && (line[3] == ' ' || line[3] == '-');
    if (!is_reply) {
        sim_broken("client %u: what came is no reply: %s", client->number, line);
        return;
    }
    if (client->is_continued && strncmp(line, client->first_line, 3) != 0 && !may_break_off(client))
        sim_broken("client %u: a reply of two codes: %s … %s", client->number, client->first_line, line);
    if (!client->is_continued)
        memcpy(client->first_line, line, client->line_length + 1);
    client->is_continued = line[3] == '-';
    if (!client->is_continued)
        on_reply(client, (unsigned)strtoul(line, NULL, 10), line);
}

/* The server answers each line with the same one, its octets' last bits turned over. */
static void on_tls_line(struct sim_client *client) {
    char expected[300];
    unsigned length = client_tls_line(client, client->tls_heard, expected);
    for (unsigned i = 0; i + 2 < length; i++)
        expected[i] = (char)(expected[i] ^ 1);
    bool is_right = client->tls_heard < client->tls_said && client->line_length == length &&
                    memcmp(client->line, expected, length) == 0;
    if (!is_right)
        sim_broken("client %u: inside TLS, line %u of %u octets is not what was sent", client->number,
                   client->tls_heard, client->line_length);
    client->tls_heard++;
    if (client->tls_heard == client->tls_count)
        client->has_heard_end = true;
}

static void on_octet(struct sim_client *client, char octet) {
    if (client->is_in_tls && client->talks_behind_starttls)
        return; /* nobody knows what the host makes of that */
    if (client->line_length < sizeof client->line - 1 && (client->is_in_tls || octet != '\r'))
        client->line[client->line_length++] = octet;
    if (octet != '\n')
        return;
    if (client->is_in_tls) {
        on_tls_line(client);
    } else {
        client->line[--client->line_length] = '\0';
        on_line(client);
    }
    client->line_length = 0;
}

bool client_reads(struct sim_client *client) {
    char data[4000];
    size_t most = sim_once_in(3) ? 1 + sim_below(10) : sizeof data;
    if (client->manner == READS_SLOWLY && most > 20)
        most = 20;
    int length = wire_they_read(client->wire, data, most);
    if (length == -EAGAIN)
        return false;
    if (length <= 0) {
        on_cut(client, length < 0);
        return true;
    }
    for (int i = 0; i < length; i++)
        on_octet(client, data[i]);
    client->heard_ms = sim_now_ms();
    if (client->manner == READS_SLOWLY && sim_once_in(3))
        client->pause_ms = sim_now_ms() + sim_below(3000);
    return true;
}
