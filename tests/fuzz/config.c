/* postern.ini: what is refused says why; what is taken is printed by -T in a form that is taken again and prints the
 * same. */
#include "conf/finish.h"
#include "conf/print.h"
#include "conf/reader.h"

#include "tests/fuzz/fuzz.h"

static char *print(const struct config *config, size_t *ret_length) {
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);
    MUST(out != NULL);
    config_print(config, out);
    fclose(out);
    return text;
}

static struct config *parse(const char *text, size_t size, size_t *ret_errors) {
    struct config *config = NULL;
    char *messages = NULL;
    FILE *errors = open_memstream(&messages, ret_errors);
    MUST(errors != NULL);
    int result = config_parse("fuzz.ini", text, size, errors, &config);
    fclose(errors);
    MUST((result == 0) == (config != NULL));
    MUST((result == 0) == (*ret_errors == 0));
    MUST(*ret_errors == 0 || messages[*ret_errors - 1] == '\n');
    free(messages);
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t errors, length, length_again;
    char *input = (char *)fuzz_copy(data, size);
    struct config *config = parse(input, size, &errors);
    free(input);
    if (config == NULL)
        return 0;
    char *text = print(config, &length);
    struct config *again = parse(text, length, &errors);
    MUST(again != NULL);
    char *text_again = print(again, &length_again);
    MUST(length == length_again && memcmp(text, text_again, length) == 0);
    free(text);
    free(text_again);
    config_free(config);
    config_free(again);
    return 0;
}
