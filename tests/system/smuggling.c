/* SMTP smuggling (CVE-2023-51764 and its kin): a second mail hidden in the content of the first, behind something that
 * one host takes for its end and another does not. Each vector is said straight to a backend and through postern:
 * through the relay a backend takes what it would have taken anyway, through the gate it takes nothing that is
 * ambiguous. */
#include "lb/base/hash.h"
#include "postfix.h"
#include "talk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands between the two mails. `has_bare_end`: a CR or an LF alone. */
static const struct vector {
    const char *name, *octets;
    size_t length;
    bool has_bare_end;
    bool ends_data; /* truly: what follows in DATA is no smuggling */
} vectors[] = {
#define VECTOR(octets, ...)                                                                                            \
    { #octets, octets, sizeof octets - 1, __VA_ARGS__ }
    VECTOR("\n.\n", true, false),       VECTOR("\n.\r\n", true, false),      VECTOR("\r.\r", true, false),
    VECTOR("\r\n.\n", true, false),     VECTOR("\r\n.\r", true, false),      VECTOR("\r.\r\n", true, false),
    VECTOR("\n.\r", true, false),       VECTOR("\r\n\0.\r\n", false, false), VECTOR("\r\n.\0\r\n", false, false),
    VECTOR("\r\n..\r\n", false, false), /* clean: it is stuffed */
    VECTOR("\r\n.\r\n", false, true),
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

/* How the content is said. Split: the vector's octets each in a segment of its own. Late: behind many octets. Two
 * chunks: cut in the vector. Group: MAIL, RCPT and the chunk in one segment. */
enum body { IN_DATA, IN_DATA_SPLIT, IN_DATA_LATE, IN_CHUNK, IN_CHUNK_SPLIT, IN_TWO_CHUNKS, IN_GROUP, BODIES };
static const char *const body_names[BODIES] = {"DATA",        "DATA, split", "DATA, late",   "BDAT",
                                               "BDAT, split", "two BDAT",    "BDAT, grouped"};

static bool is_in_data(enum body body) {
    return body == IN_DATA || body == IN_DATA_SPLIT || body == IN_DATA_LATE;
}

enum { SINK, STOCK, NORMALIZING, REJECTING, BACKENDS };
static const struct {
    const char *name;
    const char *main_cf;
    bool is_at_fault; /* it ends DATA where RFC 5321 §4.1.1.4 does not: the second mail is its own work */
} kinds[BACKENDS] = {
    [SINK] = {"sink", "", true},   /* ends it at LF . CR LF */
    [STOCK] = {"stock", "", true}, /* Postfix 3.7 by default: each LF ends a line */
    [NORMALIZING] = {"normalizing", "smtpd_forbid_bare_newline = normalize\n", false},
    [REJECTING] = {"rejecting", "smtpd_forbid_bare_newline = reject\n", false},
};

/* One dialog: what was said to its content, and how many mails have come of it. */
struct outcome {
    unsigned id;
    char reply[64];
    unsigned mails;
};

static struct scene scene;
static struct test_sink sink;
static struct test_postfix postfixes[BACKENDS];
static unsigned backends_count;
static struct { struct outcome direct, through; } outcomes[BACKENDS][VECTORS][BODIES];

static unsigned port_of(unsigned backend) {
    return backend == SINK ? sink.port : postfixes[backend].port;
}

/* With the first `count` backends, all in one tier. */
static void begin(const char *tier, unsigned count) {
    char text[200];
    backends_count = count;
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, kinds[SINK].name, "");
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof text, "smtpd_forbid_bare_newline_exclusions =\n%s", kinds[i].main_cf);
        if (i != SINK)
            postfix_begin(&scene, &postfixes[i], kinds[i].name, false, text);
    }
    free(shell(NULL, "echo example.test > %s/domains", scene.dir));
    postern_lines(&scene, "[gate]\npregreet-wait = 20ms\nrelay-domains-file = %s/domains\nsender-domain = off\n",
                  scene.dir);
    postern_tier(&scene, "strict", tier);
    for (unsigned i = 0; i < count; i++)
        postern_backend(&scene, kinds[i].name, port_of(i), "");
    postern_start(&scene);
    for (unsigned i = 0; i < count; i++)
        await_up(&scene, kinds[i].name);
}

static void end(void) {
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    for (unsigned i = STOCK; i < backends_count; i++)
        postfix_end(&postfixes[i]);
    scene_end(&scene);
}

/* --- one dialog --- */

struct text {
    char octets[2048];
    size_t length;
};

static void put(struct text *text, const void *octets, size_t length) {
    cr_assert(text->length + length <= sizeof text->octets);
    memcpy(text->octets + text->length, octets, length);
    text->length += length;
}

__attribute__((format(printf, 2, 3))) static void put_line(struct text *text, const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    put(text, line, (size_t)vsnprintf(line, sizeof line, format, arguments));
    va_end(arguments);
}

/* More than any buffer of the relay takes at once. */
#define LATE_LINES 3000u
#define LATE_LINE  "X-Line: one of many, so that the vector comes late in this mail, and not where it begins\r\n"

static const char outer[] = "Subject: outer\r\n\r\nouter";
#define VECTOR_AT (sizeof outer - 1)

/* The envelope of the second mail names the dialog, as that of the first does. */
static struct text content_of(unsigned id, const struct vector *vector) {
    struct text content = {.length = 0};
    put(&content, outer, VECTOR_AT);
    put(&content, vector->octets, vector->length);
    put_line(
        &content,
        "MAIL FROM:<%u@client.test>\r\nRCPT TO:<user@example.test>\r\nDATA\r\nSubject: inner\r\n\r\ninner\r\n.\r\n",
        id);
    return content;
}

static void say(struct talk *talk, const struct text *text, size_t from, size_t to) {
    talk_say(talk, text->octets + from, to - from);
}

static void say_split(struct talk *talk, const struct text *content, const struct vector *vector) {
    size_t behind = VECTOR_AT + vector->length;
    say(talk, content, 0, VECTOR_AT);
    for (size_t at = VECTOR_AT; at < behind; at++)
        say(talk, content, at, at + 1);
    say(talk, content, behind, content->length);
}

/* `envelope`: MAIL and RCPT, which a group holds too. */
static void say_body(struct talk *talk, const struct text *content, const struct vector *vector, enum body body,
                     const struct text *envelope) {
    struct text text = {.length = 0};
    size_t cut = VECTOR_AT + vector->length / 2;
    switch (body) {
    case IN_DATA:
        talk_exchange(talk, "DATA\r\n", "354");
        say(talk, content, 0, content->length);
        break;
    case IN_DATA_SPLIT:
        talk_exchange(talk, "DATA\r\n", "354");
        say_split(talk, content, vector);
        break;
    case IN_DATA_LATE:
        talk_exchange(talk, "DATA\r\n", "354");
        for (unsigned i = 0; i < LATE_LINES; i++)
            talk_tell(talk, LATE_LINE);
        say(talk, content, 0, content->length);
        break;
    case IN_CHUNK_SPLIT:
        put_line(&text, "BDAT %zu LAST\r\n", content->length);
        say(talk, &text, 0, text.length);
        say_split(talk, content, vector);
        break;
    case IN_TWO_CHUNKS:
        put_line(&text, "BDAT %zu\r\n", cut);
        put(&text, content->octets, cut);
        put_line(&text, "BDAT %zu LAST\r\n", content->length - cut);
        put(&text, content->octets + cut, content->length - cut);
        say(talk, &text, 0, text.length);
        talk_expect(talk, "");
        break;
    case IN_GROUP:
        text = *envelope;
        __attribute__((fallthrough));
    case IN_CHUNK:
        put_line(&text, "BDAT %zu LAST\r\n", content->length);
        put(&text, content->octets, content->length);
        say(talk, &text, 0, text.length);
        break;
    case BODIES:
        break;
    }
}

/* `heard`: what RCPT is answered with. */
static void hold_dialog(unsigned port, const struct vector *vector, enum body body, const char *recipient,
                        const char *heard, struct outcome *ret_outcome) {
    static unsigned last_id;
    struct talk talk;
    struct text content = content_of(++last_id, vector), envelope = {.length = 0};
    const char *reply;
    ret_outcome->id = last_id;
    put_line(&envelope, "MAIL FROM:<%u@client.test>\r\nRCPT TO:<%s>\r\n", last_id, recipient);
    talk_begin(&talk, NULL, port);
    talk_expect(&talk, "220");
    talk_exchange(&talk, "EHLO client.example.test\r\n", "250");
    if (body == IN_GROUP)
        say_body(&talk, &content, vector, body, &envelope);
    else
        say(&talk, &envelope, 0, envelope.length);
    talk_expect(&talk, "250");
    talk_expect(&talk, heard);
    if (body != IN_GROUP)
        say_body(&talk, &content, vector, body, &envelope);
    snprintf(ret_outcome->reply, sizeof ret_outcome->reply, "%s", talk_hear(&talk, 15000));
    talk_tell(&talk, "QUIT\r\n");
    do
        reply = talk_hear(&talk, 15000);
    while (talk_is_reply(reply));
    cr_assert_str_neq(reply, "silent", "%s in %s: %s", vector->name, body_names[body], talk.heard);
    talk_end(&talk);
}

/* --- how many mails --- */

/* In chunks, content arrives as it was sent. */
static void expect_unchanged(const struct outcome *outcome, const struct vector *vector, enum body body) {
    struct text content = content_of(outcome->id, vector);
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_octets(HASH_START, content.octets, content.length));
    char *got = sink_text(&sink, "last_hash");
    cr_expect_str_eq(got, hash, "%s in %s", vector->name, body_names[body]);
    free(got);
}

static bool has_empty_queue(const struct test_postfix *postfix) {
    char *left = shell(NULL, "find %s/queue/incoming %s/queue/active -type f", postfix->dir, postfix->dir);
    bool is = left[0] == '\0';
    free(left);
    return is;
}

/* Until each mail's sender is in the log: behind them all comes one more. */
static void settle(struct test_postfix *postfix) {
    struct talk talk;
    WAIT_FOR(postfix_log_count(postfix, "]: connect from") == postfix_log_count(postfix, ": disconnect from"), 10000);
    WAIT_FOR(has_empty_queue(postfix), 10000);
    talk_begin(&talk, NULL, postfix->port);
    talk_expect(&talk, "220");
    talk_exchange(&talk, "HELO client.example.test\r\n", "250");
    talk_exchange(&talk, "MAIL FROM:<last@client.test>\r\n", "250");
    talk_exchange(&talk, "RCPT TO:<user@example.test>\r\n", "250");
    talk_exchange(&talk, "DATA\r\n", "354");
    talk_exchange(&talk, ".\r\n", "250");
    talk_end(&talk);
    WAIT_FOR(postfix_log_has(postfix, "from=<last@client.test>"), 10000);
}

static unsigned postfix_mails(const struct test_postfix *postfix, const struct outcome *outcome) {
    char text[64];
    snprintf(text, sizeof text, "from=<%u@client.test>, size=", outcome->id);
    return postfix_log_count(postfix, text);
}

/* --- all of them --- */

static bool is_said(const struct vector *vector, enum body body) {
    return !vector->ends_data || !is_in_data(body);
}

/* Of those begun, only this backend takes sessions; the others are still probed. */
static void choose(unsigned backend) {
    for (unsigned i = 0; i < backends_count; i++) {
        int status;
        char *said = ctl(&scene, &status, "set server %s state %s", kinds[i].name, i == backend ? "ready" : "drain");
        cr_assert(status == 0, "%s", said);
        free(said);
    }
}

static void hold_both(unsigned backend, const struct vector *vector, enum body body, struct outcome *ret_direct,
                      struct outcome *ret_through) {
    static unsigned sink_had;
    hold_dialog(port_of(backend), vector, body, "user@example.test", "250", ret_direct);
    unsigned between = backend == SINK ? (unsigned)sink_figure(&sink, "mails") : 0;
    hold_dialog(scene.port, vector, body, "user@example.test", "250", ret_through);
    if (backend != SINK)
        return;
    unsigned has = (unsigned)sink_figure(&sink, "mails");
    ret_direct->mails = between - sink_had;
    ret_through->mails = has - between;
    sink_had = has;
    if (!is_in_data(body))
        expect_unchanged(ret_through, vector, body);
}

#define FOR_EACH_SAID(vector, body)                                                                                    \
    for (unsigned vector = 0; vector < VECTORS; vector++)                                                              \
        for (enum body body = 0; body < BODIES; body++)                                                                \
            if (is_said(&vectors[vector], body))

static unsigned mails_of(unsigned backend) {
    unsigned mails = 0;
    FOR_EACH_SAID(vector, body) {
        mails += outcomes[backend][vector][body].direct.mails + outcomes[backend][vector][body].through.mails;
    }
    return mails;
}

static void hold_all(unsigned backend) {
    choose(backend);
    FOR_EACH_SAID(vector, body) {
        hold_both(backend, &vectors[vector], body, &outcomes[backend][vector][body].direct,
                  &outcomes[backend][vector][body].through);
    }
    if (backend == SINK) {
        WAIT_FOR(sink_figure(&sink, "current") == 0, 10000); /* and no mail has come late: */
        cr_assert_eq(sink_figure(&sink, "mails"), mails_of(backend));
        return;
    }
    settle(&postfixes[backend]);
    FOR_EACH_SAID(vector, body) {
        struct outcome *direct = &outcomes[backend][vector][body].direct;
        struct outcome *through = &outcomes[backend][vector][body].through;
        direct->mails = postfix_mails(&postfixes[backend], direct);
        through->mails = postfix_mails(&postfixes[backend], through);
    }
}

/* Said straight to it, some vectors do smuggle into a backend that is at fault, and none into another one. */
static void expect_faults_known(unsigned backend) {
    unsigned smuggled = 0;
    FOR_EACH_SAID(vector, body) {
        smuggled += outcomes[backend][vector][body].direct.mails > 1;
    }
    cr_expect_eq(smuggled > 0, kinds[backend].is_at_fault, "%s took %u mails too many", kinds[backend].name, smuggled);
}

static void expect_as_direct(unsigned backend, unsigned vector, enum body body) {
    const struct outcome *direct = &outcomes[backend][vector][body].direct;
    const struct outcome *through = &outcomes[backend][vector][body].through;
    cr_expect(through->mails == direct->mails && strncmp(through->reply, direct->reply, 3) == 0,
              "%s, %s in %s: %u mails with %.40s; straight to it %u with %.40s", kinds[backend].name,
              vectors[vector].name, body_names[body], through->mails, through->reply, direct->mails, direct->reply);
    cr_expect(through->mails <= 1 || kinds[backend].is_at_fault, "%s, %s in %s: a second mail", kinds[backend].name,
              vectors[vector].name, body_names[body]);
}

Test(smuggling, the_relay_adds_no_mail_to_those_that_a_backend_would_have_taken_anyway) {
    begin("gate = off\n", BACKENDS);
    for (unsigned backend = 0; backend < BACKENDS; backend++) {
        hold_all(backend);
        expect_faults_known(backend);
        FOR_EACH_SAID(vector, body) {
            expect_as_direct(backend, vector, body);
        }
    }
    end();
}

/* Even for a backend at fault. In chunks the end is counted, and a bare LF is a mail's own affair. */
Test(smuggling, through_the_gate_no_backend_takes_a_mail_with_a_bare_line_end_in_data) {
    begin("gate = on\n", BACKENDS);
    for (unsigned backend = 0; backend < BACKENDS; backend++) {
        hold_all(backend);
        expect_faults_known(backend);
        FOR_EACH_SAID(vector, body) {
            const struct outcome *through = &outcomes[backend][vector][body].through;
            if (!vectors[vector].has_bare_end || !is_in_data(body))
                expect_as_direct(backend, vector, body);
            else
                cr_expect(through->mails == 0 && strncmp(through->reply, "421 4.7.0", 9) == 0,
                          "%s, %s in %s: %u mails with %.40s", kinds[backend].name, vectors[vector].name,
                          body_names[body], through->mails, through->reply);
        }
    }
    end();
}

/* Octets that nobody wants are content all the same, and no commands. */
Test(smuggling, a_chunk_for_a_refused_recipient_is_swallowed_whole) {
    begin("gate = on\n", 1);
    FOR_EACH_SAID(vector, body) {
        struct outcome outcome;
        if (is_in_data(body))
            continue;
        hold_dialog(scene.port, &vectors[vector], body, "user@elsewhere.test", "554 5.7.1", &outcome);
        cr_expect(strncmp(outcome.reply, "554 5.5.1", 9) == 0, "%s in %s: %.40s", vectors[vector].name,
                  body_names[body], outcome.reply);
    }
    cr_assert_eq(sink_figure(&sink, "mails"), 0);
    cr_assert_not(log_has_by_now(&scene, "takes over from the gate"));
    end();
}

/* --- commands that Postfix reads and others do not --- */

#define CONTENT "Subject: x\r\n\r\n"
#define ODD(octets)                                                                                                    \
    { octets, sizeof octets - 1 }

static const struct {
    const char *octets;
    size_t length;
} odd[] = {
    ODD(" DATA\r\n"),
    ODD("\tDATA\r\n"),
    ODD("DATA\v\r\n"),
    ODD("DATA\0x\r\n"),
    ODD(" BDAT 14 LAST\r\n" CONTENT),
    ODD("BDAT\f14 LAST\r\n" CONTENT),
    ODD("BDAT 14 LAST\0\r\n" CONTENT),
};
#define ODDS (sizeof odd / sizeof odd[0])

static void say_odd(unsigned port, unsigned which, char ret_code[4]) {
    struct talk talk;
    talk_begin(&talk, NULL, port);
    talk_expect(&talk, "220");
    talk_exchange(&talk, "EHLO client.example.test\r\n", "250");
    talk_exchange(&talk, "MAIL FROM:<odd@client.test>\r\n", "250");
    talk_exchange(&talk, "RCPT TO:<user@example.test>\r\n", "250");
    talk_say(&talk, odd[which].octets, odd[which].length);
    snprintf(ret_code, 4, "%.3s", talk_hear(&talk, 15000));
    talk_end(&talk);
}

/* Else content would be taken for commands, and said once more to another backend when this one dies behind it. */
Test(smuggling, what_only_the_backend_takes_for_data_ends_all_trust_in_the_relay) {
    begin("gate = off\n", STOCK + 1);
    choose(STOCK);
    for (unsigned i = 0; i < ODDS; i++) {
        char direct[4], through[4];
        say_odd(port_of(STOCK), i, direct);
        say_odd(scene.port, i, through);
        cr_expect(direct[0] <= '3', "%u: Postfix says %s", i, direct);
        cr_expect_str_eq(through, direct, "%u", i);
    }
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    char *untrusted = shell(NULL, "grep -c phase=untrusted %s/postern.log", scene.dir);
    cr_assert_eq(strtoul(untrusted, NULL, 10), ODDS);
    free(untrusted);
    end();
}

Test(smuggling, what_only_the_backend_takes_for_data_does_not_pass_the_gate) {
    begin("gate = on\n", STOCK + 1);
    choose(STOCK);
    for (unsigned i = 0; i < ODDS; i++) {
        char code[4];
        say_odd(scene.port, i, code);
        cr_expect_str_eq(code, "421", "%u", i);
    }
    settle(&postfixes[STOCK]);
    cr_assert_eq(postfix_log_count(&postfixes[STOCK], "from=<odd@client.test>, size="), 0);
    end();
}
