/* A guarded session before servers that differ in how they read line ends, chunks and commands: whatever the client
 * says, and whenever the replies come, no server reads an end of content that the observer has not seen, with a command
 * behind it. The first two octets of the input choose the server, each further one what happens next. */
#include "lb/smtp/dialog.h"

#include "tests/fuzz/fuzz.h"

#include <strings.h>

/* What the server does otherwise than others. */
enum quirk {
    LF_ENDS_LINES = 1,
    CR_ENDS_LINES = 2,
    SKIPS_BLANKS = 4,    /* before a verb, and takes VT and FF for blanks */
    NUL_ENDS_LINES = 8,  /* what is behind it is not read */
    CUTS_LINES = 16,     /* at 2,048 octets; the rest is the next command */
    OFFERS_CHUNKS = 32,  /* else BDAT is refused, and the chunk read as commands */
    COUNTS_32_BITS = 64, /* of a chunk's size */
    READS_OCTAL = 128,   /* behind a zero */
    TAKES_AUTH = 256,    /* asks with 334; else 503 */
    TAKES_XDATA = 512,   /* a command of its own that 354 answers */
    TAKES_TLS = 1024,    /* 220 to STARTTLS, and to nothing else */
};

enum reading { READS_COMMANDS, READS_CONTENT, READS_CHUNK, READS_ANSWER, READS_NOTHING };

#define SERVER_LINE_MAX 2048u
#define REPLIES_MAX     64u
#define ENDS_MAX        64u

struct server {
    unsigned quirks;
    enum reading reading;
    uint8_t line[SERVER_LINE_MAX];
    size_t line_length;
    uint64_t chunk_left;
    uint64_t position;         /* octets read */
    uint64_t end_at;           /* where the last content has ended; 0: nowhere yet */
    bool swallows_lf, is_last; /* behind a CR that has ended a line */
    const char *replies[REPLIES_MAX];
    size_t first, count;
    bool has_command_behind_end;
};

static bool does(const struct server *server, enum quirk quirk) {
    return (server->quirks & quirk) != 0;
}

static void reply(struct server *server, const char *text) {
    if (server->count < REPLIES_MAX)
        server->replies[(server->first + server->count++) % REPLIES_MAX] = text;
    else
        server->reading = READS_NOTHING; /* a bound of the test */
}

static void begin_chunk(struct server *server, const char *argument) {
    char *behind;
    if (!does(server, OFFERS_CHUNKS)) {
        reply(server, "502 5.5.1 unknown\r\n");
        return;
    }
    unsigned long long size = strtoull(argument, &behind, does(server, READS_OCTAL) ? 0 : 10);
    server->chunk_left = does(server, COUNTS_32_BITS) ? (uint32_t)size : size;
    server->is_last = strncasecmp(behind, " LAST", 5) == 0;
    server->reading = READS_CHUNK;
    if (server->chunk_left == 0) {
        server->reading = READS_COMMANDS;
        reply(server, "250 ok\r\n");
    }
}

static bool is_verb(const char *line, const char *verb) {
    size_t length = strlen(verb);
    return strncasecmp(line, verb, length) == 0 && (line[length] == '\0' || line[length] == ' ');
}

static void take_command(struct server *server) {
    char text[SERVER_LINE_MAX + 1];
    char *line = text;
    memcpy(text, server->line, server->line_length);
    text[server->line_length] = '\0';
    if (!does(server, NUL_ENDS_LINES) && strlen(text) != server->line_length)
        line = (char[]){"?"};
    if (does(server, SKIPS_BLANKS)) {
        line += strspn(line, " \t\v\f");
        for (char *at = line; *at != '\0'; at++)
            *at = strchr("\t\v\f", *at) != NULL ? ' ' : *at;
    }
    server->has_command_behind_end |= server->end_at != 0 && line[0] != '\0';
    if (is_verb(line, "DATA") || (does(server, TAKES_XDATA) && is_verb(line, "XDATA"))) {
        server->reading = READS_CONTENT;
        reply(server, "354 go\r\n");
    } else if (is_verb(line, "BDAT")) {
        begin_chunk(server, line + 4);
    } else if (is_verb(line, "AUTH") && does(server, TAKES_AUTH)) {
        server->reading = READS_ANSWER;
        reply(server, "334 \r\n");
    } else if (is_verb(line, "STARTTLS") && does(server, TAKES_TLS)) {
        server->reading = READS_NOTHING;
        reply(server, "220 go\r\n");
    } else if (is_verb(line, "QUIT")) {
        server->reading = READS_NOTHING;
        reply(server, "221 bye\r\n");
    } else if (is_verb(line, "EHLO")) {
        reply(server, does(server, OFFERS_CHUNKS) ? "250-s\r\n250 CHUNKING\r\n" : "250 s\r\n");
    } else if (is_verb(line, "MAIL") || is_verb(line, "RCPT") || is_verb(line, "NOOP") || is_verb(line, "RSET")) {
        reply(server, "250 ok\r\n");
    } else {
        reply(server, "500 5.5.2 unknown\r\n");
    }
}

static void take_line(struct server *server) {
    bool is_dot = server->line_length == 1 && server->line[0] == '.';
    switch (server->reading) {
    case READS_COMMANDS:
        take_command(server);
        break;
    case READS_ANSWER:
        server->reading = READS_COMMANDS;
        reply(server, server->line_length % 2 == 0 ? "235 ok\r\n" : "535 no\r\n");
        break;
    case READS_CONTENT:
        if (!is_dot)
            break;
        server->reading = READS_COMMANDS;
        server->end_at = server->position;
        reply(server, "250 queued\r\n");
        break;
    case READS_CHUNK:
    case READS_NOTHING:
        break;
    }
    server->line_length = 0;
}

/* Returns true where this octet ends a line. */
static bool ends_line(struct server *server, uint8_t octet) {
    bool is_behind_cr = server->line_length > 0 && server->line[server->line_length - 1] == '\r';
    if (octet == '\r' && does(server, CR_ENDS_LINES)) {
        server->swallows_lf = true;
        return true;
    }
    if (octet != '\n' || (!is_behind_cr && !does(server, LF_ENDS_LINES)))
        return false;
    server->line_length -= is_behind_cr;
    return true;
}

static void read_octet(struct server *server, uint8_t octet) {
    bool is_swallowed = server->swallows_lf && octet == '\n';
    server->position++;
    server->swallows_lf = false;
    if (is_swallowed) {
        server->end_at += server->end_at == server->position - 1; /* the end is behind both */
        return;
    }
    if (server->reading == READS_CHUNK) {
        server->reading = --server->chunk_left == 0 ? READS_COMMANDS : READS_CHUNK;
        if (server->chunk_left == 0) {
            server->end_at = server->is_last ? server->position : server->end_at;
            reply(server, "250 ok\r\n");
        }
        return;
    }
    if (ends_line(server, octet)) {
        take_line(server);
        return;
    }
    if (server->line_length == SERVER_LINE_MAX && (does(server, CUTS_LINES) || server->reading == READS_CONTENT)) {
        if (server->reading == READS_COMMANDS)
            take_command(server);
        server->line_length = 0;
    }
    if (server->line_length < SERVER_LINE_MAX)
        server->line[server->line_length++] = octet;
}

/* --- the session between them --- */

struct session {
    struct dialog dialog;
    struct server server;
    uint64_t ends[ENDS_MAX]; /* where the observer has seen content end */
    size_t ends_count;
    uint64_t position;
    bool is_over;
};

static bool knows_end(const struct session *session, uint64_t position) {
    for (size_t i = 0; i < session->ends_count; i++)
        if (session->ends[i] == position)
            return true;
    return session->ends_count == ENDS_MAX;
}

static void pass_on(struct session *session, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        uint64_t end_before = session->server.end_at;
        session->server.has_command_behind_end = false;
        read_octet(&session->server, data[i]);
        MUST(!session->server.has_command_behind_end || end_before == 0 || knows_end(session, end_before));
    }
}

/* As the relay does it: nothing of these octets goes on when there is doubt in them. */
static void say(struct session *session, const uint8_t *data, size_t length) {
    size_t at = 0;
    while (at < length && !session->is_over) {
        struct dialog_event event;
        size_t taken = dialog_feed_client(&session->dialog, data + at, length - at, &event);
        session->is_over = event.kind == DIALOG_UNTRUSTED || event.kind == DIALOG_STARTTLS_BEHIND;
        if (event.kind == DIALOG_BLOCKED)
            break;
        at += taken;
        if (event.kind == DIALOG_CONTENT_END && session->ends_count < ENDS_MAX)
            session->ends[session->ends_count++] = session->position + at;
    }
    if (session->is_over)
        return;
    session->position += at;
    pass_on(session, data, at);
}

static void hear(struct session *session) {
    struct server *server = &session->server;
    struct dialog_event event;
    if (server->count == 0)
        return;
    const char *text = server->replies[server->first];
    server->first = (server->first + 1) % REPLIES_MAX;
    server->count--;
    dialog_feed_server(&session->dialog, (const uint8_t *)text, strlen(text), &event);
    session->is_over |= event.kind == DIALOG_UNTRUSTED || event.kind == DIALOG_JUNK || event.kind == DIALOG_TLS;
    if (event.kind == DIALOG_REPLY && event.verb == VERB_EHLO && event.code == 250)
        dialog_note_chunking(&session->dialog, does(server, OFFERS_CHUNKS));
}

static const char *const words[] = {
    "EHLO c\r\n",
    "MAIL FROM:<a@b>\r\n",
    "RCPT TO:<a@b>\r\n",
    "DATA\r\n",
    " DATA\r\n",
    "DATA\v\r\n",
    "XDATA\r\n",
    "AUTH PLAIN x\r\n",
    "STARTTLS\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    "BDAT 4\r\n",
    "BDAT 12\r\n",
    "BDAT 12 LAST\r\n",
    "BDAT 010\r\n",
    "BDAT 4294967297\r\n",
    "BDAT 100000\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\r.\r",
    "\n.\r\n",
    "\r\n.\n",
    ".",
    "\r",
    "\n",
    "\r\n",
    "x",
    "abc",
    "ABCDEFGHIJKLMNOP",
    "NOOP \0DATA\r\n",
    "\t",
    "\v",
};
#define WORDS (sizeof words / sizeof words[0])

/* Octets of the input from here on: words, replies, single octets, and a line too long for some. */
enum { HEAR_ONE = WORDS, HEAR_ALL, RAW_OCTET, LONG_WORD, STEPS };

static void step(struct session *session, unsigned what, uint8_t raw) {
    static uint8_t long_word[1500];
    memset(long_word, 'y', sizeof long_word);
    if (what < WORDS)
        say(session, (const uint8_t *)words[what],
            words[what][0] == 'N' && words[what][5] == '\0' ? 12 : strlen(words[what]));
    else if (what == HEAR_ONE)
        hear(session);
    else if (what == RAW_OCTET)
        say(session, &raw, 1);
    else if (what == LONG_WORD)
        say(session, long_word, sizeof long_word);
    else
        while (session->server.count > 0 && !session->is_over)
            hear(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct session session;
    if (size < 2)
        return 0;
    memset(&session, 0, sizeof session);
    session.server.quirks = (unsigned)data[0] | (unsigned)data[1] << 8;
    dialog_init(&session.dialog);
    dialog_guard(&session.dialog);
    reply(&session.server, "220 s\r\n");
    hear(&session);
    for (size_t i = 2; i < size && !session.is_over; i++) {
        unsigned what = data[i] % STEPS;
        uint8_t raw = i + 1 < size ? data[i + 1] : 0;
        i += what == RAW_OCTET;
        step(&session, what, raw);
    }
    return 0;
}
