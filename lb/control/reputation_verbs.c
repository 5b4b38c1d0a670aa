/* The verbs by which operators tell the reputation something: the outcome of a mail, a decision of their own, whole
 * tables as CSV. What goes through a whole table does so in parts, each in a turn of the loop or a command of its own.
 */
#include "lb/control/reputation_verbs.h"

#include "lb/control/command.h"
#include "lb/control/operands.h"
#include "lb/control/pending.h"
#include "lb/control/scope.h"
#include "lb/engine/container.h"
#include "lb/reputation/reputation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const decrees[] = {[DECREE_NONE] = "auto", [DECREE_VETTED] = "vetted", [DECREE_REFUSED] = "refused"};

/* Digits alone. */
static bool parse_unsigned(const char *text, unsigned *ret_number) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return false;
    *ret_number = (unsigned)strtoul(text, NULL, 10);
    return true;
}

static uint32_t now_s(void) {
    return (uint32_t)time(NULL);
}

static void reply_result(struct command *command, int result, const struct address *client, const char *what) {
    char key[CLIENT_KEY_TEXT_MAX];
    client_key_text(client, key);
    if (result < 0)
        command_fail(command, "no room for %s: max-entries = %u is too few for those who behave", key,
                     command->scope->config->reputation.entries_max);
    else
        command_reply_done(command, "%s: %s", key, what);
}

/* --- one client --- */

void reputation_feedback_verb(struct command *command, char **arguments, unsigned count) {
    struct address address;
    enum evidence_kind kind;
    (void)count;
    if (!command_has_reputation(command) || !command_parse_client(command, arguments[0], &address))
        return;
    if (!evidence_of_word(arguments[1], &kind)) {
        command_fail(command, "\"%.40s\"; allowed: good, ham, spam, virus, trap", arguments[1]);
        return;
    }
    reply_result(command, reputation_feed(command->scope->reputation, &address, kind, now_s()), &address,
                 evidence_text(kind));
}

void reputation_set_verb(struct command *command, char **arguments, unsigned count) {
    struct address address;
    unsigned decree = 0;
    (void)count;
    if (!command_has_reputation(command) || !command_parse_client(command, arguments[0], &address))
        return;
    while (decree <= DECREE_REFUSED && strcmp(decrees[decree], arguments[1]) != 0)
        decree++;
    if (decree > DECREE_REFUSED) {
        command_fail(command, "\"%.40s\"; allowed: vetted, refused, auto", arguments[1]);
        return;
    }
    reply_result(command, reputation_set_decree(command->scope->reputation, &address, (enum decree)decree, now_s()),
                 &address, decrees[decree]);
}

void reputation_clear_verb(struct command *command, char **arguments, unsigned count) {
    struct address address;
    char key[CLIENT_KEY_TEXT_MAX];
    (void)count;
    if (!command_has_reputation(command) || !command_parse_client(command, arguments[0], &address))
        return;
    client_key_text(&address, key);
    if (reputation_forget(command->scope->reputation, &address))
        command_reply_done(command, "%s is forgotten", key);
    else
        command_fail(command, "nothing is known of %s", key);
}

/* --- the best known --- */

#define TOP_DEFAULT 20u
#define TOP_MAX     200u
/* Of a large table, so much in one tick: about 5 ms. */
#define TOP_PLACES 65536u

struct top_row {
    uint64_t key;
    double value;
};

struct top_walk {
    struct pending pending;
    struct command *command;
    enum top_by { TOP_MAILS, TOP_GOOD, TOP_BAD } by;
    unsigned most, count, at;
    struct top_row rows[TOP_MAX];
};
_Static_assert(offsetof(struct top_walk, pending) == 0, "the list frees it");

static double value_of(const struct reputation *reputation, const struct client *client, enum top_by by,
                       uint16_t today) {
    struct evidence now = client->evidence;
    double good, bad;
    evidence_advance(&now, today, reputation->config);
    evidence_totals(&now, reputation->config, &good, &bad);
    return by == TOP_GOOD ? good : by == TOP_BAD ? bad : (double)now.month_mails + now.today_mails;
}

static void insert(struct top_walk *walk, uint64_t key, double value) {
    unsigned i = walk->count < walk->most ? walk->count++ : walk->most - 1;
    if (walk->count == walk->most && i == walk->most - 1 && walk->rows[i].value >= value && walk->rows[i].key != 0)
        return;
    for (; i > 0 && walk->rows[i - 1].value < value; i--)
        walk->rows[i] = walk->rows[i - 1];
    walk->rows[i] = (struct top_row){key, value};
}

static void answer_top(const struct reputation *reputation, struct top_walk *walk) {
    static const char *const names[] = {"mails_in_30_days", "good", "bad"};
    json_t *list = json_array();
    char text[ADDRESS_TEXT_MAX];
    for (unsigned i = 0; i < walk->count; i++) {
        struct vetting vetting;
        const struct client *client = reputation_table_find(&reputation->table, walk->rows[i].key);
        if (client == NULL)
            continue;
        struct address address = reputation_key_address(walk->rows[i].key, 0);
        reputation_explain(reputation, walk->rows[i].key, client->host, client, now_s(), &vetting);
        json_array_append_new(list,
                              json_pack("{s:s, s:f, s:f, s:b, s:i}", "client", address_format_host(&address, text),
                                        names[walk->by], walk->rows[i].value, "score", vetting.score, "vetted",
                                        vetting.is_vetted, "days", client->evidence.days));
    }
    command_reply_value(walk->command, list);
}

static bool walk_on(struct pending *pending) {
    struct top_walk *walk = container_of(pending, struct top_walk, pending);
    const struct reputation *reputation = walk->command->scope->reputation;
    unsigned all = reputation_table_places(&reputation->table);
    for (unsigned i = 0; i < TOP_PLACES && walk->at < all; i++, walk->at++) {
        uint64_t key;
        const struct client *client = reputation_table_at(&reputation->table, walk->at, &key);
        if (client != NULL && client->evidence.days > 0)
            insert(walk, key, value_of(reputation, client, walk->by, reputation_day(now_s())));
    }
    if (walk->at < all)
        return false;
    answer_top(reputation, walk);
    return true;
}

static bool parse_top(struct top_walk *walk, char **arguments, unsigned count) {
    static const char *const words[] = {"mails", "good", "bad"};
    bool has_number = false, has_word = false;
    walk->most = TOP_DEFAULT;
    for (unsigned i = 0; i < count; i++) {
        unsigned number = 0, by = 0;
        bool is_number = parse_unsigned(arguments[i], &number) && number > 0 && number <= TOP_MAX;
        while (!is_number && by < 3 && strcmp(words[by], arguments[i]) != 0)
            by++;
        if (by == 3 || (is_number ? has_number : has_word))
            return false;
        if (is_number)
            walk->most = number;
        else
            walk->by = (enum top_by)by;
        has_number |= is_number;
        has_word |= !is_number;
    }
    return true;
}

void reputation_top_verb(struct command *command, char **arguments, unsigned count) {
    struct top_walk *walk = NULL;
    if (!command_has_reputation(command))
        return;
    walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        command_fail(command, "out of memory");
    } else if (!parse_top(walk, arguments, count)) {
        free(walk);
        command_fail(command, "allowed: reputation top [1..%u] [mails|good|bad]", TOP_MAX);
    } else {
        walk->command = command;
        walk->pending.serve = walk_on;
        pending_begin(command->pending, &walk->pending);
    }
}

/* --- CSV --- */

#define CSV_HEADER                                                                                                     \
    "client,first_seen,last_seen,days,good,bad,mails_in_30_days,rejected_in_30_days,last_heavy_event,set_by_operator"
#define CSV_FIELDS    10u
#define EXPORT_PLACES 16384u
#define EXPORT_ROWS   2000u

static void format_day(uint16_t day, char text[11]) {
    time_t time_ = (time_t)day * REPUTATION_DAY_S;
    struct tm date;
    text[0] = '\0';
    if (day != 0 && gmtime_r(&time_, &date) != NULL)
        strftime(text, 11, "%Y-%m-%d", &date);
}

static bool parse_day(const char *text, uint16_t *ret_day) {
    struct tm date = {0};
    const char *end = strptime(text, "%Y-%m-%d", &date);
    if (text[0] == '\0') {
        *ret_day = 0;
        return true;
    }
    if (end == NULL || *end != '\0')
        return false;
    time_t time_ = timegm(&date);
    if (time_ < REPUTATION_DAY_S || time_ / REPUTATION_DAY_S > UINT16_MAX)
        return false;
    *ret_day = (uint16_t)(time_ / REPUTATION_DAY_S);
    return true;
}

static void print_client(const struct reputation *reputation, uint64_t key, const struct client *client, FILE *out) {
    const struct evidence *evidence = &client->evidence;
    struct address address = reputation_key_address(key, 0);
    char host[ADDRESS_TEXT_MAX], first[11], last[11], heavy[11];
    double good, bad;
    evidence_totals(evidence, reputation->config, &good, &bad);
    format_day(evidence->first_day, first);
    format_day(evidence->day, last);
    format_day(evidence->heavy_day, heavy);
    fprintf(out, "%s,%s,%s,%u,%.4f,%.4f,%.2f,%.2f,%s,%s\n", address_format_host(&address, host), first, last,
            evidence->days, good, bad, (double)evidence->month_mails + evidence->today_mails,
            (double)evidence->month_bad + evidence->today_bad, heavy,
            client->decree == DECREE_NONE ? "" : decrees[client->decree]);
}

/* A part at a time; posternctl asks on from the number in its last line. */
void reputation_export_verb(struct command *command, char **arguments, unsigned count) {
    const struct reputation *reputation = command->scope->reputation;
    char *text = NULL;
    size_t length;
    if (!command_has_reputation(command))
        return;
    unsigned all = reputation_table_places(&reputation->table), rows = 0, at = 0;
    if (count > 0 && !parse_unsigned(arguments[0], &at)) {
        command_fail(command, "\"%.40s\"; allowed: reputation export [FROM], a number", arguments[0]);
        return;
    }
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    if (at == 0)
        fputs(CSV_HEADER "\n", out);
    for (unsigned i = 0; i < EXPORT_PLACES && rows < EXPORT_ROWS && at < all; i++, at++) {
        uint64_t key;
        const struct client *client = reputation_table_at(&reputation->table, at, &key);
        if (client == NULL || (client->evidence.days == 0 && client->decree == DECREE_NONE))
            continue;
        print_client(reputation, key, client, out);
        rows++;
    }
    fprintf(out, at < all ? "# next: %u\n" : "# end: %u\n", at);
    fclose(out);
    command_reply(command, text);
    free(text);
}

static bool parse_amount(const char *text, double most, double *ret_value) {
    char *end;
    *ret_value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*ret_value) && *ret_value >= 0 && *ret_value <= most;
}

/* Returns the name of the field that is wrong, or NULL. */
static const char *parse_fields(char *fields[CSV_FIELDS], struct client *ret_client) {
    struct evidence *evidence = &ret_client->evidence;
    double days, good, bad, mails, rejected;
    unsigned decree = DECREE_VETTED;
    if (!parse_day(fields[1], &evidence->first_day) || !parse_day(fields[2], &evidence->day) ||
        evidence->day < evidence->first_day)
        return "first_seen or last_seen";
    if (!parse_amount(fields[3], 65535, &days) || days != floor(days) || (days > 0 && evidence->first_day == 0))
        return "days";
    if (!parse_amount(fields[4], 1e6, &good) || !parse_amount(fields[5], 1e6, &bad))
        return "good or bad";
    if (!parse_amount(fields[6], 1e9, &mails) || !parse_amount(fields[7], mails, &rejected))
        return "mails_in_30_days or rejected_in_30_days";
    if (!parse_day(fields[8], &evidence->heavy_day))
        return "last_heavy_event";
    while (fields[9][0] != '\0' && decree <= DECREE_REFUSED && strcmp(decrees[decree], fields[9]) != 0)
        decree++;
    if (decree > DECREE_REFUSED)
        return "set_by_operator";
    evidence->days = (uint16_t)days;
    evidence->good = (float)good;
    evidence->bad = (float)bad;
    evidence->month_mails = (float)mails;
    evidence->month_bad = (float)rejected;
    ret_client->decree = fields[9][0] == '\0' ? DECREE_NONE : (uint8_t)decree;
    return NULL;
}

/* One row, which takes the place of what was known of that client. */
void reputation_import_verb(struct command *command, char **arguments, unsigned count) {
    struct reputation *reputation = command->scope->reputation;
    char *rest = arguments[0], *fields[CSV_FIELDS] = {NULL};
    unsigned found = 0;
    struct address address;
    struct client client = {0};
    (void)count;
    if (!command_has_reputation(command))
        return;
    while (found < CSV_FIELDS && rest != NULL)
        fields[found++] = strsep(&rest, ",");
    if (found < CSV_FIELDS || rest != NULL) {
        command_fail(command, "a row has %u fields: " CSV_HEADER, CSV_FIELDS);
        return;
    }
    if (!command_parse_client(command, fields[0], &address))
        return;
    const char *wrong = parse_fields(fields, &client);
    if (wrong != NULL)
        command_fail(command, "%s: not as `reputation export` writes it", wrong);
    else
        reply_result(command, reputation_put(reputation, &address, &client, now_s()), &address, "imported");
}
