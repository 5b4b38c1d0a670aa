/* Clients: each has a script of commands that it says in its own manner, knows which replies are owed to it, in which
 * order and whose, and calls every other one, and every silence, by its name. */
#include "tests/sim/script.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_AT_ONCE 60u
#define PATIENCE_MS     7200000u /* longer than any row of postern's own deadlines */
#define AWAITED_MAX     ITEMS_MAX
#define CHUNKS_OPEN_MAX 8u /* of a client that pipelines */

enum manner {
    POLITE,
    PIPELINES,
    TRICKLES,    /* an octet or some at a time */
    TALKS_EARLY, /* does not await the greeting, nor replies to commands */
    RESETS,      /* somewhere */
    LEAVES,      /* somewhere, without QUIT */
    HALF_CLOSES, /* when all is said */
    IDLES,       /* for longer than anybody waits */
    DEAF,        /* reads nothing for a long time, and goes on talking */
    IS_REFUSED,  /* by a backend that says so and hangs up */
    MANNERS_COUNT
};

struct client {
    bool is_open;
    enum manner manner;
    unsigned number;
    struct wire *wire;
    struct item items[ITEMS_MAX];
    unsigned items_count, next_item;
    struct item awaited[AWAITED_MAX];
    unsigned awaited_count;
    unsigned fate; /* the item at which RESETS, LEAVES, IDLES and DEAF do so */
    unsigned content_line;
    unsigned chunk_lines; /* left to say of the chunk that has begun */
    bool chunk_is_last;
    bool is_in_content, may_send_content, mail_has_failed;
    bool has_greeting, has_heard_end, has_shut, is_deaf, has_dawdled;
    bool has_talked_behind_dot; /* and so the dot's reply can be lost with what a backend does at the next command */
    uint64_t wake_ms, began_ms;
    char out[256];
    unsigned out_length;
    char line[600];
    unsigned line_length;
    bool is_continued; /* the line before was one of several */
    char first_line[600];
};

bool sim_is_polite_served;

static struct client clients[CLIENTS_AT_ONCE];
static unsigned wanted, begun, open_count;

static bool is_polite(const struct client *client) {
    return client->manner == POLITE || client->manner == PIPELINES || client->manner == TRICKLES;
}

void clients_begin(unsigned count) {
    for (unsigned i = 0; i < CLIENTS_AT_ONCE; i++)
        clients[i].is_open = false;
    wanted = count;
    begun = open_count = 0;
    scripts_begin();
}

unsigned clients_open(void) {
    return open_count;
}

unsigned clients_begun(void) {
    return begun;
}

static void begin(struct client *client) {
    struct wire *wire = wire_open();
    if (wire == NULL)
        return;
    memset(client, 0, sizeof *client);
    client->is_open = true;
    client->number = begun++;
    client->wire = wire;
    client->manner = sim_once_in(2) ? (enum manner)sim_below(3) : (enum manner)sim_below(MANNERS_COUNT);
    client->began_ms = sim_now_ms();
    client->items_count = script_write(client->items);
    client->fate = sim_below(client->items_count);
    client->awaited[client->awaited_count++] = (struct item){.kind = GREETING};
    wire->their_address = (struct address){.in4 = {.sin_family = AF_INET, .sin_port = htons(1024)}};
    wire->their_address.in4.sin_addr.s_addr = htonl(0x0A000000u + client->number % 5000);
    open_count++;
    sim_trace("client %u begins, manner %u, %u items", client->number, client->manner, client->items_count);
    sim_knock(wire);
}

/* --- its end --- */

static void end(struct client *client, const char *how) {
    sim_trace("client %u %s", client->number, how);
    for (unsigned i = 0;
         i < client->items_count && sim_is_polite_served && is_polite(client) && !client->has_talked_behind_dot; i++)
        if (client->items[i].kind == CONTENT && mail_at(client->items[i].tag)->told != 250)
            sim_broken("client %u is polite, and yet its mail %u heard %u", client->number, client->items[i].tag,
                       mail_at(client->items[i].tag)->told);
    client->is_open = false;
    open_count--;
}

static void hang_up(struct client *client, const char *how) {
    wire_they_close(client->wire);
    end(client, how);
}

/* The connection has ended by postern's doing. */
static void on_cut(struct client *client, bool is_reset) {
    bool is_owed = client->awaited_count > 0 || client->next_item < client->items_count;
    bool may_be_cut = client->has_dawdled || client->has_heard_end || client->has_shut || client->manner == DEAF ||
                      (client->manner == IDLES && client->fate == ITEMS_MAX);
    if (is_owed && !may_be_cut)
        sim_broken("client %u was %s without a word: %u replies owed, the first to a command of kind %d",
                   client->number, is_reset ? "reset" : "cut", client->awaited_count,
                   client->awaited_count > 0 ? (int)client->awaited[0].kind : -1);
    hang_up(client, "is cut");
}

/* --- replies --- */

static bool is_code_possible(const struct item *item, unsigned code) {
    static const unsigned good[] = {[HELLO] = 250, [NOOP] = 250,    [RESET] = 250, [MAIL] = 250,     [RCPT] = 250,
                                    [DATA] = 354,  [CONTENT] = 250, [QUIT] = 221,  [GREETING] = 220, [CHUNK] = 250};
    return code == good[item->kind] || code / 100 == 4 || code / 100 == 5;
}

/* Whose reply it is: a backend names the command's tag, postern's own are 4xx. */
static void check_tag(const struct client *client, const struct item *item, unsigned code, const char *text) {
    const char *at = strchr(text, '#');
    bool has_tag = at != NULL && (unsigned)strtoul(at + 1, NULL, 10) == item->tag;
    bool is_tagged = item->kind == NOOP || item->kind == MAIL || item->kind == RCPT || item->kind == CONTENT;
    if (is_tagged && code / 100 == 2 && !has_tag)
        sim_broken("client %u: the reply to command #%u of kind %d is another's: %s", client->number, item->tag,
                   item->kind, text);
    if (at != NULL && (!is_tagged || !has_tag))
        sim_broken("client %u: a reply came for another command: %s", client->number, text);
}

static void on_settled(struct client *client, const struct item *item, unsigned code) {
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
        break;
    case QUIT:
        client->has_heard_end = true;
        break;
    case CHUNK:
    case RCPT:
    case HELLO:
        client->mail_has_failed |= code != 250 && !item->is_unknown;
        client->has_heard_end |= code == 550 && client->manner == IS_REFUSED;
        break;
    case NOOP:
    case RESET:
        break;
    }
}

static void on_reply(struct client *client, unsigned code, const char *text) {
    sim_trace("client %u hears %s", client->number, text);
    if (code == 421) {
        for (unsigned i = 0; i < client->awaited_count; i++)
            if (client->awaited[i].kind == CONTENT)
                mail_at(client->awaited[i].tag)->told = 421;
        client->has_heard_end = true;
        client->awaited_count = 0;
        return;
    }
    if (client->has_heard_end) {
        sim_broken("client %u: a reply behind the last one: %s", client->number, text);
        return;
    }
    if (client->awaited_count == 0) {
        sim_broken("client %u: a reply that nothing asked for: %s", client->number, text);
        return;
    }
    struct item item = client->awaited[0];
    memmove(client->awaited, client->awaited + 1, --client->awaited_count * sizeof item);
    if (!is_code_possible(&item, code))
        sim_broken("client %u: an impossible reply to a command of kind %d: %s", client->number, item.kind, text);
    check_tag(client, &item, code, text);
    on_settled(client, &item, code);
}

static void on_line(struct client *client) {
    const char *line = client->line;
    bool is_reply = client->line_length >= 4 && strspn(line, "0123456789") == 3 && (line[3] == ' ' || line[3] == '-');
    if (!is_reply) {
        sim_broken("client %u: what came is no reply: %s", client->number, line);
        return;
    }
    if (client->is_continued && strncmp(line, client->first_line, 3) != 0)
        sim_broken("client %u: a reply of two codes: %s … %s", client->number, client->first_line, line);
    if (!client->is_continued)
        snprintf(client->first_line, sizeof client->first_line, "%s", line);
    client->is_continued = line[3] == '-';
    if (!client->is_continued)
        on_reply(client, (unsigned)strtoul(line, NULL, 10), line);
}

static bool reads(struct client *client) {
    char data[2000];
    int length = wire_they_read(client->wire, data, sim_once_in(3) ? 1 + sim_below(10) : sizeof data);
    if (length == -EAGAIN)
        return false;
    if (length <= 0) {
        on_cut(client, length < 0);
        return true;
    }
    for (int i = 0; i < length; i++) {
        if (data[i] == '\n') {
            client->line[client->line_length] = '\0';
            on_line(client);
            client->line_length = 0;
        } else if (data[i] != '\r' && client->line_length < sizeof client->line - 1) {
            client->line[client->line_length++] = data[i];
        }
    }
    return true;
}

/* --- commands --- */

/* What may be said before what is owed has come (RFC 2920 §3.1). */
static bool may_say(const struct client *client, const struct item *item) {
    if (client->has_heard_end)
        return false;
    if (item->kind == CONTENT)
        return client->awaited_count == 0 && (item->is_chunked || client->may_send_content);
    if (client->manner == TALKS_EARLY && client->next_item < 4)
        return true;
    if (client->awaited_count == 0)
        return true;
    enum item_kind last = client->awaited[client->awaited_count - 1].kind;
    bool is_group = last == MAIL || last == RCPT || last == RESET || (last == CONTENT && item->kind != CONTENT);
    return client->manner == PIPELINES && client->has_greeting && is_group;
}

static void say_item(struct client *client, const struct item *item) {
    static const char *const recipients[] = {"user", "unknown", "drop"};
    char *out = client->out;
    unsigned whom = client->manner == IS_REFUSED && sim_once_in(2) ? 2 : item->is_unknown;
    switch (item->kind) {
    case HELLO:
        client->out_length = (unsigned)snprintf(out, sizeof client->out, "EHLO client%u.test\r\n", client->number);
        break;
    case NOOP:
        client->out_length = (unsigned)snprintf(out, sizeof client->out, "NOOP #%u\r\n", item->tag);
        break;
    case RESET:
        client->out_length = (unsigned)snprintf(out, sizeof client->out, "RSET\r\n");
        break;
    case MAIL:
        client->mail_has_failed = false;
        client->out_length =
            (unsigned)snprintf(out, sizeof client->out, "MAIL FROM:<sender#%u@client.test>\r\n", item->tag);
        break;
    case RCPT:
        client->out_length = (unsigned)snprintf(out, sizeof client->out, "RCPT TO:<%s#%u@example.test>\r\n",
                                                recipients[whom], item->tag);
        break;
    case DATA:
        client->may_send_content = false;
        client->out_length = (unsigned)snprintf(out, sizeof client->out, "DATA\r\n");
        break;
    case QUIT:
        client->out_length = (unsigned)snprintf(out, sizeof client->out, "QUIT\r\n");
        break;
    case CONTENT:
        client->is_in_content = true;
        client->content_line = client->chunk_lines = 0;
        return;
    case CHUNK:
    case GREETING:
        return;
    }
    sim_trace("client %u says %.*s", client->number, (int)client->out_length - 2, out);
    client->has_talked_behind_dot |= client->awaited_count > 0 && client->awaited[0].kind == CONTENT;
    client->awaited[client->awaited_count++] = *item;
}

static void say_content_line(struct client *client) {
    const struct item *item = &client->items[client->next_item - 1];
    struct mail *mail = mail_at(item->tag);
    if (client->content_line < mail->lines) {
        client->out_length = (unsigned)mail_line(item->tag, client->content_line++, client->out);
        return;
    }
    client->out_length = (unsigned)snprintf(client->out, sizeof client->out, ".\r\n");
    client->is_in_content = false;
    mail->was_sent_whole = true;
    sim_trace("client %u has sent mail %u", client->number, item->tag);
    client->awaited[client->awaited_count++] = *item;
}

/* The command; some last chunks are empty (RFC 3030 §2). */
static void begin_chunk(struct client *client, unsigned number, unsigned left) {
    char text[MAIL_LINE_MAX];
    size_t octets = 0;
    client->chunk_lines = sim_once_in(3) ? left : sim_below(left < 9 ? left + 1 : 9);
    client->chunk_is_last = client->chunk_lines == left && (left == 0 || !sim_once_in(4));
    for (unsigned i = 0; i < client->chunk_lines; i++)
        octets += mail_line(number, client->content_line + i, text);
    client->out_length = (unsigned)snprintf(client->out, sizeof client->out, "BDAT %zu%s\r\n", octets,
                                            client->chunk_is_last ? " LAST" : "");
    sim_trace("client %u says %.*s", client->number, (int)client->out_length - 2, client->out);
}

static void end_chunk(struct client *client, const struct item *item) {
    client->awaited[client->awaited_count++] = client->chunk_is_last ? *item : (struct item){.kind = CHUNK};
    client->is_in_content = !client->chunk_is_last;
    mail_at(item->tag)->was_sent_whole |= client->chunk_is_last;
}

/* The next line, or the next chunk's command. False: the replies to those before are awaited first. */
static bool say_of_chunks(struct client *client) {
    const struct item *item = &client->items[client->next_item - 1];
    if (client->chunk_lines > 0) {
        client->out_length = (unsigned)mail_line(item->tag, client->content_line++, client->out);
        client->chunk_lines--;
    } else if (client->has_heard_end || client->mail_has_failed) {
        client->is_in_content = false;
        client->next_item = client->items_count - 1; /* QUIT */
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

/* What its manner has in store for it here. True when it did something. */
static bool meets_fate(struct client *client) {
    if (client->next_item < client->fate || (client->is_in_content && sim_below(3) > 0))
        return false;
    client->fate = ITEMS_MAX; /* once */
    if (client->manner == RESETS) {
        wire_they_reset(client->wire);
        end(client, "resets");
    } else if (client->manner == LEAVES) {
        hang_up(client, "leaves");
    } else if (client->manner == IDLES) {
        client->wake_ms = sim_now_ms() + 200000 + sim_below(400000);
        sim_trace("client %u is idle", client->number);
    } else if (client->manner == DEAF) {
        client->is_deaf = true;
        client->wake_ms = sim_now_ms() + sim_below(400000);
        sim_trace("client %u reads no more", client->number);
    } else {
        return false;
    }
    return true;
}

/* Puts the next thing to say into its buffer. */
static bool thinks(struct client *client) {
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
        client->next_item = client->items_count - 1; /* QUIT */
        return true;
    }
    if (!may_say(client, item))
        return false;
    client->next_item++;
    say_item(client, item);
    if (sim_once_in(6))
        client->wake_ms = sim_now_ms() + sim_below(sim_once_in(10) ? 30000 : 300);
    /* Who says more before it has read what came is answered by a RST, which may eat that, once postern has gone. */
    client->has_dawdled |= client->wake_ms >= sim_now_ms() + LINGER_TIME_MS;
    return true;
}

static bool writes(struct client *client) {
    bool is_slow = client->manner == TRICKLES || sim_once_in(10);
    unsigned part = is_slow ? 1 + sim_below(client->out_length) : client->out_length;
    int taken = wire_they_write(client->wire, client->out, part);
    if (taken < 0) { /* what came before the RST is still to be read */
        client->out_length = 0;
        client->is_in_content = false;
        return true;
    }
    memmove(client->out, client->out + taken, client->out_length - (unsigned)taken);
    client->out_length -= (unsigned)taken;
    return taken > 0;
}

static bool has_said_all(const struct client *client) {
    return client->next_item == client->items_count && client->out_length == 0 && !client->is_in_content;
}

static void check_patience(struct client *client) {
    if (sim_now_ms() - client->began_ms < PATIENCE_MS)
        return;
    sim_broken("client %u hangs: %u replies owed, item %u of %u", client->number, client->awaited_count,
               client->next_item, client->items_count);
    hang_up(client, "gives up");
}

static bool acts(struct client *client) {
    check_patience(client);
    if (!client->is_open || client->wake_ms > sim_now_ms())
        return false;
    if (client->is_deaf && client->manner == DEAF && sim_once_in(3))
        client->is_deaf = false;
    if (meets_fate(client))
        return true;
    bool has_read = !client->is_deaf && reads(client);
    if (!client->is_open)
        return true;
    if (client->has_heard_end && client->out_length == 0 && !client->is_in_content && sim_once_in(2)) {
        hang_up(client, "is done");
        return true;
    }
    bool has_thought = client->out_length == 0 && thinks(client);
    bool has_written = client->out_length > 0 && writes(client);
    if (client->manner == HALF_CLOSES && has_said_all(client) && !client->has_shut) {
        client->has_shut = true;
        wire_they_shut(client->wire);
        return true;
    }
    return has_read | has_thought | has_written;
}

bool clients_act(void) {
    bool has_acted = false;
    for (unsigned i = 0; i < CLIENTS_AT_ONCE; i++) {
        struct client *client = &clients[i];
        if (!client->is_open && begun < wanted && sim_once_in(40)) {
            begin(client);
            has_acted = true;
        }
        if (client->is_open && !sim_once_in(3))
            has_acted |= acts(client);
    }
    return has_acted;
}

uint64_t clients_next_ms(void) {
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < CLIENTS_AT_ONCE; i++)
        if (clients[i].is_open && clients[i].wake_ms > sim_now_ms() && clients[i].wake_ms < next)
            next = clients[i].wake_ms;
    return next;
}
