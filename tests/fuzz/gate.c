/* Any octets as a client's side of the gate's dialog: each command has one reply, which is well formed. */
#include "lb/gate/gate.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

static struct config_gate config = {
    .relay_domains_file = (char[]){""},
    .recipients_file = (char[]){""},
    .recipient_delimiter = (char[]){"+"},
    .access_file = (char[]){""},
    .recipients_max = 10,
    .message_bytes_max = 1000,
    .helo_required = true,
    .helo_syntax = true,
    .helo_fqdn = true,
    .sender_fqdn = true,
    .sender_domain = true,
    .recipient_fqdn = true,
    .recipient_domain = true,
};

/* Lines "NNN-text" and a last one "NNN text", all with the same code, printable. */
static void check_reply(const struct gate_answer *answer) {
    size_t at = 0;
    bool is_last = false;
    MUST(answer->length < sizeof answer->text && strlen(answer->text) == answer->length);
    while (at < answer->length) {
        const char *line = answer->text + at;
        const char *end = strstr(line, "\r\n");
        MUST(!is_last && end != NULL && end - line >= 4 && memcmp(line, answer->text, 3) == 0);
        MUST(line[0] >= '2' && line[0] <= '5' && (line[3] == ' ' || line[3] == '-'));
        for (const char *octet = line; octet < end; octet++)
            MUST(*octet >= ' ' && *octet < 127);
        is_last = line[3] == ' ';
        at = (size_t)(end - answer->text) + 2;
    }
    MUST(is_last);
}

static void answer_facts(struct gate *gate, uint8_t by) {
    enum gate_fact fact;
    while ((fact = gate_take_wanted(gate)) != FACT_NOTHING) {
        if (fact == FACT_CLIENT_NAME)
            gate_on_client_name(gate, by % 2 == 0 ? "" : "client.test", by % 4 == 0);
        else
            gate_on_sender_domain(gate, gate->sender_serial, (enum mail_domain)(by % 4));
    }
}

/* Returns false when the session ends here. */
static bool take_line(struct gate *gate, const struct gate_policy *policy, const uint8_t *line, size_t length) {
    struct gate_answer answer = {.length = 0};
    enum gate_next next = gate_take(gate, policy, line, length, &answer);
    if (next == GATE_WAITS) {
        answer_facts(gate, line[length / 2]);
        next = gate_resume(gate, policy, &answer);
        MUST(next != GATE_WAITS);
    }
    if (next == GATE_HANDS_OVER && !gate->awaits_tls) {
        MUST(gate->has_helo && gate->has_sender);
        if (line[length / 2] % 2 == 0)
            gate_on_unreachable(gate, &answer);
        else
            gate_on_refusal(gate, (const uint8_t *)"452 4.3.1 full\r\n", 16, &answer);
        next = GATE_REPLIES;
    }
    if (next == GATE_REPLIES)
        check_reply(&answer);
    return next == GATE_HANDS_OVER || (next == GATE_REPLIES && !answer.closes);
}

/* Of whom no mail is taken: each hears well-formed replies, no recipient a 2xx or a 5xx that could bounce its mail, and
 * nothing behind the one that closes. */
static void refuse(struct gate *gate, struct gate_policy policy, enum gate_standing standing, const uint8_t *data,
                   size_t size) {
    policy.standing = standing;
    gate_init(gate, &policy);
    while (size > 0) {
        struct gate_answer answer = {.length = 0};
        size_t length;
        enum gate_piece piece = gate_next_piece(gate->chunk_left, data, size, &length);
        if (piece == PIECE_UNFINISHED)
            return;
        enum gate_next next = gate_take_piece(gate, &policy, piece, data, length, &answer);
        bool is_recipient = piece == PIECE_LINE && command_verb(data, length) == VERB_RCPT;
        MUST(length <= size && next == (piece == PIECE_CHUNK ? GATE_SKIPS : GATE_REPLIES));
        if (piece != PIECE_CHUNK)
            check_reply(&answer);
        MUST(!is_recipient || answer.code / 100 == 4 || answer.code == 503);
        if (answer.closes)
            return;
        MUST(length > 0);
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct gate_tables *tables;
    static struct address client;
    static struct gate gate;
    if (tables == NULL) {
        MUST(gate_tables_load(&config, NULL, stderr, &tables) == 0);
        MUST(address_parse("192.0.2.1:25", 25, &client) == 0);
    }
    struct gate_policy policy = {.config = &config,
                                 .tables = tables,
                                 .hostname = "mx.test",
                                 .offer = "PIPELINING\nSIZE 1000\nSTARTTLS\nSMTPUTF8\n",
                                 .client = &client,
                                 .usual_size_max = 2000};
    refuse(&gate, policy, STANDING_NOT_VETTED, data, size);
    refuse(&gate, policy, STANDING_CHECK, data, size);
    gate_init(&gate, &policy);
    while (size > 0) {
        const uint8_t *lf = memchr(data, '\n', size);
        size_t taken = lf == NULL ? size : (size_t)(lf - data) + 1;
        size_t length = lf == NULL ? size : taken - 1;
        uint8_t *line = malloc(length + 2);
        MUST(line != NULL);
        for (size_t i = 0; i < length; i++)
            line[i] = data[i] == '\r' ? ' ' : data[i];
        memcpy(line + length, "\r\n", 2);
        bool goes_on = take_line(&gate, &policy, line, length + 2);
        free(line);
        if (!goes_on)
            break;
        data += taken;
        size -= taken;
    }
    return 0;
}
