/* The backend of `add server`. Its words are written as a configuration of a few sections in memory, which reader.c
 * reads like any file: so the same rules hold for it, and the messages are the same. The control socket calls it. Owns
 * nothing that lives on; the caller owns the backend that it gets. */
#include "conf/added_backend.h"

#include "conf/backend_host.h"
#include "conf/describe.h"
#include "conf/finish.h"
#include "conf/limits.h"
#include "conf/options.h"
#include "conf/reader.h"
#include "conf/text_form.h"
#include "conf/words.h"
#include "lb/base/plain_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of option and value in turn: what would be another line of the file, or a comment, is a mistake. Returns the word
 * that is one, or NULL. */
static const char *wrong_word(char *const *words, size_t words_count) {
    char fault[PLAIN_TEXT_FAULT_MAX];
    for (size_t i = 0; i < words_count; i++) {
        bool is_name = i % 2 == 0;
        if (plain_text_fault(words[i], strlen(words[i]), fault) || strpbrk(words[i], " \t") != NULL ||
            words[i][0] == ';' || (is_name && !text_is_keyword(words[i])))
            return words[i];
    }
    return NULL;
}

/* What can be told from the words alone. */
static int check_form(const char *name, char *const *words, size_t words_count, char *ret_error, size_t error_size) {
    const char *wrong = NULL;
    if (!section_name_is_good(name))
        snprintf(ret_error, error_size, "a name has " SECTION_NAME_FORM, CONFIG_NAME_MAX);
    else if (words_count % 2 != 0)
        snprintf(ret_error, error_size, "each option needs a value");
    else if ((wrong = wrong_word(words, words_count)) != NULL)
        snprintf(ret_error, error_size, "\"%.80s\" is wrong; allowed: option and value in turn", wrong);
    else
        return 0;
    return -EINVAL;
}

/* The tier that the words name, or NULL. */
static const struct config_tier *find_tier(const struct config *config, char *const *words, size_t words_count) {
    const struct config_tier *tier = NULL;
    for (size_t i = 0; i + 1 < words_count; i += 2)
        for (size_t t = 0; t < config->tiers_count; t++)
            if (strcmp(words[i], "tier") == 0 && strcmp(words[i + 1], config->tiers[t].name) == 0)
                tier = &config->tiers[t];
    return tier;
}

static void write_file(const struct config *config, const struct config_tier *tier, const char *name,
                       char *const *words, size_t words_count, FILE *out) {
    /* Its hostname is known; to find it anew would ask the DNS. */
    fprintf(out, "[global]\nhostname = %s\n", config->global.hostname);
    fprintf(out, "[listen x]\naddress = 127.0.0.1:0\n[backend %s]\n", name);
    for (size_t i = 0; i + 1 < words_count; i += 2)
        fprintf(out, "%s = %s\n", words[i], words[i + 1]);
    if (tier == NULL)
        return;
    fprintf(out, "[tier %s]\nproxy = %s\nmax-sessions = %u\nsource = ", tier->name, config_proxy_name(tier->proxy),
            tier->backend_sessions_max);
    option_print(option_find(SECTION_TIER, "source"), tier, out);
    fputc('\n', out);
}

/* The first mistake, behind its line in a file that nobody has written. */
static void say_mistake(const char *messages, char *ret_error, size_t error_size) {
    const char *said = strstr(messages, ": ");
    said = said == NULL ? messages : said + 2;
    snprintf(ret_error, error_size, "%.*s", (int)strcspn(said, "\n"), said);
}

static int parse_file(const char *text, size_t length, struct config **ret_parsed, char *ret_error, size_t error_size) {
    char *messages = NULL;
    size_t messages_length;
    FILE *errors = open_memstream(&messages, &messages_length);
    int result = errors == NULL ? -ENOMEM : config_parse("add server", text, length, errors, ret_parsed);
    if (errors != NULL)
        fclose(errors);
    if (result < 0)
        say_mistake(messages == NULL ? "out of memory" : messages, ret_error, error_size);
    free(messages);
    return result;
}

int config_parse_backend(const struct config *config, const char *name, char *const *words, size_t words_count,
                         struct config_backend *ret_backend, char *ret_error, size_t error_size) {
    char *text = NULL, why[300];
    size_t length;
    struct config *parsed = NULL;
    if (check_form(name, words, words_count, ret_error, error_size) < 0)
        return -EINVAL;
    const struct config_tier *tier = find_tier(config, words, words_count);
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        snprintf(ret_error, error_size, "out of memory");
        return -EINVAL;
    }
    write_file(config, tier, name, words, words_count, out);
    fclose(out);
    int result = parse_file(text, length, &parsed, ret_error, error_size);
    if (result == 0 && !parsed->backends[0].host_is_name &&
        !config_can_be_backend(config, &parsed->backends[0].address, why, sizeof why)) {
        result = -EINVAL;
        snprintf(ret_error, error_size, "address: %s", why);
    } else if (result == 0) {
        *ret_backend = parsed->backends[0];
        ret_backend->tier = (size_t)(tier - config->tiers);
        parsed->backends_count = 0; /* handed over, but for the array */
    }
    config_free(parsed);
    free(text);
    return result < 0 ? -EINVAL : 0;
}
