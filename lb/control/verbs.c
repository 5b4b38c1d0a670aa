/* The table of verbs, and how a line finds its row; `help` is printed from it. control.c calls it for each line. A
 * command that is unknown or incomplete changes nothing and says what is allowed. */
#include "lb/control/verbs.h"

#include "lb/control/reload_verb.h"
#include "lb/control/reputation_verbs.h"
#include "lb/control/set.h"
#include "lb/control/show.h"
#include "lb/control/show_clients.h"
#include "lb/control/show_reputation.h"
#include "lb/control/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void help(struct command *command, char **arguments, unsigned count);

const struct verb verbs[] = {
    {"help", "[COMMAND]", "this list, or those that begin with these words", 0, 2, help},
    {"show info", "", "the process: version, sessions, memory, counters", 0, 0, show_info},
    {"show servers", "", "every backend with its state, health and counters", 0, 0, show_servers},
    {"show tiers", "", "every tier, and which one serves", 0, 0, show_tiers},
    {"show sessions", "[server NAME]", "the sessions open now", 0, 2, show_sessions},
    {"show clients", "[sessions|rate|refused]",
     "clients by what counts for their limits: those with the most sessions, the highest rate, the most refusals", 0, 1,
     show_clients},
    {"show reputation", "[ADDRESS]", "the table, or what is known of a client and why it is vetted or not", 0, 1,
     show_reputation},
    {"reputation top", "[N] [mails|good|bad]", "the clients with the most mails, good or bad evidence", 0, 2,
     reputation_top_verb},
    {"reputation feedback", "ADDRESS good|ham|spam|virus|trap", "what became of a client's mail", 2, 2,
     reputation_feedback_verb},
    {"reputation set", "ADDRESS vetted|refused|auto", "decide for a client, whatever its evidence; auto: by evidence",
     2, 2, reputation_set_verb},
    {"reputation clear", "ADDRESS", "forget a client", 1, 1, reputation_clear_verb},
    {"reputation export", "[FROM]", "all clients as CSV", 0, 1, reputation_export_verb},
    {"reputation import", "ROW", "put a client in from CSV; posternctl takes a FILE", 1, 1, reputation_import_verb},
    {"reload", "", "read allow-file, deny-file, the files of [gate] and the feedback key anew; reopen the log file", 0,
     0, reload_verb},
    {"set server", "NAME state ready|drain|maint | NAME weight 0..256", "change a backend while mail flows", 3, 3,
     set_server},
    {"set tier", "NAME|auto", "let this tier alone serve, whatever its health; auto: by priority and health", 1, 1,
     set_tier},
    {"add server", "NAME tier TIER address ADDRESS [weight N] [state S] [max-sessions N] [proxy P] [source ADDRESS]",
     "add a backend", 5, 15, add_server},
    {"del server", "NAME [force]", "delete a backend without sessions; force: end them", 1, 2, del_server},
    {"wait drained", "NAME [TIME]", "answer when a backend in drain or maint has no sessions left", 1, 2, wait_drained},
    {"shutdown sessions", "server NAME", "end a backend's sessions with 421 as soon as SMTP allows", 2, 2,
     shutdown_sessions},
};

const size_t verbs_count = sizeof verbs / sizeof verbs[0];

int verbs_split(char *line, char **words, unsigned most) {
    unsigned count = 0;
    char *rest = line, *word;
    while ((word = strsep(&rest, " \t\r")) != NULL) {
        if (*word == '\0')
            continue;
        if (count == most)
            return -1;
        words[count++] = word;
    }
    return (int)count;
}

/* How many of a verb's words the line begins with; `ret_all` is how many there are. */
static unsigned matching_words(const char *verb, char *const *words, unsigned count, unsigned *ret_all) {
    unsigned matching = 0, all = 0;
    bool is_matching = true;
    while (*verb != '\0') {
        size_t length = strcspn(verb, " ");
        is_matching =
            is_matching && all < count && strlen(words[all]) == length && memcmp(words[all], verb, length) == 0;
        matching += is_matching;
        all++;
        verb += length + (verb[length] == ' ');
    }
    *ret_all = all;
    return matching;
}

const struct verb *verbs_find(char *const *words, unsigned count) {
    for (size_t i = 0; i < verbs_count; i++) {
        unsigned all;
        if (matching_words(verbs[i].words, words, count, &all) == all)
            return &verbs[i];
    }
    return NULL;
}

static unsigned words_of(const struct verb *verb) {
    unsigned all;
    matching_words(verb->words, NULL, 0, &all);
    return all;
}

static void fail_unknown(struct command *command, char *const *words, unsigned count) {
    char allowed[800] = "";
    size_t length = 0;
    for (size_t i = 0; i < verbs_count && length < sizeof allowed; i++)
        length +=
            (size_t)snprintf(allowed + length, sizeof allowed - length, "%s%s", i > 0 ? ", " : "", verbs[i].words);
    command_fail(command, "unknown or incomplete command%s%.80s%s; allowed: %s", count > 0 ? " \"" : "",
                 count > 0 ? words[0] : "", count > 0 ? " …\"" : "", allowed);
}

void verbs_run(struct command *command, char *line) {
    int count = verbs_split(line, command->words, CONTROL_WORDS_MAX);
    if (count < 0) {
        command_fail(command, "more than %u words", CONTROL_WORDS_MAX);
        return;
    }
    command->words_count = (unsigned)count;
    if (count > 1 && strcmp(command->words[count - 1], "json") == 0) {
        command->as_json = true;
        command->words_count--;
    }
    const struct verb *verb = verbs_find(command->words, command->words_count);
    if (verb == NULL) {
        fail_unknown(command, command->words, command->words_count);
        return;
    }
    unsigned arguments = command->words_count - words_of(verb);
    if (arguments < verb->arguments_min || arguments > verb->arguments_max)
        command_fail(command, "%s; allowed: %s%s%s [json]",
                     arguments < verb->arguments_min ? "incomplete command" : "too many words", verb->words,
                     verb->arguments[0] != '\0' ? " " : "", verb->arguments);
    else
        verb->run(command, command->words + words_of(verb), arguments);
}

#define HELP_COLUMNS 79u

/* Words of `text` in lines of at most HELP_COLUMNS, the first behind `first` blanks, the others behind `others`. */
static void print_wrapped(FILE *out, const char *text, unsigned first, unsigned others) {
    unsigned column = first;
    fprintf(out, "%*s", (int)first, "");
    for (bool is_first = true; *text != '\0'; is_first = false) {
        size_t length = strcspn(text, " ");
        bool fits = is_first || column + 1 + length <= HELP_COLUMNS;
        if (!fits)
            fprintf(out, "\n%*s", (int)others, "");
        else if (!is_first)
            fputc(' ', out);
        column = fits ? column + !is_first + (unsigned)length : others + (unsigned)length;
        fprintf(out, "%.*s", (int)length, text);
        text += length + strspn(text + length, " ");
    }
    fputc('\n', out);
}

/* All of `words` are the verb's first ones. */
static bool begins_with(const struct verb *verb, char **words, unsigned count) {
    unsigned all;
    return matching_words(verb->words, words, count, &all) == count;
}

/* As text, two lines or more a command: its arguments are too long for a table. */
static void help_as_text(struct command *command, char **words, unsigned count) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        command_fail(command, "out of memory");
        return;
    }
    for (size_t i = 0; i < verbs_count; i++) {
        char command_text[200];
        if (!begins_with(&verbs[i], words, count))
            continue;
        snprintf(command_text, sizeof command_text, "%s %s", verbs[i].words, verbs[i].arguments);
        print_wrapped(out, command_text, 0, 8);
        print_wrapped(out, verbs[i].help, 4, 4);
    }
    if (count == 0)
        fputs("A last word `json` gives each answer as JSON, but for errors and\n`reputation export`.\n", out);
    fclose(out);
    command_reply(command, text);
    free(text);
}

static void help(struct command *command, char **arguments, unsigned count) {
    bool is_known = false;
    for (size_t i = 0; i < verbs_count; i++)
        is_known |= begins_with(&verbs[i], arguments, count);
    if (!is_known) {
        fail_unknown(command, arguments, count);
        return;
    }
    if (!command->as_json) {
        help_as_text(command, arguments, count);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < verbs_count; i++)
        if (begins_with(&verbs[i], arguments, count))
            json_array_append_new(list, json_pack("{s:o, s:s}", "command",
                                                  json_sprintf("%s%s%s", verbs[i].words,
                                                               verbs[i].arguments[0] ? " " : "", verbs[i].arguments),
                                                  "help", verbs[i].help));
    command_reply_value(command, list);
}
