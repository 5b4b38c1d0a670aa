/* SMTP smuggling (CVE-2023-51764 and its kin): a second mail hidden in the content of the first, behind something that
 * one host takes for its end and another does not. Each vector is said straight to a backend and through postern:
 * through the relay a backend takes what it would have taken anyway, through the gate it takes nothing that is
 * ambiguous. */
#include "bench/hash.h"
#include "postfix.h"
#include "talk.h"

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

/* How the content is said. Split: the vector's octets each in a segment of its own. */
enum body { IN_DATA, IN_DATA_SPLIT, IN_BDAT, IN_BDAT_SPLIT, BODIES };
static const char *const body_names[BODIES] = {"DATA", "DATA, split", "BDAT", "BDAT, split"};

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
static struct { struct outcome direct, through; } outcomes[BACKENDS][VECTORS][BODIES];

static void begin(const char *tier) {
    scene_begin(&scene, false);
    sink_begin(&scene, &sink, kinds[SINK].name, "");
    for (unsigned i = STOCK; i < BACKENDS; i++) {
        char main_cf[200];
        snprintf(main_cf, sizeof main_cf, "smtpd_forbid_bare_newline_exclusions =\n%s", kinds[i].main_cf);
        postfix_begin(&scene, &postfixes[i], kinds[i].name, false, main_cf);
    }
    free(shell(NULL, "echo example.test > %s/domains", scene.dir));
    postern_begin(&scene,
                  "[gate]\npregreet-wait = 20ms\nrelay-domains-file = %s/domains\nsender-domain = off\n"
                  "[tier strict]\n%s[backend sink]\ntier = strict\naddress = 127.0.0.1:%u\n"
                  "[backend stock]\ntier = strict\naddress = 127.0.0.1:%u\n"
                  "[backend normalizing]\ntier = strict\naddress = 127.0.0.1:%u\n"
                  "[backend rejecting]\ntier = strict\naddress = 127.0.0.1:%u\n",
                  scene.dir, tier, sink.port, postfixes[STOCK].port, postfixes[NORMALIZING].port,
                  postfixes[REJECTING].port);
    for (unsigned i = 0; i < BACKENDS; i++) {
        char text[80];
        snprintf(text, sizeof text, "server %s health starting -> up", kinds[i].name);
        WAIT_FOR(log_has(&scene, text), 10000);
    }
}

static void end(void) {
    WAIT_FOR(info_figure(&scene, "sessions") == 0, 5000);
    for (unsigned i = STOCK; i < BACKENDS; i++)
        postfix_end(&postfixes[i]);
    scene_end(&scene);
}

/* --- one dialog --- */

struct content {
    char octets[1024];
    size_t length;
    size_t vector_at;
};

/* The whole content; the envelope of the second mail names the dialog as that of the first does. */
static void write_content(struct content *content, unsigned id, const struct vector *vector, bool is_bdat) {
    char inner[256], command[32] = "";
    int inner_length = snprintf(inner, sizeof inner,
                                "MAIL FROM:<%u@client.test>\r\nRCPT TO:<user@example.test>\r\nDATA\r\n"
                                "Subject: inner\r\n\r\ninner\r\n.\r\n",
                                id);
    static const char outer[] = "Subject: outer\r\n\r\nouter";
    size_t length = sizeof outer - 1 + vector->length + (size_t)inner_length;
    if (is_bdat)
        snprintf(command, sizeof command, "BDAT %zu LAST\r\n", length);
    content->length = (size_t)snprintf(content->octets, sizeof content->octets, "%s%s", command, outer);
    content->vector_at = content->length;
    memcpy(content->octets + content->length, vector->octets, vector->length);
    memcpy(content->octets + content->length + vector->length, inner, (size_t)inner_length);
    content->length += vector->length + (size_t)inner_length;
}

static void say_content(struct talk *talk, const struct content *content, const struct vector *vector, bool is_split) {
    size_t said = 0;
    if (is_split) {
        talk_say(talk, content->octets, content->vector_at);
        for (said = content->vector_at; said < content->vector_at + vector->length; said++)
            talk_say(talk, content->octets + said, 1);
    }
    talk_say(talk, content->octets + said, content->length - said);
}

static void expect(struct talk *talk, const char *line, const char *wanted) {
    talk_say(talk, line, strlen(line));
    const char *reply = talk_hear(talk, 15000);
    cr_assert(strncmp(reply, wanted, strlen(wanted)) == 0, "%s: %s", line, talk->heard);
}

static void hold_dialog(unsigned port, const struct vector *vector, enum body body, struct outcome *ret_outcome) {
    static unsigned last_id;
    struct talk talk;
    struct content content;
    char mail[64];
    bool is_bdat = body == IN_BDAT || body == IN_BDAT_SPLIT;
    ret_outcome->id = ++last_id;
    snprintf(mail, sizeof mail, "MAIL FROM:<%u@client.test>\r\n", last_id);
    write_content(&content, last_id, vector, is_bdat);
    talk_begin(&talk, NULL, port);
    expect(&talk, "", "220");
    expect(&talk, "EHLO client.example.test\r\n", "250");
    expect(&talk, mail, "250");
    expect(&talk, "RCPT TO:<user@example.test>\r\n", "250");
    if (!is_bdat)
        expect(&talk, "DATA\r\n", "354");
    say_content(&talk, &content, vector, body == IN_DATA_SPLIT || body == IN_BDAT_SPLIT);
    snprintf(ret_outcome->reply, sizeof ret_outcome->reply, "%s", talk_hear(&talk, 15000));
    talk_say(&talk, "QUIT\r\n", 6);
    const char *reply;
    do
        reply = talk_hear(&talk, 15000);
    while (strncmp(reply, "closed", 6) != 0 && strncmp(reply, "reset", 5) != 0 && strcmp(reply, "silent") != 0);
    cr_assert_str_neq(reply, "silent", "%s in %s: %s", vector->name, body_names[body], talk.heard);
    talk_end(&talk);
}

/* --- how many mails --- */

/* In chunks, content arrives as it was sent. */
static void expect_unchanged(const struct outcome *outcome, const struct vector *vector) {
    struct content content;
    char hash[24];
    write_content(&content, outcome->id, vector, true);
    size_t begins = (size_t)(strchr(content.octets, '\n') - content.octets) + 1;
    snprintf(hash, sizeof hash, "%016llx",
             (unsigned long long)hash_octets(HASH_START, content.octets + begins, content.length - begins));
    char *got = sink_text(&sink, "last_hash");
    cr_expect_str_eq(got, hash, "%s in BDAT", vector->name);
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
    expect(&talk, "", "220");
    expect(&talk, "HELO client.example.test\r\n", "250");
    expect(&talk, "MAIL FROM:<last@client.test>\r\n", "250");
    expect(&talk, "RCPT TO:<user@example.test>\r\n", "250");
    expect(&talk, "DATA\r\n", "354");
    expect(&talk, ".\r\n", "250");
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
    return !vector->ends_data || body == IN_BDAT || body == IN_BDAT_SPLIT;
}

/* Only this backend takes sessions; the others are still probed. */
static void choose(unsigned backend) {
    for (unsigned i = 0; i < BACKENDS; i++) {
        int status;
        char *said = ctl(&scene, &status, "set server %s state %s", kinds[i].name, i == backend ? "ready" : "drain");
        cr_assert(status == 0, "%s", said);
        free(said);
    }
}

static void hold_both(unsigned backend, const struct vector *vector, enum body body, struct outcome *ret_direct,
                      struct outcome *ret_through) {
    static unsigned sink_had;
    hold_dialog(backend == SINK ? sink.port : postfixes[backend].port, vector, body, ret_direct);
    unsigned between = backend == SINK ? (unsigned)sink_figure(&sink, "mails") : 0;
    hold_dialog(scene.port, vector, body, ret_through);
    if (backend != SINK)
        return;
    unsigned has = (unsigned)sink_figure(&sink, "mails");
    ret_direct->mails = between - sink_had;
    ret_through->mails = has - between;
    sink_had = has;
    if (body == IN_BDAT || body == IN_BDAT_SPLIT)
        expect_unchanged(ret_through, vector);
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
    begin("gate = off\n");
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
    begin("gate = on\n");
    for (unsigned backend = 0; backend < BACKENDS; backend++) {
        hold_all(backend);
        expect_faults_known(backend);
        FOR_EACH_SAID(vector, body) {
            const struct outcome *through = &outcomes[backend][vector][body].through;
            if (!vectors[vector].has_bare_end || body == IN_BDAT || body == IN_BDAT_SPLIT)
                expect_as_direct(backend, vector, body);
            else
                cr_expect(through->mails == 0 && strncmp(through->reply, "421 4.7.0", 9) == 0,
                          "%s, %s in %s: %u mails with %.40s", kinds[backend].name, vectors[vector].name,
                          body_names[body], through->mails, through->reply);
        }
    }
    end();
}
