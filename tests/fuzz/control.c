/* Lines of the control socket: how they are split, the verb that they begin with, and what they say of a new server. */
#include "conf/added_backend.h"
#include "conf/finish.h"
#include "conf/reader.h"
#include "lb/control/verbs.h"

#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 32

static const char file[] = "[listen mx]\naddress = 127.0.0.1:2525\n[tier primary]\n"
                           "[backend vm1]\ntier = primary\naddress = 192.0.2.1:25\n";

static struct config *config_once(void) {
    static struct config *config;
    if (config == NULL)
        MUST(config_parse("fuzz.ini", file, sizeof file - 1, stderr, &config) == 0);
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *words[WORDS_MAX];
    char *line = fuzz_text(data, size);
    int count = verbs_split(line, words, WORDS_MAX);
    MUST(count >= -1 && count <= WORDS_MAX);
    for (int i = 0; i < count; i++)
        MUST(words[i][0] != '\0' && strpbrk(words[i], " \t") == NULL);
    if (count > 0) {
        char error[200];
        struct config_backend backend;
        (void)verbs_find(words, (unsigned)count);
        memset(error, 'x', sizeof error);
        if (config_parse_backend(config_once(), words[0], words + 1, (size_t)count - 1, &backend, error,
                                 sizeof error) == 0)
            config_backend_finish(&backend);
        else
            MUST(memchr(error, '\0', sizeof error) != NULL && error[0] != '\0');
    }
    free(line);
    return 0;
}
