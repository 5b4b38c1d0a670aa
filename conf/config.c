/* A configuration as a whole: read from its file, freed, and a single backend of it made for the control socket. */
#include "conf/config.h"

#include "conf/limits.h"
#include "conf/options.h"
#include "conf/own_listener.h"
#include "conf/text_form.h"
#include "lb/base/plain_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* --- the file --- */

static int read_whole(int fd, char **ret_text, size_t *ret_length) {
    char *text = malloc(CONFIG_FILE_MAX + 1);
    size_t length = 0;
    ssize_t got = 0;
    if (text == NULL)
        return -ENOMEM;
    while (length <= CONFIG_FILE_MAX && (got = read(fd, text + length, CONFIG_FILE_MAX + 1 - length)) > 0)
        length += (size_t)got;
    if (got < 0 || length > CONFIG_FILE_MAX) {
        free(text);
        return got < 0 ? -errno : -EFBIG;
    }
    *ret_text = text;
    *ret_length = length;
    return 0;
}

int config_load(const char *path, FILE *errors, struct config **ret_config) {
    char *text = NULL;
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -errno : read_whole(fd, &text, &length);
    if (fd >= 0)
        close(fd);
    if (result < 0) {
        fprintf(errors, "%s: cannot be read: %s\n", path, strerror(-result));
        return result;
    }
    result = config_parse(path, text, length, errors, ret_config);
    free(text);
    return result;
}

/* --- freeing, and single backends --- */

static void finish_section(enum section section, void *data) {
    for (size_t i = 0; i < options_count; i++)
        if (options[i].section == section)
            option_finish(&options[i], data);
}

void config_free(struct config *config) {
    if (config == NULL)
        return;
    for (unsigned section = 0; section < SECTIONS_COUNT; section++) {
        const struct section_type *type = &section_types[section];
        if (!type->is_named) {
            finish_section((enum section)section, (char *)config + type->offset);
            continue;
        }
        char *items = *section_items(config, (enum section)section);
        for (size_t i = 0; i < *section_count(config, (enum section)section); i++) {
            void *data = items + i * type->bytes;
            free(*(char **)data);
            finish_section((enum section)section, data);
        }
        free(items);
    }
    free(config->path);
    free(config);
}

bool config_is_same_host(const struct config_backend *a, const struct config_backend *b) {
    if (a->host == NULL || b->host == NULL || a->host_is_name != b->host_is_name)
        return false;
    return a->host_is_name ? a->port == b->port && strcasecmp(a->host, b->host) == 0
                           : address_equal(&a->address, &b->address);
}

void config_backend_finish(struct config_backend *backend) {
    free(backend->name);
    finish_section(SECTION_BACKEND, backend);
}

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

int config_parse_backend(const struct config *config, const char *name, char *const *words, size_t words_count,
                         struct config_backend *ret_backend, char *ret_error, size_t error_size) {
    /* The file's own rules, by way of a file of two sections. */
    char *text = NULL, *messages = NULL;
    size_t length, messages_length;
    struct config *parsed = NULL;
    const struct config_tier *tier = NULL;
    if (!section_name_is_good(name)) {
        snprintf(ret_error, error_size, "a name has " SECTION_NAME_FORM, CONFIG_NAME_MAX);
        return -EINVAL;
    }
    if (words_count % 2 != 0) {
        snprintf(ret_error, error_size, "each option needs a value");
        return -EINVAL;
    }
    const char *wrong = wrong_word(words, words_count);
    if (wrong != NULL) {
        snprintf(ret_error, error_size, "\"%.80s\" is wrong; allowed: option and value in turn", wrong);
        return -EINVAL;
    }
    FILE *out = open_memstream(&text, &length);
    /* Its hostname is known; to find it anew would ask the DNS. */
    fprintf(out, "[global]\nhostname = %s\n", config->global.hostname);
    fprintf(out, "[listen x]\naddress = 127.0.0.1:0\n[backend %s]\n", name);
    for (size_t i = 0; i + 1 < words_count; i += 2)
        fprintf(out, "%s = %s\n", words[i], words[i + 1]);
    for (size_t i = 0; i + 1 < words_count; i += 2)
        for (size_t t = 0; t < config->tiers_count; t++)
            if (strcmp(words[i], "tier") == 0 && strcmp(words[i + 1], config->tiers[t].name) == 0)
                tier = &config->tiers[t];
    if (tier != NULL) {
        fprintf(out, "[tier %s]\nproxy = %s\nmax-sessions = %u\nsource = ", tier->name, config_proxy_name(tier->proxy),
                tier->backend_sessions_max);
        option_print(option_find(SECTION_TIER, "source"), tier, out);
        fputc('\n', out);
    }
    fclose(out);
    FILE *errors = open_memstream(&messages, &messages_length);
    int result = config_parse("add server", text, length, errors, &parsed);
    fclose(errors);
    char why[300];
    if (result == 0 && !parsed->backends[0].host_is_name &&
        !config_can_be_backend(config, &parsed->backends[0].address, why, sizeof why)) {
        result = -EINVAL;
        snprintf(ret_error, error_size, "address: %s", why);
        config_free(parsed);
    } else if (result < 0) {
        const char *said = strstr(messages, ": "); /* behind the line of a file that nobody has written */
        said = said == NULL ? messages : said + 2;
        snprintf(ret_error, error_size, "%.*s", (int)strcspn(said, "\n"), said);
    } else {
        *ret_backend = parsed->backends[0];
        ret_backend->tier = (size_t)(tier - config->tiers);
        parsed->backends_count = 0; /* handed over, but for the array */
        config_free(parsed);
    }
    free(text);
    free(messages);
    return result < 0 ? -EINVAL : 0;
}
