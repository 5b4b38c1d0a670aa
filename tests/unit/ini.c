/* A configuration from a text, for the tests of conf. What was said of one text stays until the next one. */
#include "ini.h"

#include "conf/finish.h"
#include "conf/reader.h"

#include <stdlib.h>
#include <string.h>

char *messages;

struct config *parse_octets(const char *text, size_t length) {
    struct config *config = NULL;
    size_t messages_length;
    free(messages);
    FILE *errors = open_memstream(&messages, &messages_length);
    int result = config_parse("t.ini", text, length, errors, &config);
    fclose(errors);
    cr_assert((result == 0) == (config != NULL) && (result == 0) == (messages_length == 0), "%d: %s", result, messages);
    return config;
}

struct config *parse_text(const char *text) {
    return parse_octets(text, strlen(text));
}

void assert_good_text(const char *text) {
    struct config *config = parse_text(text);
    cr_assert_not_null(config, "%s", messages);
    config_free(config);
}

void assert_wrong_text(const char *text, const char *message) {
    cr_assert_null(parse_text(text), "taken: %s", text);
    cr_assert_not_null(strstr(messages, message), "%s\nwanted: %s\nsaid:\n%s", text, message, messages);
}
